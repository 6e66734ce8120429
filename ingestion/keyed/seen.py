"""Whether a key has come before."""

import numpy as np
import pyarrow as pa
from typing_extensions import Self

from ingestion.keyed.digests import Digests, Mask, digests
from ingestion.keyed.runs import SortedRuns
from ingestion.keyed.slots import Slots

__all__ = ["LIMIT", "SeenKeys"]

LIMIT = 192 << 20
"""Bytes in memory, where nobody says otherwise."""

_TOGETHER = 1 << 16  # keys looked up at once


class SeenKeys:
    """The keys of one load as they come, within *limit_bytes* of memory, LIMIT where not given.

    The rest waits on disk. Raises OSError where the temporary folder is full.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        limit = LIMIT if limit_bytes is None else limit_bytes
        # A third for keys in memory, a sixth for the filter, and the rest for a while when keys go to disk.
        self._slots = Slots(max(limit // 3 // 16, 16).bit_length() - 1)
        self._filter_bytes = limit // 6
        self._runs: SortedRuns | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fresh(self, columns: pa.RecordBatch) -> pa.BooleanArray:
        """For each row whether it is the first of all with its key, in this call or an earlier one; never null.

        The columns are the key, null being equal to null. They hold single values, in every call
        of the kinds that `KeyKinds` agrees to.
        """
        keys = digests(columns)
        count = columns.num_rows
        fresh = np.zeros(count, np.bool_)
        start = 0
        while start < count:
            if not self._slots.room:
                self._put_away()
            part = slice(start, start + min(self._slots.room, _TOGETHER))
            fresh[part] = self._fresh(keys.at(part))
            start = part.stop
        return pa.array(fresh)

    def close(self) -> None:
        """Give memory and disk back."""
        self._slots.clear()
        if self._runs is not None:
            self._runs.close()

    def _fresh(self, keys: Digests) -> Mask:
        new = self._slots.add(keys)
        if self._runs is None:
            return new
        rows = np.flatnonzero(new)
        new[rows] = ~self._runs.has(keys.at(rows))
        return new

    def _put_away(self) -> None:
        if self._runs is None:
            self._runs = SortedRuns(self._filter_bytes)
        self._runs.add(self._slots.held())
        self._slots.clear()
