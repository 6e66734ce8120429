"""Arrow types as PostgreSQL's, and what a column becomes when data of another type meets it."""

import re
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.types as t

from ingestion.errors import DataError

__all__ = ["PgType", "known", "parsed", "plain", "together", "wire"]

_MODIFIER = re.compile(r"\((\d+(?:,\d+)?)\)")
_INTEGERS = ("smallint", "integer", "bigint")
_FLOATS = ("real", "double precision")
_TEXTS = ("text", "character varying", "character")
_MOST_DIGITS = 76  # of an Arrow decimal; PostgreSQL has 1000


class PgType(NamedTuple):
    """A column type as `format_type` spells it, its modifiers apart."""

    name: str
    modifiers: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.modifiers:
            return self.name
        first, *rest = self.name.split(" ", 1)  # timestamp(3) with time zone
        place = [self.name] if self.name == "character varying" else [first, *rest]
        place[0] += f"({','.join(map(str, self.modifiers))})"
        return " ".join(place)


def parsed(text: str) -> PgType:
    """The type that `format_type` spells *text*."""
    found = _MODIFIER.search(text)
    modifiers = tuple(map(int, found[1].split(","))) if found else ()
    return PgType(" ".join(_MODIFIER.sub("", text).split()), modifiers)


TEXT = PgType("text")
JSONB = PgType("jsonb")
_SIMPLE: dict[pa.DataType, PgType] = {
    pa.bool_(): PgType("boolean"),
    pa.int8(): PgType("smallint"),
    pa.uint8(): PgType("smallint"),
    pa.int16(): PgType("smallint"),
    pa.uint16(): PgType("integer"),
    pa.int32(): PgType("integer"),
    pa.uint32(): PgType("bigint"),
    pa.int64(): PgType("bigint"),
    pa.uint64(): PgType("numeric", (20, 0)),
    pa.float16(): PgType("real"),
    pa.float32(): PgType("real"),
    pa.float64(): PgType("double precision"),
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    pa.string_view(): TEXT,
    pa.binary(): PgType("bytea"),
    pa.large_binary(): PgType("bytea"),
    pa.binary_view(): PgType("bytea"),
    pa.date32(): PgType("date"),
    pa.date64(): PgType("date"),
}
_WIRES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "character varying": pa.string(),
    "character": pa.string(),
    "json": pa.string(),
    "jsonb": pa.string(),
    "uuid": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time without time zone": pa.time64("us"),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}


def plain(dtype: pa.DataType, column: str) -> PgType | None:
    """The type of a column for values of *dtype*, None where they are all null; DataError where there is none."""
    if t.is_null(dtype):
        return None
    simple = _SIMPLE.get(dtype)
    if simple is not None:
        return simple
    for fits, convert in _FAMILIES:
        if fits(dtype):
            return convert(dtype, column)
    raise _refused(dtype, column)


def _refused(dtype: pa.DataType, column: str) -> DataError:
    return DataError(
        f"column {column!r} is of type {dtype}, which a PostgreSQL table does not get from here; "
        f"convert it to a number, a time or text first"
    )


def _timestamp(dtype: pa.DataType, _: str) -> PgType:
    return PgType("timestamp with time zone" if dtype.tz else "timestamp without time zone")


def _decimal(dtype: pa.DataType, column: str) -> PgType:
    if not 0 <= dtype.scale <= dtype.precision:
        raise _refused(dtype, column)
    return PgType("numeric", (dtype.precision, dtype.scale))


def _nested(dtype: pa.DataType, column: str) -> PgType:
    for place in range(dtype.num_fields):
        inner = dtype.field(place).type
        kind = plain(inner, f"{column}.{dtype.field(place).name}")
        if kind is not None and kind.name == "bytea":
            raise DataError(
                f"column {column!r} holds bytes within {dtype}, which JSON cannot; convert them to text first"
            )
    return JSONB


_FAMILIES: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, str], PgType | None]]] = [
    (t.is_dictionary, lambda dtype, column: plain(dtype.value_type, column)),
    (t.is_timestamp, _timestamp),
    (t.is_time, lambda _, __: PgType("time without time zone")),
    (t.is_decimal, _decimal),
    (t.is_fixed_size_binary, lambda _, __: PgType("bytea")),
    (t.is_nested, _nested),
    (lambda dtype: dtype == pa.uuid(), lambda _, __: PgType("uuid")),
    (lambda dtype: isinstance(dtype, pa.JsonType), lambda _, __: JSONB),
    (lambda dtype: isinstance(dtype, pa.BaseExtensionType), lambda dtype, column: plain(dtype.storage_type, column)),
]


def together(data: PgType, table: PgType) -> PgType | None:
    """What a column of type *table* must be to take *data*: the same where values fit, wider, or None for neither."""
    if data.name == table.name != "numeric":
        return table
    if {data.name, table.name} <= set(_INTEGERS):
        return max(data, table, key=lambda kind: _INTEGERS.index(kind.name))
    if {data.name, table.name} <= set(_FLOATS):
        return PgType("double precision")
    if data.name == table.name == "numeric":
        return _wider_numeric(data, table)
    return table if _fits(data, table) else None


def _fits(data: PgType, table: PgType) -> bool:
    """Whether values may go there by a checked conversion."""
    if data.name in _INTEGERS:
        return table.name in ("numeric", *_FLOATS)
    if data.name == "numeric":
        return table.name in _INTEGERS and data.modifiers[1] == 0
    if data.name in _TEXTS:
        return table.name in (*_TEXTS, "json", "jsonb", "uuid")
    return data.name == "jsonb" and table.name == "json"


def _wider_numeric(data: PgType, table: PgType) -> PgType:
    if not (data.modifiers and table.modifiers):
        return PgType("numeric")
    scale = max(data.modifiers[1], table.modifiers[1])
    whole = max(kind.modifiers[0] - kind.modifiers[1] for kind in (data, table))
    return PgType("numeric", (whole + scale, scale))


def wire(kind: PgType) -> pa.DataType:
    """The Arrow type from which a value of *kind* is made; unlimited numerics are left as they come (null)."""
    if kind.name != "numeric":
        return _WIRES[kind.name]
    if not kind.modifiers:
        return pa.null()
    precision, scale = min(kind.modifiers[0], _MOST_DIGITS), kind.modifiers[1]
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def known(kind: PgType) -> pa.DataType:
    """The type in which a connector should bring values for a column of *kind*; text where it has none."""
    if kind == PgType("numeric"):
        return pa.decimal128(38, 18)
    return wire(kind) if kind.name in {*_WIRES, "numeric"} else pa.string()
