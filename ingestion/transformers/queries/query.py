"""One SELECT over the rows of a job, and nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from ingestion.model import nearest
from ingestion.transformers.expressions.sizes import Need
from ingestion.transformers.queries import words
from ingestion.transformers.queries.casts import cast_problems
from ingestion.transformers.queries.growth import growth, growth_problems, padding
from ingestion.transformers.queries.tokens import Token, tokens, with_depth

__all__ = ["INPUT", "Query"]

INPUT = "input"
"""The table that holds the rows."""

_LONGEST = 20_000  # characters
_OPERATORS = 400  # polars goes down one step of its stack for each; some 1000 end the process
_WIDEST = 4  # bytes of a character
_TABLES = 24  # each may be another twice, and the next one that twice


@dataclass(frozen=True)
class Query:
    """A query that may run: it reads the rows of the job and what it makes of them itself."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Query":
        """The query *text*; raises ValueError, with a sentence, for one that is refused or cannot be read."""
        if len(text) > _LONGEST:
            raise ValueError(f"the query has {len(text)} characters; {_LONGEST} are the most, divide it")
        query = cls(text.strip().removesuffix(";"))
        for problem in query._problems():
            raise ValueError(problem)
        query._read()
        return query

    @property
    def needs_all(self) -> str | None:
        """The first word or function whose result depends on which rows are seen together; None = there is none."""
        for token, following in pairwise(self._tokens):
            if token.key in words.TOGETHER or (token.key == "SELECT" and token.start):
                return token.text
            if following.text == "(" and token.key in words.FUNCTIONS - words.ROW_BY_ROW:
                return token.text
        behind = with_depth(tokens(self._from_on))
        return "," if any(token.text == "," and not depth for token, depth in behind) else None

    def of_rows(self, column: str) -> str | None:
        """The query for this *column* of the same rows in the same order; None where it keeps every row.

        Only for a query that does not need all rows together.
        """
        keeps_all = all(token.key != "WHERE" for token in tokens(self._from_on))
        return None if keeps_all else f'SELECT "{column}" {self._from_on}'

    def need(self, columns: Iterable[str]) -> Need:
        """What the texts take that it makes of a row with these *columns*; nothing where it makes none longer."""
        times, pads = growth(self._tokens), padding(self._tokens)
        if times == 1 and not pads:
            return Need(0)
        words_there = {_bare(token) for token in self._tokens}
        read = [name for name in columns if name.upper() in words_there or "COLUMNS" in words_there]
        written = sum(len(token.text.encode()) for token in self._tokens if token.kind == "text")
        return Need(times * (_WIDEST * pads + written), dict.fromkeys(read, times))

    @cached_property
    def _tokens(self) -> tuple[Token, ...]:
        return tuple(tokens(self.text))

    @property
    def _from_on(self) -> str:
        """The text from the FROM of the outermost SELECT."""
        starts = (token.start for token, depth in with_depth(self._tokens) if token.key == "FROM" and not depth)
        return self.text[next(starts, len(self.text)) :]

    def _problems(self) -> Iterator[str]:
        """Why the query is refused, if it is."""
        first = self._tokens[0] if self._tokens else None
        if first is None or first.key not in {"SELECT", "WITH"}:
            yield f"a query is one SELECT over {INPUT}" + (f"; this one begins with {first.text}" if first else "")
        for token in self._tokens:
            if token.key in words.REFUSED:
                yield f"{token.text} has no place in a query; a column of that name goes in double quotes"
            if token.key in words.CHANGING:
                yield f"{token.text} is another with each run; a column of that name goes in double quotes"
        for token, following in pairwise(self._tokens):
            yield from _pair_problems(token, following)
        operators = sum(token.key in words.JOINING or token.text in words.SIGNS for token in self._tokens)
        if operators > _OPERATORS:
            yield f"the query has {operators} operators; {_OPERATORS} are the most, divide it"
        yield from self._table_problems()
        yield from cast_problems(self._tokens)
        yield from growth_problems(self._tokens)

    def _table_problems(self) -> Iterator[str]:
        """Why the tables that it reads are refused, if they are."""
        triples = zip(self._tokens, self._tokens[1:], self._tokens[2:], strict=False)
        defined = {_bare(name) for name, word, bracket in triples if (word.key, bracket.text) == ("AS", "(")}
        read = {INPUT.upper(), *defined}
        tables = list(self._tables())
        for table in tables:
            if table.text != "(" and _bare(table) not in read:
                yield f"there is no table {table.text}; the rows are in {INPUT}"
        before_tables = {"FROM", "JOIN", ",", "("}
        count = sum(
            _bare(table) in read and word.text.upper() in before_tables for word, table in pairwise(self._tokens)
        )
        if count > _TABLES:
            yield f"the query names tables {count} times; {_TABLES} times are the most, divide it"
        if not tables:
            yield f"the query reads no table; the rows are in {INPUT}, so write FROM {INPUT}"

    def _tables(self) -> Iterator[Token]:
        """What follows each JOIN and each FROM, but that of EXTRACT(year FROM day) and its like."""
        openers: list[str] = []
        before = ""
        for token, following in pairwise(self._tokens):
            if token.text == "(":
                openers.append(before)
            elif token.text == ")":
                del openers[-1:]
            elif token.key == "JOIN" or (token.key == "FROM" and not {*openers[-1:]} & words.FUNCTIONS):
                yield following
            before = token.key

    def _read(self) -> None:
        import polars as pl

        try:
            pl.SQLContext({INPUT: pl.LazyFrame()}, register_globals=False).execute(self.text)  # it is parsed, no more
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise ValueError(f"the query cannot be read: {str(error)[:300]}") from error


def _bare(token: Token) -> str:
    """A name as polars compares tables: without regard to case."""
    return token.text.strip('"').upper()


def _pair_problems(token: Token, following: Token) -> Iterator[str]:
    if following.text == "(" and token.kind in {"name", "text", "number"}:
        yield f"{token.text} is no function; a function is written without quotes"
    if following.text == "(" and token.key and token.key not in words.FUNCTIONS | words.BEFORE_PARENTHESES:
        hint = nearest(token.key.lower(), [name.lower() for name in words.FUNCTIONS], "functions")
        yield f"there is no function {token.text}; {hint}"
    if token.kind != "sign" and following.kind != "sign" and token.end == following.start:
        yield f"{token.text}{following.text}: there is a blank missing, or a text that is not in plain single quotes"
