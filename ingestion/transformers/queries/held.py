"""All rows of a load, on disk, as polars can query them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError
from ingestion.keyed.disk import waiting_on_disk
from ingestion.keyed.spool import Spool
from ingestion.transformers.queries.frames import as_frame, decoded
from ingestion.transformers.transformations.shape import Place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Held"]

_ROWS = 65_536  # of a batch of the result


class Held:
    """Rows that wait on disk until all are there; of files that differ, each gets the columns of all."""

    def __init__(self, place: Place) -> None:
        self.schema = pa.schema([])
        self.rows = 0
        self._place = place
        self._spool = Spool()
        self._closed = False
        self._readers = 0  # at work now

    def add(self, records: pa.RecordBatch) -> bool:
        """Keep *records* too; says whether the columns of all have changed by it.

        Raises DataError where a column has two types, TransientError where the disk is full.
        """
        records, before = decoded(records), self.schema
        try:
            self.schema = pa.unify_schemas([self.schema, records.schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(
                f"{self._place}: a column has another type in another batch ({error}); give it one in transformer.types"
            ) from error
        with waiting_on_disk(str(self._place)):
            self._spool.write(records)
        self.rows += records.num_rows
        return bool(self.schema != before)

    def frame(self) -> "pl.LazyFrame":
        """The rows, read from disk when a query needs them, several times over if need be."""
        from polars.io.plugins import register_io_source

        with waiting_on_disk(str(self._place)):
            self._spool.end()
        schema = as_frame(pa.RecordBatch.from_pylist([], schema=self.schema), self._place).schema
        return register_io_source(self._read, schema=schema)

    def _read(
        self, columns: list[str] | None, condition: "pl.Expr | None", rows: int | None, _batch_rows: int | None
    ) -> Iterator["pl.DataFrame"]:
        wanted = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        self._readers += 1
        try:
            batches = self._spool.read()
            while not (self._closed or rows == 0):
                with waiting_on_disk(str(self._place)):
                    records = next(batches, None)
                if records is None:
                    return
                frame = as_frame(self._widened(records, wanted), self._place)
                if rows is not None:
                    frame = frame.head(rows)
                    rows -= frame.height
                yield frame if condition is None else frame.filter(condition)
        finally:
            self._readers -= 1

    def results(self, made: "pl.LazyFrame") -> Iterator["pl.DataFrame"]:
        """The rows of *made*, in order, as it makes them; it works no further ahead than a few batches."""
        frames = iter(made.collect_batches(chunk_size=_ROWS, maintain_order=True, lazy=True, engine="streaming"))
        try:
            yield from frames
        finally:
            self._closed = True
            while self._readers and next(frames, None) is not None:
                pass  # polars ends its readers only while its results are taken

    def close(self) -> None:
        """Give the space back."""
        self._closed = True
        self._spool.close()

    def _widened(self, records: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        """*records* with the columns of *schema*."""
        names, count = set(records.schema.names), records.num_rows
        try:
            columns = [
                pc.cast(records[field.name], field.type) if field.name in names else pa.nulls(count, field.type)
                for field in schema
            ]
        except pa.ArrowException as error:
            shown = "values are hidden, as the job masks some" if self._place.hidden else error
            cause = None if self._place.hidden else error
            raise DataError(
                f"{self._place}: a value does not fit the type that its column has in another batch ({shown}); "
                f"give it one in transformer.types"
            ) from cause
        return pa.RecordBatch.from_arrays(columns, schema=schema)
