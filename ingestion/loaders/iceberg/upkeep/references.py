"""Which files snapshots refer to."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

__all__ = ["only_in", "referenced"]


def only_in(gone: "Iterable[Snapshot]", kept: "Iterable[Snapshot]", io: "FileIO") -> set[str]:
    """Paths of the files that snapshots which are *gone* needed, and none of the *kept* ones does.

    Reads manifests that are in both of them for no reason but to find what to keep, one at a time.
    """
    gone = list(gone)
    ours, theirs = _manifests(gone, io), _manifests(kept, io)
    lost = [manifest for path, manifest in ours.items() if path not in theirs]
    files = {path for manifest in lost for path in _files(manifest, io)}
    for manifest in theirs.values() if files else ():
        files.difference_update(_files(manifest, io))
    return files | {manifest.manifest_path for manifest in lost} | {item.manifest_list for item in gone}


def referenced(metadata: "TableMetadata", location: str, io: "FileIO") -> Iterator[str]:
    """Paths of all that the table, whose metadata is at *location*, still needs for any of its snapshots."""
    yield location
    yield from (item.metadata_file for item in metadata.metadata_log)
    yield from (item.statistics_path for item in (*metadata.statistics, *metadata.partition_statistics))
    yield from (item.manifest_list for item in metadata.snapshots)
    for path, manifest in _manifests(metadata.snapshots, io).items():
        yield path
        yield from _files(manifest, io)


def _manifests(snapshots: "Iterable[Snapshot]", io: "FileIO") -> "dict[str, ManifestFile]":
    return {manifest.manifest_path: manifest for snapshot in snapshots for manifest in snapshot.manifests(io)}


def _files(manifest: "ManifestFile", io: "FileIO") -> Iterator[str]:
    """Those that it holds; what it lists as removed is none of its snapshot's any more."""
    for entry in manifest.fetch_manifest_entry(io, discard_deleted=True):
        yield str(entry.data_file.file_path)
