"""Sensors that watch the runs themselves: tell of failures, and find runs whose process is gone."""

import dagster as dg

from ingestion.orchestration.failures import reason_of
from ingestion.orchestration.incidents import tell_of_failure
from ingestion.orchestration.liveness import fail_lost_runs

__all__ = ["alert_on_failure", "find_lost_runs"]


@dg.run_failure_sensor(
    name="alert_on_failure",
    description="Tells the channels of a job that a run of it failed for good",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
)
def alert_on_failure(context: dg.RunFailureSensorContext) -> None:
    """A run has failed: its tries are used up, as retries happen within a run."""
    if not _first(context):
        return
    errors = {event.step_key: reason_of(event) for event in context.get_step_failure_events()}
    tell_of_failure(context.dagster_run, errors, context.failure_event.message or "the run failed")


def _first(context: dg.RunFailureSensorContext) -> bool:
    """Dagster's server watches its processes too, and may put a killed run down as failed at the moment we do."""
    run_id = context.dagster_run.run_id
    known = context.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return not known or known[0].event_log_entry.dagster_event == context.failure_event


@dg.sensor(
    name="find_lost_runs",
    description="Puts down as failed the runs whose process was killed, so that they hold nothing up",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)
def find_lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Clears what killed processes left."""
    lost = fail_lost_runs(context.instance)
    return dg.SkipReason(f"{len(lost)} runs were lost" if lost else "every run has its process")
