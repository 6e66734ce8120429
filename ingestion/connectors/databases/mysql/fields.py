"""What types the columns of an answer have, named as a table's are."""

from collections.abc import Mapping

from pymysql.constants import FIELD_TYPE, FLAG

from ingestion.connectors.databases.mysql.protocol import Field

__all__ = ["declared_of", "is_binary"]

_BYTES_CHARSET = 63  # of what is no text
_DECIMALS = (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL)
_NAMES: Mapping[int, str] = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.NEWDATE: "date",
    FIELD_TYPE.DATETIME: "datetime",
    FIELD_TYPE.TIMESTAMP: "timestamp",
    FIELD_TYPE.TIME: "time",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.JSON: "json",
    FIELD_TYPE.GEOMETRY: "geometry",
}


def is_binary(field: Field) -> bool:
    """Whether a field that is neither number nor time holds bytes rather than text."""
    texts = (FIELD_TYPE.JSON, *_DECIMALS)
    return bool(field.charsetnr == _BYTES_CHARSET and field.type_code not in texts)


def declared_of(field: Field) -> str:
    """The type of a query's column as a table would have it declared."""
    if field.type_code in _DECIMALS:
        return f"decimal({_digits(field)},{field.scale})"
    if field.type_code == FIELD_TYPE.BIT:
        return f"bit({field.length})"
    if field.type_code not in _NAMES:
        return "varbinary" if is_binary(field) else "varchar"
    name = _NAMES[field.type_code]
    if field.flags & FLAG.UNSIGNED and name.endswith("int"):
        return f"{name} unsigned"
    return f"{name}(1)" if (name, field.length) == ("tinyint", 1) else name


def _digits(field: Field) -> int:
    """A field's length counts the point and the sign too."""
    return int(field.length - (field.scale > 0) - (not field.flags & FLAG.UNSIGNED))
