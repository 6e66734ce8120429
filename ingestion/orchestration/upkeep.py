"""Upkeep of tables as one Dagster job: a run per table, asked for by one schedule."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from ingestion.config import JobConfig, caretaker, load_all, load_job, one_per_table
from ingestion.config.cron import check_cron
from ingestion.errors import ConfigError, IngestionError
from ingestion.orchestration.alerts import alert_upkeep
from ingestion.orchestration.liveness import hold, in_flight, let_go
from ingestion.orchestration.names import UPKEEP_JOB, UPKEEP_OP, UPKEEP_SCHEDULE, UPKEEP_TAG, upkeep_config
from ingestion.plugins import Loader
from ingestion.secrets import redact
from ingestion.settings import current

__all__ = ["UpkeepParameters", "upkeep_job", "upkeep_schedule"]

_LONGEST_WAIT = 600.0  # seconds for loads under way: they and upkeep do each other no harm, but cost each other work
_POLL_SECONDS = 5.0


class UpkeepParameters(dg.Config):
    """Which tables a run looks after."""

    jobs: list[str] = Field(
        default_factory=list,
        description="Ids of jobs whose tables are meant; of jobs that load one table, one is enough. Empty: all tables",
    )


@dg.op(name=UPKEEP_OP, pool=UPKEEP_JOB, out=dg.Out(dg.Nothing))
def _look_after(context: dg.OpExecutionContext, config: UpkeepParameters) -> Iterator[Any]:
    """Look after one table after the other; one that fails does not keep the others from it."""
    run_id, failures = context.run.run_id, [] if config.jobs else _broken()
    hold(run_id)
    try:
        for ids in _tables(config.jobs):
            try:
                yield from _one_table(context, ids)
            except Exception as error:  # noqa: BLE001, PERF203 - each table for itself, whatever its driver raises
                failures.append(_told(ids, error))
                alert_upkeep(load_job(ids[0]), run_id, failures[-1])
    finally:
        let_go(run_id)
    if failures:
        raise dg.Failure(description="\n".join(failures), allow_retries=False)
    yield dg.Output(None)


def _told(ids: Sequence[str], error: Exception) -> str:
    said = str(error) if isinstance(error, IngestionError) else f"{', '.join(ids)}: {type(error).__name__}: {error}"
    return redact(said)


@dg.job(
    name=UPKEEP_JOB, description="Compacts and cleans up tables; no row changes", executor_def=dg.in_process_executor
)
def upkeep_job() -> None:
    """The job whose runs are started by the schedule, or by hand for the tables of some jobs."""
    _look_after()


def upkeep_schedule(jobs: Sequence[JobConfig]) -> dg.ScheduleDefinition | None:
    """Starts a run for each table of these *jobs*; None where UPKEEP_SCHEDULE is off. Raises ConfigError."""
    cron = current().upkeep_schedule
    if cron is None:
        return None
    try:
        checked = check_cron(cron)
    except ValueError as error:
        raise ConfigError(f"UPKEEP_SCHEDULE: {error}; write a cron expression such as 30 3 * * *, or off") from error
    return dg.ScheduleDefinition(
        name=UPKEEP_SCHEDULE,
        job=upkeep_job,
        cron_schedule=checked,
        execution_fn=_requests([job for job in jobs if type(job.loader).upkeep is not Loader.upkeep]),
        description="Looks after every table that a job loads",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _requests(jobs: Sequence[JobConfig]) -> Callable[[dg.ScheduleEvaluationContext], Iterator[dg.RunRequest]]:
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        for ids in one_per_table(jobs):
            key = f"{ids[0]} {context.scheduled_execution_time.isoformat()}"
            # Behind all loads that wait: there is no hurry.
            tags = {UPKEEP_TAG: ids[0], "dagster/priority": "-10"}
            yield dg.RunRequest(run_key=key, run_config=upkeep_config(ids), tags=tags)

    return tick


def _tables(names: Sequence[str]) -> list[list[str]]:
    if names:
        return one_per_table([load_job(name) for name in names])
    return one_per_table([item.job for item in load_all() if item.job is not None])


def _broken() -> list[str]:
    """Why job files do not load, which so do not say what their tables are."""
    return [redact(str(item.error)) for item in load_all() if item.error is not None]


def _one_table(context: dg.OpExecutionContext, ids: Sequence[str]) -> Iterator[dg.AssetObservation]:
    """Look after the table of these jobs; what was done is noted on the asset of each."""
    _wait_for_loads(context.instance, ids)
    done = caretaker(ids[0]).upkeep(ids[0])
    said = ", ".join(f"{name}: {count}" for name, count in done.items()) or "nothing was due"
    context.log.info("%s: %s", ", ".join(ids), said)
    metadata = {name: dg.MetadataValue.int(count) for name, count in done.items()}
    for job_id in ids:
        yield dg.AssetObservation(dg.AssetKey(job_id), description=f"Upkeep: {said}", metadata=metadata)


def _wait_for_loads(instance: dg.DagsterInstance, ids: Sequence[str]) -> None:
    until = time.monotonic() + _LONGEST_WAIT
    while any(in_flight(instance, job_id, waiting=False) for job_id in ids) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
