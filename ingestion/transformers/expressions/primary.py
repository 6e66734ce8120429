"""The smallest parts of an expression: literals, columns, functions, CASE, CAST."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.casts import cast_type
from ingestion.transformers.expressions.functions import MANY_ROWS, function
from ingestion.transformers.expressions.moments import check_moment
from ingestion.transformers.expressions.nodes import (
    Call,
    Case,
    Cast,
    Column,
    Extract,
    Field,
    Kind,
    Node,
    Operation,
    Value,
)
from ingestion.transformers.expressions.reader import RESERVED, STATEMENTS, Reader
from ingestion.transformers.expressions.tokens import Token, words

__all__ = ["Primary"]

_TYPED: Mapping[str, Kind] = {"DATE": "date", "TIMESTAMP": "timestamp", "TIME": "time", "INTERVAL": "interval"}
_PARTS = words("YEAR QUARTER MONTH WEEK DAY DOW DOY HOUR MINUTE SECOND EPOCH")


class Primary(Reader, ABC):
    """Reads what stands between operators."""

    @abstractmethod
    def expression(self) -> Node:
        """A whole expression."""

    def postfix(self) -> Node:
        """A literal, column, call or bracket, with the casts and fields behind it."""
        start = self.now.start
        node = self._primary()
        while True:
            if self.took("::"):
                to = self._type()
                node = Cast(self.since(start), node, to, strict=True)
            elif isinstance(node, Column | Field) and self.took("."):
                if self.now.kind not in ("word", "quoted"):
                    self.unexpected("a field")
                name = self.take().value
                node = Field(self.since(start), node, name)
            else:
                return node
            self.count()

    def _primary(self) -> Node:
        word = self.now
        if self.ended or word.key in STATEMENTS or word.key in RESERVED - {"CASE"}:
            self.unexpected()
        if self.took("("):
            node = self.expression()
            self.need(")")
            return node
        if word.kind == "sign":
            self.unexpected()
        self.take()
        return _literal(word) if word.kind in ("number", "text") else self._named(word)

    def _named(self, word: Token) -> Node:
        """What begins with a word, or with a name in quotes."""
        if word.key in _TYPED and self.now.kind == "text":
            return self._typed(word)
        if self.now.key == "(":
            return self._call(word)
        if word.key == "CASE":
            return self._case(word.start)
        if word.key in ("TRUE", "FALSE", "NULL"):
            return Value(word.value, "null" if word.key == "NULL" else "boolean", word.key)
        if word.key in ("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"):
            function(word.key)  # which says why not
        return Column(self.since(word.start), word.value)

    def _typed(self, word: Token) -> Value:
        """A literal with the word of its type before it."""
        value = self.take().value
        check_moment(_TYPED[word.key], value)
        return Value(self.since(word.start), _TYPED[word.key], value)

    def _call(self, word: Token) -> Node:
        key = word.key
        if word.kind == "quoted":
            raise ConfigError(f'"{word.value}" in quotes is a column and cannot be called')
        if key in ("CAST", "TRY_CAST"):
            return self._cast(word.start, strict=key == "CAST")
        if key == "EXTRACT":
            return self._extract(word.start)
        if key == "IF":
            condition, yes, no = self._arguments(word, 3, 3)
            return Case(self.since(word.start), ((condition, yes),), no)
        name, wanted = function(word.value)
        if self._words[self._place + 1].key in ("DISTINCT", "*") and key not in MANY_ROWS:
            self._place += 1
            self.unexpected()
        most = None if wanted.rest else len(wanted.takes)
        arguments = self._arguments(word, wanted.least, most)
        return Call(self.since(word.start), name, tuple(arguments))

    def _arguments(self, word: Token, least: int, most: int | None) -> list[Node]:
        if most == 0:
            self.need("(")
            self.need(")")
            return []
        arguments = self.listed(self.expression)
        if self.now.key in ("OVER", "FILTER"):
            self.unexpected()
        if len(arguments) < least or (most is not None and len(arguments) > most):
            count = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise ConfigError(f"{word.key} takes {count} arguments, not {len(arguments)}")
        return arguments

    def _case(self, start: int) -> Node:
        with self.deeper():
            subject = None if self.now.key == "WHEN" else self.expression()
            whens = []
            while self.took("WHEN"):
                begin = self.now.start
                condition = self.expression()
                if subject is not None:
                    if isinstance(condition, Value) and condition.kind == "null":
                        raise ConfigError("CASE ... WHEN NULL is never true; write CASE WHEN ... IS NULL")
                    condition = Operation(f"{subject.text} = {self.since(begin)}", "=", (subject, condition))
                self.need("THEN")
                whens.append((condition, self.expression()))
            otherwise = self.expression() if self.took("ELSE") else None
            if not whens:
                self.unexpected("WHEN")
            self.need("END")
        return Case(self.since(start), tuple(whens), otherwise)

    def _cast(self, start: int, *, strict: bool) -> Node:
        self.need("(")
        node = self.expression()
        self.need("AS")
        to = self._type()
        self.need(")")
        return Cast(self.since(start), node, to, strict)

    def _type(self) -> str:
        """A type as it is written, brackets included."""
        word = self.take()
        if word.kind != "word":
            raise ConfigError(f"CAST needs a type such as long, not {word.value!r}")
        if word.key == "DOUBLE":
            self.took("PRECISION")
        if self.took("("):
            while self.now.kind == "number" or self.now.value == ",":
                self.take()
            self.need(")")
        written = self.since(word.start)
        cast_type(written)
        return written

    def _extract(self, start: int) -> Node:
        self.need("(")
        part = self.take().key
        if part not in _PARTS:
            raise ConfigError(f"EXTRACT knows {', '.join(sorted(_PARTS))}, not {part or 'that'}")
        self.need("FROM")
        node = self.expression()
        self.need(")")
        return Extract(self.since(start), part, node)


def _literal(word: Token) -> Value:
    if word.kind == "text":
        return Value(f"'{word.value}'", "text", word.value)
    return Value(word.value, "number", word.value)
