"""What a table's present snapshot consists of: data files, each with the delete files that are about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestion.errors import DataError

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table import Table

__all__ = ["LiveFile", "live_files"]


@dataclass(frozen=True)
class LiveFile:
    """A data file, and what says which of its rows are gone."""

    file: "DataFile"
    own: "tuple[DataFile, ...]"  # position delete files about this file alone
    shared: "tuple[DataFile, ...]"  # those that may be about others too

    @property
    def path(self) -> str:
        """Where it is, which is also its name."""
        return str(self.file.file_path)

    @property
    def rows(self) -> int:
        """Its rows, those that are gone included."""
        return int(self.file.record_count)

    @property
    def marks(self) -> frozenset[str]:
        """What it depends on besides itself."""
        return frozenset(str(file.file_path) for file in (*self.own, *self.shared))


def live_files(table: "Table | None") -> dict[str, LiveFile]:
    """All data files by path; raises DataError where rows are deleted in a way that cannot be followed."""
    from pyiceberg.manifest import INITIAL_SEQUENCE_NUMBER, DataFileContent
    from pyiceberg.table.delete_file_index import DeleteFileIndex

    data: list[ManifestEntry] = []
    deletes = DeleteFileIndex()
    for entry in _entries(table):
        content = entry.data_file.content
        if content == DataFileContent.DATA:
            data.append(entry)
        elif content == DataFileContent.POSITION_DELETES:
            deletes.add_delete_file(entry, entry.data_file.partition)
        else:
            raise DataError(
                f"table {'.'.join(table.name()) if table else ''}: another engine has deleted rows by equality delete "
                f"files, which a merge cannot follow; rewrite its data files there "
                f"(in Spark: CALL system.rewrite_data_files), then run again"
            )
    return {
        entry.data_file.file_path: _with_deletes(
            entry.data_file,
            deletes.for_data_file(
                entry.sequence_number or INITIAL_SEQUENCE_NUMBER, entry.data_file, entry.data_file.partition
            ),
        )
        for entry in data
    }


def _entries(table: "Table | None") -> "list[ManifestEntry]":
    snapshot = table.current_snapshot() if table is not None else None
    if table is None or snapshot is None:
        return []
    return [
        entry
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    ]


def _with_deletes(file: "DataFile", deletes: "set[DataFile]") -> LiveFile:
    from pyiceberg.table.delete_file_index import _referenced_data_file_path

    own = tuple(item for item in deletes if _referenced_data_file_path(item) == file.file_path)
    return LiveFile(file, own, tuple(item for item in deletes if item not in own))
