"""Nothing that a run tells of its rows shows a value of a masked column: neither rejected rows nor errors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import pyarrow as pa

from ingestion.plugins import Batch
from ingestion.transformers.masking.methods import Masker
from ingestion.transformers.masking.rejected import Rejections
from ingestion.transformers.masking.sources import Sources
from ingestion.transformers.masking.step import lacking
from ingestion.transformers.masking.telling import InSight, is_told, veiled

__all__ = ["Curtain"]


class Curtain:
    """Stands around all steps of one run; rows pass it as they are, what is told of them does not."""

    def __init__(self, maskers: Mapping[str, Masker], sources: Sources[Masker]) -> None:
        self._sources = sources
        self._rejections = Rejections(maskers, sources)
        self._sight = InSight()

    def apply(self, batches: Iterator[Batch], change: Callable[[Iterator[Batch]], Iterator[Batch]]) -> Iterator[Batch]:
        """What *change* makes of *batches*; an error of theirs or of its own comes out without values."""
        changed = change(self._begin(batches))
        while True:
            error: BaseException | None = None
            try:
                batch = next(changed, None)
            except BaseException as raised:
                if not is_told(raised):
                    raise
                error = raised
            if error is not None:  # raised out here, where Python does not chain it to what was caught
                raise veiled(error, self._sight)
            if batch is None:
                return
            yield batch._replace(
                rejected=self._rejections.of_steps(batch.rejected),
                examples=self._rejections.examples(batch.examples),
            )

    def _begin(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches as the source gives them; what it tells of them, and what they tell of themselves, is masked."""
        for batch in batches:
            read = batch.origin.read
            names = batch.records.schema.names if read is None else read.records.schema.names
            for column in self._sources.lacking(names):
                raise lacking(column, f" in {batch.origin.source}")  # before a step names columns that may be values
            masked = self._sources.of(names)
            self._sight.look_at(batch, masked)
            if read is not None:
                read = read._replace(shown=partial(_shown, masked))
            yield batch._replace(
                origin=replace(batch.origin, read=read),
                rejected=self._rejections.of_source(batch.rejected, masked),
            )
            self._sight.look_away()


def _shown(masked: Mapping[str, Masker] | None, records: pa.RecordBatch) -> pa.RecordBatch:
    """*records* with masked columns as text; without any column where nobody knows which of them are to be masked."""
    if masked is None or not records.num_columns:
        return records.select([])
    for name, masker in masked.items():
        place = records.schema.get_field_index(name)
        values = masker.mask_any(records[place])
        records = records.set_column(place, pa.field(name, pa.string()), values)
    return records
