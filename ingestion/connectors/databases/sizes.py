"""Batches of the size that a job allows, whatever size a driver gives them."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

__all__ = ["cut", "gathered"]


def gathered(batches: Iterable[pa.RecordBatch], rows: int, most: int) -> Iterator[pa.RecordBatch]:
    """*batches* put together up to *rows* rows and *most* bytes; what is more from the start stays as it is."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        if held and (size + batch.nbytes > most or count + batch.num_rows > rows or batch.schema != held[0].schema):
            yield _joined(held)
            count = size = 0
        held.append(batch)
        count, size = count + batch.num_rows, size + batch.nbytes
        if count + batch.num_rows > rows or size + batch.nbytes > most:  # with another one like this
            yield _joined(held)
            count = size = 0
    if held:
        yield _joined(held)


def cut(records: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """*records* in parts of at most about *most* bytes, or of one row."""
    if records.nbytes <= most:
        yield records
        return
    ends = np.cumsum(_sizes(records))
    start, before = 0, 0.0
    while start < records.num_rows:
        end = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield records.slice(start, end - start)
        start, before = end, ends[end - 1]


def _joined(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of all that is *held*, which is let go."""
    found = held[0] if len(held) == 1 else pa.concat_batches(held)
    held.clear()
    return found


def _sizes(records: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """About how many bytes each row has."""
    total = np.zeros(records.num_rows)
    for values in records.columns:
        if t.is_string(values.type) or t.is_binary(values.type):
            total += pc.fill_null(pc.binary_length(values), 0).to_numpy()
        elif len(values):
            total += values.nbytes / len(values)
    return total
