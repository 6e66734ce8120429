"""Which row of the data a row of the table is, by the values of their keys."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

__all__ = ["Keys", "physical"]


def physical(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """*values* in a type in which equal keys are equal bytes: times as integers, 0.0 for -0.0."""
    dtype = values.type
    if isinstance(dtype, pa.BaseExtensionType):
        return pa.chunked_array([chunk.storage for chunk in values.chunks], dtype.storage_type)
    if t.is_dictionary(dtype):
        return values.cast(dtype.value_type)
    if t.is_date(dtype):
        return values.cast(pa.int32())
    if t.is_temporal(dtype):
        return values.cast(pa.int64())
    return pc.add(values, pa.scalar(0, dtype)) if t.is_floating(dtype) else values


class Keys:
    """The keys of some rows, each of them there once; a null in one of several columns means no row."""

    def __init__(self, columns: Sequence[pa.ChunkedArray]) -> None:
        self.columns = [physical(column) for column in columns]
        self.rows = len(columns[0])
        self._known: list[pa.Array] = []  # of each column its distinct values
        self._pairs: list[pa.Array] = []  # from the second column on: which of them come with which of those before
        code: pa.Array | None = None
        for column in self.columns:
            values = column.combine_chunks()
            known = values.unique() if len(columns) > 1 else values
            self._known.append(known)
            if len(columns) == 1:
                return
            found = _indices(values, known)
            if code is not None:
                pairs = self._paired(code, found, len(known))
                self._pairs.append(pairs.unique())  # in order of appearance: the last stage counts the rows
                found = _indices(pairs, self._pairs[-1])
            code = found

    def find(self, columns: Sequence[pa.ChunkedArray]) -> pa.Array:
        """For each of other rows the index of ours with the same key, null where there is none."""
        code = _indices(physical(columns[0]), self._known[0])
        for column, known, pairs in zip(columns[1:], self._known[1:], self._pairs, strict=True):
            both = self._paired(code, _indices(physical(column), known), len(known))
            code = _indices(both, pairs)
        return code

    @staticmethod
    def _paired(code: pa.Array, found: pa.Array, size: int) -> pa.Array:
        return pc.add(pc.multiply(code.cast(pa.int64()), size), found.cast(pa.int64()))


def _indices(values: pa.ChunkedArray | pa.Array, known: pa.Array) -> pa.Array:
    found = pc.index_in(values, value_set=known, skip_nulls=True)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
