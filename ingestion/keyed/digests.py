"""Keys of any columns as 128 bits each."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

__all__ = ["Digests", "Mask", "Words", "digests", "is_keyable"]

Words: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]

_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_NULL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_SEEDS = (0x2545F4914F6CDD1D, 0x5851F42D4C957F2D)
_ROUNDS = 3


class Digests(NamedTuple):
    """One key per row, as two words each; both are spread evenly over all 64 bits, and *low* is never 0."""

    low: Words
    high: Words

    def at(self, rows: npt.NDArray[np.intp] | slice | Mask) -> "Digests":
        """Those of these rows."""
        return Digests(self.low[rows], self.high[rows])


def is_keyable(dtype: pa.DataType) -> bool:
    """Whether `digests` takes columns of this type: single values of any kind, but no lists, structs and maps."""
    if t.is_dictionary(dtype):
        return is_keyable(dtype.value_type)
    if isinstance(dtype, pa.BaseExtensionType):
        return is_keyable(dtype.storage_type)
    return not (t.is_nested(dtype) or t.is_interval(dtype) or t.is_run_end_encoded(dtype))


def digests(columns: pa.RecordBatch) -> Digests:
    """A key for each row: the same for equal ones, null being equal to null, in batches of the same types.

    Keys of one column of at most 64 bits never meet; others do once in 2^128 pairs.
    """
    low = np.zeros(columns.num_rows, np.uint64)
    high = np.zeros(columns.num_rows, np.uint64)
    for values in columns.columns:
        words = _words(values)
        low, high = _mixed(low ^ words.low, high ^ words.high)
    return Digests(np.maximum(low, np.uint64(1)), high)


def _mixed(low: Words, high: Words) -> tuple[Words, Words]:
    """Spread over 128 bits, one to one: neighbours are apart, and no two pairs become one."""
    for _ in range(_ROUNDS):
        high = high ^ _spread(low)
        low = low + _spread(high)
    return low, high


def _spread(words: Words) -> Words:
    words = (words ^ (words >> _SHIFTS[0])) * _FACTORS[0]
    words = (words ^ (words >> _SHIFTS[1])) * _FACTORS[1]
    return words ^ (words >> _SHIFTS[2])


def _words(values: pa.Array) -> Digests:
    plain = _plain(values)
    low, high = _of_texts(plain) if _is_text(plain.type) else _of_numbers(plain)
    if plain.null_count:
        null = np.asarray(pc.is_null(plain))
        low, high = (np.where(null, mark, words) for mark, words in zip(_NULL, (low, high), strict=True))
    return Digests(low, high)


def _plain(values: pa.Array) -> pa.Array:
    """The same keys as integers, floats, wide decimals or texts."""
    dtype = values.type
    if isinstance(dtype, pa.BaseExtensionType):
        return _plain(values.storage)
    if t.is_dictionary(dtype):
        return _plain(values.cast(dtype.value_type))
    if t.is_temporal(dtype) and not t.is_interval(dtype):
        return values.view(pa.int32() if dtype.bit_width == 32 else pa.int64())
    plain = dtype
    if t.is_fixed_size_binary(dtype):
        plain = pa.binary()
    elif t.is_decimal(dtype):
        plain = pa.string() if dtype.bit_width > 128 else pa.decimal128(38, dtype.scale)
    elif t.is_null(dtype) or t.is_boolean(dtype):
        plain = pa.int64()
    return values.cast(plain)


def _is_text(dtype: pa.DataType) -> bool:
    kinds = (t.is_string, t.is_large_string, t.is_string_view, t.is_binary, t.is_large_binary, t.is_binary_view)
    return any(kind(dtype) for kind in kinds)


def _of_texts(values: pa.Array) -> tuple[Words, Words]:
    import polars as pl

    series = pl.Series(pl.from_arrow(values))
    low, high = (series.hash(seed).to_numpy() for seed in _SEEDS)
    return low, high


def _of_numbers(values: pa.Array) -> tuple[Words, Words]:
    if t.is_decimal(values.type):
        pairs = np.frombuffer(values.buffers()[1], np.uint64).reshape(-1, 2)
        own = pairs[values.offset : values.offset + len(values)]
        return own[:, 0], own[:, 1]
    if t.is_floating(values.type):
        numbers = values.cast(pa.float64()).fill_null(0.0).to_numpy() + 0.0  # -0 is 0
        low = np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    else:
        wide = values if values.type == pa.uint64() else values.cast(pa.int64())
        low = wide.fill_null(0).to_numpy().view(np.uint64)
    return low, np.zeros(len(values), np.uint64)
