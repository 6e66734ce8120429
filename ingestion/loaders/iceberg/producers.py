"""Snapshots that pyiceberg has no producer for."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.table import TableProperties
from pyiceberg.table.snapshots import Operation, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.table.update.snapshot import _SnapshotProducer

from ingestion.errors import TransientError

if TYPE_CHECKING:
    from pyiceberg.table import Transaction

__all__ = ["ChangeFiles", "Emptied", "RemoveFiles", "ReplaceAll"]


class _DeleteManifestWriter(ManifestWriterV2):
    """A manifest of delete files."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _Removing(_SnapshotProducer[Any]):
    """Takes data files and delete files of the parent snapshot out by path, without looking at their rows."""

    added_deletes: Sequence[DataFile] = ()  # delete files that come

    @abstractmethod
    def _doomed(self, path: str) -> bool:
        """Whether the file at *path* goes."""

    def _build_delete_files_partition_predicate(self) -> None:
        """Files are named one by one; no predicate is needed to find them."""

    @cached_property
    def _parent(self) -> list[tuple[ManifestFile, list[ManifestEntry]]]:
        """The manifests of the parent snapshot with their live entries; without any where none of them goes."""
        number = self._parent_snapshot_id
        snapshot = self._transaction.table_metadata.snapshot_by_id(number) if number is not None else None
        manifests = snapshot.manifests(self._io) if snapshot is not None else []
        return [
            (item, item.fetch_manifest_entry(self._io, discard_deleted=True) if self._concerns(item) else [])
            for item in manifests
        ]

    def _concerns(self, manifest: ManifestFile) -> bool:  # noqa: ARG002 - named for those who know more
        """Whether a file that goes may be in *manifest*."""
        return True

    def _going(self, content: ManifestContent) -> list[ManifestEntry]:
        """Entries of the files that go, of data or of deletes."""
        return [
            self._with(ManifestEntryStatus.DELETED, entry)
            for manifest, entries in self._parent
            if manifest.content == content
            for entry in entries
            if self._doomed(entry.data_file.file_path)
        ]

    def _deleted_entries(self) -> list[ManifestEntry]:
        """What goes into manifests of data; those of deletes are written by `_process_manifests`."""
        doomed = self._going(ManifestContent.DATA)
        self._deleted_data_files.update(entry.data_file for entry in doomed)
        return doomed

    def _existing_manifests(self) -> list[ManifestFile]:
        kept = []
        for manifest, entries in self._parent:
            left = [entry for entry in entries if not self._doomed(entry.data_file.file_path)]
            whole = entries and len(left) == len(entries)  # one that lists nothing but removals has done its duty
            if whole or not self._concerns(manifest):
                kept.append(manifest)
            elif left:
                with self._writer(manifest.content, manifest.partition_spec_id) as writer:
                    for entry in left:
                        writer.add_entry(self._with(ManifestEntryStatus.EXISTING, entry))
                kept.append(writer.to_manifest_file())
        return kept

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """Add the manifests that say which delete files come and go."""
        changes: defaultdict[int, list[ManifestEntry]] = defaultdict(list)
        for file in self.added_deletes:
            changes[file.spec_id].append(self._added(file))
        for entry in self._going(ManifestContent.DELETES):
            self._deleted_data_files.add(entry.data_file)
            changes[entry.data_file.spec_id].append(entry)
        for spec_id, entries in changes.items():
            with self._writer(ManifestContent.DELETES, spec_id) as writer:
                for entry in entries:
                    writer.add_entry(entry)
            manifests.append(writer.to_manifest_file())
        return manifests

    def _writer(self, content: ManifestContent, spec_id: int) -> ManifestWriter:
        spec = self.spec(spec_id)
        if content == ManifestContent.DATA:
            return self.new_manifest_writer(spec)
        output = self.new_manifest_output()
        return _DeleteManifestWriter(spec, self.schema(), output, self._snapshot_id, self._compression)

    def _summary(self, snapshot_properties: dict[str, str] = {}) -> Summary:  # noqa: B006 - as its parent has it
        """Counts of all files, those of deletes and of other partition specs included."""
        metadata = self._transaction.table_metadata
        name, default = (
            TableProperties.WRITE_PARTITION_SUMMARY_LIMIT,
            TableProperties.WRITE_PARTITION_SUMMARY_LIMIT_DEFAULT,
        )
        counts = SnapshotSummaryCollector(partition_summary_limit=int(metadata.properties.get(name, default)))
        for file in (*self._added_data_files, *self.added_deletes):
            counts.add_file(file, metadata.schema(), self.spec(file.spec_id))
        for file in self._deleted_data_files:
            counts.remove_file(file, metadata.schema(), self.spec(file.spec_id))
        number = self._parent_snapshot_id
        parent = metadata.snapshot_by_id(number) if number is not None else None
        own = Summary(operation=self._operation, **counts.build(), **snapshot_properties)
        return update_snapshot_summaries(own, parent.summary if parent is not None else None)

    def _added(self, file: DataFile) -> ManifestEntry:
        return ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED,
            snapshot_id=self.snapshot_id,
            sequence_number=None,
            file_sequence_number=None,
            data_file=file,
        )

    def _with(self, status: ManifestEntryStatus, entry: ManifestEntry) -> ManifestEntry:
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=self.snapshot_id if status == ManifestEntryStatus.DELETED else entry.snapshot_id,
            sequence_number=entry.sequence_number,
            file_sequence_number=entry.file_sequence_number,
            data_file=entry.data_file,
        )


class ReplaceAll(_Removing):
    """One snapshot with the added files and nothing else: all earlier data files and delete files are left out."""

    @classmethod
    def on(cls, transaction: "Transaction", summary: dict[str, str]) -> "ReplaceAll":
        """A producer on the main branch of *transaction*'s table."""
        empty = transaction.table_metadata.current_snapshot() is None
        operation = Operation.APPEND if empty else Operation.OVERWRITE
        return cls(operation, transaction, transaction._table.io, snapshot_properties=summary)  # noqa: SLF001 - as its own factories do

    def _doomed(self, path: str) -> bool:  # noqa: ARG002 - every file is
        return True


class RemoveFiles(_Removing):
    """One snapshot without the given files."""

    doomed: frozenset[str] = frozenset()

    @classmethod
    def on(cls, transaction: "Transaction", summary: dict[str, str], doomed: Collection[str]) -> "RemoveFiles":
        """A producer on the main branch of *transaction*'s table."""
        producer = cls(Operation.DELETE, transaction, transaction._table.io, snapshot_properties=summary)  # noqa: SLF001 - as its own factories do
        producer.doomed = frozenset(doomed)
        return producer

    def _doomed(self, path: str) -> bool:
        return path in self.doomed


class ChangeFiles(RemoveFiles):
    """One snapshot without the given files, data or deletes, and with others; data files are appended as usual."""

    places: frozenset[str] | None = None  # the manifests that list what goes, where they are known

    @classmethod
    def between(
        cls,
        transaction: "Transaction",
        summary: dict[str, str],
        doomed: Collection[str] | Mapping[str, str],
        deletes: Sequence[DataFile],
        *,
        adds_rows: bool,
    ) -> "ChangeFiles":
        """A producer on the main branch of *transaction*'s table; *deletes* are the delete files that come."""
        operation = Operation.OVERWRITE if adds_rows else Operation.DELETE
        if not doomed and not deletes:
            operation = Operation.APPEND
        producer = cls(operation, transaction, transaction._table.io, snapshot_properties=summary)  # noqa: SLF001 - as its own factories do
        producer.doomed, producer.added_deletes = frozenset(doomed), tuple(deletes)
        if not doomed or isinstance(doomed, Mapping):
            producer.places = frozenset(doomed.values() if isinstance(doomed, Mapping) else ())
        return producer

    def _concerns(self, manifest: ManifestFile) -> bool:
        return self.places is None or manifest.manifest_path in self.places

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """Make sure, once all is known, that what was to go was there: a file that is gone already has other rows."""
        manifests = super()._process_manifests(manifests)
        missing = self.doomed - {file.file_path for file in self._deleted_data_files}
        if missing:
            raise TransientError(f"data file {min(missing)} is no longer in the table; run again")
        return manifests


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
