"""`<table>__quarantine`: rejected rows with their reasons, under the load id of the run that rejected them.

They are appended just before the data. Rows of a load that never landed are deleted by the job's next
landing: from then on it cannot land any more, because its compare-and-set has failed.
"""

import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import OutcomeUnknown
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.catalog import find_table, translated
from ingestion.loaders.iceberg.commit import Landing, NotSent, staged
from ingestion.loaders.iceberg.history import CONFIG, JOB, LOAD, RUN, in_summary, known_since, lineage
from ingestion.loaders.iceberg.target import Target
from ingestion.loaders.tables.rejected import stamped
from ingestion.plugins import Load
from ingestion.secrets import redact

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update.snapshot import _SnapshotProducer

__all__ = ["Quarantine"]

_log = logging.getLogger(__name__)
_FILE_SIZE = 128 << 20


class Quarantine:
    """The rejected rows of one load."""

    def __init__(self, catalog: "Catalog", target: tuple[str, ...], load: Load) -> None:
        self.rows = 0
        self._catalog = catalog
        self._identifier = (*target[:-1], f"{target[-1]}__quarantine")
        self._load = load
        self._at = datetime.now(timezone.utc)
        self._rows: Target | None = None
        self._others: dict[str, int] = {}

    def write(self, rejected: pa.RecordBatch) -> None:
        """Take rows of schema REJECTED."""
        if self._rows is None:
            options = IcebergLoader(target_file_size=_FILE_SIZE)
            self._rows = Target(self._catalog, self._identifier, options, self._load.load_id)
        self.rows += rejected.num_rows
        self._rows.write(stamped(rejected, self._load, self._at))

    def land(self) -> None:
        """Commit the rows, if there are any."""
        if self._rows is None:
            return
        self._rows.finish()
        load = self._load
        summary = {LOAD: load.load_id, RUN: load.run_id, JOB: load.job, CONFIG: load.config_hash}
        rows = self._rows
        rows.land(_anything, lambda transaction: rows.stage(transaction, summary))

    def abort(self) -> None:
        """Stop, and take back what was written or committed."""
        if self._rows is None:
            return
        self._rows.abort()
        if self._rows.landed:
            self._remove({self._load.load_id})

    def leave(self) -> None:
        """Stop, and keep what was committed: the load itself may still land."""
        if self._rows is not None:
            self._rows.abort()

    def survey(self) -> None:
        """Note which other loads of the job have rows here; to be called before the load itself lands.

        Once it has landed, none of them can any more: their compare-and-set fails. A load that comes to
        be seen only later may have begun after that landing, and be sound.
        """
        if self._load.alone:
            return
        with translated(f"table {'.'.join(self._identifier)}"):
            table = find_table(self._catalog, self._identifier)
        if table is None:
            return
        for snapshot in table.metadata.snapshots:
            load_id = in_summary(snapshot, LOAD)
            if load_id not in (None, self._load.load_id, self._load.since.load_id) and self._is_ours(snapshot):
                self._others[str(load_id)] = snapshot.timestamp_ms

    def clean(self, target: "TableMetadata") -> None:
        """Delete rows of the surveyed loads that *target* has nothing of; only after the load has landed."""
        # One older than what the target remembers without a gap may have landed and been expired.
        first = known_since(target)
        landed = {in_summary(snapshot, LOAD) for snapshot in lineage(target)}
        self.take_back({item for item, timestamp in self._others.items() if timestamp >= first} - landed)

    def take_back(self, loads: set[str]) -> None:
        """Delete rows of these loads of the job, none of which is in the target any more."""
        if loads:
            self._remove(loads)

    def _is_ours(self, snapshot: "Snapshot") -> bool:
        return in_summary(snapshot, JOB) == self._load.job

    def _remove(self, doomed: set[str]) -> None:
        """Take out the files of these loads of the job; where that fails, for whatever reason, they stay."""
        try:
            with translated(f"table {'.'.join(self._identifier)}"):
                self._try_remove(doomed)
        except Exception as error:  # noqa: BLE001 - how the load itself went is settled, and not to be hidden by this
            reason = redact(f"{type(error).__name__}: {error}")
            _log.warning("%s: quarantined rows of loads that never landed are still there: %s", self._load.job, reason)

    def _try_remove(self, doomed: set[str]) -> None:
        table = find_table(self._catalog, self._identifier)
        if table is None:
            return
        loads = {
            snapshot.snapshot_id
            for snapshot in table.metadata.snapshots
            if self._is_ours(snapshot) and in_summary(snapshot, LOAD) in doomed
        }
        files = _files_of(table, loads)
        if not files:
            return

        def stage(now: "Table | None") -> "tuple[Transaction, _SnapshotProducer[object]]":
            from ingestion.loaders.iceberg.producers import RemoveFiles

            assert now is not None  # noqa: S101 - found above, and nobody drops it
            transaction = now.transaction()
            producer = RemoveFiles.on(transaction, {LOAD: mark}, frozenset(files))
            return transaction, staged(transaction, producer, ())

        mark = f"removal-by-{self._load.load_id}"
        try:
            Landing(self._catalog, self._identifier, mark, stage).land()
        except NotSent as error:
            raise error.reason from error
        except OutcomeUnknown:
            _log.warning("%s: whether quarantined rows of loads that never landed are gone is unknown", self._load.job)


def _anything(_: "Table | None") -> None:
    """Quarantined rows are welcome whatever the table's state."""


def _files_of(table: "Table", loads: set[int]) -> set[str]:
    """Paths of the live files that these snapshots added."""
    snapshot = table.current_snapshot()
    if snapshot is None or not loads:
        return set()
    return {
        entry.data_file.file_path
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        if entry.snapshot_id in loads
    }
