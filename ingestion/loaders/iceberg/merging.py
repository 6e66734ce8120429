"""Sorted runs merged into one, block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.loaders.iceberg.sorting import Order, sort_keys, sorted_rows

__all__ = ["merged"]


@dataclass
class _Head:
    """What has been read of one run and is not given yet."""

    blocks: Iterator[pa.Table]
    rows: pa.Table
    keys: pa.Table
    last: bool  # nothing follows
    after: pa.Table | None = None  # the next block, read ahead to know whether there is one

    @classmethod
    def of(cls, blocks: Iterator[pa.Table], order: Order) -> "_Head | None":
        first = next(blocks, None)
        if first is None:
            return None
        after = next(blocks, None)
        return cls(blocks, first, sort_keys(first, order), after is None, after)

    def refilled(self, order: Order) -> "_Head | None":
        """The same where rows are left, the next block where not, None at the end."""
        if self.rows.num_rows or self.after is None:
            return self if self.rows.num_rows else None
        after = next(self.blocks, None)
        return _Head(self.blocks, self.after, sort_keys(self.after, order), after is None, after)

    def cut(self, count: int) -> pa.Table:
        """Give the first *count* rows."""
        given = self.rows.slice(0, count)
        self.rows, self.keys = self.rows.slice(count), self.keys.slice(count)
        return given


def merged(runs: Sequence[Iterator[pa.Table]], order: Order) -> Iterator[pa.Table]:
    """The rows of runs that are sorted, in order, holding about one block of each."""
    heads = [head for run in runs if (head := _Head.of(run, order)) is not None]
    while heads:
        counts = _ready(heads, order)
        given = pa.concat_tables([head.cut(count) for head, count in zip(heads, counts, strict=True)])
        yield given if sum(count > 0 for count in counts) == 1 else sorted_rows(given, order)
        heads = [left for head in heads if (left := head.refilled(order)) is not None]


def _ready(heads: Sequence[_Head], order: Order) -> list[int]:
    """How many rows of each head come before all that is still to be read."""
    open_ends = [head.keys.slice(head.keys.num_rows - 1) for head in heads if not head.last]
    if not open_ends:
        return [head.rows.num_rows for head in heads]
    ends = pa.concat_tables(open_ends)
    least = ends.slice(_sorted(ends, order)[0].as_py(), 1)
    return _not_above(heads, least, order)


def _not_above(heads: Sequence[_Head], bound: pa.Table, order: Order) -> list[int]:
    """How many rows of each head are at most *bound*, searched in all heads at once."""
    low = np.zeros(len(heads), np.int64)
    high = np.array([head.keys.num_rows for head in heads])
    while (searched := np.flatnonzero(low < high)).size:
        middle = (low + high) // 2
        probes = pa.concat_tables([*(heads[place].keys.slice(middle[place], 1) for place in searched.tolist()), bound])
        ranks = np.empty(len(searched) + 1, np.int64)
        ranks[_sorted(probes, order).to_numpy()] = np.arange(len(searched) + 1)
        below = ranks[:-1] < ranks[-1]  # the bound is behind its equals, as sorting is stable
        low[searched[below]] = middle[searched[below]] + 1
        high[searched[~below]] = middle[searched[~below]]
    return [int(count) for count in low]


def _sorted(keys: pa.Table, order: Order) -> pa.Array:
    return pc.sort_indices(keys, order.directions)
