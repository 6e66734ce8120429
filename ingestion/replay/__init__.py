"""Quarantined rows go through today's job and land, in one commit with the marks that take them out of quarantine."""

import math
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from uuid import uuid4

from ingestion.config import JobConfig
from ingestion.errors import ConfigError
from ingestion.loaders.tables import TableLoader
from ingestion.pipeline import Stream, own_columns
from ingestion.plugins import Batch, Load, LoadResult, State
from ingestion.replay.choosing import chosen, held_back
from ingestion.replay.listing import Quarantined, listed
from ingestion.replay.newest import REPLAY, newest_of
from ingestion.replay.parts import Parts
from ingestion.replay.plan import Doubts, Plan, Unreplayable, planned, sources_to_read
from ingestion.replay.report import ReplayReport
from ingestion.replay.sources import rows_as_read
from ingestion.report import describe_cursor
from ingestion.stream import StartOver

__all__ = ["Replay", "ReplayReport", "replay"]

_NO_BUDGET = {"max_bad_rows": None, "max_bad_ratio": math.inf}  # what fails again just stays in quarantine


def replay(job: JobConfig, run_id: str, text: str = "") -> ReplayReport:
    """Bring the quarantined rows of *job* anew, exactly once: what passes lands, what fails again stays.

    Raises ConfigError, DataError or TransientError: then nothing did, and every row is in quarantine as before.
    """
    return Replay(job, run_id, text).load()


class Replay(Stream):
    """The rows of one replay, lazily: of all rows, or of those that have *text* in rule or reason."""

    report: ReplayReport

    def __init__(self, job: JobConfig, run_id: str, text: str = "") -> None:
        super().__init__(job, run_id)
        self.text = text
        self.report = ReplayReport(job.id, run_id, f"{REPLAY}{uuid4().hex}", datetime.now(timezone.utc))
        self._parts: Parts

    def load(self) -> ReplayReport:
        """Replay everything in one commit; raises what went wrong, without its secrets."""
        super().load()
        loader = self.job.loader
        if isinstance(loader, TableLoader) and not loader.order_by:
            self.report.warn_of_replaced()
        return self.report

    def _land(self, job: JobConfig) -> LoadResult:
        state = job.loader.state(job.id)  # first: whatever lands from here on supersedes this replay
        late = job.model_copy(update={"loader": job.loader.adding(), **_NO_BUDGET})
        wanted = job.transformer.wants(own_columns(state.schema))
        found, doubts = listed(job.loader.quarantined(job.id), wanted), Doubts()
        newest = newest_of(job, state) if len(found.rows) else None
        held = held_back(job.loader.quarantined(job.id), _among_rows(job), self.text)
        _refuse_to_combine(job, found)
        while True:
            unreadable = job.source.unreadable(sources_to_read(found, doubts), state.cursor)
            plan = chosen(planned(found, newest, unreadable, doubts), held)
            try:
                return self._bring(late, state, plan, job.config_hash)
            except Unreplayable as error:
                doubts.note(error)
                self.report = self.report.begin_anew(str(error))

    def _bring(self, job: JobConfig, state: State, plan: Plan, config_hash: str) -> LoadResult:
        ids, known, self._parts = plan.ids, own_columns(state.schema), Parts(plan.rows)
        load = Load(job.id, self.report.run_id, self.report.load_id, state, config_hash, replays=ids)
        with closing(rows_as_read(job, plan, state.cursor, known)) as source:
            while True:
                report = self.report
                report.left, report.replayed, report.cursor = dict(plan.left), len(ids), describe_cursor(state.cursor)
                if not len(ids):
                    return _nothing(job)
                try:
                    return job.loader.load(load, self._stages(job, source, known))
                except Unreplayable:
                    raise
                except StartOver as restart:
                    self.report = self.report.begin_anew(str(restart))

    def _changed(self, job: JobConfig, batches: Iterator[Batch]) -> Iterator[Batch]:
        return map(self._parts.of, super()._changed(job, batches))


def _refuse_to_combine(job: JobConfig, found: Quarantined) -> None:
    """Raise ConfigError where a total, say, would be made of the quarantined rows alone, and take the table's place."""
    option = job.transformer.combines
    if option is not None and len(found.rows):
        raise ConfigError(
            f"{job.id}: transformer.{option} may make one row of several, and the others are not in quarantine: what "
            f"it makes of these alone would be wrong; load their sources again: ingestion rollback takes the run back "
            f"that rejected them, and the next run loads all of it with the job as it is then"
        )


def _among_rows(job: JobConfig) -> list[str]:
    """The rules that a row would keep in a replay only because those that landed are not there."""
    return [check.label for check in job.transformer.checks if check.among_rows and check.on_fail != "warn"]


def _nothing(job: JobConfig) -> LoadResult:
    return LoadResult(
        rows=0,
        quarantined=0,
        files=0,
        bytes_written=0,
        snapshot=None,
        schema=None,
        commit_seconds=0.0,
        table=f"{job.loader.database}.{job.loader.table}",
    )
