"""Arrow types as an Iceberg table holds them, and columns of a schema as files hold them."""

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as t

from ingestion.loaders.tables.types import TEXT_DICTIONARY, Storage, Unlike, cast, joined, relation, typed

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

__all__ = [
    "TEXT_DICTIONARY",
    "Unlike",
    "cast",
    "file_schema",
    "is_text_dictionary",
    "joined",
    "plain",
    "relation",
    "typed",
    "word",
]

_STORAGE = Storage("an Iceberg table")


def plain(dtype: pa.DataType, column: str) -> pa.DataType:
    """The type in which the table holds values of *dtype*; raises DataError for one that it cannot hold."""
    return _STORAGE.plain(dtype, column)


def is_text_dictionary(dtype: pa.DataType) -> bool:
    """Whether *dtype* is a dictionary of texts."""
    return bool(t.is_dictionary(dtype)) and plain(dtype.value_type, "") == pa.string()


def word(dtype: pa.DataType) -> str:
    """The type as Iceberg calls it."""
    names = {
        pa.int32(): "int",
        pa.int64(): "long",
        pa.float32(): "float",
        pa.float64(): "double",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.timestamp("us"): "timestamp",
        pa.timestamp("us", "UTC"): "timestamptz",
        pa.time64("us"): "time",
    }
    return names.get(dtype) or str(dtype).replace("decimal128", "decimal")


def file_schema(schema: "Schema", *, field_ids: bool = True) -> pa.Schema:
    """The Arrow schema in which data of *schema* is written, each field with its Iceberg id."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return pa.schema([_short_offsets(field) for field in schema_to_pyarrow(schema, include_field_ids=field_ids)])


def _short_offsets(field: pa.Field) -> pa.Field:
    """Pyiceberg speaks in large strings and lists; the files are the same and ours cost less to make."""
    dtype = field.type
    if t.is_large_string(dtype):
        return field.with_type(pa.string())
    if t.is_large_binary(dtype):
        return field.with_type(pa.binary())
    if t.is_large_list(dtype) or t.is_list(dtype):
        return field.with_type(pa.list_(_short_offsets(dtype.value_field)))
    if t.is_struct(dtype):
        return field.with_type(pa.struct([_short_offsets(item) for item in dtype]))
    if t.is_map(dtype):
        return field.with_type(pa.map_(_short_offsets(dtype.key_field), _short_offsets(dtype.item_field)))
    return field
