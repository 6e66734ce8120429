"""Values in a column's type, and which of them it cannot hold."""

from decimal import Decimal
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.loaders.tables.types import cast
from ingestion.stream import is_list

__all__ = ["Fitted", "fitted"]


_DIGITS, _WIDEST = 38, 76  # of decimals in tables, and of Arrow's


class Fitted(NamedTuple):
    """A column in the type asked for; misfits are null in *values*."""

    values: pa.Array
    misfits: pa.BooleanArray | None = None  # None = there are none


def fitted(values: pa.Array, dtype: pa.DataType) -> Fitted:
    """*values* as *dtype*, value by value: none is rounded, cut or read from text.

    A struct is a misfit where one of its fields is, or where it has a value in a field that *dtype* lacks.
    """
    if values.type == dtype:
        return Fitted(values)
    if t.is_null(values.type):
        return Fitted(pa.nulls(len(values), dtype))
    if t.is_struct(values.type) and t.is_struct(dtype):
        return _struct(values, dtype)
    exact = _cast(values, dtype) if _alike(values.type, dtype) else _nothing(values, dtype)
    return _some(values, dtype) if exact is None else exact


def _alike(data: pa.DataType, table: pa.DataType) -> bool:
    """Whether a value of one type can be the same value in the other; decimals and binary fractions never are."""
    if t.is_decimal(data) or t.is_decimal(table):
        return all(t.is_decimal(dtype) or t.is_integer(dtype) for dtype in (data, table))
    if t.is_timestamp(data) and t.is_timestamp(table):
        return (data.tz is None) == (table.tz is None)
    return data.id == table.id or any(kind(data) and kind(table) for kind in _KINDS)


def _is_binary_number(dtype: pa.DataType) -> bool:
    return bool(t.is_integer(dtype) or t.is_floating(dtype))


def _is_text(dtype: pa.DataType) -> bool:
    return bool(t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype))


def _is_bytes(dtype: pa.DataType) -> bool:
    return bool(t.is_binary(dtype) or t.is_large_binary(dtype) or t.is_binary_view(dtype))


_KINDS = (_is_binary_number, _is_text, _is_bytes, t.is_time, t.is_date, is_list)


def _cast(values: pa.Array, dtype: pa.DataType) -> Fitted | None:
    if t.is_floating(dtype) and t.is_floating(values.type):  # Arrow would round in silence
        return None
    try:
        return Fitted(cast(pa.chunked_array([values]), dtype).combine_chunks())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _nothing(values: pa.Array, dtype: pa.DataType) -> Fitted:
    return _settled(pa.nulls(len(values), dtype), pc.is_valid(values))


def _settled(values: pa.Array, misfits: pa.BooleanArray) -> Fitted:
    return Fitted(values, misfits if pc.any(misfits).as_py() else None)


def _some(values: pa.Array, dtype: pa.DataType) -> Fitted:
    if t.is_nested(dtype):  # a list or a map is one value
        return _nothing(values, dtype)
    if t.is_decimal256(values.type) or t.is_decimal256(dtype):
        return _wide_decimals(values, dtype)
    misfits = _changed_time(values, dtype) if t.is_temporal(dtype) else _changed_number(values, dtype)
    rest = pc.if_else(misfits, pa.scalar(None, values.type), values)
    if t.is_decimal(dtype):
        rest = pc.cast(rest, pa.decimal256(76, dtype.scale))
    return _settled(pc.cast(rest, dtype, safe=False), misfits)


def _wide_decimals(values: pa.Array, dtype: pa.DataType) -> Fitted:
    """Without polars, which has none of more than 38 digits."""
    given = values.type.scale if t.is_decimal(values.type) else 0
    digits, wanted = (dtype.precision, dtype.scale) if t.is_decimal(dtype) else (_DIGITS, 0)
    scale = max(min(given, wanted), 0)
    shorter = pc.cast(values, pa.decimal256(_WIDEST, scale), safe=False)  # which cuts digits off, and nothing else
    misfits = pc.not_equal(pc.cast(shorter, values.type, safe=False), values)
    if digits - wanted + scale < _WIDEST:
        bound = pa.scalar(Decimal(1).scaleb(digits - wanted), shorter.type)
        misfits = pc.or_(misfits, pc.greater_equal(pc.abs(shorter), bound))
    misfits = pc.fill_null(misfits, fill_value=False)
    rest = pc.if_else(misfits, pa.scalar(None, shorter.type), shorter)
    if t.is_decimal(dtype):
        return _settled(pc.cast(pc.cast(rest, pa.decimal256(_WIDEST, wanted)), dtype), misfits)
    fits = fitted(pc.cast(rest, pa.decimal128(_DIGITS, scale)), dtype)
    return _settled(fits.values, misfits if fits.misfits is None else pc.or_(misfits, fits.misfits))


def _changed_time(values: pa.Array, dtype: pa.DataType) -> pa.BooleanArray:
    back = pc.cast(pc.cast(values, dtype, safe=False), values.type, safe=False)
    return pc.fill_null(pc.not_equal(back, values), fill_value=False)


def _changed_number(values: pa.Array, dtype: pa.DataType) -> pa.BooleanArray:
    """Polars makes null of what is out of range, where an unchecked cast of Arrow wraps round."""
    import polars as pl

    given = pl.Series(pl.from_arrow(values))
    wanted = pl.Series(pl.from_arrow(pa.array([], dtype))).dtype
    back = given.cast(wanted, strict=False).cast(given.dtype, strict=False)
    return back.ne_missing(given).to_arrow()


def _struct(values: pa.StructArray, dtype: pa.StructType) -> Fitted:
    there = {item.name: values.field(place) for place, item in enumerate(values.type)}
    columns, misfits = [], pa.repeat(pa.scalar(value=False), len(values))
    for item in dtype:
        given = there.pop(item.name, None)
        column = Fitted(pa.nulls(len(values), item.type)) if given is None else fitted(given, item.type)
        columns.append(column.values)
        misfits = misfits if column.misfits is None else pc.or_(misfits, column.misfits)
    for surplus in there.values():
        misfits = pc.or_(misfits, pc.is_valid(surplus))
    misfits = pc.and_(misfits, pc.is_valid(values))
    nothing = pc.or_(misfits, pc.is_null(values))
    return _settled(pa.StructArray.from_arrays(columns, fields=list(dtype), mask=nothing), misfits)
