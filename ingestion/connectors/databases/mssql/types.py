"""The types of SQL Server, and what each becomes."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, Order, decimal_of

__all__ = ["OTHERS", "TYPES", "Kind", "column_of"]


class Kind(NamedTuple):
    """What columns of one type become; `{}` stands for the quoted name."""

    dtype: pa.DataType | None  # None = a decimal of as many digits as are declared
    selected: str = "{}"
    text: str = "CONVERT(nvarchar(max), {})"
    note: str = ""


_TEXT = pa.string()
_PADDED = "with the blanks that fill its length"
_CUT = "digits beyond microseconds are cut off"
_HEX = "CONVERT(varchar(max), {}, 2)"
_ISO = "CONVERT(varchar(40), {}, 121)"
_MOMENT = pa.timestamp("us")
_DOUBLE = "CONVERT(varchar(30), {}, 3)"  # with all digits that tell it from its neighbours
_AS_TEXT = "CONVERT(nvarchar(max), {})"
_WRITTEN = "{}.ToString()"

TYPES: Mapping[str, Kind] = {
    "bit": Kind(pa.bool_(), text="CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"),
    "tinyint": Kind(pa.int32()),
    "smallint": Kind(pa.int32()),
    "int": Kind(pa.int32()),
    "bigint": Kind(pa.int64()),
    "decimal": Kind(None),
    "numeric": Kind(None),
    "money": Kind(pa.decimal128(19, 4), text="CONVERT(varchar(30), {}, 2)"),
    "smallmoney": Kind(pa.decimal128(10, 4), text="CONVERT(varchar(30), {}, 2)"),
    "real": Kind(pa.float32(), text=_DOUBLE),
    "float": Kind(pa.float64(), text=_DOUBLE),
    "date": Kind(pa.date32(), text="CONVERT(varchar(10), {}, 23)"),
    "time": Kind(pa.time64("us"), text=_ISO, note=_CUT),
    "smalldatetime": Kind(_MOMENT, text=_ISO),
    "datetime": Kind(_MOMENT, text=_ISO),
    "datetime2": Kind(_MOMENT, text=_ISO, note=_CUT),
    "datetimeoffset": Kind(pa.timestamp("us", "UTC"), text=_ISO, note=f"the same moment in UTC; {_CUT}"),
    "char": Kind(_TEXT, note=_PADDED),
    "varchar": Kind(_TEXT),
    "text": Kind(_TEXT),
    "nchar": Kind(_TEXT, note=_PADDED),
    "nvarchar": Kind(_TEXT),
    "ntext": Kind(_TEXT),
    "binary": Kind(pa.binary(), text=_HEX),
    "varbinary": Kind(pa.binary(), text=_HEX),
    "image": Kind(pa.binary(), text="CONVERT(varchar(max), CONVERT(varbinary(max), {}), 2)"),
    "uniqueidentifier": Kind(_TEXT, text="LOWER(CONVERT(char(36), {}))", note="in lower case"),
    "rowversion": Kind(pa.binary(), text=_HEX, note="8 bytes that grow with every change"),
    "xml": Kind(_TEXT),
    "json": Kind(_TEXT, _AS_TEXT),
    "vector": Kind(_TEXT, _AS_TEXT, note="a JSON array"),
    "hierarchyid": Kind(_TEXT, _WRITTEN, _WRITTEN, "a path, such as /1/3/"),
    "geometry": Kind(_TEXT, _WRITTEN, _WRITTEN, "well-known text, without the reference system"),
    "geography": Kind(_TEXT, _WRITTEN, _WRITTEN, "well-known text, without the reference system"),
    "sql_variant": Kind(_TEXT, "CONVERT(nvarchar(4000), {})", note="as SQL Server writes the value that it holds"),
}
"""What columns of each type become; `timestamp` is the old name of rowversion."""

OTHERS = Kind(_TEXT, _WRITTEN, _WRITTEN, "as the type writes its values")
"""What columns of types that somebody made for .NET become."""

_ORDERS: Mapping[str, Order] = {
    "smalldatetime": "whole minutes",
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar", "uniqueidentifier"), ""),
}
_SYNONYMS = {"timestamp": "rowversion", "sysname": "nvarchar"}
_WITH_DIGITS = ("decimal", "numeric")
_WITH_LENGTH = ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary")
_WITH_FRACTION = ("time", "datetime2", "datetimeoffset")


def column_of(name: str, kind: str, length: int | None, precision: int | None, scale: int | None) -> Column:
    """The column of that name and type; *scale* is also how many digits of a second there are."""
    known = _SYNONYMS.get(kind, kind)
    found = TYPES.get(known, OTHERS)
    declared = kind
    if known in _WITH_DIGITS:
        declared = f"{kind}({precision},{scale})"
    elif known in _WITH_LENGTH and length is not None:
        declared = f"{kind}({'max' if length < 0 else length})"
    elif known in _WITH_FRACTION and scale is not None:
        declared = f"{kind}({scale})"
    dtype = found.dtype or decimal_of(precision, scale)
    note = "" if found.note == _CUT and (scale or 0) <= 6 else found.note
    order = _ORDERS.get(known, "none" if dtype == _TEXT else "")
    return Column(name, declared, dtype, found.selected, found.selected, text=found.text, note=note, order=order)
