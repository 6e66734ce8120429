"""Which loads a table shows where one replaces those before: rows of others have nothing to be brought into."""

from collections.abc import Collection
from typing import NamedTuple

from ingestion.config import JobConfig
from ingestion.loaders.tables import TableLoader
from ingestion.plugins import State

__all__ = ["REPLAY", "Newest", "newest_of"]

REPLAY = "replay-"
"""How the ids of loads that replay rows begin."""
_REPLACED = "a later load replaced all that its load brought"
_PARTS = "a later load may have replaced the partitions that its load brought"
_UNKNOWN = "a later load may have replaced all that its load brought, which the table's history does not tell any more"


class Newest(NamedTuple):
    """The loads whose rows the table shows."""

    loads: Collection[str]
    others: str  # why rows of other loads stay in quarantine


def newest_of(job: JobConfig, state: State) -> Newest | None:
    """The loads whose rows the table of *job* shows; None = all of them, as none is replaced."""
    loader = job.loader
    overwrites = isinstance(loader, TableLoader) and loader.write_mode == "overwrite"
    if state.schema is None or not (loader.replaces_all or overwrites):
        return None
    parts = overwrites and not loader.replaces_all
    loads = set()
    for landed in loader.history(job.id):
        if landed.job == job.id:
            loads.add(landed.load_id)
            if not landed.load_id.startswith(REPLAY):
                return Newest(loads, _PARTS if parts else _REPLACED)
    return Newest(loads | ({state.load_id} if state.load_id is not None else set()), _PARTS if parts else _UNKNOWN)
