"""Arrow types as a Delta table can hold them, and values brought into them without silent loss."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import DataError

__all__ = ["cast", "plain", "relation", "typed", "word"]

Relation: TypeAlias = Literal["same", "fits", "wider", "other"]
_WIDENINGS = (
    (pa.int32(), pa.int64()),
    (pa.int16(), pa.int32()),
    (pa.int16(), pa.int64()),
    (pa.int8(), pa.int32()),
    (pa.int8(), pa.int64()),
    (pa.float32(), pa.float64()),
)
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
    return DataError(f"column {column!r} is of type {dtype}, which a Delta table cannot hold; {advice}")


def _decimal(dtype: pa.DataType, column: str) -> pa.DataType:
    if dtype.precision > 38 or not 0 <= dtype.scale <= dtype.precision:
        raise _refused(dtype, column, "decimals have at most 38 digits and a scale from 0 to that; convert it to text")
    return pa.decimal128(dtype.precision, dtype.scale)


def _struct(dtype: pa.DataType, column: str) -> pa.DataType:
    if not dtype.num_fields:
        raise _refused(dtype, column, "drop it or convert it to JSON text")
    return pa.struct([pa.field(item.name, plain(item.type, f"{column}.{item.name}")) for item in dtype])


def _extension(dtype: pa.DataType, column: str) -> pa.DataType:
    return pa.string() if dtype == pa.uuid() else plain(dtype.storage_type, column)


def _is_list(dtype: pa.DataType) -> bool:
    return any(
        check(dtype)
        for check in (t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_list_view, t.is_large_list_view)
    )


_FAMILIES: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, str], pa.DataType]]] = [
    (t.is_dictionary, lambda dtype, column: plain(dtype.value_type, column)),
    (t.is_timestamp, lambda dtype, _: pa.timestamp("us", "UTC" if dtype.tz else None)),
    (t.is_time, lambda _, __: pa.string()),
    (t.is_decimal, _decimal),
    (t.is_fixed_size_binary, lambda _, __: pa.binary()),
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
    if t.is_struct(data) and t.is_struct(table):
        return _of_structs(data, table)
    if t.is_nested(data) or t.is_nested(table):
        return "fits" if _same_nesting(data, table) else "other"
    decimals = t.is_decimal(data) and t.is_decimal(table) and data.scale == table.scale
    if (table, data) in _WIDENINGS or (decimals and data.precision > table.precision):
        return "wider"
    return "fits" if decimals or _number_fits(data, table) else "other"


def _number_fits(data: pa.DataType, table: pa.DataType) -> bool:
    number = t.is_integer(data) or t.is_floating(data)
    if (t.is_integer(data) and t.is_decimal(table)) or (number and t.is_floating(table)):
        return True
    whole = t.is_integer(data) or (t.is_decimal(data) and data.scale == 0)
    return bool(whole and t.is_integer(table))


def _of_structs(data: pa.DataType, table: pa.DataType) -> Relation:
    """A struct whose fields the table has, whatever their order, fits."""
    there = {item.name: item.type for item in table}
    fits = all(item.name in there and relation(item.type, there[item.name]) in ("same", "fits") for item in data)
    return "fits" if fits else "other"


def _same_nesting(data: pa.DataType, table: pa.DataType) -> bool:
    if t.is_list(data) and t.is_list(table):
        return relation(data.value_type, table.value_type) in ("same", "fits")
    if t.is_map(data) and t.is_map(table):
        return data.key_type == table.key_type and relation(data.item_type, table.item_type) in ("same", "fits")
    return False


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
    """The type as Delta calls it."""
    names = {
        pa.int8(): "byte",
        pa.int16(): "short",
        pa.int32(): "integer",
        pa.int64(): "long",
        pa.float32(): "float",
        pa.float64(): "double",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.timestamp("us"): "timestamp_ntz",
        pa.timestamp("us", "UTC"): "timestamp",
    }
    return names.get(dtype) or str(dtype).replace("decimal128", "decimal")


def cast(values: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """*values* as *dtype*; raises ArrowInvalid where a value would change."""
    if values.type == dtype:
        return values
    if t.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if isinstance(values.type, pa.BaseExtensionType):
        uuids = values.type == pa.uuid()
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
        if uuids and t.is_string(dtype):
            return _uuid_texts(values)
    if t.is_integer(values.type) and t.is_decimal(dtype):
        values = values.cast(pa.decimal256(76, dtype.scale))  # any integer fits; whether it fits *dtype* is seen next
    return values.cast(dtype)


def _uuid_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    digits = pl.Series(pl.from_arrow(values.cast(pa.binary()))).bin.encode("hex").to_arrow().cast(pa.string())
    bounds = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
    texts = pc.binary_join_element_wise(*[pc.utf8_slice_codeunits(digits, *bound) for bound in bounds], "-")
    return pa.chunked_array([texts])
