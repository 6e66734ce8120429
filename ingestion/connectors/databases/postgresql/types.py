"""What PostgreSQL's types become: the table of it, which the documentation repeats."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, Order, decimal_of

__all__ = ["COMPOSED", "OTHERS", "TYPES", "Kind", "Type", "column_of"]

_INT32, _INT64, _TEXT = pa.int32(), pa.int64(), pa.string()
_OUTPUT = "CASE WHEN {} IS NOT NULL THEN format('%s', {}) END"  # a cast to text would add the /32 of a host


class Kind(NamedTuple):
    """How values of one type are selected, and what they become; None = it depends on the type's digits."""

    dtype: pa.DataType | None
    fast: str = "{}"
    plain: str = "{}"
    wire: pa.DataType | None = None
    fits: str = ""
    text: str = "{}::text"
    note: str = ""
    order: Order = ""
    compared: str = ""
    unplaced: str = ""


class Type(NamedTuple):
    """A type as the catalog has it, domains resolved."""

    name: str  # pg_type.typname
    kind: str = "b"  # pg_type.typtype
    element: "Type | None" = None  # of an array


_AS_TEXT = Kind(_TEXT, "{}::text", "{}::text")
_WRITTEN = _AS_TEXT._replace(order="none")  # whose texts follow each other in another order than the values
_JSON = _WRITTEN._replace(note="JSON text")
_CLOCK = "years 1 to 9999; infinity and dates before Christ are rejected"
_BEYOND = "{} < '0001-01-01' OR {} >"

TYPES: Mapping[str, Kind] = {
    "int2": Kind(_INT32),
    "int4": Kind(_INT32),
    "int8": Kind(_INT64),
    "oid": Kind(_INT64, "{}::int8", "{}::int8"),
    "float4": Kind(pa.float32()),
    "float8": Kind(pa.float64()),
    "numeric": Kind(
        None,
        "{}::text",  # DuckDB makes 0 of NaN
        "{}::text",
        wire=_TEXT,
        note="38 digits at most, 18 of them behind the point where the type has none; NaN and infinity are rejected",
    ),
    "money": Kind(
        None, "{}::numeric::text", "{}::numeric::text", _TEXT, text="{}::numeric::text", compared="{}::numeric"
    ),
    "bool": Kind(pa.bool_()),
    "text": Kind(_TEXT, text="{}"),
    "varchar": Kind(_TEXT, text="{}"),
    "bpchar": Kind(_TEXT, "{}::text", "{}::text", note="without the blanks at its end"),
    "name": _AS_TEXT,
    "char": _AS_TEXT,
    "citext": _AS_TEXT,
    "bytea": Kind(pa.binary()),
    "date": Kind(pa.date32(), plain="{}::text", wire=_TEXT, note=_CLOCK, unplaced=f"{_BEYOND} '9999-12-31'"),
    "timestamp": Kind(
        pa.timestamp("us"),
        plain="{}::text",
        wire=_TEXT,
        note=_CLOCK,
        unplaced=f"{_BEYOND} '9999-12-31 23:59:59.999999'",
    ),
    "timestamptz": Kind(
        pa.timestamp("us", "UTC"),
        plain="{}::text",
        wire=_TEXT,
        note=_CLOCK,
        unplaced="{} < '0001-01-01 00:00+00' OR {} > '9999-12-31 23:59:59.999999+00'",
    ),
    "time": Kind(pa.time64("us"), plain="{}::text", wire=_TEXT, note="24:00:00 is rejected"),
    "timetz": _WRITTEN,
    "interval": _WRITTEN._replace(note="in ISO 8601, such as P1Y2M3DT4H5M6S"),
    "uuid": _AS_TEXT,
    "json": _JSON,
    "jsonb": _JSON,
    "hstore": Kind(_TEXT, "{}::json::text", "{}::json::text", note="JSON text", order="none"),
    "inet": Kind(_TEXT, _OUTPUT, _OUTPUT, order="none"),
    "cidr": _WRITTEN,
    "macaddr": _AS_TEXT,
    "bit": _AS_TEXT._replace(note="digits 0 and 1"),
    "varbit": _AS_TEXT._replace(note="digits 0 and 1"),
    "xml": _WRITTEN,
}
"""By pg_type.typname."""

COMPOSED: Mapping[str, Kind] = {
    "c": Kind(_TEXT, "to_json({})::text", "to_json({})::text", note="JSON text", order="none"),
    "e": _AS_TEXT._replace(order="words"),
}
"""By pg_type.typtype: composite types and enums."""

OTHERS = _WRITTEN._replace(note="as PostgreSQL writes it")
"""Ranges, geometry, text search, network types of extensions and whatever else there may be."""

_LIST = "({})[:]::base[]"  # drivers know arrays that begin at 1, of types that are no domains
_ONE_DIMENSION = "coalesce(array_ndims({}), 1) = 1"
_LISTS = ("int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar")  # of which both drivers make lists


def column_of(name: str, declared: str, found: Type, modifier: int, money_scale: int = 2) -> Column:
    """The column *name* of the type *found* with *modifier*, which holds its digits."""
    if found.element is not None:
        return _list_of(name, declared, found.element)
    kind = TYPES.get(found.name) if found.kind == "b" else COMPOSED.get(found.kind)
    if found.name == "record":
        kind = COMPOSED["c"]
    kind = kind or OTHERS
    dtype = kind.dtype
    if dtype is None:
        dtype = pa.decimal128(19, money_scale) if found.name == "money" else decimal_of(*_digits(modifier))
    return Column(
        name,
        declared,
        dtype,
        kind.fast,
        kind.plain,
        kind.wire,
        kind.fits,
        kind.text,
        kind.note,
        order=kind.order,
        compared=kind.compared,
        unplaced=kind.unplaced,
    )


def _list_of(name: str, declared: str, element: Type) -> Column:
    kind = TYPES.get(element.name) if element.kind == "b" else None
    if kind is not None and element.name in _LISTS:
        dtype, base, note = pa.list_(kind.dtype or _TEXT), element.name, "a list"
    else:
        dtype, base, note = pa.list_(_TEXT), "text", "a list of texts"
    selected = _LIST.replace("base", base)
    note += "; arrays of several dimensions are rejected"
    return Column(name, declared, dtype, selected, selected, None, _ONE_DIMENSION, "{}::text", note)


def _digits(modifier: int) -> tuple[int | None, int | None]:
    """Precision and scale as numeric's type modifier holds them; the scale may be negative."""
    if modifier < 4:
        return None, None
    packed = modifier - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
