"""Which jobs load the same table."""

from collections.abc import Iterable

from ingestion.config.job import JobConfig

__all__ = ["one_per_table"]


def one_per_table(jobs: Iterable[JobConfig]) -> list[list[str]]:
    """The ids of *jobs*, those that load one table together, in the order in which they came."""
    tables: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        tables.setdefault(job.loader.target(job.id), []).append(job.id)
    return list(tables.values())
