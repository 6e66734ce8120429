"""One snapshot, sent once per attempt: what became of a request is looked up by load id, never assumed.

pyiceberg stages the updates; its own retry, cleanup and conflict checks are not used, because a lost
reply makes them delete manifests of a snapshot that landed, and stale handles land twice.
"""

import errno
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingestion.errors import IngestionError, OutcomeUnknown
from ingestion.loaders.iceberg.catalog import find_table, translated
from ingestion.loaders.iceberg.failures import refused
from ingestion.loaders.iceberg.history import find_load, find_try
from ingestion.loaders.iceberg.writer import remove
from ingestion.secrets import redact

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update.snapshot import _SnapshotProducer

__all__ = ["Landing", "NotSent", "added_by", "append", "change", "replace_all", "send", "staged"]

_log = logging.getLogger(__name__)
_TRIES = 60
_FIRST_WAIT_SECONDS = 0.005
_LONGEST_WAIT_SECONDS = 0.5
_LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}  # met before anything was sent

Producer = Callable[["Transaction", dict[str, str]], "_SnapshotProducer[Any]"]


class NotSent(Exception):
    """Wraps why a landing ended without one: `safe` tells that none of its requests can land any more."""

    def __init__(self, reason: Exception, *, safe: bool) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.safe = safe


@dataclass
class Landing:
    """Brings one load's snapshot into a table's history, or finds that it may not."""

    catalog: "Catalog"
    identifier: tuple[str, ...]
    load_id: str
    stage: "Callable[[Table | None], tuple[Transaction, _SnapshotProducer[Any]]]"  # raises when it must not land
    once: str = ""  # of loads whose ids begin with this one lands, which may be another
    _sent: "list[tuple[_SnapshotProducer[Any], object]]" = field(default_factory=list)

    def land(self) -> "tuple[Table, Snapshot]":
        """The table and the snapshot that holds the load; raises NotSent, or OutcomeUnknown after many tries."""
        last: Exception | None = None
        for attempt in range(_TRIES + 1):  # the last one only looks what became of the request before
            if attempt:
                time.sleep(random.uniform(0, min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS)))  # noqa: S311 - jitter
            try:
                table = find_table(self.catalog, self.identifier)
            except Exception as error:  # noqa: BLE001 - the outcome is unknown until the catalog answers, whatever ails it
                last = error
                continue
            won = self._found(table.metadata) if table is not None else None
            if table is not None and won is not None:
                self._tidy(table, keep=won.snapshot_id)
                return table, won
            if attempt < _TRIES:
                last = self._attempt(table)
        raise self._unknown(last)

    def _found(self, metadata: "TableMetadata") -> "Snapshot | None":
        return find_load(metadata, self.load_id) or find_try(metadata, self.once)

    def _attempt(self, table: "Table | None") -> Exception | None:
        """One request; what it raised says nothing about whether it landed."""
        head = _head(table)
        try:
            transaction, producer = self.stage(table)
        except Exception as error:
            raise self._given_up(error, table, head) from error
        self._sent.append((producer, head))
        try:
            send(transaction)
        except Exception as error:  # conflict, lost reply, lock: the next look into the table decides
            if refused(error) or (isinstance(error, OSError) and error.errno in _LOCAL):
                self._sent.pop()
                _discard(transaction, [producer])
                raise self._given_up(error, table, head) from error
            return error
        return None

    def _given_up(self, error: Exception, table: "Table | None", head: object) -> NotSent:
        # Every request asserted its parent; once main has moved past all of them none can land late.
        safe = all(parent != head for _, parent in self._sent)
        if safe and table is not None:
            self._tidy(table, keep=None)
        return NotSent(error, safe=safe)

    def _tidy(self, table: "Table", keep: int | None) -> None:
        for producer, _ in self._sent:
            if producer.snapshot_id != keep:
                remove(table.io, [*producer._written_manifests, *producer._written_manifest_lists])  # noqa: SLF001 - ours to remove, see the module

    def _unknown(self, last: Exception | None) -> IngestionError:
        name = ".".join(self.identifier)
        if not self._sent:
            try:
                with translated(f"catalog of table {name}"):
                    raise last or RuntimeError("no answer")
            except IngestionError as error:
                return error
        reason = redact(str(last)).splitlines()[0] if last else "no answer"
        unknown = OutcomeUnknown(
            f"table {name}: after {_TRIES} tries it is unknown whether load {self.load_id} landed ({reason}); "
            f"run again: the next run finds out, and loads nothing twice"
        )
        unknown.__cause__ = last
        return unknown


def _head(table: "Table | None") -> object:
    if table is None:
        return "no table"
    snapshot = table.current_snapshot()
    return None if snapshot is None else snapshot.snapshot_id


def send(transaction: "Transaction") -> None:
    """One request, no retry, no cleanup."""
    from pyiceberg.table import StagedTable
    from pyiceberg.table.update import AssertCreate, AssertTableUUID

    table = transaction._table  # noqa: SLF001 - see the module
    guard = (
        (AssertCreate(),)
        if isinstance(table, StagedTable)
        else (
            *transaction._requirements,  # noqa: SLF001 - see the module
            AssertTableUUID(uuid=table.metadata.table_uuid),
        )
    )
    table.catalog.commit_table(table, guard, transaction._updates)  # noqa: SLF001 - see the module


def _discard(transaction: "Transaction", producers: "Sequence[_SnapshotProducer[Any]]") -> None:
    for producer in producers:
        remove(transaction._table.io, [*producer._written_manifests, *producer._written_manifest_lists])  # noqa: SLF001 - see the module


def added_by(producer: "_SnapshotProducer[Any]") -> "list[DataFile]":
    """All files that its snapshot adds, those of deletes included."""
    return [*producer._added_data_files, *getattr(producer, "added_deletes", ())]  # noqa: SLF001 - it has no getter


def append(
    transaction: "Transaction", summary: dict[str, str], files: "Sequence[DataFile]"
) -> "_SnapshotProducer[Any]":
    """Stage a snapshot that adds *files*."""
    producer = transaction.update_snapshot(snapshot_properties=summary).fast_append()
    return staged(transaction, producer, files)


def replace_all(
    transaction: "Transaction", summary: dict[str, str], files: "Sequence[DataFile]"
) -> "_SnapshotProducer[Any]":
    """Stage one snapshot that holds *files* and nothing else."""
    from ingestion.loaders.iceberg.producers import ReplaceAll

    return staged(transaction, ReplaceAll.on(transaction, summary), files)


def change(
    transaction: "Transaction",
    summary: dict[str, str],
    files: "Sequence[DataFile]",
    *,
    removed: Collection[str] | Mapping[str, str] = (),
    deletes: "Sequence[DataFile]" = (),
) -> "_SnapshotProducer[Any]":
    """Stage one snapshot that adds data *files* and the delete files *deletes*, and takes out the paths *removed*.

    Where *removed* is a mapping it names the manifest of each, and no other one is read.
    """
    from ingestion.loaders.iceberg.producers import ChangeFiles

    producer = ChangeFiles.between(transaction, summary, removed, deletes, adds_rows=bool(files))
    return staged(transaction, producer, files)


def staged(
    transaction: "Transaction", producer: "_SnapshotProducer[Any]", files: "Sequence[DataFile]"
) -> "_SnapshotProducer[Any]":
    """Stage what *producer* makes of *files*; on failure nothing is left behind."""
    from pyiceberg.table.update import AssertDefaultSpecId

    try:
        with producer:
            for file in files:
                producer.append_data_file(file)
    except BaseException:
        _discard(transaction, [producer])
        raise
    guard = AssertDefaultSpecId(default_spec_id=transaction.table_metadata.default_spec_id)
    transaction._stage((), (guard,))  # noqa: SLF001 - manifests follow the present spec, whatever the files say
    return producer
