"""The loads that a table's log tells of, and the way back to before one of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from ingestion.errors import ConfigError
from ingestion.loaders.delta.commit import properties_of
from ingestion.loaders.delta.jobs import (
    CURSOR,
    LOAD,
    ROLLBACK,
    Entry,
    app_id,
    entry_of,
    keep,
    next_number,
    restored,
    restored_to,
)
from ingestion.loaders.delta.layout import COLUMNS_FOR
from ingestion.loaders.delta.log import Commit, commits, known_since
from ingestion.loaders.delta.place import Place
from ingestion.loaders.delta.quarantine import beside, remove_loads
from ingestion.loaders.tables.replayed import Known
from ingestion.loaders.tables.unsettled import REPLAYED, refuse_settled
from ingestion.plugins import Landed, RolledBack

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["known", "known_of", "landed", "rolled_back", "tried"]

_SHOWN = 5
_JOB, _RUN = "ingestion.job", "ingestion.run-id"
_HARMLESS = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END", "RESTORE", "SET TBLPROPERTIES", "ADD COLUMN"})
"""Operations that change no row, and restores, whose work is undone along with the rest."""


def landed(place: Place, table: "DeltaTable") -> list[Landed]:
    """The loads that are in the present rows of *table*, newest first, as far as its log goes."""
    return [_landed(item) for item in _present(place, table) if LOAD in item]


def tried(place: Place, table: "DeltaTable", once: str) -> int | None:
    """The version that holds a load whose id begins with *once*, as far as the log goes."""
    return next(
        (int(item["version"]) for item in _present(place, table) if str(item.get(LOAD, "")).startswith(once)), None
    )


def known(place: Place, table: "DeltaTable") -> Known:
    """The loads that are in the present rows of *table*, and how far back its log goes."""
    return known_of(place, list(commits(place, int(table.version()))))


def known_of(place: Place, log: Sequence[Commit]) -> Known:
    """What *log*, newest first, tells of the loads that are in the present rows."""
    loads = {str(item[LOAD]) for item in _present_of(place, log) if LOAD in item}
    return Known(loads, datetime.fromtimestamp(known_since(log) / 1000, timezone.utc))


def rolled_back(place: Place, table: "DeltaTable", job: str, run_id: str, name: str) -> RolledBack:
    """Restore what *table* was before that run; one commit takes rows and cursor back.

    Raises ConfigError where that would lose what others did, or where files are gone.
    """
    present = list(_present(place, table))
    first = _first_of(present, job, run_id)
    if first is None:
        raise _unknown(commits(place, int(table.version())), present, job, run_id, f"table {name}")
    since = [item for item in present if item["version"] >= first["version"]]
    _refuse_losing_others(since, job, name)
    _refuse_settled(place, [str(item[LOAD]) for item in since if REPLAYED in item and LOAD in item], name)
    before = int(first["version"]) - 1
    # The versions of their own that brought the load's columns go with it.
    while any(item["version"] == before and item.get(COLUMNS_FOR) == first[LOAD] for item in present):
        before -= 1
    try:
        version = _restore(place, table, job, before, {ROLLBACK: run_id})
    except FileNotFoundError as error:
        raise ConfigError(
            f"table {name}: files of version {before} have been vacuumed away, so that it cannot be restored"
        ) from error
    undone = [_landed(item) for item in since if LOAD in item]
    remove_loads(beside(place), job, {item.load_id for item in undone})
    return RolledBack(undone, str(version))


def _present(place: Place, table: "DeltaTable") -> Iterator[Mapping[str, Any]]:
    """The commits that made the table what it is, newest first; what a restore undid is left out."""
    return _present_of(place, commits(place, int(table.version())))


def _present_of(place: Place, log: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    limit = None
    for item in log:
        if limit is not None and item["version"] > limit:
            continue
        limit = None
        yield item
        if item.get("operation") == "RESTORE":
            limit = restored_to(place, item)
        elif ROLLBACK in item:
            return  # to before the first version


def _first_of(present: Sequence[Mapping[str, Any]], job: str, run_id: str) -> Mapping[str, Any] | None:
    """The run's oldest load."""
    runs = [item for item in present if item.get(_RUN) == run_id and item.get(_JOB) == job]
    return runs[-1] if runs else None


def _unknown(
    log: Iterator[Mapping[str, Any]], present: Sequence[Mapping[str, Any]], job: str, run_id: str, where: str
) -> ConfigError:
    """Why there is no such run of the job to be taken back."""
    loads = [_landed(item) for item in present if LOAD in item]
    owner = next((item.job for item in loads if item.run_id == run_id), None)
    if owner is not None:
        return ConfigError(f"{where}: run {run_id} is one of job {owner}; take it back as that job's")
    if any(item.get(_RUN) == run_id and item.get(_JOB) == job for item in log):
        return ConfigError(f"{where}: run {run_id} is not in its rows any more; it was taken back before")
    newest = [f"{item.run_id} ({item.at:%Y-%m-%d %H:%M})" for item in loads if item.job == job][:_SHOWN]
    known = f"its newest runs: {', '.join(newest)}" if newest else f"none of job {job}"
    return ConfigError(f"{where} remembers no run {run_id} of job {job}; {known}")


def _refuse_losing_others(since: list[Mapping[str, Any]], job: str, name: str) -> None:
    for item in since:
        other = item.get(_JOB)
        if other is not None and other != job:
            raise ConfigError(
                f"table {name}: job {other} has loaded into it since (run {item.get(_RUN)}), which "
                f"would be lost; roll that one back first"
            )
        if other is None and item.get("operation") not in _HARMLESS and COLUMNS_FOR not in item:
            raise ConfigError(
                f"table {name}: version {item['version']} ({item.get('operation')}) was written by another program "
                f"since, which would be lost; restore the table with that program's own means if that is right"
            )


def _refuse_settled(place: Place, replays: Sequence[str], name: str) -> None:
    from ingestion.loaders.delta.quarantined import stored  # which asks this module what landed

    table = beside(place).open() if replays else None
    refuse_settled(partial(stored, table, f"table {name}__quarantine") if table is not None else None, replays, name)


def _restore(place: Place, table: "DeltaTable", job: str, before: int, notes: Mapping[str, Any]) -> int:
    from deltalake.exceptions import DeltaError

    older = place.open(before) if before >= 0 else None
    entry = entry_of(place, older, job) if older is not None else Entry()
    number, version = next_number(table, job), table.version() + 1
    # The file is there before the commit that points to it, and nothing points to it if that fails.
    files = keep(place, job, replace(entry, number=number, version=version), restored(place, entry))
    properties = properties_of(notes, (app_id(job), number))
    try:
        if older is None:
            table.create_write_transaction([], "overwrite", table.schema(), commit_properties=properties)
        else:
            table.restore(before, commit_properties=properties)
    except DeltaError as error:
        if "missing" not in str(error).lower() and "not found" not in str(error).lower():
            raise
        place.remove(files)
        raise FileNotFoundError(str(error)) from error
    return version


def _landed(item: Mapping[str, Any]) -> Landed:
    cursor = item.get(CURSOR)
    return Landed(
        job=str(item.get(_JOB, "")),
        run_id=str(item.get(_RUN, "")),
        load_id=str(item[LOAD]),
        at=datetime.fromtimestamp(int(item["timestamp"]) / 1000, timezone.utc),
        mode=str(item.get("ingestion.mode", "append")),
        rows=item.get("ingestion.rows"),
        files=item.get("ingestion.files"),
        snapshot=str(item["version"]),
        cursor=json.loads(cursor) if cursor else None,
    )
