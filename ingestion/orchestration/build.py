"""The code location: every job file as an asset, with its schedule and its sensor."""

import gc
import logging
from collections.abc import Callable

import dagster as dg

from ingestion.config import JobConfig, LoadedJob, load_all
from ingestion.errors import ConfigError
from ingestion.orchestration.assets import broken_asset, job_asset
from ingestion.orchestration.io_managers import io_manager
from ingestion.orchestration.monitoring import alert_on_failure, find_lost_runs
from ingestion.orchestration.names import INGEST_JOB, io_manager_key
from ingestion.orchestration.ticks import job_schedule, job_sensor
from ingestion.orchestration.upkeep import upkeep_job, upkeep_schedule
from ingestion.pipeline import Stream
from ingestion.settings import current, environment

__all__ = ["build_definitions", "definitions_of"]

_log = logging.getLogger(__name__)


def build_definitions() -> dg.Definitions:
    """All job files of the settings; a file that does not load becomes an asset that says why."""
    if not environment().get("DAGSTER_HOME"):
        _log.warning(
            "DAGSTER_HOME is not set: what Dagster records is lost when it stops. "
            "Start with `ingestion serve`, or `export DAGSTER_HOME=%s`",
            current().dagster_home,
        )
    gc.disable()  # nothing of this is garbage before the process ends; looking for it took a fifth of the time
    try:
        return definitions_of(load_all(current()))
    finally:
        gc.freeze()
        gc.enable()


def definitions_of(loaded: list[LoadedJob], started: Callable[[Stream], None] = lambda _: None) -> dg.Definitions:
    """The definitions of these jobs; *started* learns of the stream of each try that this process makes.

    All share one Dagster job, whose runs select assets: a job for each asset takes time that grows with
    the square of their number.
    """
    found = [_asset(item, started) for item in loaded]
    good = [job for _, job in found if job is not None]
    selection = dg.AssetSelection.assets(*(job.id for job in good))
    return dg.Definitions(
        assets=[asset for asset, _ in found],
        resources={io_manager_key(kind): io_manager(kind) for kind in {job.loader.type for job in good}},
        schedules=[*(job_schedule(job) for job in good if job.cron_expression), *filter(None, [upkeep_schedule(good)])],
        sensors=[alert_on_failure, find_lost_runs, *(job_sensor(job) for job in good if job.source.watchable)],
        jobs=[upkeep_job, *([dg.define_asset_job(INGEST_JOB, selection=selection)] if good else [])],
        executor=dg.in_process_executor,
    )


def _asset(item: LoadedJob, started: Callable[[Stream], None]) -> tuple[dg.AssetsDefinition, JobConfig | None]:
    """The asset of a job, and the job; where that does not load, an asset that says why."""
    try:
        if item.job is None:
            raise item.error or ConfigError(f"{item.path}: does not load")
        return job_asset(item, started), item.job
    except (ConfigError, dg.DagsterInvalidDefinitionError) as error:
        return broken_asset(item.id, str(item.path), str(error)), None
