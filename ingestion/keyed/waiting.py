"""Batches that wait on disk with all that is known of their rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ingestion.keyed.spool import Spool
from ingestion.plugins import AsRead, Batch, Origin

__all__ = ["WaitingBatches"]

_POSITION, _PART, _READ = "\0position", "\0part", "\0read"
_OURS = (_POSITION, _PART, _READ)


class WaitingBatches:
    """The rows of batches on disk, given back in order with their origins, and with what may be told of them as read.

    Nothing else of a batch is kept: its news and its cursor are the caller's. Raises OSError where the disk is full.
    """

    def __init__(self) -> None:
        self._rows = Spool()
        self._reads = Spool()  # what rows were made of, where that is not the rows themselves
        self._known: list[_Known] = []

    def write(self, batch: Batch) -> None:
        """Put the rows of *batch* behind the others."""
        origin, read = batch.origin, batch.origin.read
        changed = read is not None and not (read.records is batch.records and read.rows is read.shown is None)
        records = batch.records
        for name, values in zip(_OURS, (origin.positions, origin.parts, None), strict=True):
            if values is not None:
                records = records.append_column(name, values)
        if read is not None and changed:
            rows, places = _distinct(read)
            self._reads.write(rows)
            records = records if places is None else records.append_column(_READ, places)
        self._rows.write(records)
        hidden = read is not None and read.shown is not None
        self._known.append(_Known(origin.source, origin.first, origin.modified_at, read is not None, changed, hidden))

    def read(self) -> Iterator[Batch]:
        """All batches so far, from the first; one reader at a time."""
        reads = self._reads.read()
        for known, records in zip(self._known, self._rows.read(), strict=True):
            ours = {name: records[name] for name in _OURS if name in records.schema.names}
            own = records.drop_columns(list(ours)) if ours else records
            read = AsRead(next(reads) if known.changed else own, ours.get(_READ)) if known.remembers else None
            read = read._replace(shown=_as_is) if read is not None and known.hidden else read
            positions, parts = ours.get(_POSITION), ours.get(_PART)
            yield Batch(own, Origin(known.source, known.first, positions, known.modified_at, parts, read))

    def close(self) -> None:
        """Give the space back."""
        self._rows.close()
        self._reads.close()


class _Known(NamedTuple):
    """What a batch's rows have in common."""

    source: str
    first: int
    modified_at: datetime | None
    remembers: bool  # what was read
    changed: bool  # since it was read
    hidden: bool  # not all that was read may be told


def _distinct(read: AsRead) -> tuple[pa.RecordBatch, pa.Array | None]:
    """What may be told of each row that was read, once, and which of them each row was made of."""
    if read.rows is None:
        return read.records if read.shown is None else read.shown(read.records), None
    used, places = np.unique(read.rows.to_numpy(), return_inverse=True)
    return read._replace(rows=None).at(pa.array(used)), pa.array(places.astype(np.int64))


def _as_is(records: pa.RecordBatch) -> pa.RecordBatch:
    """What may be told of rows of which no more than that went to disk."""
    return records
