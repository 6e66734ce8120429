"""A quarantine is told what the log of its target knows before that is cut."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING

from ingestion.loaders.delta.commit import properties_of
from ingestion.loaders.delta.history import known_of
from ingestion.loaders.delta.jobs import LOAD, app_id
from ingestion.loaders.delta.log import TRANSACTIONS, Commit, commits
from ingestion.loaders.delta.quarantine import beside
from ingestion.loaders.delta.quarantined import stored
from ingestion.loaders.tables.unsettled import replayed_by, strays

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ingestion.loaders.delta.place import Place

__all__ = ["settle"]

_JOB = "ingestion.job"


def settle(
    place: "Place", target: "DeltaTable", retention: timedelta, now: datetime | None = None
) -> tuple[Counter[str], bool]:
    """Take out what never landed and cannot any more, and what was brought anew by loads half as old as *retention*.

    Gives back whether all is settled: where not, the log has still to tell of loads that may land.
    """
    table = beside(place).open()
    if table is None:
        return Counter(), True
    target.update_incremental()  # later: of what is in the quarantine so far nothing lands unseen
    now, log = now or datetime.now(timezone.utc), list(commits(place, int(target.version())))
    read = partial(stored, table, f"table at {place.uri}__quarantine")
    newest, kept = dict(_superseding(log)), {item.get(LOAD) for item in log}
    found = strays(read, known_of(place, log))
    over = [item for item in found if item.load_id not in kept and item.is_over(now, newest)]
    for stray in over:
        _remove(beside(place), "load_id", [stray.load_id])
    aged = {str(item[LOAD]) for item in log if LOAD in item and now - _at(item) >= retention / 2}
    count = 0
    for ids in replayed_by(read, aged):
        for column in ("id", "replays"):
            _remove(beside(place), column, ids)
        count += len(ids)
    return Counter(stray_loads_removed=len(over), replayed_rows_removed=count), len(over) == len(found)


def _remove(quarantine: "Place", column: str, ids: Sequence[str]) -> None:
    table = quarantine.open()
    if table is not None:
        listed = ", ".join(f"'{item}'" for item in ids)
        table.delete(f"{column} IN ({listed})", commit_properties=properties_of({}, None))


def _superseding(log: Sequence[Commit]) -> Iterator[tuple[str, datetime]]:
    """When each job's newest load landed after which none that had begun before it can."""
    for item in reversed(log):
        job = str(item.get(_JOB, ""))
        if LOAD in item and app_id(job) in item[TRANSACTIONS]:
            yield job, _at(item)


def _at(item: Commit) -> datetime:
    return datetime.fromtimestamp(int(item["timestamp"]) / 1000, timezone.utc)
