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
            held = self.keys()
            self._clear(self._power + 1)
            self._insert(held)
        return self._insert(keys)

    def keys(self) -> Digests:
        """All of them, in no order."""
        return Digests(self._low, self._high).at(np.flatnonzero(self._low))

    def clear(self) -> None:
        """Forget all keys, and keep the room."""
        self._clear(self._power)

    def _clear(self, power: int) -> None:
        self._power = power
        self.count = 0
        self._low = np.zeros(1 << power, np.uint64)  # 0 where a slot is free
        self._high = np.zeros(1 << power, np.uint64)

    def _insert(self, keys: Digests) -> Mask:
        """Each key goes to the first free slot from its own on; equal ones go the same way, in step."""
        new = np.zeros(len(keys.low), np.bool_)
        rows = np.arange(len(keys.low))[::-1]  # of several that claim a slot the last one gets it: the first row
        low, high = keys
        slots = (low >> np.uint64(_BITS - self._power)).astype(np.intp)
        while len(rows):
            slot, sought = slots[rows], low[rows]
            free = self._low[slot] == 0
            claimed, claiming = slot[free], rows[free]
            self._high[claimed] = claiming.astype(np.uint64)
            won = claiming[self._high[claimed] == claiming.astype(np.uint64)]
            self._low[slots[won]], self._high[slots[won]] = low[won], high[won]
            new[won] = True
            there = (self._low[slot] == sought) & (self._high[slot] == high[rows])
            rows = rows[~there]
            slots[rows] = (slots[rows] + 1) & ((1 << self._power) - 1)
        self.count += int(np.count_nonzero(new))
        return new
