"""Run one job in this process, through Dagster: recorded in the instance that the UI shows."""

import time
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg

from ingestion.config import JobConfig, LoadedJob, load_job
from ingestion.errors import IngestionError
from ingestion.orchestration.alerts import alert_failure
from ingestion.orchestration.build import definitions_of
from ingestion.orchestration.failures import reason_of
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.liveness import in_flight, let_go
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG, run_config
from ingestion.pipeline import Stream
from ingestion.report import RunReport
from ingestion.secrets import redact

__all__ = ["run_job"]

Started: TypeAlias = Callable[[Stream], None]
_POLL_SECONDS = 1.0
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_job(job_id: str, overrides: dict[str, Any] | None = None, started: Started = lambda _: None) -> RunReport:
    """Materialize the asset of *job_id* here and now; the report says how it went, also where it could not start.

    The run is in Dagster's history; *started* learns of the stream of each try. While another run of the
    job is under way it waits or gives up, as the job's on_overlap says.
    """
    run_id = str(uuid.uuid4())
    try:
        job = load_job(job_id)
        job.merged(overrides or {})
        with open_instance() as instance:
            busy = _overlap(instance, job)
            if busy:
                return _not_started(
                    job_id, run_id, f"a run of {job_id} is in flight ({busy}); try again when it has ended"
                )
            return _materialize(instance, job, run_id, overrides or {}, started)
    except IngestionError as error:
        return _not_started(job_id, run_id, redact(str(error)))


def _overlap(instance: dg.DagsterInstance, job: JobConfig) -> str | None:
    """The run that this one must not overlap; waits for it where the job says so."""
    while busy := in_flight(instance, job.id, waiting=False):
        if job.on_overlap == "skip":
            return busy
        time.sleep(_POLL_SECONDS)
    return None


def _materialize(
    instance: dg.DagsterInstance, job: JobConfig, run_id: str, overrides: dict[str, Any], started: Started
) -> RunReport:
    streams: list[Stream] = []

    def note(stream: Stream) -> None:
        streams.append(stream)
        started(stream)

    definitions = definitions_of([LoadedJob(job.id, "ingestion", Path(), job, None)], note)
    try:
        result = definitions.resolve_job_def(INGEST_JOB).execute_in_process(
            run_config={**_QUIET, **run_config(job.id, overrides)},
            instance=instance,
            asset_selection=[dg.AssetKey(job.id)],
            run_id=run_id,
            tags={JOB_TAG: job.id},
            raise_on_error=False,
        )
    finally:
        let_go(run_id)
    report = streams[-1].report if streams else RunReport(job.id, run_id, "", datetime.now(timezone.utc))
    if not result.success:
        _finish_failed(report, result)
        alert_failure(job, run_id, str(report.error))
    return report


def _finish_failed(report: RunReport, result: dg.ExecuteInProcessResult) -> None:
    """Dagster failed the run, so its report says so too, also where the load itself went well."""
    if report.status != "failed":
        reasons = [reason_of(event) for event in result.all_events if event.is_step_failure]
        report.finish(IngestionError(redact(reasons[-1]) if reasons else "Dagster could not record the run"))


def _not_started(job_id: str, run_id: str, reason: str) -> RunReport:
    report = RunReport(job_id, run_id, "", datetime.now(timezone.utc))
    report.finish(IngestionError(reason))
    return report
