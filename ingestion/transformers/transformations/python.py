"""The transformation that is a function of somebody else."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import AfterValidator, model_validator
from typing_extensions import Self

from ingestion.errors import ConfigError
from ingestion.plugins import Batch
from ingestion.secrets import placeholders
from ingestion.transformers.calls import Call
from ingestion.transformers.functions import require_known
from ingestion.transformers.queries.foreign import arrow_schema
from ingestion.transformers.queries.frames import as_frame, returned
from ingestion.transformers.queries.whole import WholeStep
from ingestion.transformers.steps import BatchStep, Step, beginning
from ingestion.transformers.transformations.shape import Place, Transformation

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Python"]


def _known(name: str) -> str:
    try:
        require_known(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return name


class Python(Transformation):
    """Calls a function with the rows."""

    main: ClassVar[str] = "callable"

    type: Literal["python"] = "python"
    """Call a function with the rows."""
    callable: Annotated[str, AfterValidator(_known)]
    """A registered function, or module:function of a module that PYTHON_TRANSFORM_MODULES lists; its first parameter
    is annotated pa.RecordBatch, pa.Table, pl.DataFrame or pl.LazyFrame."""
    options: dict[str, Any] = {}
    """Further arguments, by name."""
    changes_rows: bool = False
    """Whether it may give more or fewer rows than it got; it is then not known where each came from."""
    over: Literal["batch", "load"] = "batch"
    """What the function is called with: one batch of rows after the other, of no settled size, or all rows of the load
    as a pl.LazyFrame, which wait on disk until they are read."""

    @model_validator(mode="after")
    def _says_so(self) -> Self:
        if not placeholders(self.as_written()) and self.over == "load" and not self.changes_rows:
            raise ValueError("over: load may give any number of rows; say changes_rows: true too")
        return self

    @property
    def holds_rows(self) -> bool:
        """Whether rows wait on disk, as they are then."""
        return self.over == "load"

    @property
    def combines_rows(self) -> bool:
        """Whether it may make a row of several."""
        return self.changes_rows or self.holds_rows

    def steps(self, place: Place) -> Iterator[Step]:
        """The step that calls it; raises ConfigError where it cannot be called."""
        call = Call(self.callable, self.options, place, whole=self.over == "load")
        reason = f"python: {self.callable}"
        if self.over == "load":
            yield _OverLoad(call, place, reason)
        else:
            yield _OverBatch(call, place, reason if self.changes_rows else None)

    def written(self) -> None:
        """Any column."""


class _OverBatch(BatchStep):
    def __init__(self, call: Call, place: Place, reason: str | None) -> None:
        self._call = call
        self._reason = reason  # under which rows more or less are counted; None = there may be none
        self._place = place
        self._made: dict[pa.Schema, pa.Schema] = {}

    def change(self, batch: Batch) -> Batch:
        """What the function makes of the rows; raises ConfigError where it does not keep to what was said of it."""
        where = f"in a batch that begins at {beginning(batch)}"
        records = self._call.batch(batch.records, where)
        before = self._made.setdefault(batch.records.schema, records.schema)
        if not records.schema.equals(before):
            raise ConfigError(f"{self._place}: {_difference(before, records.schema)} ({where}); cast what it gives")
        count = records.num_rows
        left = batch.records.num_rows - count
        if self._reason is None:
            if left:
                raise ConfigError(
                    f"{self._place}: {self._call.name}: {count} rows came back of {batch.records.num_rows} ({where}); "
                    f"if it may, say changes_rows: true"
                )
            return batch._replace(records=records)
        removed = Counter(batch.removed)
        removed[self._reason] += left
        return batch._replace(records=records, origin=batch.origin.blurred(count), removed=removed)


def _difference(before: pa.Schema, after: pa.Schema) -> str:
    """What became of the columns, in words."""
    if before.names != after.names:
        return f"the columns were {', '.join(before.names)} and are {', '.join(after.names)} now"
    old, new = next((old, new) for old, new in zip(before, after, strict=True) if not old.equals(new))
    return f"column {old.name!r} was {old.type} and is {new.type} now"


class _OverLoad(WholeStep):
    def __init__(self, call: Call, place: Place, reason: str) -> None:
        super().__init__(place, reason)
        self._call = call

    def schema(self, given: pa.Schema) -> pa.Schema:
        where = "before any row"
        frame = as_frame(pa.RecordBatch.from_pylist([], schema=given), self._place)
        with self._call.told(where):
            made = self._call.frame(frame.lazy(), where).collect_schema()
        return returned(given, arrow_schema(made, self._place), self._place)

    def made(self, frame: "pl.LazyFrame") -> "pl.LazyFrame":
        return self._call.frame(frame, "among all rows")

    def told(self, names: list[str], rows: str) -> AbstractContextManager[None]:
        del names
        return self._call.told(rows)
