"""Replay a job's quarantined rows in this process, and let the UI know."""

import logging
import uuid
from collections.abc import Callable

import dagster as dg

from ingestion.config import JobConfig
from ingestion.errors import IngestionError
from ingestion.orchestration.checks import check_evaluations
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.metadata import materialization_metadata
from ingestion.pipeline import Stream
from ingestion.replay import Replay, ReplayReport
from ingestion.secrets import redact

__all__ = ["replay_job"]

_log = logging.getLogger(__name__)


def replay_job(job: JobConfig, started: Callable[[Stream], None] = lambda _: None, text: str = "") -> ReplayReport:
    """Replay *job* here and now, or of its rows those with *text*; the report says how it went.

    What landed is a materialization of the job's asset.
    """
    work = Replay(job, str(uuid.uuid4()), text)
    started(work)
    try:
        report = work.load()
    except IngestionError:
        return work.report  # it holds the error
    if report.snapshot is not None:
        _tell(work)
    return report


def _tell(work: Replay) -> None:
    report = work.report
    metadata = materialization_metadata(report, work.preview)
    event = dg.AssetMaterialization(
        report.job, description=redact(report.sentence()), metadata={**metadata, "rows_replayed": report.replayed}
    )
    try:
        with open_instance() as instance:
            instance.report_runless_asset_event(event)
            checks = work.job.transformer.checks
            for evaluation in check_evaluations(checks, work, instance, whole=not (report.left or work.text)):
                instance.report_runless_asset_event(evaluation)  # those of before are not of this materialization
    except Exception as error:  # noqa: BLE001 - the rows have landed, whatever keeps Dagster from noting it
        reason = redact(f"{type(error).__name__}: {error}")
        _log.warning("%s: the replay has landed, but Dagster could not note it: %s", report.job, reason)
