"""What a job would meet: its source with the types that its columns become, and its target; no row is loaded."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from ingestion.config import JobConfig
from ingestion.errors import ConfigError, DataError, IngestionError
from ingestion.loads import CheckedColumn
from ingestion.pipeline import closable, own_columns
from ingestion.plugins import Batch, Checked, Comparison, Cursor, Origin, State, remembering
from ingestion.report import describe_cursor
from ingestion.secrets import redact, redact_all

__all__ = ["JobCheck", "check"]

T = TypeVar("T")


@dataclass
class JobCheck:
    """What source and target of a job answered; *source_error* and *target_error* say what a run would fail on."""

    job: str
    source: Checked | None = None
    cursor: Cursor = None  # how far the job has come, as the target knows
    comparison: Comparison | None = None  # how the columns meet the target's; None where one of both is unknown
    source_error: IngestionError | None = None
    target_error: IngestionError | None = None

    @property
    def errors(self) -> list[IngestionError]:
        """What is wrong; the job's own mistakes first."""
        found = [error for error in (self.source_error, self.target_error) if error is not None]
        return sorted(found, key=lambda error: not isinstance(error, ConfigError))

    def as_json(self) -> dict[str, Any]:
        """The answers as JSON values, without secrets."""
        source, compared = self.source, self.comparison
        answer = {
            "job": self.job,
            "source": source and source.source,
            "server": source and source.server,
            "columns": [] if source is None else [_column(item) for item in source.columns],
            "key": [] if source is None else list(source.key),
            "told": {} if source is None else dict(source.told),
            "cursor": describe_cursor(self.cursor),
            "cursor_after": source and describe_cursor(source.cursor),
            "table_exists": None if compared is None else compared.exists,
            "table_columns": [] if compared is None else [item._asdict() for item in compared.columns],
            "source_error": self.source_error and str(self.source_error),
            "target_error": self.target_error and str(self.target_error),
        }
        return redact_all(answer)  # type: ignore[no-any-return]  # a mapping gives a mapping


def _column(column: CheckedColumn) -> dict[str, Any]:
    return {"name": column.name, "declared": column.declared, "type": str(column.dtype), "note": column.note}


@dataclass
class _Asked:
    """Asks one side of a job, keeping the error where it does not answer."""

    error: IngestionError | None = field(default=None)

    def answer(self, ask: Callable[[], T], otherwise: T) -> T:
        """What *ask* gives; *otherwise* after an error."""
        if self.error is not None:
            return otherwise
        try:
            return ask()
        except IngestionError as error:
            self.error = type(error)(redact(str(error)))
            return otherwise


def check(job: JobConfig) -> JobCheck:
    """Ask source and target of *job*; what either answers wrongly is in the check.

    Raises ConfigError for a job whose placeholders cannot be resolved.
    """
    job = job.resolved()
    source, target = _Asked(), _Asked()
    state = target.answer(lambda: job.loader.state(job.id), State())
    known = own_columns(state.schema)
    found = source.answer(lambda: _checked(job, state.cursor, job.transformer.wants(known)), None)
    done = JobCheck(job.id, found, state.cursor)
    if found is not None and found.columns:
        rows = source.answer(lambda: _changed(job, found), list[Batch]())
        done.comparison = target.answer(lambda: job.loader.compare(job.id, [batch.records for batch in rows], []), None)
        target.answer(lambda: _admit(job, rows, known), None)
    done.source_error, done.target_error = source.error, target.error
    return done


def _checked(job: JobConfig, cursor: Cursor, wanted: pa.Schema | None) -> Checked:
    return job.source.check(cursor, wanted) or _read(job, cursor, wanted)


def _read(job: JobConfig, cursor: Cursor, wanted: pa.Schema | None) -> Checked:
    """What the first batch tells of a source that says nothing else."""
    told = {"there": job.source.watch(cursor).summary} if job.source.watchable else {}
    with closing(closable(job.source.read(None, wanted))) as items:
        for item in items:
            if isinstance(item, Batch) and item.records.num_columns:
                columns = [CheckedColumn(field.name, field.type) for field in item.records.schema]
                return Checked(item.origin.source, columns, told={**told, **item.told})
    return Checked(job.source.type, told=told)


def _changed(job: JobConfig, found: Checked) -> list[Batch]:
    """No rows, in the columns that the target would get."""
    schema = pa.schema([(column.name, column.dtype) for column in found.columns])
    nothing = Batch(pa.RecordBatch.from_pylist([], schema=schema), Origin(found.source))
    return list(job.transformer.apply(remembering(iter([nothing]))))


def _admit(job: JobConfig, rows: Sequence[Batch], known: pa.Schema | None) -> None:
    """Raise what the target says of rows with these columns, whatever is in them."""
    admitted = [batch.records for batch in job.loader.admit(iter(rows), known)]
    problem = job.loader.compare(job.id, [], admitted).problem
    if problem is not None:
        raise DataError(problem)
