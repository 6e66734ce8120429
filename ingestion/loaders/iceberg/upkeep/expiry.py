"""Old snapshots expire, and with them the files that only they needed."""

import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.history import LOAD, in_summary, lineage
from ingestion.loaders.iceberg.settling import settled
from ingestion.loaders.iceberg.upkeep.references import only_in
from ingestion.loaders.iceberg.upkeep.removal import delete

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

    from ingestion.loaders.iceberg.upkeep.options import UpkeepOptions

__all__ = ["Expiry"]

_HOUR_MS = 3_600_000


class Expiry:
    """The expiry of a table's old snapshots in one commit."""

    def __init__(self, catalog: "Catalog", identifier: tuple[str, ...], options: "UpkeepOptions") -> None:
        self._catalog, self._identifier, self._options = catalog, identifier, options
        self._old: dict[int, Snapshot] = {}

    def run(self) -> Counter[str]:
        """Expire and delete; files go only once the table is seen without the snapshots."""
        table = settled(self._catalog, self._identifier, self._stage)
        expired = [item for item in self._old.values() if table.metadata.snapshot_by_id(item.snapshot_id) is None]
        if not expired:
            return Counter()
        gone = only_in(expired, table.metadata.snapshots, table.io)
        return Counter(snapshots_expired=len(expired), files_deleted=delete(table.io, gone))

    def _stage(self, table: "Table") -> "Transaction | None":
        from pyiceberg.table.update import AssertRefSnapshotId, RemovePartitionStatisticsUpdate, RemoveSnapshotsUpdate

        metadata = table.metadata
        old = _old(metadata, self._options)
        if not old:
            return None
        self._old |= {item.snapshot_id: item for item in old}
        ids = [item.snapshot_id for item in old]
        counted = {item.snapshot_id for item in metadata.partition_statistics}.intersection(ids)
        unmoved = (AssertRefSnapshotId(ref=name, snapshot_id=ref.snapshot_id) for name, ref in metadata.refs.items())
        transaction = table.transaction()
        transaction._stage(  # noqa: SLF001 - as its own methods do
            (
                *(RemovePartitionStatisticsUpdate(snapshot_id=snapshot_id) for snapshot_id in counted),
                RemoveSnapshotsUpdate(snapshot_ids=ids),
            ),
            tuple(unmoved),
        )
        return transaction


def _old(metadata: "TableMetadata", options: "UpkeepOptions") -> "list[Snapshot]":
    """Oldest first: all but the newest of each branch, the young, those with a name, and those with cursors."""
    known = {item.snapshot_id: item for item in metadata.snapshots}
    kept = {ref.snapshot_id for ref in metadata.refs.values()}
    for ref in metadata.refs.values():
        if ref.snapshot_ref_type == "branch":
            branch = metadata.model_copy(update={"current_snapshot_id": ref.snapshot_id})
            kept.update(item.snapshot_id for item in islice(lineage(branch), options.keep_snapshots))
    kept.update(_up_to_the_cursors(metadata))
    young = time.time() * 1000 - options.min_age_hours * _HOUR_MS
    return [item for key, item in known.items() if key not in kept and item.timestamp_ms <= young]


def _up_to_the_cursors(metadata: "TableMetadata") -> list[int]:
    """From the present one to the newest of ours, which knows all cursors: without a gap, or it would not be found."""
    path = []
    for snapshot in lineage(metadata):
        path.append(snapshot.snapshot_id)
        if in_summary(snapshot, LOAD) is not None:
            return path
    return []
