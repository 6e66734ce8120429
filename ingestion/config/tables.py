"""Which jobs load the same table."""

from collections.abc import Iterable

from ingestion.config.job import JobConfig
from ingestion.config.load import load_all, load_job
from ingestion.plugins import Loader

__all__ = ["caretaker", "one_per_table"]


def one_per_table(jobs: Iterable[JobConfig]) -> list[list[str]]:
    """The ids of *jobs*, those that load one table together, in the order in which they came."""
    tables: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        tables.setdefault(job.loader.target(job.id), []).append(job.id)
    return list(tables.values())


def caretaker(job_id: str) -> Loader:
    """The loader of that job, ready for upkeep of its table: as careful as that of any job that loads the same one.

    Raises ConfigError where there is no such job, or a placeholder of one of these loaders has no value.
    """
    job = load_job(job_id)
    table = job.loader.target(job.id)
    loaded = [item.job for item in load_all() if item.job is not None and item.job.id != job.id]
    others = [item for item in loaded if item.loader.target(item.id) == table]
    own = job.resolved().loader
    return own.careful([item.loader.resolved(f"{item.id}: loader") for item in others])
