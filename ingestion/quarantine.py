"""Rows that did not pass, with their reasons."""

from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import DataError
from ingestion.plugins import REJECTED, Origin
from ingestion.stream import is_list

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_payload", "concat", "from_payload", "reject"]

_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}  # of a second


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
    if not is_list(dtype):
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


def from_payload(texts: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
    """The rows, of this *schema*, that `as_payload` made *texts* of; raises DataError for texts of others."""
    if not len(schema):
        return pa.record_batch({"": pa.nulls(len(texts))}).select([])
    import polars as pl

    shape = pl.Struct({field.name: _shape(field.type) for field in schema})
    try:
        rows = pl.Series(pl.from_arrow(texts)).str.json_decode(shape).to_arrow()
        columns = [_typed(values, field.type) for values, field in zip(rows.flatten(), schema, strict=True)]
    except (pl.exceptions.PolarsError, pa.ArrowException) as error:
        raise DataError(f"the payload of a quarantined row cannot be read back: {error}") from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _shape(dtype: pa.DataType) -> "pl.DataType | type[pl.DataType]":
    """How values of *dtype* stand in JSON, all single ones as text, of which none is bent."""
    import polars as pl

    if t.is_dictionary(dtype):
        return _shape(dtype.value_type)
    if isinstance(dtype, pa.BaseExtensionType) and dtype != pa.uuid():
        return _shape(dtype.storage_type)
    if t.is_map(dtype):
        return pl.List(pl.Struct({"key": _shape(dtype.key_type), "value": _shape(dtype.item_type)}))
    if t.is_struct(dtype) and dtype.num_fields:
        return pl.Struct({field.name: _shape(field.type) for field in dtype})
    return pl.List(_shape(dtype.value_type)) if is_list(dtype) else pl.String


def _typed(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    """The values that stood in JSON as `_shape` says."""
    if t.is_dictionary(dtype):
        return pc.cast(_typed(values, dtype.value_type).dictionary_encode(), dtype)
    if dtype == pa.uuid():
        return pa.ExtensionArray.from_storage(
            dtype, _decoded(pc.replace_substring(values, "-", ""), "hex", pa.binary(16))
        )
    if isinstance(dtype, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(dtype, _typed(values, dtype.storage_type))
    if t.is_struct(dtype) and dtype.num_fields:
        inner = [_typed(child, field.type) for child, field in zip(values.flatten(), dtype, strict=True)]
        return pa.StructArray.from_arrays(inner, fields=list(dtype), mask=values.is_null())
    if t.is_map(dtype) or is_list(dtype):
        return _gathered(values, dtype)
    return _single(values, dtype)


def _gathered(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    sizes = pc.fill_null(pc.cast(pc.list_value_length(values), pa.int32()), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cast(pc.cumulative_sum(sizes), pa.int32())])
    if t.is_map(dtype):
        keys, items = values.flatten().flatten()
        parts = (_typed(keys, dtype.key_type), _typed(items, dtype.item_type))
        return pa.MapArray.from_arrays(offsets, *parts, mask=values.is_null()).cast(dtype)
    inner = _typed(values.flatten(), dtype.value_type)
    if t.is_list_view(dtype) or t.is_large_list_view(dtype):
        views = pa.ListViewArray if t.is_list_view(dtype) else pa.LargeListViewArray
        return views.from_arrays(offsets[:-1], sizes, inner, mask=values.is_null())
    return pc.cast(pa.ListArray.from_arrays(offsets, inner, mask=values.is_null()), dtype)


def _single(text: pa.Array, dtype: pa.DataType) -> pa.Array:
    if t.is_null(dtype):
        return pa.nulls(len(text))
    if t.is_binary(dtype) or t.is_large_binary(dtype) or t.is_fixed_size_binary(dtype) or t.is_binary_view(dtype):
        return _decoded(text, "base64", dtype)
    if t.is_time(dtype):  # a cast from text there is for some units alone
        return pc.cast(
            pc.cast(
                pc.binary_join_element_wise("1970-01-01", pc.cast(text, pa.string()), " "), pa.timestamp(dtype.unit)
            ),
            dtype,
        )
    if t.is_date64(dtype):
        return pc.cast(pc.cast(text, pa.timestamp("ms")), dtype)
    if t.is_duration(dtype):
        seconds = pc.replace_substring_regex(pc.replace_substring(text, "P0D", "PT0S"), "^(-?)PT(.*)S$", r"\1\2")
        digits = _DIGITS[dtype.unit]
        exact = pc.cast(seconds, pa.decimal128(20 if digits == 9 else 28, 9))
        return pc.cast(pc.cast(pc.multiply(exact, pa.scalar(Decimal(10**digits))), pa.int64()), dtype)
    return pc.cast(text, dtype)


def _decoded(text: pa.Array, encoding: Literal["hex", "base64"], dtype: pa.DataType) -> pa.Array:
    import polars as pl

    return pc.cast(pl.Series(pl.from_arrow(text)).str.decode(encoding).to_arrow(), dtype)


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
    masked = origin.read is not None and origin.read.shown is not None
    schemas = _schemas(read.schema, pa.nulls(count) if masked else positions)
    written = pa.repeat(pa.scalar(origin.modified_at, pa.timestamp("us", "UTC")), count)
    places = [positions, as_payload(read), parts, schemas, written]
    return pa.RecordBatch.from_arrays([*texts, *places], schema=REJECTED)


def _schemas(schema: pa.Schema, positions: pa.Array) -> pa.DictionaryArray:
    """The schema of rows as read; one made of several has no position and is none."""
    found = pa.array([schema.remove_metadata().serialize().to_pybytes()], pa.binary())
    first, none = pa.scalar(0, pa.int32()), pa.scalar(None, pa.int32())
    return pa.DictionaryArray.from_arrays(pc.if_else(pc.is_valid(positions), first, none), found)


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
