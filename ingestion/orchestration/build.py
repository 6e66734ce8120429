"""The code location: every job file as an asset, with its schedule and its sensor."""

import gc
import logging
from collections.abc import Callable

import dagster as dg

from ingestion.config import LoadedJob, load_all
from ingestion.errors import ConfigError
from ingestion.orchestration.assets import broken_asset, job_asset
from ingestion.orchestration.io_managers import io_manager
from ingestion.orchestration.monitoring import alert_on_failure, find_lost_runs
from ingestion.orchestration.names import INGEST_JOB, io_manager_key
from ingestion.orchestration.ticks import job_schedule, job_sensor
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
    assets: list[dg.AssetsDefinition] = []
    kinds: set[str] = set()
    schedules: list[dg.ScheduleDefinition] = []
    sensors: list[dg.SensorDefinition] = [alert_on_failure, find_lost_runs]
    good: list[str] = []
    for item in loaded:
        try:
            if item.job is None:
                raise item.error or ConfigError(f"{item.path}: does not load")
            assets.append(job_asset(item, started))
        except (ConfigError, dg.DagsterInvalidDefinitionError) as error:
            assets.append(broken_asset(item.id, str(item.path), str(error)))
            continue
        good.append(item.id)
        kinds.add(item.job.loader.type)
        if item.job.cron_expression:
            schedules.append(job_schedule(item.job))
        if item.job.source.watchable:
            sensors.append(job_sensor(item.job))
    jobs = [dg.define_asset_job(INGEST_JOB, selection=dg.AssetSelection.assets(*good))] if good else []
    return dg.Definitions(
        assets=assets,
        resources={io_manager_key(kind): io_manager(kind) for kind in kinds},
        schedules=schedules,
        sensors=sensors,
        jobs=jobs,
        executor=dg.in_process_executor,
    )
