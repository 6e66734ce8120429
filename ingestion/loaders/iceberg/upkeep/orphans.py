"""Files of the table's folder that nothing refers to: of killed runs, lost races and expired snapshots."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.cursors import file_of
from ingestion.loaders.iceberg.history import ENTRY
from ingestion.loaders.iceberg.upkeep.references import referenced
from ingestion.loaders.iceberg.upkeep.removal import delete

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.table.metadata import TableMetadata

__all__ = ["remove_orphans"]

_KINDS = (".parquet", ".avro", ".orc", ".puffin", ".stats", ".metadata.json", ".metadata.json.gz")
"""What writers of tables leave; whatever else lies there is somebody's."""
_METADATA = "/metadata"
_CURSORS = "_cursors"


def remove_orphans(catalog: "Catalog", identifier: tuple[str, ...], older_than_hours: float) -> Counter[str]:
    """Delete what is older than that; counts files and, apart from them, ledgers of cursors."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    table = catalog.load_table(identifier)
    io = table.io
    if not isinstance(io, PyArrowFileIO):
        return Counter()  # it gives no listing
    before = time.time() - older_than_hours * 3600
    location = table.location().rstrip("/")
    folder = f"{location.rpartition('/')[0]}/{_CURSORS}/{'.'.join(identifier)}"
    files = dict(_listed(io, location, before))
    ledgers = dict(_listed(io, folder, before))
    # Read anew only now: a file that was listed and is needed has its reference by this time.
    table = catalog.load_table(identifier)
    for path in referenced(table.metadata, table.metadata_location, io):
        files.pop(_key(io, path), None)
    for path in _ledgers(table.metadata):
        ledgers.pop(_key(io, path), None)
    return Counter(orphans_deleted=delete(io, files.values()), ledgers_deleted=delete(io, ledgers.values()))


def _key(io: "PyArrowFileIO", path: str) -> str:
    """The file as its file system calls it, however its URL is written."""
    return io.parse_location(path, io.properties)[2]


def _listed(io: "PyArrowFileIO", location: str, before: float) -> Iterator[tuple[str, str]]:
    """Key and path of each old file below *location*, those of tables further below left out."""
    from pyarrow.fs import FileSelector, FileType

    scheme, netloc, root = io.parse_location(location, io.properties)
    found = io.fs_by_scheme(scheme, netloc).get_file_info(FileSelector(root, allow_not_found=True, recursive=True))
    metadata = {info.path.rpartition("/")[0] for info in found if info.path.endswith(_KINDS[-2:])}
    nested = tuple(f"{path.removesuffix(_METADATA)}/" for path in metadata if path != f"{root}{_METADATA}")
    for info in found:
        old = info.type == FileType.File and info.mtime is not None and info.mtime.timestamp() < before
        if old and info.path.endswith(_KINDS) and not (nested and info.path.startswith(nested)):
            yield info.path, location + info.path[len(root) :]


def _ledgers(metadata: "TableMetadata") -> Iterator[str]:
    """Where the ledgers are that a snapshot, or a property of the table, names."""
    summaries = [item.summary.additional_properties for item in metadata.snapshots if item.summary is not None]
    for values in (metadata.properties, *summaries):
        for key, text in values.items():
            path = file_of(json.loads(text)["cursor"]) if key.startswith(ENTRY) else None
            if path is not None:
                yield path
