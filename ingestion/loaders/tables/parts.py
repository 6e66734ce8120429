"""Which rows are in a part of a table: its bounds in the types of the columns at hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch, Part

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Bound", "bounds", "inside", "only", "without_strays"]


@dataclass(frozen=True)
class Bound:
    """The rows whose *column* is one of *values* or, where there are *spans*, in one of them."""

    column: str
    values: tuple[pa.Scalar, ...] = ()
    spans: tuple[tuple[pa.Scalar, pa.Scalar], ...] = ()  # up to, but not with, the second


def bounds(parts: Sequence[Part], schema: pa.Schema) -> list[Bound]:
    """The bounds of *parts* in the columns of *schema*; raises ConfigError where a column cannot tell them apart."""
    return [_bound(part, _type_of(part, schema)) for part in parts]


def inside(limits: Sequence[Bound], records: pa.RecordBatch) -> pa.BooleanArray:
    """For each row whether it is within all *limits*; one with null in such a column is not."""
    return reduce(pc.and_, (_within(limit, records[limit.column]) for limit in limits))


def only(parts: Sequence[Part], frame: "pl.LazyFrame", schema: pa.Schema) -> "pl.LazyFrame":
    """The rows of a table with these columns that are in all *parts*, left to its reader to find where it can."""
    import polars as pl

    for limit in bounds(parts, schema):
        column = pl.col(limit.column)
        if limit.spans:
            spans = [(column >= low.as_py()) & (column < high.as_py()) for low, high in limit.spans]
            frame = frame.filter(pl.any_horizontal(spans))
        else:
            frame = frame.filter(column.is_in([value.as_py() for value in limit.values]))
    return frame


def without_strays(batches: Iterator[Batch], parts: Sequence[Part]) -> Iterator[Batch]:
    """Pass *batches* on; raises DataError for a row outside of *parts*, which a run again would double."""
    for batch in batches:
        if parts and batch.records.num_rows:
            for limit in bounds(parts, batch.records.schema):
                _refuse_stray(limit, batch.records[limit.column])
        yield batch


def _refuse_stray(limit: Bound, column: pa.Array) -> None:
    stray = pc.index(_within(limit, column), value=False).as_py()
    if stray >= 0:
        held = " or ".join(
            [f"{low} up to, but not with, {high}" for low, high in limit.spans]
            or [str(value) for value in limit.values[:3]]
        )
        raise DataError(
            f"column {limit.column!r} has {_told(column[stray])}, which is not in the partition that was to be "
            f"written ({held}); return only that partition's rows, nothing was loaded"
        )


def _told(value: pa.Scalar) -> str:
    return str(value) if value.is_valid else "null"


def _within(limit: Bound, column: pa.Array) -> pa.BooleanArray:
    if t.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not limit.spans:
        return pc.is_in(column, value_set=pa.array([value.as_py() for value in limit.values], column.type))
    found = [pc.and_(pc.greater_equal(column, low), pc.less(column, high)) for low, high in limit.spans]
    return pc.fill_null(reduce(pc.or_, found), fill_value=False)


def _type_of(part: Part, schema: pa.Schema) -> pa.DataType:
    if part.column not in schema.names:
        raise ConfigError(
            f"partition_expr names the column {part.column!r}, which is not among {', '.join(schema.names)}; "
            f"name the column that says which partition a row is in"
        )
    dtype = schema.field(part.column).type
    return dtype.value_type if t.is_dictionary(dtype) else dtype


def _bound(part: Part, dtype: pa.DataType) -> Bound:
    text = t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype)
    if part.spans and not text:
        return Bound(
            part.column, spans=tuple((_edge(part, low, dtype), _edge(part, high, dtype)) for low, high in part.spans)
        )
    try:
        return Bound(part.column, tuple(pa.scalar(value, pa.string()).cast(dtype) for value in part.values))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"column {part.column!r} is of type {dtype}, which cannot hold the partition {part.values[0]!r}; "
            f"name a column with the partition's values in partition_expr"
        ) from error


def _edge(part: Part, edge: datetime, dtype: pa.DataType) -> pa.Scalar:
    value: Any
    if t.is_timestamp(dtype):
        value = edge if dtype.tz else edge.replace(tzinfo=None)
        return pa.scalar(value, pa.timestamp("us", "UTC" if dtype.tz else None))
    if not t.is_date(dtype):
        raise ConfigError(
            f"column {part.column!r} is of type {dtype}, and partitions of time need a date, a timestamp or text; "
            f"name such a column in partition_expr"
        )
    if edge.time() != time(0):
        raise ConfigError(
            f"column {part.column!r} holds dates, and the partitions change at {edge:%H:%M}; "
            f"name a column with timestamps in partition_expr"
        )
    return pa.scalar(edge.date(), pa.date32())
