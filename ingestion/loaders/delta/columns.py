"""A table's columns as Arrow has them, and as its log does."""

from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.delta.types import DELTA

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake import Schema as DeltaSchema

__all__ = ["columns_of", "delta_schema", "strict_columns_of"]


def columns_of(table: "DeltaTable") -> pa.Schema:
    """The table's columns as Arrow has them."""
    return pa.schema([_short(item) for item in pa.schema(table.schema().to_arrow())])


def strict_columns_of(table: "DeltaTable") -> pa.Schema:
    """The same, saying of each part of a column whether it may be null."""
    return pa.schema(table.schema().to_arrow())


def delta_schema(columns: pa.Schema, table: "DeltaTable | None") -> "DeltaSchema":
    """*columns* as the log holds them; those that *table* has in the same type are as they are there."""
    from deltalake import Field, Schema

    there = {item.name: item for item in table.schema().fields} if table is not None else {}
    same = columns_of(table) if table is not None else pa.schema([])
    fields = []
    for item in columns:
        known = item.name in there and same.field(item.name).type == item.type
        fields.append(there[item.name] if known else Field.from_arrow(pa.field(item.name, item.type)))
    return Schema(fields)


def _short(item: pa.Field) -> pa.Field:
    """The same field without metadata, and with no word on what within it must not be null."""
    return pa.field(item.name, _short_type(item.type), item.nullable)


def _short_type(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(dtype):
        return pa.struct([(item.name, _short_type(item.type)) for item in dtype])
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return pa.list_(_short_type(dtype.value_type))
    if pa.types.is_map(dtype):
        return pa.map_(_short_type(dtype.key_type), _short_type(dtype.item_type))
    if pa.types.is_timestamp(dtype) or dtype in (
        pa.large_string(),
        pa.string_view(),
        pa.large_binary(),
        pa.binary_view(),
    ):
        return DELTA.plain(dtype, "")
    return dtype
