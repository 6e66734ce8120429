"""Takes a run back: the table shows what it did before that run, and the job's cursor is what it was then.

The snapshots that held the undone rows stay until upkeep expires them; until then they can be read by id.
"""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.history import (
    EMPTIED,
    ENTRY,
    JOB,
    LOAD,
    RUN,
    UPKEEP,
    Entry,
    entry_of,
    in_summary,
    is_root,
    lineage,
)
from ingestion.loaders.iceberg.landed import as_landed, at, landed
from ingestion.loaders.iceberg.settling import settled
from ingestion.loaders.tables.unsettled import REPLAYED, refuse_settled
from ingestion.plugins import Landed, Load, RolledBack, State

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.snapshots import Snapshot

__all__ = ["Rollback"]

_SHOWN = 5


class _Plan(NamedTuple):
    undone: Sequence[Landed]
    target: "Snapshot | None"  # None = there was none before


class Rollback:
    """The rollback of one run of one job."""

    def __init__(self, catalog: "Catalog", identifier: tuple[str, ...], job: str, run_id: str) -> None:
        self._catalog, self._identifier = catalog, identifier
        self._name = ".".join(identifier)
        self._job, self._run_id = job, run_id
        self._plan: _Plan | None = None

    def run(self) -> RolledBack:
        """Undo the run and the job's later ones; raises ConfigError where that would take more, or is not possible."""
        from ingestion.loaders.iceberg.quarantine import Quarantine

        table = settled(self._catalog, self._identifier, self._stage)
        undone = self._plan.undone if self._plan is not None else ()
        load = Load(self._job, self._run_id, f"rollback-{uuid.uuid4().hex}", State())
        Quarantine(self._catalog, self._identifier, load).take_back({item.load_id for item in undone})
        head = table.current_snapshot()
        return RolledBack(undone, str(head.snapshot_id) if head is not None else None)

    def _stage(self, table: "Table") -> "Transaction | None":
        if self._plan is not None and self._is_done(table):
            return None
        self._plan = self._planned(table)
        transaction = table.transaction()
        if self._plan.target is None:
            _empty(transaction)
        else:
            self._back_to(transaction, self._plan.target)
        return transaction

    def _is_done(self, table: "Table") -> bool:
        undone = {item.load_id for item in self._plan.undone} if self._plan is not None else set()
        return all(in_summary(snapshot, LOAD) not in undone for snapshot in lineage(table.metadata))

    def _planned(self, table: "Table") -> _Plan:
        later: list[Snapshot] = []
        first: int | None = None  # place of the run's oldest snapshot among them
        for snapshot in lineage(table.metadata):
            later.append(snapshot)
            if self._is_ours(snapshot) and in_summary(snapshot, RUN) == self._run_id:
                first = len(later)
        if first is None:
            raise self._unknown(table)
        del later[first:]
        self._refuse_losses(later)
        self._refuse_settled([str(in_summary(item, LOAD)) for item in later if in_summary(item, REPLAYED) is not None])
        return _Plan([as_landed(item) for item in later if self._is_ours(item)], self._before(table, later[-1]))

    def _is_ours(self, snapshot: "Snapshot") -> bool:
        return in_summary(snapshot, JOB) == self._job

    def _refuse_losses(self, snapshots: "Sequence[Snapshot]") -> None:
        others = [_described(item) for item in snapshots if not (self._is_ours(item) or in_summary(item, UPKEEP))]
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            raise ConfigError(
                f"table {self._name}: run {self._run_id} cannot be taken back, because what came after it would be "
                f"lost too: {'; '.join(others[:_SHOWN])}{more}; take those back first, newest first, or correct the "
                f"rows by another run"
            )

    def _refuse_settled(self, replays: "Sequence[str]") -> None:
        from ingestion.loaders.iceberg.quarantine import beside
        from ingestion.loaders.iceberg.quarantined import stored

        table = find_table(self._catalog, beside(self._identifier)) if replays else None
        refuse_settled(partial(stored, table) if table is not None else None, replays, self._name)

    def _before(self, table: "Table", snapshot: "Snapshot") -> "Snapshot | None":
        parent = snapshot.parent_snapshot_id
        found = table.metadata.snapshot_by_id(parent) if parent is not None else None
        if found is None and (table.metadata.format_version == 1 or not is_root(table.metadata, snapshot)):
            raise ConfigError(
                f"table {self._name}: run {self._run_id} cannot be taken back, because the snapshot before it has "
                f"expired; correct the rows by another run (loader.maintenance.keep_snapshots says how many are kept)"
            )
        return found

    def _unknown(self, table: "Table") -> ConfigError:
        where = f"table {self._name}"
        loads = list(landed(table.metadata))
        owner = next((item.job for item in loads if item.run_id == self._run_id), None)
        if owner is not None:
            return ConfigError(f"{where}: run {self._run_id} is one of job {owner}; take it back as that job's")
        if any(in_summary(item, RUN) == self._run_id for item in table.metadata.snapshots):
            return ConfigError(f"{where}: run {self._run_id} is not in its rows any more; it was taken back before")
        newest = [f"{item.run_id} ({item.at:%Y-%m-%d %H:%M})" for item in loads if item.job == self._job][:_SHOWN]
        known = f"its newest runs: {', '.join(newest)}" if newest else f"none of job {self._job}"
        return ConfigError(f"{where} remembers no run {self._run_id} of job {self._job}; {known}")

    def _back_to(self, transaction: "Transaction", target: "Snapshot") -> None:
        from pyiceberg.table.refs import MAIN_BRANCH
        from pyiceberg.table.update import AssertRefSnapshotId, SetSnapshotRefUpdate

        metadata = transaction.table_metadata
        past = metadata.model_copy(update={"current_snapshot_id": target.snapshot_id})
        main = metadata.refs[MAIN_BRANCH]
        moved = main.model_copy(update={"snapshot_id": target.snapshot_id}).model_dump(by_alias=True)
        back = SetSnapshotRefUpdate.model_validate({"ref-name": MAIN_BRANCH, **moved})
        transaction._stage((back,), (AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=main.snapshot_id),))  # noqa: SLF001 - as its own methods do
        entry = entry_of(past, self._job, transaction._table.io)  # noqa: SLF001 - the table that the transaction is on
        if entry == Entry():
            _forget(transaction, [ENTRY + self._job])
        else:
            kept = entry.in_property(target.snapshot_id, target.sequence_number or 0)
            transaction.set_properties({ENTRY + self._job: kept})


def _empty(transaction: "Transaction") -> None:
    """Begin a history without rows and cursors: a table that never had a snapshot is not what every reader takes."""
    from ingestion.loaders.iceberg.producers import Emptied

    with Emptied.on(transaction, {LOAD: f"rollback-{uuid.uuid4().hex}", UPKEEP: EMPTIED}):
        pass
    _forget(transaction, [key for key in transaction.table_metadata.properties if key.startswith(ENTRY)])


def _forget(transaction: "Transaction", keys: Sequence[str]) -> None:
    known = [key for key in keys if key in transaction.table_metadata.properties]
    if known:
        transaction.remove_properties(*known)


def _described(snapshot: "Snapshot") -> str:
    when = f"{at(snapshot):%Y-%m-%d %H:%M:%S} UTC"
    job = in_summary(snapshot, JOB)
    if job is not None:
        return f"run {in_summary(snapshot, RUN)} of job {job} ({when})"
    operation = snapshot.summary.operation.value if snapshot.summary is not None else "a commit"
    return f"snapshot {snapshot.snapshot_id} of another writer ({operation}, {when})"
