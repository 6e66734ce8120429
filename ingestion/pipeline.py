"""One verb: run a job in this process, reading, transforming and loading in one stream."""

import time
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timezone

import pyarrow as pa

from ingestion.accounting import counted_in, counted_out
from ingestion.config import JobConfig
from ingestion.errors import DataError
from ingestion.plugins import INGESTED_AT, RUN_ID, Batch, Load, LoadResult, Restart, State, remembering
from ingestion.report import RunReport, describe_cursor
from ingestion.secrets import redact_error
from ingestion.stream import StartOver

__all__ = ["INGESTED_AT", "RUN_ID", "Stream", "closable", "own_columns", "record", "run", "stamped"]

_ROWS_SHOWN = 10


def run(job: JobConfig, run_id: str) -> RunReport:
    """Run *job* once and say what landed. Raises ConfigError, DataError or TransientError: then nothing did."""
    return Stream(job, run_id).load()


class Stream:
    """The rows of one run, lazily: `load` reads and lands them, `report` counts them, `preview` is the first few."""

    def __init__(self, job: JobConfig, run_id: str) -> None:
        self.job = job
        self.report = RunReport(job.id, run_id, uuid.uuid4().hex, datetime.now(timezone.utc))
        self.preview: pa.RecordBatch | None = None

    def load(self) -> RunReport:
        """Read, transform and land everything in one commit; raises what went wrong, without its secrets."""
        started = time.perf_counter()
        try:
            result = self._land(self.job.resolved())
        except BaseException as error:
            redact_error(error)
            self.report.finish(error)
            raise
        record(self.report, result, time.perf_counter() - started)
        return self.report

    def _land(self, job: JobConfig) -> LoadResult:
        state = job.loader.state(job.id)
        load = Load(job.id, self.report.run_id, self.report.load_id, state, job.config_hash)
        wanted = job.transformer.wants(own_columns(state.schema))
        with closing(closable(job.source.read(state.cursor, wanted))) as source:
            while True:
                self.report.cursor = describe_cursor(state.cursor)
                try:
                    result = job.loader.load(load, self._stages(job, source, own_columns(state.schema)))
                except StartOver as restart:
                    self.report = self.report.begin_anew(str(restart))
                    continue
                if result.snapshot is None:  # what was read last is not remembered
                    self.report.cursor = describe_cursor(state.cursor)
                    if not self.report.rows_read and job.source.watchable:
                        self.report.waiting = job.source.watch(state.cursor).summary
                elif _repeats(job, state) and self.report.cursor is None:
                    self.report.note_repeated()
                return result

    def _stages(self, job: JobConfig, source: Iterator[Batch | Restart], known: pa.Schema | None) -> Iterator[Batch]:
        report = self.report
        read = _Tap(_until_restart(source))
        changed = self._changed(job, remembering(counted_in(read, report)))
        transformed = _Tap(job.loader.admit(changed, known))
        ready = self._previewed(counted_out(transformed, report, job))
        try:
            yield from stamped(ready, report) if job.loader.add_ingestion_metadata else ready
        finally:  # where the time went is asked of failed runs, too
            report.stages = {"read": read.seconds, "transform": max(transformed.seconds - read.seconds, 0.0)}

    def _changed(self, job: JobConfig, batches: Iterator[Batch]) -> Iterator[Batch]:
        return job.transformer.apply(batches)

    def _previewed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        self.preview = None
        for batch in batches:
            if self.preview is None and batch.records.num_rows:  # taken, as a slice would keep the whole batch alive
                self.preview = batch.records.take(pa.array(range(min(batch.records.num_rows, _ROWS_SHOWN))))
            yield batch


def _repeats(job: JobConfig, state: State) -> bool:
    """Whether rows of an earlier run, after which nothing was remembered, would stand there twice."""
    return state.load_id is not None and state.cursor is None and not (job.loader.merges or job.loader.replaces_all)


def record(report: RunReport, result: LoadResult, seconds: float) -> None:
    """Finish *report* with what the loader did, *seconds* after reading began."""
    report.bytes_written, report.snapshot = result.bytes_written, result.snapshot
    report.table, report.location, report.table_rows = result.table, result.location, result.table_rows
    report.compare(_without_ours(result.added), _without_ours(result.absent))
    report.settle(result.removed, result.changes, result.notes)
    if result.schema is not None:
        report.schema = {column.name: str(column.type) for column in result.schema}
    elsewhere = sum(report.stages.values()) + result.commit_seconds
    report.stages |= {"write": max(seconds - elsewhere, 0.0), "commit": result.commit_seconds}
    report.finish()


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


def closable(batches: Iterator[Batch | Restart]) -> Generator[Batch | Restart, None, None]:
    """*batches* as something that can be closed, so that a reader's threads end with the run."""
    yield from batches


def _until_restart(source: Iterator[Batch | Restart]) -> Iterator[Batch]:
    for item in source:
        if isinstance(item, Restart):
            raise StartOver(item.reason)
        yield item


def own_columns(schema: pa.Schema | None) -> pa.Schema | None:
    """The target's columns without those that `stamped` adds."""
    if schema is None:
        return None
    return pa.schema([schema.field(name) for name in _without_ours(schema.names)])


def _without_ours(names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in {RUN_ID, INGESTED_AT}]


def stamped(batches: Iterator[Batch], report: RunReport) -> Iterator[Batch]:
    """Add run id and time of ingestion to every row; the run id as a dictionary, so that it costs a byte a row."""
    run_ids = pa.array([report.run_id], pa.string())
    ingested_at = pa.scalar(report.start_time, pa.timestamp("us", "UTC"))
    for batch in batches:
        records, count = batch.records, batch.records.num_rows
        if not count and batch.rejected is None and all(pa.types.is_null(column.type) for column in records.schema):
            yield batch  # a header alone: our columns would make a table of it
            continue
        clash = sorted({RUN_ID, INGESTED_AT}.intersection(records.schema.names))
        if clash:
            raise DataError(
                f"{report.job}: the data has a column {clash[0]} of its own; "
                f"rename it with transformer.column_mapping, or set loader.add_ingestion_metadata: false"
            )
        run_id = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), run_ids)
        records = records.append_column(RUN_ID, run_id).append_column(INGESTED_AT, pa.repeat(ingested_at, count))
        yield batch._replace(records=records)
