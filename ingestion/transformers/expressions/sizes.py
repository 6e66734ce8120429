"""How much memory the texts take that an expression makes of a row, at most: known before any of them is made."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.transformers.expressions.nodes import Call, Case, Cast, Column, Field, Node, Operation, Value, walk

__all__ = ["MOST", "Need", "Piece", "lengths", "need", "pieces"]

MOST = 64 << 20
"""Bytes of texts that an expression makes at a time."""

_MOST_ROW = 4 * MOST  # of the texts that a row has and gets: else many expressions could each make their share
_PLAIN = 64.0  # the longest text of a number, a date or a time
_WIDEST = 4  # bytes of a character
_CASES = ("UPPER", "LOWER", "INITCAP")
_CASE_GROWTH = 3  # as of one character of two bytes that has three of two in the other case
_CHOICES = ("COALESCE", "NULLIF", "GREATEST", "LEAST")
_PARTS = ("TRIM", "LTRIM", "RTRIM", "LEFT", "RIGHT", "SUBSTR", "REVERSE", "SPLIT_PART")

Bytes: TypeAlias = npt.NDArray[np.float64]


class Need(NamedTuple):
    """Bytes of a row: so many, and so many for each byte of a column."""

    fixed: float
    per: Mapping[str, float] = {}

    def and_(self, other: "Need") -> "Need":
        """Both."""
        names = {**self.per, **other.per}
        return Need(self.fixed + other.fixed, {name: self.per.get(name, 0) + other.per.get(name, 0) for name in names})

    def times(self, factor: float) -> "Need":
        """So many times as much."""
        return Need(self.fixed * factor, {name: part * factor for name, part in self.per.items()})


class Piece(NamedTuple):
    """Rows that are calculated together, from one to before another."""

    start: int
    end: int
    refused: float | None = None  # bytes of the one row in it, where these are too many


def pieces(wanted: Need, records: pa.RecordBatch) -> Iterator[Piece]:
    """The rows in pieces that take no more than `MOST` together with what is made of them; a row alone may."""
    each = np.full(records.num_rows, float(wanted.fixed))
    for name, factor in wanted.per.items():
        if name in records.schema.names:
            each += factor * lengths(records.column(name))
    if not each.any() or each.sum() + records.nbytes <= MOST:
        yield Piece(0, records.num_rows)
        return
    whole = sum(map(lengths, records.columns), each)
    refused = (each > MOST) | (whole > _MOST_ROW)
    sums = np.cumsum(whole)
    start = 0
    while start < len(sums):
        fitting = int(np.searchsorted(sums, sums[start] - whole[start] + MOST, side="right"))
        bad = np.flatnonzero(refused[start:fitting])
        end = max(start + int(bad[0]) if len(bad) else fitting, start + 1)
        yield Piece(start, end, float(whole[start]) if refused[start] else None)
        start = end


def lengths(values: pa.Array) -> Bytes:
    """The bytes that the texts in each row have."""
    dtype = values.type
    if isinstance(dtype, pa.BaseExtensionType):
        return lengths(values.storage)
    if t.is_dictionary(dtype):
        known = np.append(lengths(values.dictionary), 0.0)
        each: Bytes = known[pc.fill_null(pc.cast(values.indices, pa.int64()), len(known) - 1).to_numpy()]
        return each
    if t.is_struct(dtype):
        return sum(map(lengths, values.flatten()), np.zeros(len(values)))
    if t.is_string_view(dtype):
        values = pc.cast(values, pa.large_string())
    elif not (t.is_string(dtype) or t.is_large_string(dtype)):
        return np.full(len(values), _PLAIN)
    return np.asarray(pc.fill_null(pc.binary_length(values), 0), np.float64)


@lru_cache(maxsize=256)
def need(node: Node) -> Need:
    """What all texts together need that are made on the way to the result."""
    total = Need(0)
    for part in dict.fromkeys(walk(node)):
        if _makes_text(part):
            total = total.and_(_size(part))
    return total


def _makes_text(node: Node) -> bool:
    if isinstance(node, Call):
        return node.name in _SIZES
    return isinstance(node, Case | Cast) or (isinstance(node, Operation) and node.operator == "||")


@lru_cache(maxsize=4096)
def _size(node: Node) -> Need:
    """What the value of *node* needs as a text."""
    if isinstance(node, Value):
        return Need(float(len(node.value.encode())) if node.kind == "text" else _PLAIN)
    if isinstance(node, Column):
        return Need(0, {node.name: 1.0})
    if isinstance(node, Field):
        return _size(node.of)
    if isinstance(node, Call) and node.name in _SIZES:
        return _SIZES[node.name](node)
    if isinstance(node, Cast):
        return _size(node.of).and_(Need(_PLAIN))
    return _all(node) if _makes_text(node) else Need(_PLAIN)


def _all(node: Node) -> Need:
    total = Need(0)
    for part in node.parts:
        total = total.and_(_size(part))
    return total


def _first(node: Call) -> Need:
    return _size(node.arguments[0])


def _joined_with(node: Call) -> Need:
    return _all(node).and_(_first(node).times(len(node.arguments)))


def _padded(node: Call) -> Need:
    return _first(node).and_(Need(_WIDEST * float(_literal(node, 1))))


def _replaced(node: Call) -> Need:
    old, new = (len(_literal(node, place).encode()) for place in (1, 2))
    return _first(node).times(max(1.0, new / old)) if old else _between(node, new)


def _matched(node: Call) -> Need:
    new = _literal(node, 2)  # in which $0 stands for a whole text
    return _between(node, len(new.encode()) + new.count("$"))


def _between(node: Call, size: int) -> Need:
    """With *size* more bytes before, behind and between all."""
    return _first(node).times(1.0 + size).and_(Need(float(size)))


def _written(node: Call) -> Need:
    text = _literal(node, 1)
    return Need(len(text.encode()) + text.count("%") * _PLAIN)


def _literal(node: Call, place: int) -> str:
    argument = node.arguments[place]
    assert isinstance(argument, Value)  # noqa: S101 - the limits take nothing else there
    return argument.value


_SIZES: Mapping[str, Callable[[Call], Need]] = {
    **dict.fromkeys(_CASES, lambda node: _first(node).times(_CASE_GROWTH)),
    **dict.fromkeys(_PARTS, _first),
    **dict.fromkeys(("CONCAT", *_CHOICES), _all),
    "CONCAT_WS": _joined_with,
    "LPAD": _padded,
    "RPAD": _padded,
    "REPLACE": _replaced,
    "REGEXP_REPLACE": _matched,
    "STRFTIME": _written,
}
