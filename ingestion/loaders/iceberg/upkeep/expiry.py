"""Old snapshots expire, and with them the files that only they needed."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.history import LOAD, in_summary, lineage
from ingestion.loaders.iceberg.settling import settled
from ingestion.loaders.iceberg.upkeep.references import only_in
from ingestion.loaders.iceberg.upkeep.removal import delete
from ingestion.loaders.tables.unsettled import CLOCKS_DIFFER

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

    def __init__(
        self,
        catalog: "Catalog",
        identifier: tuple[str, ...],
        options: "UpkeepOptions",
        since: datetime | None = None,  # of the time from then on history is kept
    ) -> None:
        self._catalog, self._identifier, self._options, self._since = catalog, identifier, options, since
        self._old: dict[int, Snapshot] = {}
        self._due: set[int] | None = None

    def due(self) -> "list[Snapshot]":
        """What would expire now."""
        table = find_table(self._catalog, self._identifier)
        return _old(table.metadata, self._options, self._since) if table is not None else []

    def run(self, due: "Sequence[Snapshot] | None" = None) -> Counter[str]:
        """Expire and delete, no more than *due* where that is given; files go only once the snapshots are gone."""
        self._due = {item.snapshot_id for item in due} if due is not None else None
        table = settled(self._catalog, self._identifier, self._stage)
        expired = [item for item in self._old.values() if table.metadata.snapshot_by_id(item.snapshot_id) is None]
        if not expired:
            return Counter()
        gone = only_in(expired, table.metadata.snapshots, table.io)
        return Counter(snapshots_expired=len(expired), files_deleted=delete(table.io, gone))

    def _stage(self, table: "Table") -> "Transaction | None":
        from pyiceberg.table.update import AssertRefSnapshotId, RemovePartitionStatisticsUpdate, RemoveSnapshotsUpdate

        metadata = table.metadata
        old = _old(metadata, self._options, self._since)
        old = [item for item in old if self._due is None or item.snapshot_id in self._due]
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


def _old(metadata: "TableMetadata", options: "UpkeepOptions", since: datetime | None) -> "list[Snapshot]":
    """Oldest first: all but the newest of each branch, the young, those with a name, with cursors, or from *since*."""
    known = {item.snapshot_id: item for item in metadata.snapshots}
    kept = {ref.snapshot_id for ref in metadata.refs.values()}
    for ref in metadata.refs.values():
        if ref.snapshot_ref_type == "branch":
            branch = metadata.model_copy(update={"current_snapshot_id": ref.snapshot_id})
            kept.update(item.snapshot_id for item in islice(lineage(branch), options.keep_snapshots))
    kept.update(_up_to_the_cursors(metadata))
    kept.update(_back_to(metadata, since))
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


def _back_to(metadata: "TableMetadata", since: datetime | None) -> "Iterator[int]":
    """From the present one to the first that is older beyond doubt."""
    for snapshot in lineage(metadata) if since is not None else ():
        yield snapshot.snapshot_id
        if since is not None and snapshot.timestamp_ms < (since - CLOCKS_DIFFER).timestamp() * 1000:
            return
