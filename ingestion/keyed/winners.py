"""Which rows of a load are the newest of their keys."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingestion.errors import DataError
from ingestion.keyed.digests import digests
from ingestion.keyed.keyed import KeyedRows

__all__ = ["LIMIT", "Winners"]

LIMIT = 64 << 20
"""Bytes of keys and values in memory, where nobody says otherwise: they are narrow, and more makes it no faster."""

_KEYS = ("low", "high")
_ROW = "row"


class Winners:
    """Finds, for each key, the row with the greatest values, null being the least, and the later of equals.

    Takes a fixed amount of memory, and one bit for each row; the rest waits on disk. Raises OSError where it is full.
    """

    def __init__(self, order_by: Sequence[str], limit: int | None = None) -> None:
        self._order_by = order_by
        self._rows = KeyedRows(_KEYS, [str(place) for place in range(len(order_by))], LIMIT if limit is None else limit)
        self._types: list[pa.DataType] = [pa.null()] * len(order_by)
        self._count = 0
        self._stays: npt.NDArray[np.uint8] = np.empty(0, np.uint8)  # one bit for each row

    def add(self, keys: pa.RecordBatch, values: pa.RecordBatch) -> None:
        """Take the *keys* of more rows, and the *values* by which they are ranked."""
        self._types = [self._agreed(place, field.type) for place, field in enumerate(values.schema)]
        found = digests(keys)
        rows = pa.array(np.arange(self._count, self._count + keys.num_rows))
        names = [*_KEYS, *(str(place) for place in range(len(self._types))), _ROW]
        columns = [pa.array(found.low), pa.array(found.high), *values.columns, rows]
        self._rows.add(pa.RecordBatch.from_arrays(columns, names), "")
        self._count += keys.num_rows

    def decide(self) -> None:
        """Settle which rows stay, once all were added."""
        self._stays = np.zeros(self._count // 8 + 1, np.uint8)
        for table in self._rows.passes(self._shaped):
            rows = table[_ROW].to_numpy()
            np.bitwise_or.at(self._stays, rows >> 3, (1 << (rows & 7)).astype(np.uint8))
        self._rows.close()

    def among(self, first: int, count: int) -> pa.BooleanArray:
        """For each of *count* rows from the one that was added as number *first*, counted from 0, whether it stays."""
        bits = np.unpackbits(self._stays[first >> 3 : (first + count + 7) >> 3], bitorder="little")
        return pa.array(bits[first & 7 :][:count].astype(np.bool_))

    def close(self) -> None:
        """Give memory and disk back."""
        self._rows.close()

    def _agreed(self, place: int, dtype: pa.DataType) -> pa.DataType:
        """The type so far; a column that had no values yet takes any."""
        known = self._types[place]
        if pa.types.is_null(known) or pa.types.is_null(dtype) or dtype == known:
            return dtype if pa.types.is_null(known) else known
        raise DataError(
            f"transformer.deduplicate.order_by: column {self._order_by[place]!r} has values of type {known} first and "
            f"of type {dtype} later, and they cannot be compared; give it one type by transformer.types"
        )

    def _shaped(self, batch: pa.RecordBatch) -> pa.Table:
        types = [pa.uint64(), pa.uint64(), *self._types, pa.int64()]
        columns = [values.cast(dtype) for values, dtype in zip(batch.columns, types, strict=True)]
        return pa.table(columns, batch.schema.names)
