"""Rows of the data beside the table's rows of the same keys: which are newer, and which say anything new."""

from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.loaders.iceberg.merge.source import Mask

__all__ = ["differ", "loses"]


def loses(ours: pa.Table, theirs: pa.Table) -> Mask:
    """For each of our rows whether the one of theirs is strictly greater, column after column, null being the least."""
    lost = np.zeros(ours.num_rows, np.bool_)
    tied = np.ones(ours.num_rows, np.bool_)
    for one, two in zip(ours.columns, theirs.columns, strict=True):
        mine, other = _flat(one), _flat(two)
        greater = _truth(pc.greater(other, mine)) | _truth(pc.and_(other.is_valid(), mine.is_null()))
        if t.is_floating(mine.type):  # as sorting has it: NaN is the greatest
            greater |= _truth(pc.is_nan(other)) & ~_truth(pc.is_nan(mine))
        lost |= tied & greater
        tied &= ~_differing(mine, other)
    return lost


def differ(ours: pa.Table, theirs: pa.Table) -> Mask:
    """For each of our rows whether any column differs from the one of theirs; null equals null and NaN equals NaN."""
    masks = (_differing(_flat(one), _flat(two)) for one, two in zip(ours.columns, theirs.columns, strict=True))
    return reduce(np.logical_or, masks, np.zeros(ours.num_rows, np.bool_))


def _flat(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(values.type, pa.BaseExtensionType):
        return pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    return values.cast(values.type.value_type) if t.is_dictionary(values.type) else values


def _differing(one: pa.ChunkedArray, two: pa.ChunkedArray) -> Mask:
    if t.is_nested(one.type):
        return _nested(one, two)
    found = _truth(pc.not_equal(one, two)) | _truth(pc.xor(one.is_null(), two.is_null()))
    if t.is_floating(one.type):
        found &= ~(_truth(pc.is_nan(one)) & _truth(pc.is_nan(two)))
    return found


def _nested(one: pa.ChunkedArray, two: pa.ChunkedArray) -> Mask:
    import polars as pl

    mine, other = (pl.Series(pl.from_arrow(column.combine_chunks())) for column in (one, two))
    return np.asarray(mine.ne_missing(other).to_numpy(), np.bool_)


def _truth(values: pa.ChunkedArray) -> Mask:
    """Null as false."""
    return np.asarray(pc.fill_null(values, fill_value=False).to_numpy(), np.bool_)
