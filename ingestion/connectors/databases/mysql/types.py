"""What the types of MySQL and MariaDB become: the table of it, which the documentation repeats."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, Order, decimal_of

__all__ = ["OTHERS", "TYPES", "Kind", "column_of"]

_DECLARED = re.compile(r"(\w+)\s*(?:\(([^)]*)\))?\s*(.*)", re.DOTALL)
_INT32, _INT64, _TEXT = pa.int32(), pa.int64(), pa.string()
_WHOLE = "({} + 0)"
_EXACT = "({} + 0e0)"  # the text of the value itself has six digits, or those declared


class Kind(NamedTuple):
    """How values of one type are selected, and what they become; None = it depends on the type's digits."""

    dtype: pa.DataType | None
    fast: str = "{}"
    plain: str = "{}"
    wire: pa.DataType | None = None
    text: str = "CAST({} AS CHAR)"
    note: str = ""
    order: Order = ""
    compared: str = ""
    unplaced: str = ""


_CALENDAR = "zero dates and partial ones such as 2024-02-00 are rejected"
_BEFORE_ALL = "{} < '0001-01-01'"
_CHARACTERS = Kind(_TEXT, text="{}")
_BYTES = Kind(pa.binary(), text="HEX({})")
_BITS = Kind(_INT64, _WHOLE, _WHOLE, text="CAST(({} + 0) AS CHAR)", note="a whole number")
_SHAPE = Kind(_TEXT, *("ST_AsText({})",) * 2, text="ST_AsText({})", note="well-known text", order="none")
_WORDS = _CHARACTERS._replace(order="words", compared="CONCAT({}, '')")  # sorted by number, compared with texts as text

TYPES: Mapping[str, Kind] = {
    "tinyint(1)": Kind(
        pa.bool_(),
        note="values other than 0 and 1 are rejected; numbers where the table has them",
        order="whole numbers",
    ),
    "tinyint": Kind(_INT32),
    "smallint": Kind(_INT32),
    "mediumint": Kind(_INT32),
    "int": Kind(_INT32),
    "int unsigned": Kind(_INT64),
    "bigint": Kind(_INT64),
    "bigint unsigned": Kind(pa.decimal128(20, 0)),
    "decimal": Kind(None, wire=_TEXT, plain="CAST({} AS CHAR)", note="38 digits; what needs more is rejected"),
    "float": Kind(pa.float32(), plain=_EXACT, text=f"CAST({_EXACT} AS CHAR)"),
    "double": Kind(pa.float64(), plain=_EXACT, text=f"CAST({_EXACT} AS CHAR)"),
    "bit(1)": _BITS._replace(dtype=pa.bool_(), note=""),
    "bit": _BITS,
    "bit(64)": _BITS._replace(dtype=pa.decimal128(20, 0)),
    "char": _CHARACTERS,
    "varchar": _CHARACTERS,
    "tinytext": _CHARACTERS,
    "text": _CHARACTERS,
    "mediumtext": _CHARACTERS,
    "longtext": _CHARACTERS,
    "json": _CHARACTERS._replace(note="JSON text", order="none"),
    "enum": _WORDS,
    "set": _WORDS._replace(note="words with commas between them"),
    "uuid": _CHARACTERS,
    "inet4": _CHARACTERS,
    "inet6": _CHARACTERS,
    "binary": _BYTES,
    "varbinary": _BYTES,
    "tinyblob": _BYTES,
    "blob": _BYTES,
    "mediumblob": _BYTES,
    "longblob": _BYTES,
    "vector": _BYTES._replace(note="floats of four bytes, the lowest first"),
    "date": Kind(pa.date32(), note=_CALENDAR, unplaced=_BEFORE_ALL),
    "datetime": Kind(pa.timestamp("us"), note=_CALENDAR, unplaced=_BEFORE_ALL),
    "timestamp": Kind(
        pa.timestamp("us", "UTC"),
        plain="CONCAT(CAST({} AS CHAR), IF({} = 0, '', 'Z'))",
        wire=_TEXT,
        note="an instant; zero dates are rejected",
        unplaced="{} < '1970-01-01 00:00:01'",
    ),
    "time": Kind(pa.time64("us"), plain="CAST({} AS CHAR)", wire=_TEXT, note="other than times of a day is rejected"),
    "year": Kind(_INT32),
    "geometry": _SHAPE,
    "point": _SHAPE,
    "linestring": _SHAPE,
    "polygon": _SHAPE,
    "multipoint": _SHAPE,
    "multilinestring": _SHAPE,
    "multipolygon": _SHAPE,
    "geometrycollection": _SHAPE,
    "geomcollection": _SHAPE,
}
"""By the type as information_schema.columns has it, or its first words."""

OTHERS = Kind(_TEXT, *("CAST({} AS CHAR)",) * 2, note="as the server writes it", order="none")
"""Types that are not known here."""


def column_of(name: str, declared: str) -> Column:
    """The column *name* of the type *declared*, such as `decimal(10,2) unsigned`."""
    found = _DECLARED.fullmatch(declared.lower())
    base, digits, more = found.groups() if found is not None else (declared, None, "")
    exact, unsigned = f"{base}({digits})", f"{base} unsigned"
    if "unsigned" in more:
        kind = TYPES.get(unsigned) or TYPES.get(base, OTHERS)
    else:
        kind = TYPES.get(exact) or TYPES.get(base, OTHERS)
    dtype = kind.dtype
    if dtype is None:
        precision, _, scale = (digits or "10,0").partition(",")
        dtype = decimal_of(int(precision), int(scale or 0))
    return Column(
        name,
        declared,
        dtype,
        kind.fast,
        kind.plain,
        kind.wire,
        text=kind.text,
        note=kind.note,
        order=kind.order,
        compared=kind.compared,
        unplaced=kind.unplaced,
    )
