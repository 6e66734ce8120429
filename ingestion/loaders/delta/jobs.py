"""What a table knows of its jobs: each one's newest load and cursor, in a file that the commit points to.

A commit of ours moves the transaction id of its job to a number that was never there before; under that number a file
beside the log says which load it was and where the job goes on. The log's own notes on a commit go with the log's
old entries, transaction ids and these files stay. A restore by another tool leaves transaction ids as they are: it is
found in the log, and what counts is then what the table knew at the version that was restored.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.delta.log import Commit, commits
from ingestion.loaders.delta.place import Place
from ingestion.loaders.tables.ledger import encoded
from ingestion.plugins import Cursor

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = [
    "CURSOR",
    "FOLDER",
    "LOAD",
    "ROLLBACK",
    "Entry",
    "app_id",
    "entry_of",
    "keep",
    "next_number",
    "restored",
    "restored_to",
    "sequence",
    "shown",
]

FOLDER = "_ingestion"
"""Within the table's folder; tools that clean it up pass names by that start with an underscore."""
LOAD = "ingestion.load-id"
CURSOR = "ingestion.cursor"
ROLLBACK = "ingestion.rolled-back"
_RANDOM_BITS = 40
_LONGEST_SHOWN = 2000  # characters
_FILE = "ingestion.cursor-file"


@dataclass(frozen=True)
class Entry:
    """A job's newest load, and its cursor in the form of the file."""

    load_id: str | None = None
    run_id: str | None = None
    cursor: Any = None
    version: int = -1  # of the table, as this load made it
    number: int | None = None  # the transaction id


def app_id(job: str) -> str:
    """Under what name the log has a job's transaction id."""
    return f"ingestion:{job}"


def next_number(table: "DeltaTable | None", job: str) -> int:
    """A transaction id that is greater than all before and that no other run takes."""
    before = table.transaction_version(app_id(job)) if table is not None else None
    return (sequence(before or 0) + 1 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)


def sequence(number: int) -> int:
    """How many transactions of its job there were up to this one; attempts that did not land share it with one."""
    return number >> _RANDOM_BITS


def entry_of(place: Place, table: "DeltaTable", job: str) -> Entry:
    """What *table*, in the version that it shows, knows of *job*; an empty entry where it never landed.

    Raises DataError where the file of the entry is gone, ConfigError where a restored version is.
    """
    number = table.transaction_version(app_id(job))
    if number is None:
        return Entry()
    entry = _read(place, job, number)
    back = _restored_after(place, int(table.version()), entry.version)
    if back is None:
        return entry
    older = _opened(place, back, table)
    found = entry_of(place, older, job)
    # What supersedes whom is told by numbers that are in the log now.
    return replace(found, number=number)


def keep(place: Place, job: str, entry: Entry, cursor: Cursor) -> list[str]:
    """Write the file of *entry*, with *cursor*; gives the paths. It is there for good when this returns."""
    folder = _folder(job)
    paths = []
    kept: Any = cursor
    if isinstance(cursor, pa.Table):
        content = encoded(cursor)
        paths.append(f"{folder}/{entry.number}.parquet")
        _write(place, paths[0], content.to_pybytes())
        kept = {_FILE: paths[0], "sha256": hashlib.sha256(content).hexdigest(), "rows": cursor.num_rows}
    values = {
        "job": job,
        "load_id": entry.load_id,
        "run_id": entry.run_id,
        "version": entry.version,
        "cursor": kept,
        "at": datetime.now(timezone.utc).isoformat(),
    }
    paths.append(f"{folder}/{entry.number}.json")
    _write(place, paths[-1], json.dumps(values).encode())
    return paths


def restored(place: Place, entry: Entry) -> Cursor:
    """The cursor of *entry*; raises DataError if its file is gone or not what it was."""
    kept = entry.cursor
    if not isinstance(kept, Mapping) or _FILE not in kept:
        cursor: Cursor = kept
        return cursor
    content = _content(place, str(kept[_FILE]))
    if hashlib.sha256(content).hexdigest() != kept["sha256"]:
        raise DataError(f"the cursor file {kept[_FILE]} is not what was written; restore it from a backup")
    return pq.read_table(pa.BufferReader(content))


def shown(cursor: Cursor) -> Any:
    """A cursor as the log may tell of it: a table by its size, and what is long not at all."""
    if isinstance(cursor, pa.Table):
        return {"entries": cursor.num_rows}
    return cursor if len(json.dumps(cursor)) <= _LONGEST_SHOWN else None


def _folder(job: str) -> str:
    return f"{FOLDER}/{quote(job, safe='')}"


def _read(place: Place, job: str, number: int) -> Entry:
    values = json.loads(_content(place, f"{_folder(job)}/{number}.json"))
    return Entry(values["load_id"], values["run_id"], values["cursor"], values["version"], number)


def _restored_after(place: Place, newest: int, version: int) -> Commit | None:
    """The newest restore after *version*, as the log tells of it; None where there is none."""
    return next((item for item in commits(place, newest, version) if item.get("operation") == "RESTORE"), None)


def restored_to(place: Place, restore: Mapping[str, Any]) -> int:
    """The version that a restore, as the log tells of it, went back to."""
    said = restore.get("operationParameters", {})
    if said.get("version") is not None:
        return int(said["version"])
    older = place.open(0)
    assert older is not None  # noqa: S101 - the table is open already
    older.load_as_version(_time(said))
    return int(older.version())


def _opened(place: Place, restore: Mapping[str, Any], table: "DeltaTable") -> "DeltaTable":
    from deltalake.exceptions import DeltaError

    older, reason = None, None
    try:
        older = place.open(restored_to(place, restore))
    except (DeltaError, ValueError, KeyError) as error:
        reason = error
    if older is None:
        raise ConfigError(
            f"table {table.table_uri}: it was restored (version {restore['version']}) to a version that its log does "
            f"not have any more, so that the job's cursor then is not known; restore it once more to a version that "
            f"is there, or start the job again on another table"
        ) from reason
    return older


def _time(said: Mapping[str, Any]) -> datetime:
    value = said.get("datetime", said.get("timestamp"))
    if isinstance(value, int) or str(value).isdigit():
        return datetime.fromtimestamp(int(str(value)) / 1000, timezone.utc)
    return datetime.fromisoformat(str(value))


def _content(place: Place, path: str) -> bytes:
    try:
        with place.files.open_input_file(path) as file:
            return bytes(file.read())
    except FileNotFoundError as error:
        raise DataError(
            f"the file {path} in {place.uri}, which holds a job's cursor, is gone; restore it from a backup, or "
            f"restore the table to a version whose cursor is there"
        ) from error


def _write(place: Place, path: str, content: bytes) -> None:
    if not place.remote:
        place.files.create_dir(path.rpartition("/")[0], recursive=True)
    with place.files.open_output_stream(path) as file:
        file.write(content)
