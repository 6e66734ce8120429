"""What a job would do, seen on its first rows; nothing is written anywhere."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

import pyarrow as pa

from ingestion.accounting import cause_labels, counted_in, counted_out, hold_to
from ingestion.config import JobConfig
from ingestion.errors import IngestionError
from ingestion.pipeline import INGESTED_AT, RUN_ID, own_columns, stamped
from ingestion.plugins import Batch, Comparison, State, remembering
from ingestion.preview.sampling import Sample, sampled
from ingestion.quarantine import as_payload
from ingestion.report import RunReport
from ingestion.secrets import redact

__all__ = ["Cause", "Preview", "preview"]

_EXAMPLES = 3  # of rejected rows for each cause


class Cause(NamedTuple):
    """Why rows would go to quarantine."""

    label: str  # "column: rule"
    rows: int
    examples: Sequence[dict[str, Any]]  # reason, source, position and value


@dataclass
class Preview:
    """What became of the first rows of a job; `report` has their counts."""

    report: RunReport
    whole: bool = False  # whether the rows are all that a run would read
    again: bool = False  # nothing was new, so that rows were looked at that are loaded already
    schema: pa.Schema | None = None
    rows: pa.Table | None = None  # the first of them, as they would land, or came from the transformer before an error
    causes: list[Cause] = field(default_factory=list)
    comparison: Comparison | None = None
    target_error: str | None = None  # why the target could not be asked
    error: str | None = None  # what a run would fail on

    def as_json(self) -> dict[str, Any]:
        """The preview as JSON values; values of rows that JSON lacks are text."""
        report, compared = self.report, self.comparison
        return {
            "job": report.job,
            "rows_read": report.rows_read,
            "whole": self.whole,
            "again": self.again,
            "sources": report.sources,
            "waiting": report.waiting,
            "schema": {item.name: str(item.type) for item in self.schema or ()},
            "rows": [] if self.rows is None else _objects(self.rows),
            "rows_to_load": report.rows_loaded if self.error is None else None,
            "filtered": dict(report.removed),
            "quarantined": [cause._asdict() for cause in self.causes],
            "emptied": dict(report.emptied),
            "noted": dict(report.noted),
            "warnings": report.warnings,
            "table_exists": None if compared is None else compared.exists,
            "columns": [] if compared is None else [item._asdict() for item in compared.columns],
            "target_error": self.target_error,
            "error": self.error,
        }


def _objects(rows: pa.Table) -> list[dict[str, Any]]:
    return [json.loads(text) for batch in rows.to_batches() for text in as_payload(batch).to_pylist()]


def preview(job: JobConfig, rows: int = 1000, shown: int = 10) -> Preview:
    """What a run of *job* would make of the first *rows* that it reads; the first *shown* that come out are kept.

    Where nothing is new, rows are looked at that are loaded already. What a run would fail on is told in the preview.
    Raises ConfigError for a job whose placeholders cannot be resolved.
    """
    job = job.resolved()
    found = Preview(RunReport(job.id, "preview", uuid.uuid4().hex, datetime.now(timezone.utc)))
    state = _asked(job, found)
    known = own_columns(state.schema)
    sample = sampled(job, state.cursor, known, rows)
    found.whole, found.again = sample.whole, sample.again
    given, admitted = _made_of(job, sample, known, found)
    if found.whole and not found.again and found.error is None:
        _judge(job, state, admitted, found)
    _keep_first(found, given if found.error else admitted, shown)
    if found.target_error is None:
        _compare(job, given, admitted if found.error is None else [], found)
    if found.error is None and not found.report.rows_read:
        _ask_why(job, state, found)
    return found


def _asked(job: JobConfig, found: Preview) -> State:
    try:
        return job.loader.state(job.id)
    except IngestionError as error:
        found.target_error = redact(str(error))
        return State()


def _ask_why(job: JobConfig, state: State, found: Preview) -> None:
    """Note what the source says of there being nothing, as a run does."""
    try:
        found.report.waiting = redact(job.source.watch(state.cursor).summary) if job.source.watchable else None
    except IngestionError as error:
        found.error = redact(str(error))


def _compare(job: JobConfig, given: Sequence[Batch], admitted: Sequence[Batch], found: Preview) -> None:
    try:
        found.comparison = job.loader.compare(
            job.id, [batch.records for batch in given], [batch.records for batch in admitted]
        )
    except IngestionError as error:
        found.target_error = redact(str(error))
        return
    if found.comparison.problem is not None:
        found.error = found.error or redact(found.comparison.problem)


def _judge(job: JobConfig, state: State, admitted: Sequence[Batch], found: Preview) -> None:
    """Note what a run would refuse to commit; these are all the rows that it would read."""
    from ingestion.loaders.tables.options import TableLoader

    try:
        hold_to(found.report, job)
        if isinstance(job.loader, TableLoader):
            job.loader.refuse_to_empty(job.id, admitted, state)
    except IngestionError as error:
        found.error = redact(str(error))


class _NoLimit(NamedTuple):
    """A sample is judged once it is known to be all."""

    max_bad_rows: int | None = None
    max_bad_ratio: float = 1.0


def _made_of(
    job: JobConfig, sample: Sample, known: pa.Schema | None, found: Preview
) -> tuple[list[Batch], list[Batch]]:
    """The rows as they come from the transformer, and as they go to the loader."""
    given: list[Batch] = []
    admitted: list[Batch] = []

    def noting(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            given.append(batch)
            yield batch

    changed = job.transformer.apply(remembering(counted_in(sample.stream(), found.report)))
    ready = counted_out(job.loader.admit(noting(changed), known), found.report, _NoLimit())
    try:
        for batch in stamped(ready, found.report) if job.loader.add_ingestion_metadata else ready:
            admitted.append(batch)  # noqa: PERF402 - what came before an error is kept
    except IngestionError as error:
        found.error = found.error or redact(str(error))
    found.causes = _causes(admitted)
    return given, admitted


def _causes(batches: Sequence[Batch]) -> list[Cause]:
    counts: dict[str, int] = {}
    examples: dict[str, list[dict[str, Any]]] = {}
    for rejected in [batch.rejected for batch in batches if batch.rejected is not None]:
        for place, label in enumerate(cause_labels(rejected).to_pylist()):
            counts[label] = counts.get(label, 0) + 1
            told = examples.setdefault(label, [])
            if len(told) < _EXAMPLES:
                told.append({name: rejected[name][place].as_py() for name in ("reason", "source", "position", "value")})
    return [Cause(label, count, examples[label]) for label, count in sorted(counts.items(), key=lambda one: -one[1])]


def _keep_first(found: Preview, batches: Sequence[Batch], shown: int) -> None:
    tables = [pa.Table.from_batches([batch.records]) for batch in batches if batch.records.num_columns]
    if not tables:
        return
    try:
        together = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # batches whose columns have types of their own: the first tell
        together = tables[0]
    ours = [name for name in (RUN_ID, INGESTED_AT) if name in together.schema.names]
    together = together.drop_columns(ours)
    found.schema, found.rows = together.schema, together.slice(0, shown)
