"""Which runs are really in flight: a run whose process was killed does not count, and is put down as failed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from ingestion.orchestration.incidents import tell_of_failure
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG
from ingestion.settings import current

__all__ = ["fail_lost_runs", "hold", "in_flight", "let_go"]

_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_WAITING = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}


_IMPLICIT_JOB = "__ASSET_JOB"  # what the UI materializes assets with
_GONE = "the process that executed this run is gone"
_held: dict[str, int] = {}


def hold(run_id: str) -> None:
    """Show that this process executes the run; the kernel lets go when the process ends in whatever way."""
    if run_id in _held:
        return
    path = _lock_path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_suffix(f".{os.getpid()}")
    file = os.open(hidden, os.O_CREAT | os.O_RDWR, 0o644)
    fcntl.flock(file, fcntl.LOCK_EX)
    hidden.rename(path)  # only now: a lock file under its own name has an owner, or had one
    _held[run_id] = file


def let_go(run_id: str) -> None:
    """The run has ended, or this process no longer executes it."""
    file = _held.pop(run_id, None)
    if file is not None:
        _lock_path(run_id).unlink(missing_ok=True)
        os.close(file)


def in_flight(instance: dg.DagsterInstance, job_id: str, *, waiting: bool = True) -> str | None:
    """The id of a run of *job_id* that has not ended, if there is one; *waiting* counts those in the queue too."""
    fail_lost_runs(instance)
    statuses = [status for status in _STATUSES if waiting or status not in _WAITING]
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses)):
        if job_id in _jobs_of(run, job_id):
            return run.run_id
    return None


def _jobs_of(run: dg.DagsterRun, otherwise: str) -> set[str]:
    """The jobs that *run* executes; a run of everything executes *otherwise* too."""
    if run.asset_selection is None and JOB_TAG not in run.tags:
        return {otherwise} if run.job_name in {INGEST_JOB, _IMPLICIT_JOB} else set()
    # Runs started in the UI carry no tag before they execute.
    return {key.to_user_string() for key in run.asset_selection or ()} | {run.tags.get(JOB_TAG, "")}


def fail_lost_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Put down as failed every run whose process is gone; these runs.

    A lock file that nobody holds tells; a run without one may be starting, or runs on another machine.
    """
    abandoned = [path for path in _lock_path("").parent.glob("*.lock") if _abandoned(path)]
    return [run for path in abandoned if (run := _failed(instance, path))]


def _failed(instance: dg.DagsterInstance, path: Path) -> dg.DagsterRun | None:
    with _alone():
        run = instance.get_run_by_id(path.stem)
        lost = run is not None and not run.is_finished
        if run is not None and lost:
            instance.report_run_failed(run, f"{_GONE}; what it had not committed is void")
        path.unlink(missing_ok=True)
    if run is None or not lost:
        return None
    if run.remote_job_origin is None:  # of the command line: no sensor will see it
        tell_of_failure(run, {}, _GONE)
    return run


@contextmanager
def _alone() -> Iterator[None]:
    """Sensors, the sidecar and commands look at once: the first of them puts the run down, the others find it done."""
    file = os.open(_lock_path("").parent / "finding", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _lock_path(run_id: str) -> Path:
    return current().dagster_home / "running" / f"{run_id}.lock"


def _abandoned(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True
