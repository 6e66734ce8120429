"""Columns, and parts of them, that a table requires and the data does not always bring."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

__all__ = ["has_required", "lacking", "unfilled"]


def has_required(field: pa.Field) -> bool:
    """Whether the column, or a part of it, must not be null."""
    dtype = field.type
    inner = [dtype.item_field] if t.is_map(dtype) else [dtype.field(place) for place in range(dtype.num_fields)]
    return not field.nullable or any(map(has_required, inner))


def lacking(data: pa.DataType | None, table: pa.Field, path: str) -> Iterator[str]:
    """The required parts of a column of the table that the data does not have at all, by their paths."""
    if data is None:
        if not table.nullable:
            yield path
        return
    for name, inner, wanted in _parts(data, table.type):
        yield from lacking(inner, wanted, f"{path}.{name}")


def unfilled(values: pa.Array, table: pa.Field, path: str) -> Iterator[str]:
    """The required parts of a column of the table in which *values* has nulls, by their paths."""
    if not table.nullable and values.null_count:
        yield path
    if t.is_list(values.type) and t.is_list(table.type):
        yield from unfilled(pc.list_flatten(values), table.type.value_field, f"{path}.element")
    elif t.is_map(values.type) and t.is_map(table.type):
        start, stop = values.offsets[0].as_py(), values.offsets[-1].as_py()  # `items` knows nothing of slices
        yield from unfilled(values.items[start:stop], table.type.item_field, f"{path}.value")
    elif t.is_struct(values.type) and t.is_struct(table.type):
        there = values.drop_null()
        for name, inner, wanted in _parts(values.type, table.type):
            if inner is not None and has_required(wanted):
                yield from unfilled(pc.struct_field(there, name), wanted, f"{path}.{name}")


def _parts(data: pa.DataType, table: pa.DataType) -> Iterator[tuple[str, pa.DataType | None, pa.Field]]:
    if t.is_struct(data) and t.is_struct(table):
        brought = {item.name: item.type for item in data}
        for wanted in table:
            yield wanted.name, brought.get(wanted.name), wanted
    elif t.is_list(data) and t.is_list(table):
        yield "element", data.value_type, table.value_field
    elif t.is_map(data) and t.is_map(table):
        yield "value", data.item_type, table.item_field
