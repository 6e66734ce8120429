"""What a table's own history says of a job: its cursor, its newest load, and whether a load landed.

Every commit of ours writes into its snapshot summary one entry per job, those of other jobs carried
forward, so that the newest of our snapshots knows all. A rollback of the table thus rolls them back.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ingestion.errors import ConfigError

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

__all__ = [
    "CONFIG",
    "EMPTIED",
    "ENTRY",
    "FIRST",
    "JOB",
    "LOAD",
    "MODE",
    "ROWS",
    "RUN",
    "UPKEEP",
    "Entry",
    "all_entries",
    "entry_in",
    "entry_of",
    "find_load",
    "find_try",
    "in_summary",
    "is_root",
    "known_since",
    "lineage",
    "rows_of",
]

LOAD = "ingestion.load-id"
RUN = "ingestion.run-id"
JOB = "ingestion.job"
CONFIG = "ingestion.config-hash"
MODE = "ingestion.mode"
ROWS = "ingestion.rows"
UPKEEP = "ingestion.upkeep"
"""Names what was done by a commit that changed no row; rollbacks pass over it."""
EMPTIED = "rollback"
"""What UPKEEP says of the snapshot with which a table begins anew, all that was loaded having been taken back."""
FIRST = "ingestion.first"
"""In the summary of a snapshot before which there was none: without sequence numbers, as in format version 1, the
oldest one left looks the same."""
ENTRY = "ingestion.cursor."
_CLOCKS_DIFFER_MS = 60_000  # at most: Iceberg refuses a snapshot that is older than the last change by more


class Entry(NamedTuple):
    """A job's newest landed load, and the cursor in its stored form."""

    load_id: str | None = None
    cursor: Any = None

    def in_summary(self) -> str:
        """As a snapshot summary holds it."""
        return json.dumps({"load_id": self.load_id, "cursor": self.cursor}, separators=(",", ":"))

    def in_property(self, snapshot_id: int, sequence: int) -> str:
        """As the table's properties hold it, which outlive the expiry of snapshots."""
        values = {"load_id": self.load_id, "cursor": self.cursor, "snapshot": snapshot_id, "sequence": sequence}
        return json.dumps(values, separators=(",", ":"))


def in_summary(snapshot: "Snapshot", key: str) -> str | None:
    """One value of a snapshot's summary."""
    return snapshot.summary.additional_properties.get(key) if snapshot.summary is not None else None


def rows_of(table: "Table | None") -> int | None:
    """How many rows *table* has, as its newest snapshot counts them; None where it does not say."""
    snapshot = table.current_snapshot() if table is not None else None
    if snapshot is None:
        return None
    total = in_summary(snapshot, "total-records")
    deleted = in_summary(snapshot, "total-position-deletes") or "0"
    return int(total) - int(deleted) if total is not None else None


def find_load(metadata: "TableMetadata", load_id: str) -> "Snapshot | None":
    """The snapshot that landed *load_id*."""
    return next((item for item in metadata.snapshots if in_summary(item, LOAD) == load_id), None)


def find_try(metadata: "TableMetadata", once: str) -> "Snapshot | None":
    """The snapshot that the present rows come from and whose load id begins with *once*, where that says anything."""
    tries = (item for item in lineage(metadata) if (in_summary(item, LOAD) or "").startswith(once))
    return next(tries, None) if once else None


def entry_of(metadata: "TableMetadata", job: str, io: "FileIO") -> Entry:
    """The job's entry in the history of the table's present state; an empty one if it never landed there."""
    text = all_entries(metadata, io).get(ENTRY + job)
    return entry_in(text) if text is not None else Entry()


def all_entries(metadata: "TableMetadata", io: "FileIO") -> dict[str, str]:
    """The summary entries of every job, to be carried forward by the next commit."""
    known = {item.snapshot_id: item for item in metadata.snapshots}
    oldest = None
    for snapshot in _lineage(metadata, io, known):
        if in_summary(snapshot, LOAD) is not None:
            return _entries(snapshot.summary.additional_properties if snapshot.summary else {})
        oldest = snapshot
    if oldest is None or is_root(metadata, oldest):
        return {}
    kept = _entries(metadata.properties)
    return {key: _proven(metadata, key, text, known, oldest) for key, text in kept.items()}


def _entries(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key.startswith(ENTRY)}


def entry_in(text: str) -> Entry:
    """An entry as a snapshot summary holds it."""
    values = json.loads(text)
    return Entry(values["load_id"], values["cursor"])


def is_root(metadata: "TableMetadata", snapshot: "Snapshot") -> bool:
    """Whether history starts here; expiry clears the parent of the oldest snapshot it keeps, so that says little."""
    if metadata.format_version == 1:
        return snapshot.parent_snapshot_id is None
    return snapshot.sequence_number == 1


def known_since(metadata: "TableMetadata") -> int:
    """From when on (in ms) every ancestor of the present state is still listed; 0 where none has expired."""
    oldest = next(iter(list(lineage(metadata))[-1:]), None)
    if oldest is None or oldest.sequence_number == 1:
        return 0
    if in_summary(oldest, UPKEEP) == EMPTIED or in_summary(oldest, FIRST) is not None:
        return 0
    return oldest.timestamp_ms + _CLOCKS_DIFFER_MS


def lineage(metadata: "TableMetadata") -> "Iterator[Snapshot]":
    """The current snapshot and its ancestors, newest first, as far as none of them has expired."""
    known = {item.snapshot_id: item for item in metadata.snapshots}
    snapshot = metadata.current_snapshot()
    while snapshot is not None:
        yield snapshot
        snapshot = _parent(snapshot, known)


def _lineage(metadata: "TableMetadata", io: "FileIO", known: "dict[int, Snapshot]") -> "Iterator[Snapshot]":
    """The current snapshot and its ancestors, newest first; expired ones as older metadata files know them."""
    snapshot = metadata.current_snapshot()
    older = _older_snapshots(metadata, io)
    while snapshot is not None:
        yield snapshot
        if is_root(metadata, snapshot):
            return
        parent = _parent(snapshot, known)
        while parent is None:
            more = next(older, None)
            if more is None:
                return
            known.update(more)
            parent = _parent(known[snapshot.snapshot_id], known)
        snapshot = parent


def _parent(snapshot: "Snapshot", known: "Mapping[int, Snapshot]") -> "Snapshot | None":
    return known.get(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id is not None else None


def _older_snapshots(metadata: "TableMetadata", io: "FileIO") -> "Iterator[dict[int, Snapshot]]":
    from pyiceberg.serializers import FromInputFile

    for entry in reversed(metadata.metadata_log):
        try:
            old = FromInputFile.table_metadata(io.new_input(entry.metadata_file))
        except (OSError, ValueError):  # gone or damaged: an older one may still answer
            continue
        yield {item.snapshot_id: item for item in old.snapshots}


def _proven(metadata: "TableMetadata", key: str, text: str, known: "Mapping[int, Snapshot]", oldest: "Snapshot") -> str:
    """A property's entry in summary form; refused where its snapshot is known not to be an ancestor."""
    values = json.loads(text)
    if values["snapshot"] in known or values["sequence"] >= (oldest.sequence_number or 0):
        raise ConfigError(
            f"table {metadata.location}: so much of its history has expired that the cursor in its property {key} "
            f"cannot be proven to belong to its present rows (the table was rolled back); "
            f"remove that property to let the job start from the beginning, or restore the snapshot it names"
        )
    return entry_in(text).in_summary()
