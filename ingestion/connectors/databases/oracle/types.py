"""The types of Oracle, and what each becomes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, Order, decimal_of

__all__ = ["TYPES", "UNREADABLE", "Kind", "column_of", "witness"]


class Kind(NamedTuple):
    """What columns of one type become; `{}` stands for the quoted name."""

    declared: str  # as people write it
    dtype: pa.DataType
    selected: str = "{}"
    fits: str = ""
    text: str = "TO_CHAR({})"
    note: str = ""
    unplaced: str = ""


_TEXT = pa.string()
_PADDED = "with the blanks that fill its length"
_MOMENT = pa.timestamp("us")
_NUMBER = "TO_CHAR({}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')"
_DOUBLE = "TO_CHAR({}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')"
_DAY = "TO_CHAR({}, 'FMSYYYY-FMMM-DD HH24:MI:SS')"
_TIME = "TO_CHAR({}, 'FMSYYYY-FMMM-DD HH24:MI:SS.FF')"
_ZONED = "TO_CHAR({}, 'FMSYYYY-FMMM-DD HH24:MI:SS.FFTZH:TZM')"
_FIRST = "{} >= TIMESTAMP '0001-01-01 00:00:00'"
_BEFORE_ALL = "{} < TIMESTAMP '0001-01-01 00:00:00'"
_UTC = "CAST(SYS_EXTRACT_UTC({}) AS TIMESTAMP(6))"
_IN_UTC = "the same moment in UTC, rounded to microseconds"
_HEX = "RAWTOHEX({})"
_UNIVERSAL = Kind(
    "TIMESTAMP WITH TIME ZONE",
    pa.timestamp("us", "UTC"),
    _UTC,
    "SYS_EXTRACT_UTC({}) >= TIMESTAMP '0001-01-01 00:00:00'",
    _ZONED,
    _IN_UTC,
    "{} < TIMESTAMP '0001-01-01 00:00:00 +00:00'",
)

TYPES: Mapping[str, Kind] = {
    "DB_TYPE_NUMBER": Kind("NUMBER", decimal_of(None, None), _NUMBER, text=_NUMBER),
    "DB_TYPE_BINARY_FLOAT": Kind("BINARY_FLOAT", pa.float32(), text=_DOUBLE),
    "DB_TYPE_BINARY_DOUBLE": Kind("BINARY_DOUBLE", pa.float64(), text=_DOUBLE),
    "DB_TYPE_BOOLEAN": Kind("BOOLEAN", pa.bool_(), text="CASE WHEN {} THEN 'true' WHEN NOT {} THEN 'false' END"),
    "DB_TYPE_DATE": Kind(
        "DATE",
        _MOMENT,
        fits="{} >= DATE '0001-01-01'",
        text=_DAY,
        note="it has a time of day",
        unplaced="{} < DATE '0001-01-01'",
    ),
    "DB_TYPE_TIMESTAMP": Kind("TIMESTAMP", _MOMENT, fits=_FIRST, text=_TIME, unplaced=_BEFORE_ALL),
    "DB_TYPE_TIMESTAMP_TZ": _UNIVERSAL,
    "DB_TYPE_TIMESTAMP_LTZ": _UNIVERSAL._replace(declared="TIMESTAMP WITH LOCAL TIME ZONE"),
    "DB_TYPE_INTERVAL_YM": Kind("INTERVAL YEAR TO MONTH", _TEXT, "TO_CHAR({})", note="text such as +01-06"),
    "DB_TYPE_INTERVAL_DS": Kind(
        "INTERVAL DAY TO SECOND", _TEXT, "TO_CHAR({})", note="text such as +02 10:30:00.000000"
    ),
    "DB_TYPE_CHAR": Kind("CHAR", _TEXT, note=_PADDED),
    "DB_TYPE_VARCHAR": Kind("VARCHAR2", _TEXT, note="Oracle keeps an empty text as null"),
    "DB_TYPE_NCHAR": Kind("NCHAR", _TEXT, note=_PADDED),
    "DB_TYPE_NVARCHAR": Kind("NVARCHAR2", _TEXT, note="Oracle keeps an empty text as null"),
    "DB_TYPE_CLOB": Kind("CLOB", _TEXT, text="{}"),
    "DB_TYPE_NCLOB": Kind("NCLOB", _TEXT, text="{}"),
    "DB_TYPE_LONG": Kind("LONG", _TEXT, text="{}"),
    "DB_TYPE_LONG_NVARCHAR": Kind("LONG", _TEXT, text="{}"),
    "DB_TYPE_RAW": Kind("RAW", pa.binary(), text=_HEX),
    "DB_TYPE_LONG_RAW": Kind("LONG RAW", pa.binary(), text="{}"),
    "DB_TYPE_BLOB": Kind("BLOB", pa.binary(), text="RAWTOHEX(DBMS_LOB.SUBSTR({}, 2000, 1))"),
    "DB_TYPE_JSON": Kind("JSON", _TEXT, "JSON_SERIALIZE({} RETURNING CLOB)", text="JSON_SERIALIZE({} RETURNING CLOB)"),
    "DB_TYPE_XMLTYPE": Kind(
        "XMLTYPE", _TEXT, "XMLSERIALIZE(CONTENT {} AS CLOB)", text="XMLSERIALIZE(CONTENT {} AS CLOB)"
    ),
    "DB_TYPE_VECTOR": Kind(
        "VECTOR",
        _TEXT,
        "FROM_VECTOR({} RETURNING CLOB)",
        text="FROM_VECTOR({} RETURNING CLOB)",
        note="text such as [1.0,2.0]",
    ),
    "DB_TYPE_ROWID": Kind("ROWID", _TEXT, "ROWIDTOCHAR({})", text="ROWIDTOCHAR({})"),
    "DB_TYPE_UROWID": Kind("UROWID", _TEXT, "CAST({} AS VARCHAR2(4000))", text="CAST({} AS VARCHAR2(4000))"),
}
"""What columns of each type become, by the driver's names of the types; numbers by their digits (`column_of`)."""

UNREADABLE: Mapping[str, str] = {
    "DB_TYPE_BFILE": "its values are files beside the database",
    "DB_TYPE_OBJECT": "select its attributes in source.query, or a text of it such as SDO_UTIL.TO_WKTGEOMETRY(...)",
    "DB_TYPE_CURSOR": "join what it selects",
}
"""Why columns of other types cannot be read."""

_CHARACTERS = ("DB_TYPE_CHAR", "DB_TYPE_VARCHAR", "DB_TYPE_NCHAR", "DB_TYPE_NVARCHAR")
_MOMENTS = ("DB_TYPE_TIMESTAMP", "DB_TYPE_TIMESTAMP_TZ", "DB_TYPE_TIMESTAMP_LTZ")
_UNSAID = -127  # as scale: none is declared


def column_of(name: str, kind: str, precision: int | None, scale: int | None, size: int | None = None) -> Column:
    """The column of that name and type, which is one of TYPES; *scale* also counts the digits of a second."""
    found = TYPES[kind]
    if kind == "DB_TYPE_NUMBER":
        return _number(name, found, precision or 0, _UNSAID if scale is None else scale)
    declared, selected, note = found.declared, found.selected, found.note
    if kind in _MOMENTS:
        declared = declared.replace("TIMESTAMP", f"TIMESTAMP({scale or 0})")
        if selected == "{}" and (scale or 0) > 6:  # else the driver makes them of nanoseconds, from 1677 to 2262 alone
            selected, note = "CAST({} AS TIMESTAMP(6))", "rounded to microseconds"
    elif size and found.dtype == _TEXT and selected == "{}":
        declared = f"{declared}({size})"
    order: Order = "none" if found.dtype == _TEXT and kind not in _CHARACTERS else ""
    return Column(
        name,
        declared,
        found.dtype,
        selected,
        selected,
        fits=found.fits,
        text=found.text,
        note=note,
        order=order,
        unplaced=found.unplaced,
    )


def _number(name: str, kind: Kind, precision: int, scale: int) -> Column:
    """A NUMBER(p,s), a FLOAT or a NUMBER of any digits."""
    if scale == _UNSAID and precision:
        note = "a FLOAT has up to 38 digits, of which a double keeps 15"
        return Column(
            name,
            f"FLOAT({precision})",
            pa.float64(),
            "TO_BINARY_DOUBLE({})",
            "TO_BINARY_DOUBLE({})",
            text=kind.text,
            note=note,
        )
    if scale == _UNSAID or not precision:
        note = "it may have any digits: 18 of 38 are kept behind the point, and numbers with more are rejected"
        return Column(name, "NUMBER", kind.dtype, kind.selected, kind.selected, text=kind.text, note=note)
    declared = f"NUMBER({precision},{scale})" if scale else f"NUMBER({precision})"
    whole = scale == 0 and precision <= 18
    dtype = (pa.int32() if precision <= 9 else pa.int64()) if whole else decimal_of(precision, scale)
    # Decimals of other shapes than Arrow's come as texts.
    selected = "{}" if 0 <= scale <= precision else kind.selected
    return Column(name, declared, dtype, selected, selected, text=kind.text)


def witness(columns: Sequence[Column]) -> str | None:
    """SQL for those of *columns* that hold what cannot be selected, as a JSON object of texts; null in other rows."""
    if not columns:
        return None
    misfits, pairs = [], []
    for column in columns:
        name = '"' + column.name.replace('"', '""') + '"'
        misfit = f"NOT ({column.fits.replace('{}', name)})"
        literal = "'" + column.name.replace("'", "''") + "'"
        misfits.append(misfit)
        pairs.append(f"{literal} VALUE CASE WHEN {misfit} THEN {column.text.replace('{}', name)} END")
    return f"CASE WHEN {' OR '.join(misfits)} THEN JSON_OBJECT({', '.join(pairs)} RETURNING CLOB) END"
