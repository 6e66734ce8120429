"""A set of keys on disk."""

import mmap
import tempfile
from contextlib import suppress
from typing import IO

import numpy as np
import numpy.typing as npt

from ingestion.keyed.digests import Digests, Mask, Words

__all__ = ["SortedRuns"]

_PROBES = 4  # bits of the filter for each key, all in one word
_WORD = 8
_PART = 1 << 18  # keys that the filter takes at once


class SortedRuns:
    """A set of keys in sorted runs on disk, behind a filter of fixed size in memory that knows most of what is new.

    The file has no name: it is gone with the object or with its process. Raises OSError where the disk is full.
    """

    def __init__(self, filter_bytes: int) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="ingestion-")  # noqa: SIM115 - closed by `close`
        self._runs: list[tuple[int, int]] = []  # where each begins, and how many keys it has
        self._power = max(filter_bytes // _WORD, 2).bit_length() - 1
        self._filter = np.zeros(1 << self._power, np.uint64)

    def add(self, keys: Digests) -> None:
        """Put one more run there."""
        order = np.argsort(keys.low)
        start = self._file.seek(-self._file.seek(0, 2) % mmap.ALLOCATIONGRANULARITY, 2)  # where it can be mapped
        self._runs.append((start, len(order)))
        for words in keys:
            self._file.write(words[order].data)
        self._file.flush()
        for first in range(0, len(order), _PART):
            places, bits = self._marks(keys.at(slice(first, first + _PART)))
            np.bitwise_or.at(self._filter, places, bits)

    def has(self, keys: Digests) -> Mask:
        """For each of *keys* whether it is there."""
        found = np.zeros(len(keys.low), np.bool_)
        places, bits = self._marks(keys)
        open_rows = np.flatnonzero((self._filter[places] & bits) == bits)
        if not len(open_rows):
            return found
        open_rows = open_rows[np.argsort(keys.low[open_rows])]  # then each page of a run is touched once
        for start, count in reversed(self._runs):
            hit = self._found(start, count, keys.at(open_rows))
            found[open_rows[hit]] = True
            open_rows = open_rows[~hit]
        return found

    def close(self) -> None:
        """Give the space back."""
        with suppress(OSError):  # a full disk takes no last bytes, and nobody will read them
            self._file.close()

    def _found(self, start: int, count: int, keys: Digests) -> Mask:
        """For each of *keys* whether that run has it; its pages are mapped one run at a time, and only for so long."""
        length = 2 * _WORD * count
        with mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ, offset=start) as pages:
            run = Digests(*np.frombuffer(pages, np.uint64).reshape(2, count))
            found = _found(run, keys)
            del run  # or the mapping could not be closed
        return found

    def _marks(self, keys: Digests) -> tuple[npt.NDArray[np.intp], Words]:
        """The word of the filter for each key, and its bits there."""
        bits = np.zeros(len(keys.low), np.uint64)
        for probe in range(_PROBES):
            bits |= np.uint64(1) << ((keys.low >> np.uint64(6 * probe)) & np.uint64(63))
        return (keys.high >> np.uint64(64 - self._power)).astype(np.intp), bits


def _found(run: Digests, keys: Digests) -> Mask:
    places = np.searchsorted(run.low, keys.low)
    found = np.zeros(len(places), np.bool_)
    rows = np.arange(len(places))
    while len(rows):  # once; again only where different keys share their low word
        rows = rows[places[rows] < len(run.low)]
        rows = rows[run.low[places[rows]] == keys.low[rows]]
        same = run.high[places[rows]] == keys.high[rows]
        found[rows[same]] = True
        rows = rows[~same]
        places[rows] += 1
    return found
