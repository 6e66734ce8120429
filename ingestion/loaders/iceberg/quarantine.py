"""`<table>__quarantine`: rejected rows with their reasons, under the load id of the run that rejected them.

They are appended just before the data. Rows of a load that never landed are deleted by the job's next
landing: from then on it cannot land any more, because its compare-and-set has failed.
"""

import logging
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import OutcomeUnknown
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.catalog import find_table, translated
from ingestion.loaders.iceberg.history import CONFIG, JOB, LOAD, RUN, in_summary, known_since, lineage
from ingestion.loaders.iceberg.parts import has_rows_in
from ingestion.loaders.iceberg.target import Target
from ingestion.loaders.tables.rejected import Stamp
from ingestion.plugins import Load, Part
from ingestion.secrets import redact

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

__all__ = ["Quarantine", "beside", "remove_rows"]

_log = logging.getLogger(__name__)
_FILE_SIZE = 128 << 20
_REMOVED = "ingestion.removed-loads"


def beside(target: tuple[str, ...]) -> tuple[str, ...]:
    """The quarantine of a table."""
    return (*target[:-1], f"{target[-1]}__quarantine")


class Quarantine:
    """The rejected rows of one load, and its marks of those that it brings anew."""

    def __init__(self, catalog: "Catalog", target: tuple[str, ...], load: Load) -> None:
        self._catalog = catalog
        self._identifier = beside(target)
        self._load = load
        self._stamp = Stamp(load)
        self._rows: Target | None = None
        self._others: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """Rejected rows; marks are none."""
        return self._stamp.count

    @property
    def idle(self) -> bool:
        """Whether there is nothing to land."""
        return self._stamp.idle

    def write(self, rejected: pa.RecordBatch) -> None:
        """Take rows of schema REJECTED."""
        for rows in self._stamp.rows(rejected):
            self._take(rows)

    def _take(self, rows: pa.RecordBatch) -> None:
        if self._rows is None:
            options = IcebergLoader(target_file_size=_FILE_SIZE)
            self._rows = Target(self._catalog, self._identifier, options, self._load.load_id)
        self._rows.write(rows)

    def land(self) -> None:
        """Commit rows and marks, if there are any."""
        for marks in self._stamp.marks():
            self._take(marks)
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
        snapshots = table.metadata.snapshots
        removed = {load_id for item in snapshots for load_id in (in_summary(item, _REMOVED) or "").split(",")}
        for snapshot in snapshots:
            load_id = in_summary(snapshot, LOAD)
            settled = load_id in (None, self._load.load_id, self._load.since.load_id) or load_id in removed
            if not settled and in_summary(snapshot, JOB) == self._load.job:
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

    def _remove(self, doomed: set[str]) -> None:
        """Take out the rows of these loads of the job; where that fails, for whatever reason, they stay."""
        # By the rows' own load ids: the snapshots that brought them may have expired, their files been joined.
        loads = sorted(doomed)
        parts = [Part("load_id", tuple(loads)), Part("job", (self._load.job,))]
        try:
            with translated(f"table {'.'.join(self._identifier)}"):
                remove_rows(self._catalog, self._identifier, parts, loads)
        except OutcomeUnknown:
            _log.warning("%s: whether quarantined rows of loads that never landed are gone is unknown", self._load.job)
        except Exception as error:  # noqa: BLE001 - how the load itself went is settled, and not to be hidden by this
            reason = redact(f"{type(error).__name__}: {error}")
            _log.warning("%s: quarantined rows of loads that never landed are still there: %s", self._load.job, reason)


def remove_rows(catalog: "Catalog", quarantine: tuple[str, ...], parts: Sequence[Part], loads: Sequence[str]) -> None:
    """Take the rows in all of *parts* out of a quarantine; *loads* are those of which nothing is left then."""
    table = find_table(catalog, quarantine)
    if table is None or not has_rows_in(table, parts):
        return
    mark = f"removal-{uuid.uuid4().hex}"
    removal = Target(catalog, quarantine, IcebergLoader(target_file_size=_FILE_SIZE), mark)
    removal.replace(parts)
    removal.finish()
    summary = {LOAD: mark, _REMOVED: ",".join(loads)}
    try:
        removal.land(_anything, lambda transaction: removal.stage(transaction, summary))
    finally:
        removal.abort()


def _anything(_: "Table | None") -> None:
    """Quarantined rows are welcome whatever the table's state."""
