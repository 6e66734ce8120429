"""Whom to tell of a run that failed: the jobs that it executed."""

import dagster as dg

from ingestion.config import JobConfig, load_job
from ingestion.errors import ConfigError
from ingestion.orchestration.alerts import alert_failure
from ingestion.orchestration.names import JOB_TAG

__all__ = ["tell_of_failure"]


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
