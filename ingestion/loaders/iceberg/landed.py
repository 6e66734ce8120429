"""The loads that a table's present history lists."""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ingestion.loaders.iceberg.cursors import shown
from ingestion.loaders.iceberg.history import ENTRY, JOB, LOAD, MODE, ROWS, RUN, in_summary, lineage
from ingestion.plugins import Landed

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

__all__ = ["as_landed", "at", "landed"]

_FILES = ("added-data-files", "added-delete-files")


def landed(metadata: "TableMetadata") -> Iterator[Landed]:
    """The loads of every job that the table's present rows come from, newest first; expired ones are not known."""
    return (as_landed(snapshot) for snapshot in lineage(metadata) if in_summary(snapshot, JOB) is not None)


def as_landed(snapshot: "Snapshot") -> Landed:
    """The load that a snapshot of ours landed."""
    job = str(in_summary(snapshot, JOB))
    return Landed(
        job=job,
        run_id=str(in_summary(snapshot, RUN)),
        load_id=str(in_summary(snapshot, LOAD)),
        at=at(snapshot),
        mode=in_summary(snapshot, MODE) or _mode(snapshot),
        rows=_number(in_summary(snapshot, ROWS) or in_summary(snapshot, "added-records")),
        files=sum(_number(in_summary(snapshot, key)) for key in _FILES),
        snapshot=str(snapshot.snapshot_id),
        cursor=_cursor(snapshot, job),
    )


def at(snapshot: "Snapshot") -> datetime:
    """When it was committed, in UTC."""
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, timezone.utc)


def _mode(snapshot: "Snapshot") -> str:
    return snapshot.summary.operation.value if snapshot.summary is not None else "append"


def _number(text: str | None) -> int:
    return int(text) if text is not None else 0


def _cursor(snapshot: "Snapshot", job: str) -> Any:
    entry = in_summary(snapshot, ENTRY + job)
    return shown(json.loads(entry)["cursor"]) if entry is not None else None
