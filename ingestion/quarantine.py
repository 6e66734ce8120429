"""Rows that did not pass, with their reasons."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.plugins import REJECTED, Origin

__all__ = ["as_payload", "concat", "reject"]

_LISTS = (t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_list_view, t.is_large_list_view)


def as_payload(records: pa.RecordBatch) -> pa.Array:
    """Each row as one JSON object, nulls included; dates and times in ISO 8601, bytes in base64."""
    if not records.num_columns:
        return pa.array(["{}"] * records.num_rows, pa.string())
    import polars as pl

    frame = pl.from_arrow(pa.RecordBatch.from_arrays([_jsonable(c) for c in records.columns], records.schema.names))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that polars declares
    return frame.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_arrow().cast(pa.string())


def _jsonable(column: pa.Array) -> pa.Array:
    """The column as JSON can hold it; polars panics at bytes and wide decimals, and drops NaN and infinities."""
    dtype = column.type
    if t.is_floating(dtype) and pc.all(pc.is_finite(column)).as_py() is False:
        return pc.cast(column, pa.string())
    if t.is_dictionary(dtype):
        return _jsonable(pc.cast(column, dtype.value_type))
    if t.is_map(dtype):
        return _jsonable(pc.cast(column, pa.list_(pa.struct([("key", dtype.key_type), ("value", dtype.item_type)]))))
    if isinstance(dtype, pa.BaseExtensionType) and dtype != pa.uuid():
        return _jsonable(column.storage)
    if t.is_nested(dtype):
        return _nested(column)
    return column if _is_plain(dtype) else pa.array(map(_text, column.to_pylist()), pa.string())


def _nested(column: pa.Array) -> pa.Array:
    dtype = column.type
    if t.is_struct(dtype) and dtype.num_fields:
        values = [_jsonable(values) for values in column.flatten()]
        return pa.StructArray.from_arrays(values, [field.name for field in dtype], mask=column.is_null())
    if not any(check(dtype) for check in _LISTS):
        return pa.array(map(_text, column.to_pylist()), pa.string())
    ends = pc.cumulative_sum(pc.fill_null(pc.cast(pc.list_value_length(column), pa.int64()), 0))
    starts = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    return pa.LargeListArray.from_arrays(starts, _jsonable(column.flatten()), mask=column.is_null())


def _is_plain(dtype: pa.DataType) -> bool:
    checks = (t.is_null, t.is_boolean, t.is_integer, t.is_floating, t.is_string, t.is_large_string, t.is_string_view)
    times = (t.is_date, t.is_time, t.is_timestamp, t.is_duration)
    return any(check(dtype) for check in (*checks, *times)) or (t.is_decimal(dtype) and dtype.bit_width <= 128)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def reject(
    records: pa.RecordBatch,
    rows: pa.Array,
    origin: Origin,
    *,
    stage: str,
    rule: str,
    reasons: pa.Array | str,
    columns: pa.Array | str | None = None,
    values: pa.Array | None = None,
) -> pa.RecordBatch:
    """The rows of *records* with these indices as a batch of schema `REJECTED`.

    The payload is what was read where *origin* knows that, else the rows as they are in *records*. *reasons*,
    *columns* and *values* have one entry per rejected row, or are one text for all.
    """
    rows = pc.cast(rows, pa.int64())  # an empty list of indices has the type null
    count = len(rows)
    texts = [_column(text, count) for text in (stage, rule, columns, values, reasons, origin.source)]
    read = records.take(rows) if origin.read is None else origin.read.at(rows)
    parts = pa.nulls(count, pa.int64()) if origin.parts is None else origin.parts.take(rows)
    positions = pc.cast(origin.at(rows), pa.int64())
    schema = pa.scalar(read.schema.remove_metadata().serialize().to_pybytes(), pa.binary())
    schemas = pc.if_else(pc.is_valid(positions), schema, pa.scalar(None, pa.binary()))  # made of several: not as read
    places = [positions, as_payload(read), parts, schemas]
    return pa.RecordBatch.from_arrays([*texts, *places], schema=REJECTED)


def _column(value: pa.Array | str | None, count: int) -> pa.Array:
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return pc.cast(value, pa.string())
    return pa.array([value] * count, pa.string())


def concat(batches: Sequence[pa.RecordBatch | None]) -> pa.RecordBatch | None:
    """All of *batches* as one; None where there is nothing."""
    filled = [batch for batch in batches if batch is not None and batch.num_rows]
    if len(filled) < 2:
        return filled[0] if filled else None
    return pa.concat_batches(filled)
