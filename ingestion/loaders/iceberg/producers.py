"""Snapshots that pyiceberg has no producer for."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pyiceberg.manifest import DataFileContent, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _SnapshotProducer

if TYPE_CHECKING:
    from pyiceberg.table import Transaction

__all__ = ["Emptied", "RemoveFiles", "ReplaceAll"]


class _Removing(_SnapshotProducer[Any]):
    """Takes files of the parent snapshot out by path, without looking at their rows."""

    @abstractmethod
    def _doomed(self, path: str) -> bool:
        """Whether the file at *path* goes."""

    def _build_delete_files_partition_predicate(self) -> None:
        """Files are named one by one; no predicate is needed to find them."""

    def _parent_manifests(self) -> list[ManifestFile]:
        parent = self._parent_snapshot_id
        snapshot = self._transaction.table_metadata.snapshot_by_id(parent) if parent is not None else None
        return snapshot.manifests(self._io) if snapshot is not None else []

    def _deleted_entries(self) -> list[ManifestEntry]:
        doomed = []
        for manifest in self._parent_manifests():
            if manifest.content != ManifestContent.DATA:
                continue
            for entry in manifest.fetch_manifest_entry(self._io, discard_deleted=True):
                if entry.data_file.content == DataFileContent.DATA and self._doomed(entry.data_file.file_path):
                    self._deleted_data_files.add(entry.data_file)
                    doomed.append(self._with(ManifestEntryStatus.DELETED, entry))
        return doomed

    def _with(self, status: ManifestEntryStatus, entry: ManifestEntry) -> ManifestEntry:
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=self.snapshot_id if status == ManifestEntryStatus.DELETED else entry.snapshot_id,
            sequence_number=entry.sequence_number,
            file_sequence_number=entry.file_sequence_number,
            data_file=entry.data_file,
        )


class ReplaceAll(_Removing):
    """One snapshot with the added files and nothing else: delete files and all earlier data files are left out."""

    @classmethod
    def on(cls, transaction: "Transaction", summary: dict[str, str]) -> "ReplaceAll":
        """A producer on the main branch of *transaction*'s table."""
        empty = transaction.table_metadata.current_snapshot() is None
        operation = Operation.APPEND if empty else Operation.OVERWRITE
        return cls(operation, transaction, transaction._table.io, snapshot_properties=summary)  # noqa: SLF001 - as its own factories do

    def _doomed(self, path: str) -> bool:  # noqa: ARG002 - every file is
        return True

    def _existing_manifests(self) -> list[ManifestFile]:
        return []


class RemoveFiles(_Removing):
    """One snapshot without the given files."""

    doomed: frozenset[str] = frozenset()

    @classmethod
    def on(cls, transaction: "Transaction", summary: dict[str, str], doomed: frozenset[str]) -> "RemoveFiles":
        """A producer on the main branch of *transaction*'s table."""
        producer = cls(Operation.DELETE, transaction, transaction._table.io, snapshot_properties=summary)  # noqa: SLF001 - as its own factories do
        producer.doomed = doomed
        return producer

    def _doomed(self, path: str) -> bool:
        return path in self.doomed

    def _existing_manifests(self) -> list[ManifestFile]:
        kept = []
        for manifest in self._parent_manifests():
            entries = manifest.fetch_manifest_entry(self._io, discard_deleted=True)
            left = [entry for entry in entries if entry.data_file.file_path not in self.doomed]
            if len(left) == len(entries):
                kept.append(manifest)
            elif left:
                with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
                    for entry in left:
                        writer.add_entry(self._with(ManifestEntryStatus.EXISTING, entry))
                kept.append(writer.to_manifest_file())
        return kept


class Emptied(_SnapshotProducer[Any]):
    """One snapshot without files and without a past, as of a table that nothing was ever loaded into."""

    @classmethod
    def on(cls, transaction: "Transaction", summary: dict[str, str]) -> "Emptied":
        """A producer on the main branch of *transaction*'s table."""
        producer = cls(Operation.DELETE, transaction, transaction._table.io, snapshot_properties=summary)  # noqa: SLF001 - as its own factories do
        producer._parent_snapshot_id = None
        return producer

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _deleted_entries(self) -> list[ManifestEntry]:
        return []
