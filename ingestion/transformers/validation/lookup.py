"""Looking values up among many."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.keyed.digests import digests

__all__ = ["Lookup"]

_FEW = 1 << 15  # values, about the rows of a batch; Arrow makes a hash table of them anew for every batch


class Lookup:
    """Values of one type, in memory."""

    def __init__(self, values: pa.Array) -> None:
        self._values = values
        if len(values) > _FEW:
            keys = digests(pa.record_batch({"": values}))
            order = np.argsort(keys.low)
            self._keys = keys.at(order)

    def has(self, values: pa.Array) -> pa.BooleanArray:
        """Which of *values*, of the same type, are among them; null for null."""
        if len(self._values) <= _FEW:
            found = pc.is_in(values, value_set=self._values)
        else:
            sought = digests(pa.record_batch({"": values}))
            order = np.argsort(sought.low)  # neighbours are found next to each other, which is several times as fast
            at = np.empty(len(order), np.intp)
            at[order] = np.searchsorted(self._keys.low, sought.low[order])
            at[at == len(self._keys.low)] = 0
            found = pa.array((self._keys.low[at] == sought.low) & (self._keys.high[at] == sought.high))
        return found if not values.null_count else pc.if_else(pc.is_valid(values), found, None)
