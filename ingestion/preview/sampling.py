"""The first rows of a source, as a run would read them."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.accounting import rows_in
from ingestion.config import JobConfig
from ingestion.pipeline import closable
from ingestion.plugins import Batch, Connector, Cursor, Restart

__all__ = ["Sample", "sampled"]

_MOST_BYTES = 64 << 20  # of Arrow data, however few rows that is


class Sample(NamedTuple):
    """The first rows of a source, and how reading them ended."""

    batches: list[Batch]
    whole: bool = False  # whether there are no others
    error: Exception | None = None
    again: bool = False  # nothing was new, so that these are loaded already

    def stream(self) -> Iterator[Batch]:
        """The same once more, its error at the end."""
        yield from self.batches
        if self.error is not None:
            raise self.error


def sampled(job: JobConfig, cursor: Cursor, known: pa.Schema | None, rows: int) -> Sample:
    """The first *rows* since *cursor*; where nothing is new, the first of all."""
    wanted = job.transformer.wants(known)
    sample = _first(job.source, cursor, wanted, rows)
    if cursor is None or sample.error is not None or any(map(_tells, sample.batches)):
        return sample
    return _first(job.source, None, wanted, rows)._replace(again=True)


def _tells(batch: Batch) -> bool:
    return bool(rows_in(batch) or batch.removed)


def _first(source: Connector, cursor: Cursor, wanted: pa.Schema | None, rows: int) -> Sample:
    kept: list[Batch] = []
    room = rows
    try:
        with closing(closable(source.read(cursor, wanted))) as items:
            for item in items:
                if isinstance(item, Restart):
                    kept, room = [], rows
                    continue
                if room <= 0 or sum(batch.records.nbytes for batch in kept) > _MOST_BYTES:
                    return Sample(kept)
                kept.append(_cut(item, room))
                room -= rows_in(kept[-1])
                if kept[-1] is not item:
                    return Sample(kept)
    except Exception as error:  # noqa: BLE001 - raised again within the transformer, which knows what may be told
        return Sample(kept, error=error)
    return Sample(kept, whole=True)


def _cut(batch: Batch, rows: int) -> Batch:
    """The batch, or its first *rows*, bad ones included; the cursor is of no use then."""
    count, rejected = batch.records.num_rows, batch.rejected
    if count + (rejected.num_rows if rejected is not None else 0) <= rows:
        return batch
    places = pc.cast(batch.origin.at(pa.array(range(count), pa.int64())), pa.int64())
    if rejected is not None:
        places = pa.concat_arrays([places, rejected["position"]])
    first = pc.cast(pc.array_sort_indices(places, null_placement="at_start")[:rows], pa.int64())
    first = first.take(pc.array_sort_indices(first))
    good = first.filter(pc.less(first, count))
    bad = pc.subtract(first.filter(pc.greater_equal(first, count)), count)
    return Batch(batch.records.take(good), batch.origin.take(good), None if rejected is None else rejected.take(bad))
