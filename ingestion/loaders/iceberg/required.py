"""Columns that the table requires and the data does not always bring."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import DataError

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

__all__ = ["check_may_loosen", "has_required", "lacking", "unfilled"]


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
        yield from unfilled(values.items, table.type.item_field, f"{path}.value")
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


def check_may_loosen(schema: "Schema", paths: Iterable[str], table: str, *, frozen: bool) -> None:
    """Raise DataError where columns that the data lacks or has nulls in must stay required."""
    for path in paths:
        what = (
            f"table {table}: column {path!r} is required and the data lacks it or has nulls in it; "
            f"bring it in the source"
        )
        if frozen:
            raise DataError(f"{what}, or let it become optional by loader.schema_contract.columns: evolve")
        if schema.find_field(path).field_id in schema.identifier_field_ids:
            raise DataError(f"{what}: the table's rows are identified by it, so it cannot become optional")
