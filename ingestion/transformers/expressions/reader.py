"""Reads the words of an expression one after the other, within limits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.tokens import Token, words

__all__ = ["RESERVED", "STATEMENTS", "Reader"]

_DEEPEST = 30
_MOST_STEPS = 100  # of arithmetic; each makes the tree one node deeper
STATEMENTS = words(
    "SELECT FROM WITH UNION INTERSECT EXCEPT WHERE GROUP HAVING ORDER LIMIT JOIN INSERT UPDATE DELETE DROP CREATE "
    "TRUNCATE EXPLAIN SHOW EXISTS VALUES TABLE COPY"
)
RESERVED = words("AND OR NOT IN IS BETWEEN LIKE ILIKE REGEXP RLIKE CASE WHEN THEN ELSE END AS ESCAPE DISTINCT ANY ALL")
_Item = TypeVar("_Item")


class Reader:
    """The words of one expression, and how far they are read."""

    def __init__(self, text: str, found: Sequence[Token]) -> None:
        self._text = text
        self._words = found
        self._place = 0
        self._depth = 0
        self._steps = 0

    @property
    def now(self) -> Token:
        """The word that is next."""
        return self._words[self._place]

    @property
    def ended(self) -> bool:
        """Whether no word is left."""
        return self._place == len(self._words) - 1

    def take(self) -> Token:
        """The word that was next."""
        word = self.now
        self._place += not self.ended
        return word

    def took(self, key: str) -> bool:
        """Whether the next word is *key*, which is then taken."""
        found = self.now.key == key
        self._place += found
        return found

    def need(self, key: str) -> None:
        """Take *key*; raises ConfigError where something else is next."""
        if not self.took(key):
            self.unexpected(key)

    def since(self, start: int) -> str:
        """The text from *start* to the last word that was taken."""
        return self._text[start : self._words[self._place - 1].end]

    def count(self) -> None:
        """One more operator; raises ConfigError where there are too many."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ConfigError(f"it has more than {_MOST_STEPS} operators; divide it over several add_column")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level of nesting more; raises ConfigError where there are too many."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConfigError(f"it is nested more than {_DEEPEST} levels deep; divide it over several add_column")
        yield
        self._depth -= 1

    def unexpected(self, wanted: str = "") -> NoReturn:
        """Raise ConfigError for the next word."""
        word = self.now
        if word.key in STATEMENTS:
            raise ConfigError(f"{word.key} cannot stand in an expression, which sees one row alone and no table")
        if word.key == "OVER":
            raise ConfigError(
                "window functions look at more than one row, and the result would depend on how the rows are cut "
                "into batches; use a sql transformation with over: load"
            )
        shown = "the end" if word.kind == "end" else repr(self._text[word.start : word.end])
        instead = f"; {wanted} is" if wanted else ""
        raise ConfigError(f"{shown} is not expected at character {word.start + 1}{instead}{self._name_with_blanks()}")

    def _name_with_blanks(self) -> str:
        """A hint where two names stand side by side."""
        before, word = self._words[max(self._place - 1, 0)], self.now
        both = {before.kind, word.kind} == {"word"} and before.end < word.start
        if not both or {before.key, word.key} & (RESERVED | {"NULL", "TRUE", "FALSE", "FROM"}):
            return ""
        return f'; a name with blanks stands in double quotes: "{self._text[before.start : word.end]}"'

    def listed(self, inner: Callable[[], _Item]) -> list[_Item]:
        """One or more items in brackets."""
        self.need("(")
        items = [inner()]
        while self.took(","):
            items.append(inner())
        self.need(")")
        return items
