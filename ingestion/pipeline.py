"""One verb: run a job in this process, reading, transforming and loading in one stream."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone

import pyarrow as pa

from ingestion.config import JobConfig
from ingestion.errors import BudgetSpent, DataError
from ingestion.plugins import Batch, Load, LoadResult, Restart
from ingestion.report import RunReport, describe_cursor
from ingestion.secrets import redact_error

__all__ = ["INGESTED_AT", "RUN_ID", "Stream", "run"]

RUN_ID = "_ingestion_run_id"
INGESTED_AT = "_ingested_at"
_RATIO_COUNTS_FROM = 100  # bad rows; below that a ratio says little
_SOURCES_SHOWN = 100


def run(job: JobConfig, run_id: str) -> RunReport:
    """Run *job* once; the report of what landed. Raises ConfigError, DataError or TransientError: then nothing did."""
    return Stream(job, run_id).load()


class Stream:
    """The rows of one run, lazily: nothing is read before `load`, and `report` tells how far it came."""

    def __init__(self, job: JobConfig, run_id: str) -> None:
        self.job = job
        self.report = RunReport(job.id, run_id, uuid.uuid4().hex, datetime.now(timezone.utc))
        self._seen: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def load(self) -> RunReport:
        """Read, transform and land everything in one commit; raises what went wrong, with secrets redacted."""
        started = time.perf_counter()
        try:
            result = self._land(self.job.resolved())
        except BaseException as error:
            redact_error(error)
            self.report.finish(error)
            raise
        self._record(result, time.perf_counter() - started)
        return self.report

    def _land(self, job: JobConfig) -> LoadResult:
        state = job.loader.state(job.id)
        self.report.cursor = describe_cursor(state.cursor)
        load = Load(job.id, self.report.run_id, self.report.load_id, state, job.config_hash)
        wanted = job.transformer.wants(_without_metadata(state.schema))
        with closing(_generator(job.source.read(state.cursor, wanted))) as source:
            while True:
                try:
                    return job.loader.load(load, self._stages(job, source))
                except _StartOver as restart:
                    self._reset(str(restart))

    def _stages(self, job: JobConfig, source: Iterator[Batch | Restart]) -> Iterator[Batch]:
        read = _Tap(_until_restart(source))
        transformed = _Tap(job.transformer.apply(self._counted_in(read)))
        yield from _stamped(self._counted_out(transformed, job), self.report, job.loader.add_ingestion_metadata)
        self.report.stages = {
            "read": round(read.seconds, 3),
            "transform": round(max(transformed.seconds - read.seconds, 0), 3),
        }

    def _counted_in(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        report = self.report
        for batch in batches:
            report.rows_read += _rows(batch)
            report.bytes_read += batch.bytes_read
            if batch.origin.source not in self._seen:
                report.files += 1
                if len(report.sources) < _SOURCES_SHOWN:
                    report.sources.append(batch.origin.source)
            self._seen[batch.origin.source] += _rows(batch)
            yield batch

    def _counted_out(self, batches: Iterator[Batch], job: JobConfig) -> Iterator[Batch]:
        report = self.report
        for batch in batches:
            report.rows_loaded += batch.records.num_rows
            report.removed.update(batch.removed)
            self._count_rejected(batch.rejected)
            if job.max_bad_rows is not None and report.rows_quarantined > job.max_bad_rows:
                raise BudgetSpent(self._budget_sentence(f"max_bad_rows is {job.max_bad_rows}"))
            if batch.cursor is not None:
                report.cursor = describe_cursor(batch.cursor)
            yield batch
        report.rows_filtered = sum(report.removed.values())
        self._prove(job)

    def _count_rejected(self, rejected: pa.RecordBatch | None) -> None:
        if rejected is None or not rejected.num_rows:
            return
        self.report.rows_quarantined += rejected.num_rows
        for row in rejected.select(["column", "rule", "value", "reason", "source", "position"]).to_pylist():
            label = f"{row['column']}: {row['rule']}" if row["column"] else row["rule"]
            self.report.rejected[label] += 1
            self._examples.setdefault(label, f"{row['source']} line {row['position']}: {row['reason']}")

    def _prove(self, job: JobConfig) -> None:
        """Counts balance and the budget holds, or nothing is committed."""
        report = self.report
        out = report.rows_loaded + report.rows_filtered + report.rows_quarantined
        if report.rows_read != out:
            raise DataError(
                f"{job.id}: rows do not balance: {report.rows_read} read, but {report.rows_loaded} to load + "
                f"{report.rows_filtered} filtered + {report.rows_quarantined} quarantined = {out}; "
                f"a transformer lost or made rows without saying so"
            )
        bad = report.rows_quarantined
        if bad > _RATIO_COUNTS_FROM and bad > job.max_bad_ratio * report.rows_read:
            raise BudgetSpent(self._budget_sentence(f"max_bad_ratio is {job.max_bad_ratio:g}"))

    def _budget_sentence(self, limit: str) -> str:
        report = self.report
        worst = "; ".join(f"{count} x {label} ({self._examples[label]})" for label, count in report.rejected.most_common(3))
        columns = [label.partition(":")[0] for label, _ in report.rejected.most_common(3) if ":" in label]
        hints = ", ".join(f"{column}: string" for column in dict.fromkeys(columns))
        advice = f" If these values are right, set source.schema_hints: {{{hints}}}." if hints else ""
        return (
            f"{report.job}: {report.rows_quarantined} of {report.rows_read} rows are bad and {limit}; nothing was loaded. "
            f"Most frequent: {worst}.{advice} Otherwise mend the source, or raise the limit."
        )

    def _reset(self, reason: str) -> None:
        old = self.report
        self.report = RunReport(old.job, old.run_id, old.load_id, old.start_time, restarts=[*old.restarts, reason])
        self._seen.clear()
        self._examples.clear()

    def _record(self, result: LoadResult, seconds: float) -> None:
        report = self.report
        report.bytes_written, report.snapshot = result.bytes_written, result.snapshot
        report.table, report.location = result.table, result.location
        if result.schema is not None:
            report.schema = {column.name: str(column.type) for column in result.schema}
        spent = sum(report.stages.values()) + result.commit_seconds
        report.stages |= {"write": round(max(seconds - spent, 0), 3), "commit": round(result.commit_seconds, 3)}
        report.finish()


class _StartOver(Exception):
    """Carries a connector's `Restart` past transformers and loader, which undo what they hold."""


class _Tap(Iterator[Batch]):
    """Passes batches on and adds up the seconds spent waiting for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self.seconds = 0.0
        self._batches = batches

    def __next__(self) -> Batch:
        started = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self.seconds += time.perf_counter() - started


def _generator(batches: Iterator[Batch | Restart]) -> "Iterator[Batch | Restart]":
    """*batches* as something that can be closed, so that a reader's threads end with the run."""
    if hasattr(batches, "close"):
        return batches
    return (batch for batch in batches)


def _until_restart(source: Iterator[Batch | Restart]) -> Iterator[Batch]:
    for item in source:
        if isinstance(item, Restart):
            raise _StartOver(item.reason)
        yield item


def _rows(batch: Batch) -> int:
    rejected = batch.rejected.num_rows if batch.rejected is not None else 0
    return batch.records.num_rows + rejected + sum(batch.removed.values())


def _without_metadata(schema: pa.Schema | None) -> pa.Schema | None:
    if schema is None:
        return None
    return pa.schema([column for column in schema if column.name not in (RUN_ID, INGESTED_AT)])


def _stamped(batches: Iterator[Batch], report: RunReport, wanted: bool) -> Iterator[Batch]:
    """Add run id and time of ingestion to every row; the run id as a dictionary, so that it costs a byte a row."""
    run_ids = pa.array([report.run_id], pa.string())
    for batch in batches:
        if not wanted:
            yield batch
            continue
        count = batch.records.num_rows
        clash = {RUN_ID, INGESTED_AT} & set(batch.records.schema.names)
        if clash:
            raise DataError(f"{report.job}: the data has a column {min(clash)} of its own; set loader.add_ingestion_metadata: false")
        run_id = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), run_ids)
        time_ = pa.repeat(pa.scalar(report.start_time, pa.timestamp("us", "UTC")), count)
        records = batch.records.append_column(RUN_ID, run_id).append_column(INGESTED_AT, time_)
        yield batch._replace(records=records)
