"""Small manifests merged, since each of them costs every reader a request."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from ingestion.loaders.iceberg.commit import Landing, NotSent, staged
from ingestion.loaders.iceberg.history import LOAD, all_entries, in_summary, lineage
from ingestion.loaders.iceberg.upkeep.landing import new_mark, summary

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

__all__ = ["merge_manifests"]

_STEP = "manifests"
_SMALL = 4 << 20  # bytes
_MANY = 30


def merge_manifests(
    catalog: "Catalog", identifier: tuple[str, ...], table: "Table", keep_snapshots: int
) -> Counter[str]:
    """Merge small manifests where there are many; also where only old snapshots know the jobs' cursors.

    The commit carries the cursors forward: the snapshot that held them can expire.
    """
    if len(_small(table)) < _MANY and not _far_behind(table, keep_snapshots):
        return Counter()
    mark, merged = new_mark(_STEP), 0

    def stage(now: "Table | None") -> "tuple[Transaction, _SnapshotProducer[Any]]":
        from ingestion.loaders.iceberg.upkeep.producers import MergedManifests

        nonlocal merged
        assert now is not None  # noqa: S101 - found above, and nobody drops it
        transaction = now.transaction()
        producer = MergedManifests.on(transaction, summary(transaction, _STEP, mark))
        producer.merged = _small(now)
        merged = len(producer.merged)
        return transaction, staged(transaction, producer, ())

    try:
        Landing(catalog, identifier, mark, stage).land()
    except NotSent as error:
        raise error.reason from error.reason.__cause__
    return Counter(manifests_merged=merged)


def _small(table: "Table") -> set[str]:
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot is not None else []
    return {item.manifest_path for item in manifests if item.manifest_length < _SMALL}


def _far_behind(table: "Table", keep_snapshots: int) -> bool:
    """Whether the newest of our snapshots is about to be among those that may expire."""
    for number, snapshot in enumerate(lineage(table.metadata)):
        if in_summary(snapshot, LOAD) is not None:
            return number >= max(keep_snapshots // 2, 1)
    return bool(all_entries(table.metadata, table.io))
