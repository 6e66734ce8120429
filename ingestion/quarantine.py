"""Rows that did not pass, with their reasons."""

from base64 import b64encode
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.plugins import REJECTED, Origin

__all__ = ["as_payload", "concat", "reject"]


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
    if pa.types.is_floating(dtype) and pc.all(pc.is_finite(column)).as_py() is False:
        return pc.cast(column, pa.string())
    if pa.types.is_decimal256(dtype):
        return pc.cast(column, pa.string())
    if pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_fixed_size_binary(dtype):
        return pa.array(
            [None if value is None else b64encode(value).decode() for value in column.to_pylist()], pa.string()
        )
    return column


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

    *reasons*, *columns* and *values* have one entry per rejected row, or are one text for all.
    """
    rows = pc.cast(rows, pa.int64())  # an empty list of indices has the type null
    texts = [_column(text, len(rows)) for text in (stage, rule, columns, values, reasons, origin.source)]
    places = [pc.cast(origin.at(rows), pa.int64()), as_payload(records.take(rows))]
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
