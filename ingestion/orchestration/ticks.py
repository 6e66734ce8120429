"""When jobs run on their own: a schedule for a cron expression, a sensor for new files."""

import hashlib
from collections.abc import Callable

import dagster as dg

from ingestion.config import JobConfig
from ingestion.errors import IngestionError
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
        # A run that failed is not requested again for the same files, unless the job or its table has changed since.
        seen = f"{watched.key} {state.load_id} {job.config_hash}"
        return run_request(job.id, hashlib.sha256(seen.encode()).hexdigest())

    return tick


def _busy(job_id: str, run_id: str) -> str:
    return f"a run of {job_id} is in flight: {run_id}"
