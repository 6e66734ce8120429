"""Cursors as a commit holds them: JSON in place, a table as an immutable file of the load that wrote it."""

import hashlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import DataError
from ingestion.loaders.iceberg.writer import remove
from ingestion.loaders.tables.ledger import encoded
from ingestion.plugins import Cursor

if TYPE_CHECKING:
    from pyiceberg.io import FileIO

__all__ = ["discard", "file_of", "restored", "shown", "stored"]

_FILE = "ingestion.cursor-file"


def stored(cursor: Cursor, folder: str, load_id: str, io: "FileIO") -> Any:
    """The JSON form of *cursor*; a table is on disk under *folder* when this returns, in a file of this load alone."""
    if not isinstance(cursor, pa.Table):
        return cursor
    content = encoded(cursor)
    path = f"{folder}/{load_id}.parquet"
    _write(path, content, io)
    return {_FILE: path, "sha256": hashlib.sha256(content).hexdigest(), "rows": cursor.num_rows}


def discard(kept: Any, io: "FileIO") -> None:
    """Delete the file of what `stored` gave, if it has one; to be called only when no commit refers to it."""
    path = file_of(kept)
    if path is not None:
        remove(io, [path])


def file_of(kept: Any) -> str | None:
    """Where the file of what `stored` gave is, if it has one."""
    return str(kept[_FILE]) if isinstance(kept, dict) and _FILE in kept else None


def shown(kept: Any) -> Any:
    """What `stored` gave, for people to look at: JSON as it is, a file by its size."""
    return kept if file_of(kept) is None else {"entries": kept["rows"]}


def restored(value: Any, io: "FileIO") -> Cursor:
    """The cursor that `stored` gave *value* for; raises DataError if its file is gone or not what it was."""
    if not isinstance(value, dict) or _FILE not in value:
        cursor: Cursor = value
        return cursor
    try:
        with io.new_input(value[_FILE]).open() as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DataError(
            f"the cursor file {value[_FILE]} is gone; restore it, "
            f"or roll the table back to a snapshot whose cursor is there"
        ) from error
    if hashlib.sha256(content).hexdigest() != value["sha256"]:
        raise DataError(f"the cursor file {value[_FILE]} is not what was written; restore it from a backup")
    return pq.read_table(pa.BufferReader(content))


def _write(path: str, content: pa.Buffer, io: "FileIO") -> None:
    local = path.removeprefix("file://")
    if "://" in local:
        with io.new_output(path).create(overwrite=True) as file:
            file.write(content.to_pybytes())
        return
    target = Path(local)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            file.write(memoryview(content))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
