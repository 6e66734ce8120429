"""What callers get back."""

from datetime import datetime
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

from ingestion.api.dagster import JobState
from ingestion.config import LoadedJob
from ingestion.secrets import mask, redact

__all__ = [
    "Created",
    "Detail",
    "Executed",
    "Health",
    "Job",
    "JobSummary",
    "Jobs",
    "Metadata",
    "job_detail",
    "job_summary",
]


class Detail(TypedDict):
    """Why not: a sentence, or what is wrong with the body by the path of each value."""

    detail: str | list[dict[str, Any]]


class Health(TypedDict):
    """Whether jobs can run."""

    status: Literal["ok", "degraded"]
    service: str
    timestamp: datetime
    version: str
    dagster: str


class JobSummary(TypedDict):
    """A job at a glance; of a file that does not load, `error` says why."""

    running: bool
    next_run: datetime | None
    job_type: str | None
    enabled: bool | None
    last_run: datetime | None
    last_successful_run: datetime | None
    last_status: str | None
    last_run_rows: int | None
    schedule: Literal["running", "stopped"] | None
    error: NotRequired[str]


class Jobs(TypedDict):
    """Every job by its id."""

    jobs: dict[str, JobSummary]


class Metadata(TypedDict):
    """What is known of a job beside its file."""

    runs: list[dict[str, Any]]


class Job(JobSummary):
    """A job, its file as written, and its last runs."""

    job_id: str
    config: dict[str, Any] | None
    metadata: Metadata


class Created(TypedDict):
    """A job that was stored."""

    message: str
    job_id: str


class Executed(TypedDict):
    """A run that was queued."""

    job_id: str
    status: Literal["scheduled"]
    execution_id: str
    scheduled_time: datetime
    message: str


def job_summary(loaded: LoadedJob, state: JobState) -> JobSummary:
    """*loaded* as GET /jobs shows it."""
    job = loaded.job
    summary: JobSummary = {
        "running": bool(state.running),
        "next_run": state.next_run,
        "job_type": job.type if job else None,
        "enabled": job.enabled if job else None,
        "last_run": state.last_run,
        "last_successful_run": state.last_successful_run,
        "last_status": state.last_status,
        "last_run_rows": state.last_run_rows,
        "schedule": state.schedule,
    }
    if loaded.error is not None:
        summary["error"] = redact(str(loaded.error))
    return summary


def job_detail(loaded: LoadedJob, state: JobState, runs: list[dict[str, Any]]) -> Job:
    """*loaded* as GET /jobs/{id} shows it: placeholders as written, secrets in clear masked."""
    config = None if loaded.job is None else mask(loaded.job.as_written())
    return {"job_id": loaded.id, "config": config, "metadata": {"runs": runs}, **job_summary(loaded, state)}
