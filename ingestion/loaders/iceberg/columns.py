"""What the columns of a batch ask of those of the table."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.types as t

from ingestion.errors import DataError
from ingestion.loaders.iceberg.types import Unlike, joined, plain, typed, word

__all__ = ["Needs", "needs"]


class Needs(NamedTuple):
    """How the table must change to take a batch."""

    columns: list[pa.Field]  # new or wider
    untyped: list[str]  # new, and nothing but nulls so far


def needs(incoming: pa.Schema, present: Mapping[str, pa.Field], lays_out: Callable[[str], bool], table: str) -> Needs:
    """What *incoming* needs beyond the columns *present*; raises DataError for types that do not go together.

    A column without a type waits for one, unless *lays_out* says that the table's layout depends on it.
    """
    columns, untyped = [], []
    for item in incoming:
        dtype, old = plain(item.type, item.name), present.get(item.name)
        if t.is_null(dtype) and not lays_out(item.name):
            if old is None:
                untyped.append(item.name)
            continue
        dtype = typed(dtype, None if old is None else old.type)
        if old is None:
            columns.append(pa.field(item.name, dtype))
        elif (wider := _joined(item.name, dtype, old.type, table)) != old.type:
            columns.append(old.with_type(wider))
    return Needs(columns, untyped)


def _joined(name: str, data: pa.DataType, present: pa.DataType, table: str) -> pa.DataType:
    try:
        return joined(data, present, name)
    except Unlike as error:
        is_date = t.is_date(error.table) and t.is_timestamp(error.data)
        reason = "; format version 2 of Iceberg does not widen a date to a time" if is_date else ""
        cure = f" (types: {{{name}: {word(error.table)}}})" if error.path == name else ""
        raise DataError(
            f"table {table}: column {error.path!r} is {word(error.table)}, the data brings {word(error.data)}{reason}; "
            f"convert it in the transformer{cure}, or load into another table"
        ) from error
