"""The rows of a load as a merge takes them: one per key, in the table's columns, each to be kept or to delete."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingestion.keyed.keyed import KeyedRows
from ingestion.loaders.tables.admission import deletes

__all__ = ["Mask", "Pass", "Source"]

Mask = npt.NDArray[np.bool_]

_DELETES = "\0deletes"


class Pass(NamedTuple):
    """Rows with keys that no other pass has."""

    rows: pa.Table
    deletes: Mask  # which of them delete

    def take(self, rows: npt.NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """The columns *names* of the rows with these indices."""
        return self.rows.select(list(names)).take(pa.array(rows))


class Source:
    """Collects rows, then gives one per key as often as is asked."""

    def __init__(self, keys: Sequence[str], order_by: Sequence[str], delete_column: str | None, name: str) -> None:
        self.rows = 0  # all that were given
        self._keyed = KeyedRows(keys, order_by, name=name)
        self._delete_column = delete_column
        self._bytes = 0
        self._only: Pass | None = None

    @property
    def superseded(self) -> int:
        """Rows left out for another one with the same key; known after the first passes."""
        return self._keyed.superseded

    @property
    def only(self) -> Pass | None:
        """The one pass where there is no other and it may stay in memory, known once all were given."""
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
        first: Pass | None = None
        several = False
        for table in self._keyed.passes(lambda batch: self._shaped(batch, shape)):
            given = Pass(table.drop_columns([_DELETES]), table.column(_DELETES).to_numpy())
            first = given if not several and self._bytes <= self._keyed.limit else None
            several = True
            yield given
            del given, table  # the next pass is made while nothing holds this one
        self._only = first  # rows that came in little room may still make several passes in the table's columns

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
        held = name is not None and name in batch.schema.names
        flags = deletes(batch.column(name)) if held else pa.repeat(pa.scalar(value=False), batch.num_rows)
        return shape(self.stored(batch)).append_column(_DELETES, flags)
