"""What things are called in Dagster; whoever drives it from outside uses the same names."""

__all__ = [
    "ERROR_CLASS",
    "INGEST_JOB",
    "INVALID_GROUP",
    "JOB_TAG",
    "LOAD_ID",
    "LOCATION",
    "OVERRIDES",
    "REPORT",
    "SNAPSHOT_ID",
    "UPKEEP_JOB",
    "UPKEEP_OP",
    "UPKEEP_SCHEDULE",
    "UPKEEP_TAG",
    "io_manager_key",
    "run_config",
    "schedule_name",
    "sensor_name",
    "source_key",
    "upkeep_config",
]

LOCATION = "ingestion"
"""The code location."""
INGEST_JOB = "Ingest"
"""The Dagster job of all loads, whose runs select the assets; ids of our jobs have no capitals."""
INVALID_GROUP = "invalid_config"
"""The group of assets whose files do not load."""
JOB_TAG = "ingestion/job"
"""The tag of a run that names our job."""
REPORT = "report"
"""The metadata of a materialization, or of a failure, that holds the whole run report."""
LOAD_ID = "load_id"
"""The metadata of a materialization that holds the id of its load."""
SNAPSHOT_ID = "snapshot_id"
"""The metadata of a materialization that names what was committed; missing where nothing was."""
ERROR_CLASS = "error_class"
"""The metadata of a failure that names the class of our error."""
OVERRIDES = "overrides"
"""The parameter of a run that is merged over the job file."""

UPKEEP_JOB = "Upkeep"
"""The Dagster job that looks after tables, and the pool of its runs."""
UPKEEP_OP = "_upkeep"
"""Its one step; no job of ours can be called so."""
UPKEEP_SCHEDULE = "_upkeep_schedule"
"""What starts it; no job of ours has a schedule of that name."""
UPKEEP_TAG = "ingestion/upkeep"
"""The tag of a run of it that names the table by a job that loads it."""


def schedule_name(job_id: str) -> str:
    """The schedule of a job with a cron expression."""
    return f"{job_id}_schedule"


def sensor_name(job_id: str) -> str:
    """The sensor of a job whose source is watched."""
    return f"{job_id}_sensor"


def source_key(job_id: str) -> str:
    """The resource that holds a job's source options."""
    return f"source_{job_id}"


def io_manager_key(loader_type: str) -> str:
    """The IO manager of every job with this type of loader."""
    return f"{loader_type}_io_manager"


def run_config(job_id: str, overrides: dict[str, object]) -> dict[str, object]:
    """The run config that merges *overrides* over the job file for one run."""
    return {"ops": {job_id: {"config": {OVERRIDES: overrides}}}} if overrides else {}


def upkeep_config(jobs: list[str]) -> dict[str, object]:
    """The run config that looks after the tables of these jobs."""
    return {"ops": {UPKEEP_OP: {"config": {"jobs": jobs}}}}
