"""Where to cut rows that are about to become many more."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

__all__ = ["pieces", "weights"]

Places: TypeAlias = npt.NDArray[np.int64]
Weights: TypeAlias = npt.NDArray[np.float64]

_BYTES = 16 << 20  # of a piece
_PER_ROW = 64.0  # bytes that a row costs however narrow it is: its place, its part, its index


def weights(records: pa.RecordBatch) -> Weights:
    """About how many bytes each row has; texts by their length, as one long one may be repeated many times."""
    total = np.full(records.num_rows, _PER_ROW)
    for values in records.columns:
        if t.is_string(values.type) or t.is_binary(values.type):
            total += pc.fill_null(pc.binary_length(values), 0).to_numpy()
        elif t.is_list(values.type):
            lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
            total += lengths * (values.nbytes / max(int(lengths.sum()), 1))
        elif len(values):
            total += values.nbytes / len(values)
    return total


def pieces(counts: Places, weight: Weights) -> Iterator[tuple[Places, Places]]:
    """Each row as often as *counts* says, at least once, and which time it is, from 1; cut by what the rows weigh."""
    ends = np.cumsum(counts)
    edges = _edges(counts, ends, weight)
    if len(edges) < 2:
        yield np.array([], np.int64), np.array([], np.int64)
    for start, end in pairwise(edges):
        first, last = np.searchsorted(ends, [start, end - 1], side="right")
        own = counts[first : last + 1].copy()
        own[0] -= start - (ends[first] - counts[first])
        own[-1] -= ends[last] - end
        rows = np.repeat(np.arange(first, last + 1), own)
        yield rows, np.arange(start, end) - (ends - counts)[rows] + 1


def _edges(counts: Places, ends: Places, weight: Weights) -> list[int]:
    """The numbers of the rows that are made at which a piece begins or ends."""
    if not len(ends):
        return []
    sums = np.cumsum(counts * weight)
    marks = np.arange(_BYTES, sums[-1], _BYTES)
    row = np.searchsorted(sums, marks)
    into = (marks - (sums[row] - counts[row] * weight[row])) // weight[row]
    cuts = (ends - counts)[row] + np.minimum(into.astype(np.int64), counts[row])
    return [int(edge) for edge in np.unique([0, *cuts, ends[-1]])]
