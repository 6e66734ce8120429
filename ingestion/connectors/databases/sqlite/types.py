"""What columns of SQLite files become: the table of it, which the documentation repeats.

A declared type only says which values SQLite would rather store; any column may hold any value.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, decimal_of
from ingestion.connectors.databases.sqlite.orders import DATE, NOT_A_NUMBER, NOT_A_TEXT, TIME

__all__ = ["AS_STORED", "TEXT_OF", "TYPES", "Kind", "Table", "column_of", "kind_of", "stored_as"]

_DIGITS = re.compile(r"\(\s*(\d+)\s*(?:,\s*([+-]?\d+)\s*)?\)")
# A cast to TEXT writes fifteen digits in older versions, seventeen in newer ones.
_REAL = "CASE WHEN CAST(printf('%!.15g', {}) AS REAL) = {} THEN printf('%!.15g', {}) ELSE printf('%!.17g', {}) END"
_AS_TEXT = f"CASE typeof({{}}) WHEN 'real' THEN {_REAL} ELSE CAST({{}} AS TEXT) END"
TEXT_OF = f"CASE typeof({{}}) WHEN 'blob' THEN 'X''' || hex({{}}) || '''' ELSE {_AS_TEXT} END"
"""Any value as text, bytes in a way that looks like no other value."""

_EMPTY = ", and empty texts as null: nullif(column, '')"
_MOMENTS = (
    "a query can select numbers and times with an offset as texts: strftime('%Y-%m-%d %H:%M:%f', column, 'unixepoch') "
    f"of seconds, without 'unixepoch' of texts and Julian days{_EMPTY}"
)
_ADVISED = r"^$|^[-+]?[0-9.]+$|\d:\d.*(Z|[-+]\d\d:?\d\d)$"  # empty, numbers, and times with an offset
_DATES = (
    f"a query can select numbers as texts: date(column, 'unixepoch') of seconds, date(column) of Julian days{_EMPTY}"
)
_CLOCKS = f"a query can select others as texts: time(column, 'unixepoch') of seconds, time(column) of texts{_EMPTY}"


class Kind(NamedTuple):
    """How columns of one kind are selected, and what they become; None = that depends on the digits declared."""

    pattern: str  # found in the declared type, in capitals and without what is in parentheses
    example: str
    dtype: pa.DataType | None
    selects: str
    wire: pa.DataType
    differs: str = ""
    note: str = ""
    advice: str = ""
    compared: str = ""
    unplaced: str = ""


class Table(NamedTuple):
    """What SQLite does to values before it stores them."""

    converts: bool = False  # to what the declared type would rather have
    strict: bool = False  # and refuses others
    utf8: bool = True  # the encoding of texts in that file


_EXACT = 1 << 53  # the whole numbers up to which are doubles; of those beyond, the shortest text is not the number
_INT64, _DOUBLE, _TEXT, _BINARY = pa.int64(), pa.float64(), pa.string(), pa.binary()
_INTEGER, _FLOAT, _PLAIN = "CAST({} AS INTEGER)", "CAST({} AS REAL)", "CAST({} AS TEXT)"

_BOOLEANS = Kind(
    "BOOL", "BOOLEAN", pa.bool_(), _INTEGER, _INT64, f"{{}} <> {_INTEGER}", "1, 0, or the texts true and false"
)
_INTEGERS = Kind(
    "(?<!PO)INT(?!ERVAL)",
    "INTEGER",
    _INT64,
    _INTEGER,
    _INT64,
    f"{{}} <> {_INTEGER}",
    "also doubles without a fraction",
    unplaced=NOT_A_NUMBER,
)
_TEXTS = Kind("CHAR|CLOB|TEXT", "VARCHAR(40)", _TEXT, _AS_TEXT, _TEXT, note="also bytes that are UTF-8")
_DOUBLES = Kind(
    "REAL|FLOA|DOUB",
    "DOUBLE",
    _DOUBLE,
    _FLOAT,
    _DOUBLE,
    f"{{}} <> {_FLOAT}",
    "whole numbers that no double has are rejected",
)
_BYTES = Kind(
    r"BLOB|BINARY|BYTEA|\bIMAGE",
    "BLOB",
    _BINARY,
    "CAST({} AS BLOB)",
    _BINARY,
    "typeof({}) IN ('integer', 'real')",
    "texts as their bytes in UTF-8; numbers are rejected",
)

TYPES: Sequence[Kind] = (
    _BOOLEANS,
    Kind(
        "TIMESTAMPTZ|DATETIMEOFFSET|TIMESTAMP +WITH +(LOCAL +)?TIME",
        "TIMESTAMP WITH TIME ZONE",
        pa.timestamp("us", "UTC"),
        _PLAIN,
        _TEXT,
        note="texts in ISO 8601 with an offset; others are rejected",
        advice=_MOMENTS,
        compared=TIME,
    ),
    Kind(
        "DATETIME|TIMESTAMP",
        "DATETIME",
        pa.timestamp("us"),
        _PLAIN,
        _TEXT,
        note="texts in ISO 8601 without an offset; others are rejected",
        advice=_MOMENTS,
        compared=TIME,
    ),
    Kind(
        r"^DATE$",
        "DATE",
        pa.date32(),
        _PLAIN,
        _TEXT,
        note="texts such as 2026-01-31; others are rejected",
        advice=_DATES,
        compared=DATE,
    ),
    Kind(
        r"^TIME\b(?! +WITH +)",
        "TIME",
        pa.time64("us"),
        _PLAIN,
        _TEXT,
        note="texts such as 13:45:00.5; others are rejected",
        advice=_CLOCKS,
    ),
    _INTEGERS,
    _TEXTS,
    _DOUBLES,
    _BYTES,
    Kind(
        r"^(DEC|DECIMAL|NUMERIC|NUMBER)\b",
        "DECIMAL(10,2)",
        None,
        _FLOAT,
        _DOUBLE,
        f"{{}} <> {_FLOAT} OR typeof({{}}) = 'integer' AND {{}} NOT BETWEEN -{_EXACT} AND {_EXACT}",
        "38 digits at most, 18 of them behind the point where the type has none; SQLite keeps fractions as doubles, "
        "whose shortest text is the number",
        compared="{}",  # which keeps all digits of whole numbers
        unplaced=NOT_A_NUMBER,
    ),
    Kind(
        r"JSON|UUID|GUID|UNIQUEIDENTIFIER|STRING|XML|\bENUM",
        "JSON",
        _TEXT,
        _AS_TEXT,
        _TEXT,
        note=_TEXTS.note,
        unplaced=NOT_A_TEXT,
    ),
)
"""The first whose pattern is found is meant."""

AS_STORED = "by the values in it: whole numbers, doubles, bytes, or else text"
"""What columns of all other types become, of none, and those that a query computes."""


def kind_of(declared: str) -> Kind | None:
    """The kind of columns declared so; None where their values tell."""
    name = " ".join(re.sub(r"\([^)]*\)?", " ", declared.upper()).split())
    return next((kind for kind in TYPES if re.search(kind.pattern, name)), None)


def stored_as(classes: Collection[str]) -> Kind:
    """The kind of a column that holds values of these storage classes."""
    found = set(classes) - {"null"}
    if found == {"integer"}:
        return _INTEGERS
    if found in ({"real"}, {"real", "integer"}):
        return _DOUBLES
    return _BYTES if found == {"blob"} else _TEXTS


def column_of(name: str, declared: str, kind: Kind, table: Table) -> Column:
    """The column *name* of that kind."""
    dtype, differs, selects = kind.dtype or _decimal(declared), kind.differs, kind.selects
    if table.converts and kind is _TEXTS and kind_of(declared) is kind:
        selects = _PLAIN  # SQLite has made texts of all numbers
    if not table.utf8 and dtype in (_TEXT, _BINARY):  # the bytes of a text are in another encoding
        differs = "typeof({}) NOT IN ('null', 'blob')" if dtype == _BINARY else "typeof({}) = 'blob'"
    return Column(
        name,
        declared,
        dtype,
        fast=selects,
        plain=selects,
        wire=kind.wire,
        text=TEXT_OF,
        note=kind.note if kind_of(declared) else AS_STORED,
        differs="" if table.strict and kind_of(declared) is kind else differs,
        advice=kind.advice,
        advised=_ADVISED if kind.advice else "",
        compared=kind.compared,
        unplaced=kind.unplaced,
    )


def _decimal(declared: str) -> pa.DataType:
    found = _DIGITS.search(declared)
    return decimal_of(int(found[1]), int(found[2] or 0)) if found else decimal_of(None, None)
