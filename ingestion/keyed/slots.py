"""A set of keys in memory."""

import numpy as np

from ingestion.keyed.digests import Digests, Mask

__all__ = ["Slots"]

_BITS = 64
_FULL = 0.6  # beyond it the ways to a free slot grow long


class Slots:
    """A set of keys in 2 to the power of *most* slots at most, 16 bytes each; it begins small and doubles."""

    def __init__(self, most: int) -> None:
        self.count = 0
        self._most = most
        self._clear(min(most, 12))

    @property
    def room(self) -> int:
        """How many keys may still be added."""
        return max(int((1 << self._most) * _FULL) - self.count, 0)

    def add(self, keys: Digests) -> Mask:
        """Put *keys*, no more than there is room for, into the set; true for the first of each that was not there."""
        while self.count + len(keys.low) > (1 << self._power) * _FULL and self._power < self._most:
            held = self.held()
            self._clear(self._power + 1)
            self._insert(held)
        return self._insert(keys)

    def held(self) -> Digests:
        """All of them, in no order."""
        held = self._words.reshape(-1, 2)
        return Digests(*held[held[:, 0] != 0].T.copy())

    def clear(self) -> None:
        """Forget all keys, and keep the room."""
        self._clear(self._power)

    def _clear(self, power: int) -> None:
        self._power = power
        self.count = 0
        self._words = np.zeros(2 << power, np.uint64)  # low and high of each slot; a free one has 0 for low

    def _insert(self, keys: Digests) -> Mask:
        """Each key goes to the first free slot from its own on; equal ones go the same way, in step."""
        new = np.zeros(len(keys.low), np.bool_)
        row = np.arange(len(keys.low), dtype=np.uint64)[::-1]  # of several that claim a slot the last gets it
        low, high = keys.low[::-1], keys.high[::-1]
        place = (low >> np.uint64(_BITS - self._power)).astype(np.intp) * 2
        while len(row):
            free = np.flatnonzero(self._words.take(place) == 0)
            self._words[place[free] + 1] = row[free]
            won = free[self._words.take(place[free] + 1) == row[free]]
            self._words[place[won]], self._words[place[won] + 1] = low[won], high[won]
            new[row[won].astype(np.intp)] = True
            there = self._words.take(place) == low
            there[there] = self._words.take(place[there] + 1) == high[there]
            on = np.flatnonzero(~there)
            row, low, high = row[on], low[on], high[on]
            place = (place[on] + 2) & ((2 << self._power) - 1)
        self.count += int(np.count_nonzero(new))
        return new
