"""Columns of a file as the table has them now: found by field id, whatever they were called and however narrow."""

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as t

from ingestion.loaders.iceberg.types import cast

if TYPE_CHECKING:
    from pyiceberg.table.name_mapping import NameMapping

__all__ = ["field_id", "project", "with_ids"]

_ID = b"PARQUET:field_id"


def field_id(field: pa.Field) -> int:
    """The id by which Iceberg knows *field*; -1 where it has none."""
    return int((field.metadata or {}).get(_ID, -1))


def with_ids(columns: pa.Schema, names: "NameMapping | None") -> pa.Schema:
    """*columns* of a file with the ids that the table's mapping of names gives to a file that has none."""
    if names is None or all(field_id(column) >= 0 for column in columns):
        return columns
    from pyiceberg.io.pyarrow import pyarrow_to_schema, schema_to_pyarrow

    named = schema_to_pyarrow(pyarrow_to_schema(columns, names, downcast_ns_timestamp_to_us=True))
    return pa.schema(named)


def project(values: pa.ChunkedArray, held: pa.Field, wanted: pa.Field) -> pa.ChunkedArray:
    """*values* of the file's column *held* as the table's column *wanted*."""
    if _alike(held, wanted):
        return cast(values, wanted.type)
    return pa.chunked_array([_projected(chunk, held, wanted) for chunk in values.chunks], wanted.type)


def _alike(held: pa.Field, wanted: pa.Field) -> bool:
    """Whether all parts are the same, so that a cast of the whole does it."""
    if not t.is_nested(wanted.type):
        return True
    own, other = _parts(held.type), _parts(wanted.type)
    return len(own) == len(other) and all(
        field_id(one) == field_id(two) and _alike(one, two) for one, two in zip(own, other, strict=True)
    )


def _parts(dtype: pa.DataType) -> list[pa.Field]:
    if t.is_map(dtype):
        return [dtype.key_field, dtype.item_field]
    if t.is_struct(dtype):
        return list(dtype)
    return [dtype.value_field] if t.is_nested(dtype) else []


def _projected(values: pa.Array, held: pa.Field, wanted: pa.Field) -> pa.Array:
    if not t.is_nested(wanted.type):
        return cast(pa.chunked_array([values]), wanted.type).combine_chunks()
    if values.offset:
        values = pa.concat_arrays([values])  # parts of a slice would be those of the whole
    mask = values.is_null()
    if t.is_struct(wanted.type):
        return _struct(values, held, wanted, mask)
    if t.is_map(wanted.type):
        keys = _projected(values.keys, held.type.key_field, wanted.type.key_field)
        items = _projected(values.items, held.type.item_field, wanted.type.item_field)
        return pa.MapArray.from_arrays(values.offsets, keys, items, type=wanted.type, mask=mask)
    if not t.is_list(values.type):
        values = values.cast(pa.list_(held.type.value_field))
    inner = _projected(values.values, held.type.value_field, wanted.type.value_field)
    return pa.ListArray.from_arrays(values.offsets, inner, type=wanted.type, mask=mask)


def _struct(values: pa.StructArray, held: pa.Field, wanted: pa.Field, mask: pa.Array) -> pa.Array:
    places = {field_id(part): place for place, part in enumerate(held.type)}
    parts = []
    for part in wanted.type:
        place = places.get(field_id(part))
        if place is None:
            parts.append(pa.nulls(len(values), part.type))
        else:
            parts.append(_projected(values.field(place), held.type.field(place), part))
    return pa.StructArray.from_arrays(parts, fields=list(wanted.type), mask=mask)
