"""Sensors that watch the runs themselves: tell of failures, and find runs whose process is gone."""

import dagster as dg

from ingestion.config import JobConfig, load_job
from ingestion.errors import ConfigError
from ingestion.orchestration.alerts import alert_failure
from ingestion.orchestration.failures import reason_of
from ingestion.orchestration.liveness import fail_lost_runs
from ingestion.orchestration.names import JOB_TAG

__all__ = ["alert_on_failure", "find_lost_runs", "tell_of_failure"]


@dg.run_failure_sensor(
    name="alert_on_failure",
    description="Tells the channels of a job that a run of it failed for good",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
)
def alert_on_failure(context: dg.RunFailureSensorContext) -> None:
    """A run has failed: its tries are used up, as retries happen within a run."""
    errors = {event.step_key: reason_of(event) for event in context.get_step_failure_events()}
    tell_of_failure(context.dagster_run, errors, context.failure_event.message or "the run failed")


@dg.sensor(
    name="find_lost_runs",
    description="Puts down as failed the runs whose process was killed, so that they hold nothing up",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)
def find_lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Clears what killed processes left; runs of the command line are told of here, as no other sensor sees them."""
    lost = fail_lost_runs(context.instance)
    for run in lost:
        if run.remote_job_origin is None:
            tell_of_failure(run, {}, "the process that executed the run is gone")
    return dg.SkipReason(f"{len(lost)} runs were lost" if lost else "every run has its process")


def tell_of_failure(run: dg.DagsterRun, errors: dict[str | None, str], otherwise: str) -> None:
    """Alert for each job of *run* that failed; for all of them where no step says so."""
    selected = {key.to_user_string() for key in run.asset_selection or ()} | {run.tags.get(JOB_TAG, "")}
    for job_id in sorted(name for name in errors if name) or sorted(selected - {""}):
        job = _job(job_id)
        if job is not None:
            alert_failure(job, run.run_id, errors.get(job_id, otherwise))


def _job(job_id: str) -> JobConfig | None:
    try:
        return load_job(job_id)
    except ConfigError:
        return None  # a file that does not load names no channels
