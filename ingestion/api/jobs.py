"""The routes of jobs."""

from datetime import datetime, timezone
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Query, Request

from ingestion.api.answers import Created, Detail, Executed, Job, Jobs, job_detail, job_summary
from ingestion.api.bodies import (
    CREATE_EXAMPLES,
    EXECUTE_EXAMPLES,
    CreateBody,
    ExecuteBody,
    NewJob,
    checked,
    execution,
    new_job,
    overridden,
)
from ingestion.api.dagster import Dagster, JobState
from ingestion.config import LoadedJob, find_job, load_all, save_job
from ingestion.errors import ConfigError
from ingestion.settings import current

__all__ = ["router"]

_RUNS_SHOWN = 10
_writing = Lock()  # one reload of the code location at a time
_launching: dict[str, Lock] = {}  # by job: nobody launches between another's look at its runs and its launch

router = APIRouter(
    tags=["jobs"],
    responses={
        401: {"model": Detail, "description": "The token is missing or wrong, or the caller is on another machine"},
        422: {"model": Detail, "description": "The body does not validate"},
        503: {"model": Detail, "description": "Dagster does not answer"},
    },
)
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Detail, "description": "There is no such job"}}
_CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Detail, "description": "It exists, or is running"}}


def _dagster(request: Request) -> Dagster:
    found: Dagster = request.app.state.dagster
    return found


ADagster = Annotated[Dagster, Depends(_dagster)]


@router.get("/jobs", summary="All jobs", response_model_exclude_unset=True)
def list_jobs(dagster: ADagster) -> Jobs:
    """Every job with its state; a file that does not load is listed with its error."""
    found = load_all(current())
    states = dagster.overview([loaded.id for loaded in found])
    return {"jobs": {loaded.id: job_summary(loaded, states.get(loaded.id, JobState())) for loaded in found}}


@router.get("/jobs/{job_id}", summary="One job", response_model_exclude_unset=True, responses=_NOT_FOUND)
def show_job(job_id: str, dagster: ADagster) -> Job:
    """The job as its file has it, its state, and reports of its last runs."""
    loaded = _existing(job_id)
    state = dagster.overview([job_id]).get(job_id, JobState())
    return job_detail(loaded, state, dagster.history(job_id, _RUNS_SHOWN))


@router.post("/jobs", status_code=201, summary="Create a job", responses=_CONFLICT)
def create_job(
    body: Annotated[CreateBody, Body(openapi_examples=CREATE_EXAMPLES)],
    dagster: ADagster,
    job_id: Annotated[str | None, Query(description="The id, where the body is a job alone")] = None,
) -> Created:
    """Store a new job and load it; it can be run, and shows in the UI, once this has answered."""
    new = new_job(body, job_id)
    _refuse_existing(new.job_id)
    checked(new)
    with _writing:
        _store(new, dagster)
    return {"message": f"Job {new.job_id} created successfully", "job_id": new.job_id}


@router.post("/jobs/execute", summary="Run a job now", responses=_NOT_FOUND | _CONFLICT)
def execute_job(body: Annotated[ExecuteBody, Body(openapi_examples=EXECUTE_EXAMPLES)], dagster: ADagster) -> Executed:
    """Queue a run of a job; `parameters` are merged over its file for this run alone."""
    asked = execution(body)
    loaded = _existing(asked.job_id)
    if loaded.job is None:
        raise HTTPException(422, str(loaded.error))
    job = overridden(loaded.job, asked.parameters)
    with _launching.setdefault(job.id, Lock()):
        busy = dagster.in_flight(job.id) if job.on_overlap == "skip" else None
        if busy:
            raise HTTPException(
                409,
                f"Job {job.id} is running (run {busy}); "
                f"try again when it has ended, or set on_overlap: queue to let runs wait",
            )
        run_id = dagster.launch(job.id, asked.parameters)
    return {
        "job_id": job.id,
        "status": "scheduled",
        "execution_id": run_id,
        "scheduled_time": datetime.now(timezone.utc),
        "message": f"Job {job.id} scheduled for immediate execution",
    }


def _store(new: NewJob, dagster: Dagster) -> None:
    """Write the file and have it loaded, or leave everything as it was."""
    try:
        saved = save_job(new.job_id, new.config, current())
    except ConfigError as error:
        _refuse_existing(new.job_id)  # written since by another caller
        raise HTTPException(500, f"the job was not stored: {error}") from error
    try:
        reason = dagster.reload(new.job_id)
    except BaseException:
        saved.undo()
        raise
    if reason:
        saved.undo()
        still = dagster.reload()
        raise HTTPException(503 if still else 422, f"the job was not stored: {still or reason}")


def _refuse_existing(job_id: str) -> None:
    if find_job(job_id, current()) is not None:
        raise HTTPException(409, f"Job {job_id} already exists")


def _existing(job_id: str) -> LoadedJob:
    loaded = find_job(job_id, current())
    if loaded is None:
        raise HTTPException(404, f"Job {job_id} not found")
    return loaded
