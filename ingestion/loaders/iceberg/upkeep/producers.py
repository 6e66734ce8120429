"""Snapshots that hold the same rows as the one before, in other files or in fewer manifests."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table.snapshots import Operation, Summary
from typing_extensions import Self

from ingestion.loaders.iceberg.producers import RemoveFiles

if TYPE_CHECKING:
    from pyiceberg.table import Transaction

__all__ = ["MergedManifests", "Rewritten"]

_MANIFEST_BYTES = 8 << 20  # Iceberg's own default


class Rewritten(RemoveFiles):
    """One snapshot with the same rows: the added files in place of the doomed ones."""

    @classmethod
    def on(cls, transaction: "Transaction", summary: dict[str, str], doomed: Collection[str] = ()) -> Self:
        """A producer on the main branch of *transaction*'s table."""
        io = transaction._table.io  # noqa: SLF001 - as pyiceberg's own factories do
        producer = cls(Operation.OVERWRITE, transaction, io, snapshot_properties=summary)
        producer.doomed = frozenset(doomed)
        return producer

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        counted = super()._summary(snapshot_properties or {})  # as an overwrite: pyiceberg counts for no other name
        return Summary(operation=Operation.REPLACE, **counted.additional_properties)


class MergedManifests(Rewritten):
    """One snapshot with the same files, those of the given manifests in as few of them as hold them."""

    merged: Collection[str] = ()  # paths of manifests

    def _concerns(self, manifest: ManifestFile) -> bool:
        return manifest.manifest_path in self.merged

    def _existing_manifests(self) -> list[ManifestFile]:
        kept: list[ManifestFile] = []
        loose: dict[tuple[ManifestContent, int], list[ManifestEntry]] = defaultdict(list)
        for manifest, entries in self._parent:
            if manifest.manifest_path in self.merged:
                loose[manifest.content, manifest.partition_spec_id] += entries
            else:
                kept.append(manifest)
        written = (self._packed(content, spec_id, entries) for (content, spec_id), entries in loose.items())
        return [*kept, *(manifest for group in written for manifest in group)]

    def _packed(self, content: ManifestContent, spec_id: int, entries: list[ManifestEntry]) -> Iterator[ManifestFile]:
        left = iter(entries)
        for entry in left:
            with self._writer(content, spec_id) as writer:
                writer.add_entry(self._with(ManifestEntryStatus.EXISTING, entry))
                while writer.tell() < _MANIFEST_BYTES and (following := next(left, None)) is not None:
                    writer.add_entry(self._with(ManifestEntryStatus.EXISTING, following))
            yield writer.to_manifest_file()
