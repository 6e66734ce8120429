"""The transformation that is a query."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import AfterValidator, model_validator
from typing_extensions import Self

from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch
from ingestion.secrets import placeholders
from ingestion.transformers.expressions.sizes import pieces
from ingestion.transformers.queries.frames import as_frame, as_records
from ingestion.transformers.queries.query import Query
from ingestion.transformers.queries.running import result, result_schema, told
from ingestion.transformers.queries.whole import WholeStep
from ingestion.transformers.steps import Step, beginning, cut
from ingestion.transformers.transformations.shape import Place, Transformation

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Sql"]

_REASON = "sql"


def _readable(text: str) -> str:
    Query.parse(text)
    return text


class Sql(Transformation):
    """Runs a query over the rows."""

    main: ClassVar[str] = "query"

    type: Literal["sql"] = "sql"
    """Run a query over the rows."""
    query: Annotated[str, AfterValidator(_readable)]
    """One SELECT over the table input."""
    over: Literal["batch", "load"] = "batch"
    """What input holds: a batch of rows at a time, for queries that look at one row alone, or the whole load, which
    waits on disk until it was read."""

    @model_validator(mode="after")
    def _over_enough(self) -> Self:
        if placeholders(self.as_written()) or self.over == "load":
            return self
        word = Query.parse(self.query).needs_all
        if word:
            raise ValueError(
                f"{word!r} needs all rows, but a query sees one batch after the other, of no settled size; "
                f"say over: load"
            )
        return self

    @property
    def holds_rows(self) -> bool:
        """Whether rows wait on disk, as they are then."""
        return self.over == "load"

    def steps(self, place: Place) -> Iterator[Step]:
        """The step that runs it."""
        query = Query.parse(self.query)
        yield _OverLoad(query, place.at("query")) if self.over == "load" else _OverBatch(query, place.at("query"))

    def written(self) -> None:
        """Any column."""


class _OverBatch(Step):
    """Changes and drops rows by a query that looks at one row alone, so that it is known which row each one was."""

    def __init__(self, query: Query, place: Place) -> None:
        self._query = query
        self._place = place
        self._schemas: dict[pa.Schema, pa.Schema] = {}

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the rows that the query makes of each batch, in pieces where it makes long texts of them.

        Raises DataError for a value that it cannot work with.
        """
        for batch in batches:
            yield from map(self._changed, cut(batch, self._places(batch)))

    def _places(self, batch: Batch) -> Iterator[tuple[int, int]]:
        for start, end, refused in pieces(self._query.need(batch.records.schema.names), batch.records):
            if refused is not None:
                position = batch.origin.at(pa.array([start]))[0].as_py()
                raise DataError(
                    f"{self._place}: the texts of the row at {batch.origin.source}:{position} could take "
                    f"{refused / 2**20:.0f} MiB, which is more than one row may have; shorten them before"
                )
            yield start, end

    def _changed(self, batch: Batch) -> Batch:
        if not batch.records.num_columns:
            return batch
        given = batch.records.schema
        if given not in self._schemas:
            self._schemas[given] = result_schema(self._query, given, self._place)
        frame = as_frame(batch.records, self._place)
        with told(self._place, given.names, f"in a batch that begins at {beginning(batch)}"):
            made = result(self._query.text, frame.lazy()).collect()
            rows = self._rows(frame)
        if made.height != (frame.height if rows is None else len(rows)):
            raise ConfigError(f"{self._place}: the query makes rows of several; say over: load")
        records = as_records(made, self._schemas[given], self._place)
        if made.height == frame.height or rows is None:
            return batch._replace(records=records)
        removed = Counter(batch.removed)
        removed[_REASON] += frame.height - made.height
        return batch._replace(records=records, origin=batch.origin.take(rows), removed=removed)

    def _rows(self, frame: "pl.DataFrame") -> pa.Array | None:
        """Which rows the query keeps; None = all."""
        name = "_row"
        while name in frame.columns:
            name += "_"
        text = self._query.of_rows(name)
        if text is None:
            return None
        return result(text, frame.with_row_index(name).lazy()).collect().to_series().to_arrow().cast(pa.int64())


class _OverLoad(WholeStep):
    def __init__(self, query: Query, place: Place) -> None:
        super().__init__(place, _REASON)
        self._query = query

    def schema(self, given: pa.Schema) -> pa.Schema:
        return result_schema(self._query, given, self._place)

    def made(self, frame: "pl.LazyFrame") -> "pl.LazyFrame":
        return result(self._query.text, frame)

    def told(self, names: list[str], rows: str) -> AbstractContextManager[None]:
        return told(self._place, names, rows)
