"""Which data files are worth writing anew, and which delete files are about none that is left."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ingestion.loaders.iceberg.merge.live import LiveFile, live_files

if TYPE_CHECKING:
    from pyiceberg.table import Table

__all__ = ["chosen", "dead_deletes"]

_SMALL = 0.75  # of the target size
_FEWEST = 5  # small files of a partition: fewer are not worth it, and those that a compaction leaves are fewer
_DEAD = 0.05  # share of rows that delete files name
_MARKS = 2  # delete files of one data file
_BATCH = 4 << 30  # bytes that one commit rewrites at most, a load that lands meanwhile may cost that work


def chosen(live: Mapping[str, LiveFile], target_size: int) -> list[LiveFile]:
    """As many of the files worth it as one commit may rewrite, oldest first, those of a partition together."""
    from pyiceberg.manifest import FileFormat

    groups: dict[tuple[Any, ...], list[LiveFile]] = defaultdict(list)
    for item in reversed(list(live.values())):  # manifests stand newest first
        if item.file.file_format == FileFormat.PARQUET:
            groups[item.file.spec_id, item.file.partition].append(item)
    found: list[LiveFile] = []
    size = 0
    for group in groups.values():
        for item in _due(group, target_size):
            if size >= _BATCH:
                return found
            found.append(item)
            size += item.file.file_size_in_bytes
    return found


def _due(group: list[LiveFile], target_size: int) -> list[LiveFile]:
    small = [item for item in group if item.file.file_size_in_bytes < _SMALL * target_size]
    many = {item.path for item in small} if len(small) >= _FEWEST else set()
    return [item for item in group if item.path in many or _is_worn(item)]


def _is_worn(item: LiveFile) -> bool:
    dead = sum(int(file.record_count) for file in item.own)
    return bool(item.shared) or len(item.own) >= _MARKS or dead >= max(_DEAD * item.rows, 1)


def dead_deletes(table: "Table", doomed: Collection[str]) -> frozenset[str]:
    """Paths of the delete files that no data file needs once the *doomed* ones are gone."""
    from pyiceberg.manifest import ManifestContent

    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot is not None else []
    deletes = {
        str(entry.data_file.file_path)
        for manifest in manifests
        if manifest.content == ManifestContent.DELETES
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    }
    if not deletes:
        return frozenset()
    needed = (live.marks for path, live in live_files(table).items() if path not in doomed)
    return frozenset(deletes.difference(*needed))
