"""When jobs run on their own: a schedule for a cron expression, a sensor for new files."""

import hashlib
import time
from collections.abc import Callable
from datetime import datetime, timezone

import dagster as dg

from ingestion.config import JobConfig
from ingestion.errors import IngestionError
from ingestion.orchestration.attempts import Unfinished, newest_landed, unfinished
from ingestion.orchestration.liveness import in_flight
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG, schedule_name, sensor_name
from ingestion.secrets import redact

__all__ = ["job_schedule", "job_sensor", "run_request"]

_INTERVAL = 15  # seconds between two looks at a source


def run_request(job_id: str, run_key: str | None = None) -> dg.RunRequest:
    """A request to run one job."""
    return dg.RunRequest(run_key=run_key, asset_selection=[dg.AssetKey(job_id)], tags={JOB_TAG: job_id})


def job_schedule(job: JobConfig) -> dg.ScheduleDefinition:
    """Runs *job* by its cron expression; off where the job is disabled, until switched on in the UI."""

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = in_flight(context.instance, job.id) if job.on_overlap == "skip" else None
        return dg.SkipReason(_busy(job.id, busy)) if busy else run_request(job.id)

    return dg.ScheduleDefinition(
        name=schedule_name(job.id),
        job_name=INGEST_JOB,
        cron_schedule=str(job.cron_expression),
        execution_timezone=job.timezone,
        execution_fn=tick,
        description=f"Runs {job.id}",
        default_status=dg.DefaultScheduleStatus.RUNNING if job.enabled else dg.DefaultScheduleStatus.STOPPED,
    )


def job_sensor(job: JobConfig) -> dg.SensorDefinition:
    """Runs *job* when its source has something new; off where the job is disabled or has a schedule."""
    running = job.enabled and job.cron_expression is None
    return dg.SensorDefinition(
        name=sensor_name(job.id),
        job_name=INGEST_JOB,
        evaluation_fn=_look(job),
        minimum_interval_seconds=_INTERVAL,
        description=f"Runs {job.id} when its source has something new",
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )


def _look(job: JobConfig) -> Callable[[dg.SensorEvaluationContext], dg.RunRequest | dg.SkipReason]:
    def tick(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = in_flight(context.instance, job.id)
        if busy:
            return dg.SkipReason(_busy(job.id, busy))
        try:
            ready = job.resolved()
            if not ready.source.watchable:  # known only now, where a placeholder says so
                return dg.SkipReason(f"every run of {job.id} reads all that its source has; nothing is ever new")
            state = ready.loader.state(job.id)
            watched = ready.source.watch(state.cursor)
        except IngestionError as error:
            return dg.SkipReason(f"cannot look: {redact(str(error))}")
        if not watched.items:
            return dg.SkipReason(watched.summary)
        lost = unfinished(context.instance, job.id)
        if lost and time.time() < lost.again_at:
            return dg.SkipReason(_waiting(watched.summary, lost))
        # Dagster runs a key once. Files that failed a run are thus not asked for again, unless that may have passed,
        # or the job or its table has changed since; a table that was rolled back is as it was, but the landing is new.
        seen = (watched.key, state.load_id, newest_landed(context.instance, job.id), lost and lost.run_id)
        return run_request(job.id, hashlib.sha256(f"{seen} {job.config_hash}".encode()).hexdigest())

    return tick


def _waiting(summary: str, lost: Unfinished) -> str:
    again = datetime.fromtimestamp(lost.again_at, timezone.utc)
    return f"{summary}; run {lost.run_id} came to nothing and is made up for after {again:%Y-%m-%d %H:%M:%S} UTC"


def _busy(job_id: str, run_id: str) -> str:
    return f"a run of {job_id} is in flight: {run_id}"
