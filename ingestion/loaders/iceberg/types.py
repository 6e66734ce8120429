"""Arrow types as an Iceberg table can hold them, and values brought into them without silent loss."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

import pyarrow as pa
import pyarrow.types as t

from ingestion.errors import DataError

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

__all__ = ["cast", "file_schema", "is_text_dictionary", "plain", "relation", "typed", "word"]

TEXT_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
"""Repeated texts go to Parquet as they come; readers see plain strings."""

Relation: TypeAlias = Literal["same", "fits", "wider", "other"]
_WIDENINGS = ((pa.int32(), pa.int64()), (pa.float32(), pa.float64()))
_SIMPLE: dict[pa.DataType, pa.DataType] = {
    pa.bool_(): pa.bool_(),
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.int32(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.int64(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.float32(): pa.float32(),
    pa.float64(): pa.float64(),
    pa.string(): pa.string(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.binary(): pa.binary(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date32(): pa.date32(),
    pa.date64(): pa.date32(),
    pa.null(): pa.null(),
}


def is_text_dictionary(dtype: pa.DataType) -> bool:
    """Whether *dtype* is a dictionary of texts."""
    return bool(t.is_dictionary(dtype)) and plain(dtype.value_type, "") == pa.string()


def plain(dtype: pa.DataType, column: str) -> pa.DataType:
    """The type in which the table holds values of *dtype*; raises DataError for one that it cannot hold."""
    simple = _SIMPLE.get(dtype)
    if simple is not None:
        return simple
    for fits, convert in _FAMILIES:
        if fits(dtype):
            return convert(dtype, column)
    raise _refused(dtype, column, "convert it to a number, a time or text first")


def _refused(dtype: pa.DataType, column: str, advice: str) -> DataError:
    return DataError(f"column {column!r} is of type {dtype}, which an Iceberg table cannot hold; {advice}")


def _decimal(dtype: pa.DataType, column: str) -> pa.DataType:
    if dtype.precision > 38 or not 0 <= dtype.scale <= dtype.precision:
        raise _refused(dtype, column, "decimals have at most 38 digits and a scale from 0 to that; convert it to text")
    return pa.decimal128(dtype.precision, dtype.scale)


def _struct(dtype: pa.DataType, column: str) -> pa.DataType:
    if not dtype.num_fields:
        raise _refused(dtype, column, "drop it or convert it to JSON text")
    return pa.struct([pa.field(item.name, plain(item.type, f"{column}.{item.name}")) for item in dtype])


def _extension(dtype: pa.DataType, column: str) -> pa.DataType:
    return dtype if dtype == pa.uuid() else plain(dtype.storage_type, column)


def _is_list(dtype: pa.DataType) -> bool:
    return any(
        check(dtype)
        for check in (t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_list_view, t.is_large_list_view)
    )


_FAMILIES: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, str], pa.DataType]]] = [
    (t.is_dictionary, lambda dtype, column: plain(dtype.value_type, column)),
    (t.is_timestamp, lambda dtype, _: pa.timestamp("us", "UTC" if dtype.tz else None)),
    (t.is_time, lambda _, __: pa.time64("us")),
    (t.is_decimal, _decimal),
    (t.is_fixed_size_binary, lambda dtype, _: dtype),
    (_is_list, lambda dtype, column: pa.list_(plain(dtype.value_type, f"{column}[]"))),
    (
        t.is_map,
        lambda dtype, column: pa.map_(
            plain(dtype.key_type, f"{column}.key"), plain(dtype.item_type, f"{column}.value")
        ),
    ),
    (t.is_struct, _struct),
    (lambda dtype: isinstance(dtype, pa.BaseExtensionType), _extension),
]


def relation(data: pa.DataType, table: pa.DataType) -> Relation:
    """How a plain type of the data meets the table's; what fits does so by a checked cast."""
    if data == table:
        return "same"
    if t.is_nested(data) and data.id == table.id:
        return "wider"  # the union of nested fields is for the schema update to accept or refuse
    if t.is_decimal(data) and t.is_decimal(table) and data.scale == table.scale:
        return "fits" if data.precision <= table.precision else "wider"
    if (table, data) in _WIDENINGS:
        return "wider"
    number = t.is_integer(data) or t.is_floating(data)
    if (t.is_integer(data) and t.is_decimal(table)) or (number and t.is_floating(table)):
        return "fits"
    whole = t.is_integer(data) or (t.is_decimal(data) and data.scale == 0)
    return "fits" if whole and t.is_integer(table) else "other"


def typed(dtype: pa.DataType, like: pa.DataType | None) -> pa.DataType:
    """*dtype* with the parts that hold nothing but nulls as they are in *like*, text where it has none."""
    if t.is_null(dtype):
        return pa.string() if like is None else like
    if t.is_list(dtype):
        return pa.list_(typed(dtype.value_type, like.value_type if like is not None and t.is_list(like) else None))
    if t.is_map(dtype):
        key, item = (like.key_type, like.item_type) if like is not None and t.is_map(like) else (None, None)
        return pa.map_(typed(dtype.key_type, key), typed(dtype.item_type, item))
    if t.is_struct(dtype):
        inner = {item.name: item.type for item in like} if like is not None and t.is_struct(like) else {}
        return pa.struct([item.with_type(typed(item.type, inner.get(item.name))) for item in dtype])
    return dtype


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


def cast(values: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """*values* as *dtype*; raises ArrowInvalid where a value would change."""
    if values.type == dtype:
        return values
    if dtype == TEXT_DICTIONARY:
        return _as_dictionary(values)
    if isinstance(values.type, pa.BaseExtensionType) and not isinstance(dtype, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    if t.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if t.is_integer(values.type) and t.is_decimal(dtype):
        values = values.cast(
            pa.decimal256(76, dtype.scale)
        )  # any integer fits; whether it fits the target is checked next
    return values.cast(dtype)


def _as_dictionary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not t.is_dictionary(values.type):
        return values.cast(pa.string()).dictionary_encode()
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.string()))
        for chunk in values.chunks
    ]
    return pa.chunked_array(chunks, TEXT_DICTIONARY)


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
