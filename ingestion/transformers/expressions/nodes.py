"""What an expression is made of; only what is here can ever reach polars."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = [
    "All",
    "Between",
    "Call",
    "Case",
    "Cast",
    "Column",
    "Extract",
    "Field",
    "In",
    "Is",
    "Kind",
    "Like",
    "Matching",
    "Node",
    "Operation",
    "Value",
    "walk",
]

Matching: TypeAlias = Literal["LIKE", "ILIKE", "~", "~*"]
Kind: TypeAlias = Literal["number", "text", "boolean", "null", "date", "timestamp", "time", "interval"]


@dataclass(frozen=True)
class Node:
    """A part of an expression, as it is written."""

    text: str = field(compare=False)

    @property
    def parts(self) -> tuple["Node", ...]:
        """The nodes that it is made of, in the order of its fields."""
        return tuple(_nodes(vars(self).values()))


def _nodes(values: Iterable[object]) -> Iterator[Node]:
    """Those of the values, and in tuples of them, that are nodes."""
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from _nodes(value)


@dataclass(frozen=True)
class Value(Node):
    """A literal; *value* is a number as written, or the text between the quotes."""

    kind: Kind
    value: str = ""


@dataclass(frozen=True)
class Column(Node):
    """A column of the row."""

    name: str


@dataclass(frozen=True)
class Field(Node):
    """A field of an object."""

    of: Node
    name: str


@dataclass(frozen=True)
class Operation(Node):
    """Two operands: arithmetic, a comparison, or || for texts. One operand: - and NOT."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class All(Node):
    """Conditions joined by AND or OR."""

    operator: Literal["AND", "OR"]
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Is(Node):
    """IS NULL, IS TRUE, IS FALSE or IS DISTINCT FROM another one."""

    what: Literal["NULL", "TRUE", "FALSE", "DISTINCT FROM"]
    negated: bool
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Between(Node):
    """Whether the first lies between the others, which belong to the range."""

    negated: bool
    operands: tuple[Node, Node, Node]


@dataclass(frozen=True)
class In(Node):
    """Whether the first is one of the others."""

    negated: bool
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Like(Node):
    """Whether a text has a pattern: LIKE, ILIKE, or ~ and ~* for regular expressions."""

    operator: Matching
    negated: bool
    of: Node
    pattern: str


@dataclass(frozen=True)
class Case(Node):
    """The result behind the first condition that is true."""

    whens: tuple[tuple[Node, Node], ...]
    otherwise: Node | None


@dataclass(frozen=True)
class Cast(Node):
    """Another type; where *strict* a value that does not fit is a fault, else null."""

    of: Node
    to: str
    strict: bool


@dataclass(frozen=True)
class Extract(Node):
    """A part of a date or time."""

    part: str
    of: Node


@dataclass(frozen=True)
class Call(Node):
    """A function of one row."""

    name: str
    arguments: tuple[Node, ...]


def walk(node: Node) -> Iterator[Node]:
    """The node and all that it is made of."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(current.parts))
