"""What Dagster knows of a job, made of its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from ingestion.orchestration.history import moment, report_in, status_of

__all__ = ["JobState", "job_state"]


@dataclass(frozen=True)
class JobState:
    """What Dagster knows of one job; None where there is nothing to know."""

    running: tuple[str, ...] = ()  # ids of the runs that have not ended, the newest first
    last_run: datetime | None = None
    last_successful_run: datetime | None = None
    last_status: str | None = None  # success, partial, failed, canceled, running, queued
    last_run_rows: int | None = None
    schedule: Literal["running", "stopped"] | None = None
    next_run: datetime | None = None


def job_state(running: tuple[str, ...], info: Mapping[str, Any], schedule: Mapping[str, Any] | None) -> JobState:
    """The state of a job, by its unfinished runs, its latest info and its schedule as GraphQL has them."""
    run, landed = info.get("latestRun") or {}, info.get("latestMaterialization") or {}
    report = report_in(landed) or {}
    current = landed and run.get("runId", landed["runId"]) == landed["runId"]
    status = report.get("status", "success") if current else status_of(run.get("status"))
    started = run.get("startTime") or run.get("creationTime")
    landed_at = datetime.fromtimestamp(int(landed["timestamp"]) / 1000, timezone.utc) if landed else None
    ended = status in {"success", "partial", "failed", "canceled"}
    ticks = (schedule or {}).get("futureTicks", {}).get("results", [])
    on = schedule is not None and schedule["scheduleState"]["status"] == "RUNNING"
    return JobState(
        running=running,
        last_run=moment(started) or landed_at,
        last_successful_run=landed_at,
        last_status=status,
        last_run_rows=report.get("rows_loaded") if current else 0 if ended else None,
        schedule=None if schedule is None else "running" if on else "stopped",
        next_run=moment(ticks[0]["timestamp"]) if on and ticks else None,
    )
