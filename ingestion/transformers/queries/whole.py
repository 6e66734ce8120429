"""A step that sees all rows of a load together."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.plugins import Batch, Cursor, Origin
from ingestion.transformers.queries.frames import as_records
from ingestion.transformers.queries.held import Held
from ingestion.transformers.steps import Step
from ingestion.transformers.transformations.shape import Place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["WholeStep"]


class WholeStep(Step):
    """Makes other rows of all rows of a load; which row was made of which is not known afterwards.

    Without any row there is nothing to make rows of.
    """

    def __init__(self, place: Place, reason: str) -> None:
        self._place = place
        self._reason = reason  # under which rows more or less are counted

    @abstractmethod
    def schema(self, given: pa.Schema) -> pa.Schema:
        """The columns that rows with the schema *given* become; raises ConfigError where they cannot."""

    @abstractmethod
    def made(self, frame: "pl.LazyFrame") -> "pl.LazyFrame":
        """What becomes of all rows."""

    @abstractmethod
    def told(self, names: list[str], rows: str) -> AbstractContextManager[None]:
        """What makes an error in there one of the job; *rows* says in words which rows they were."""

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the news of each batch as it comes, and the rows of the result once all have come."""
        with closing(Held(self._place)) as held:
            schema: pa.Schema | None = None
            cursor: Cursor = None
            sources = _Sources()
            for batch in batches:
                cursor = cursor if batch.cursor is None else batch.cursor
                sources.add(batch.origin)
                if batch.records.num_columns and held.add(batch.records):
                    schema = self.schema(held.schema)
                records = batch.records if schema is None else _without_rows(schema)
                yield batch._replace(records=records, origin=batch.origin.blurred(0), cursor=None)
            if schema is not None:
                yield from self._results(held, schema, sources)
            if sources.last is not None:
                records = pa.RecordBatch.from_arrays([], names=[]) if schema is None else _without_rows(schema)
                yield Batch(records, sources.last.blurred(0), cursor=cursor)

    def _results(self, held: Held, schema: pa.Schema, sources: "_Sources") -> Iterator[Batch]:
        if not held.rows:
            return
        origin, left = sources.origin(), held.rows
        with self.told(held.schema.names, f"among {held.rows} rows of {origin.source}"):
            for frame in held.results(self.made(held.frame())):
                left -= frame.height
                yield Batch(as_records(frame, schema, self._place), origin.blurred(frame.height))
        if left:
            yield Batch(_without_rows(schema), origin.blurred(0), removed={self._reason: left})


def _without_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


class _Sources:
    """Where the rows of all batches come from, in a few words."""

    def __init__(self) -> None:
        self.last: Origin | None = None
        self._first = ""
        self._others = 0  # changes of source

    def add(self, origin: Origin) -> None:
        if self.last is None:
            self._first = origin.source
        elif origin.source != self.last.source:
            self._others += 1
        self.last = origin

    def origin(self) -> Origin:
        return Origin(f"{self._first} and {self._others} more" if self._others else self._first)
