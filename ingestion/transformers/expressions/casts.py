"""The types that CAST can name."""

import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.parsing import parse_type

__all__ = ["cast_type"]

_SPELLINGS = {
    "varchar": "string",
    "char": "string",
    "int4": "int",
    "int8": "long",
    "int64": "long",
    "int32": "int",
    "real": "float",
    "float4": "float",
    "float8": "double",
    "float64": "double",
    "double precision": "double",
}


def cast_type(written: str) -> pa.DataType:
    """The type that CAST names, in the words of `types` or of SQL; raises ConfigError for others."""
    name = " ".join(written.lower().split())
    name = _SPELLINGS.get(name, name.replace("numeric", "decimal"))
    name = "string" if name.startswith("varchar(") else name
    try:
        return parse_type(name)
    except ConfigError as error:
        raise ConfigError(f"CAST: {error}") from error
