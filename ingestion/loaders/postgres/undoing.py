"""What the table remembers of its loads, and taking the newest of a job back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ingestion.errors import ConfigError, OutcomeUnknown
from ingestion.loaders.postgres.history import History
from ingestion.loaders.postgres.quarantined import SUFFIX
from ingestion.loaders.postgres.session import CommitUnclear, Session, opened, quoted
from ingestion.loaders.postgres.table import find
from ingestion.plugins import RUN_ID, Landed, RolledBack

if TYPE_CHECKING:
    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["landed", "roll_back"]


def landed(options: "PostgresLoader", job: str) -> list[Landed]:
    """Every load of the job's table that counts, newest first."""
    table = options.identifier(job)
    with opened(options, f"table {'.'.join(table)}") as session:
        history = History(session, table)
        return history.landed() if find(session, *table) is not None and history.exists() else []


def roll_back(options: "PostgresLoader", job: str, run_id: str) -> RolledBack:
    """Undo the run and the later ones of its job; raises ConfigError, with the reason, where that cannot be."""
    table = options.identifier(job)
    what = f"table {'.'.join(table)}"
    with opened(options, what) as session:
        session.wait_for_turn(*table)
        session.wait_for_turn(*table, job)
        history = History(session, table)
        found = find(session, *table)
        loads = history.landed() if found is not None and history.exists() else []
        undone = _to_undo(what, job, run_id, loads)
        if any(load.rows for load in undone):
            if found is None or RUN_ID not in found.columns:
                raise ConfigError(f"{what} has no column {RUN_ID}, which alone says which rows a run appended")
            _refuse_merged(what, loads, undone)
            _delete(session, table, undone)
        _delete_rejected(session, table, undone)
        history.undo(undone)
        _commit(session, what)
        rest = [load for load in loads if load not in undone]
        return RolledBack(undone, rest[0].snapshot if rest else None)


def _to_undo(what: str, job: str, run_id: str, loads: Sequence[Landed]) -> list[Landed]:
    own = [load for load in loads if load.job == job]
    place = max((number for number, load in enumerate(own) if load.run_id == run_id), default=None)
    if place is None:
        known = ", ".join(load.run_id for load in own[:5])
        raise ConfigError(f"{what}: job {job} has no run {run_id!r} there; its newest runs: {known or 'none'}")
    undone = own[: place + 1]
    kept = next((load for load in undone if load.mode != "append"), None)
    if kept is not None:
        raise ConfigError(
            f"{what}: run {kept.run_id} of job {job} wrote by {kept.mode}, which keeps no history in PostgreSQL; "
            f"only appended rows can be taken back, restore the table from a backup"
        )
    return undone


def _refuse_merged(what: str, loads: Sequence[Landed], undone: Sequence[Landed]) -> None:
    """A merge or overwrite of another job has since replaced some of the rows, or all."""
    first = loads.index(undone[-1])
    for load in loads[:first]:
        if load.mode != "append":
            raise ConfigError(
                f"{what}: run {load.run_id} of job {load.job} wrote by {load.mode} after it, and what that replaced is "
                f"gone; only appended rows can be taken back, restore the table from a backup"
            )


def _delete(session: Session, table: tuple[str, str], undone: Sequence[Landed]) -> None:
    runs = sorted({load.run_id for load in undone})
    session.run(f"DELETE FROM {quoted(*table)} WHERE {quoted(RUN_ID)} = ANY($1)", runs)  # noqa: S608 - quoted names


def _delete_rejected(session: Session, table: tuple[str, str], undone: Sequence[Landed]) -> None:
    """Quarantined rows go with their loads: the next run rejects them again."""
    quarantine = (table[0], f"{table[1]}{SUFFIX}")
    if find(session, *quarantine) is not None:
        loads = [load.load_id for load in undone]
        session.run(f"DELETE FROM {quoted(*quarantine)} WHERE load_id = ANY($1)", loads)  # noqa: S608 - quoted names


def _commit(session: Session, what: str) -> None:
    try:
        session.commit()
    except CommitUnclear as error:
        raise OutcomeUnknown(
            f"{what}: the connection broke at the commit ({error}); see by ingestion history whether the run is gone"
        ) from error
