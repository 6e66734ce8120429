"""The rows of a load as a merge takes them: one per key, in the table's columns, each to be kept or to delete."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.loaders.tables.keyed import KeyedRows

__all__ = ["Mask", "Pass", "Source"]

Mask = npt.NDArray[np.bool_]

_DELETES = "\0deletes"
_LIMIT = 192 << 20  # bytes of rows in memory


class Pass(NamedTuple):
    """Rows with keys that no other pass has."""

    rows: pa.Table
    deletes: Mask  # which of them delete

    def take(self, rows: npt.NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """The columns *names* of the rows with these indices."""
        return self.rows.select(list(names)).take(pa.array(rows))


class Source:
    """Collects rows, then gives one per key as often as is asked."""

    def __init__(
        self, keys: Sequence[str], order_by: Sequence[str], delete_column: str | None, name: str, limit: int = _LIMIT
    ) -> None:
        self.rows = 0  # all that were given
        self._keyed = KeyedRows(keys, order_by, limit, name)
        self._delete_column = delete_column
        self._bytes, self._limit = 0, limit
        self._only: Pass | None = None

    @property
    def superseded(self) -> int:
        """Rows left out for another one with the same key; known after the first passes."""
        return self._keyed.superseded

    @property
    def fits(self) -> bool:
        """Whether all is one pass, which is kept in memory."""
        return self._bytes <= self._limit

    @property
    def only(self) -> Pass | None:
        """The one pass where all is one, known once it was given."""
        return self._only

    def add(self, records: pa.RecordBatch, source: str) -> None:
        """Take rows of *source*."""
        self.rows += records.num_rows
        self._bytes += records.nbytes
        self._keyed.add(records, source)

    def passes(self, shape: Callable[[pa.RecordBatch], pa.Table]) -> Iterator[Pass]:
        """All rows, the same each time; *shape* brings stored columns into those of the table."""
        if self._only is not None:
            yield self._only
            return
        for table in self._keyed.passes(lambda batch: self._shaped(batch, shape)):
            deletes = table.column(_DELETES).to_numpy()
            found = Pass(table.drop_columns([_DELETES]), deletes)
            self._only = found if self.fits else None
            yield found

    def forget(self) -> None:
        """Have the next passes made anew: the table's columns are others now."""
        self._only = None

    def close(self) -> None:
        """Give back what is on disk."""
        self._only = None
        self._keyed.close()

    def stored(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The columns that the table is to hold."""
        name = self._delete_column
        return records.drop_columns([name]) if name is not None and name in records.schema.names else records

    def _shaped(self, batch: pa.RecordBatch, shape: Callable[[pa.RecordBatch], pa.Table]) -> pa.Table:
        name = self._delete_column
        flags = pa.repeat(pa.scalar(False), batch.num_rows)  # noqa: FBT003 - a value, not a flag
        if name is not None and name in batch.schema.names:
            column = batch.column(name)
            flags = pc.fill_null(column, fill_value=False) if t.is_boolean(column.type) else column.is_valid()
        return shape(self.stored(batch)).append_column(_DELETES, flags)
