"""A quarantine is told what the history of its target knows before that is cut, and how far it may be."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.history import ENTRY, JOB, LOAD, entry_in, in_summary, lineage
from ingestion.loaders.iceberg.quarantine import beside, remove_rows
from ingestion.loaders.iceberg.quarantined import known, stored
from ingestion.loaders.tables.unsettled import Stray, replayed_by, strays
from ingestion.plugins import Part

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

__all__ = ["remove_replayed", "remove_strays"]


def remove_strays(
    catalog: "Catalog", target: tuple[str, ...], now: datetime | None = None
) -> tuple[Counter[str], datetime | None]:
    """Take out rows and marks of loads that never landed and cannot any more.

    Gives back when the oldest began of those that still may land: of its time history must be kept.
    """
    table = find_table(catalog, beside(target))
    found = find_table(catalog, target)  # later: of what is in the quarantine so far nothing lands unseen
    if table is None or found is None:
        return Counter(), None
    now, newest = now or datetime.now(timezone.utc), dict(_superseding(found.metadata))
    kept = {in_summary(item, LOAD) for item in found.metadata.snapshots}
    over, waiting = list[Stray](), list[Stray]()
    for stray in _later(strays(partial(stored, table), known(found.metadata)), table):
        gone = stray.load_id not in kept and stray.is_over(now, newest)
        (over if gone else waiting).append(stray)
    for stray in over:
        parts = [Part("load_id", (stray.load_id,)), Part("job", (stray.job,))]
        remove_rows(catalog, beside(target), parts, [stray.load_id])
    return Counter(stray_loads_removed=len(over)), min((stray.first for stray in waiting), default=None)


def remove_replayed(catalog: "Catalog", target: tuple[str, ...], snapshots: "list[Snapshot]") -> Counter[str]:
    """Take out the rows that loads of these *snapshots* brought anew, and after them the marks that say so."""
    table = find_table(catalog, beside(target))
    if table is None:
        return Counter()
    count = 0
    loads = {load_id for item in snapshots if (load_id := in_summary(item, LOAD)) is not None}
    for ids in replayed_by(partial(stored, table), loads):
        for column in ("id", "replays"):
            remove_rows(catalog, beside(target), [Part(column, tuple(ids))], [])
        count += len(ids)
    return Counter(replayed_rows_removed=count)


def _superseding(metadata: "TableMetadata") -> "Iterator[tuple[str, datetime]]":
    """When each job's newest load landed after which none that had begun before it can."""
    for snapshot in reversed(list(lineage(metadata))):
        job = in_summary(snapshot, JOB)
        text = in_summary(snapshot, f"{ENTRY}{job}")
        if job is not None and text is not None and entry_in(text).load_id == in_summary(snapshot, LOAD):
            yield job, _at(snapshot)


def _later(found: list[Stray], table: "Table") -> Iterator[Stray]:
    """Each with the time of its commit where the quarantine still knows it."""
    times = {in_summary(item, LOAD): _at(item) for item in table.metadata.snapshots}
    for stray in found:
        yield stray._replace(last=max(stray.last, times.get(stray.load_id, stray.last)))


def _at(snapshot: "Snapshot") -> datetime:
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, timezone.utc)
