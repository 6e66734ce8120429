"""What a table's present snapshot consists of: data files, each with the delete files that are about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ingestion.errors import DataError

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table

__all__ = ["LiveFile", "Survey", "live_files", "survey", "survey_since"]


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


class Survey(NamedTuple):
    """What a snapshot consists of, and where it says so."""

    files: dict[str, LiveFile]  # by path
    places: dict[str, str]  # of each data file and delete file the manifest that lists it
    manifests: frozenset[str]  # all of them, by path


def live_files(table: "Table | None") -> dict[str, LiveFile]:
    """All data files by path; raises DataError where rows are deleted in a way that cannot be followed."""
    return survey(table).files


def survey(table: "Table | None") -> Survey:
    """All that *table* consists of; raises DataError where rows are deleted in a way that cannot be followed."""
    from pyiceberg.manifest import INITIAL_SEQUENCE_NUMBER, DataFileContent
    from pyiceberg.table.delete_file_index import DeleteFileIndex

    if table is None:
        return Survey({}, {}, frozenset())
    manifests = _manifests(table)
    data: list[ManifestEntry] = []
    deletes = DeleteFileIndex()
    places: dict[str, str] = {}
    for manifest in manifests:
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            places[entry.data_file.file_path] = manifest.manifest_path
            if entry.data_file.content == DataFileContent.DATA:
                data.append(entry)
            elif entry.data_file.content == DataFileContent.POSITION_DELETES:
                deletes.add_delete_file(entry, entry.data_file.partition)
            else:
                raise _deleted_by_equality(table)
    files = {}
    for entry in data:
        file, sequence = entry.data_file, entry.sequence_number or INITIAL_SEQUENCE_NUMBER
        files[file.file_path] = _with_deletes(file, deletes.for_data_file(sequence, file, file.partition))
    return Survey(files, places, frozenset(manifest.manifest_path for manifest in manifests))


def survey_since(table: "Table", before: Survey) -> Survey | None:
    """The same where nothing but data files were added since *before*, of which alone it reads; None otherwise."""
    from pyiceberg.manifest import ManifestContent, ManifestEntryStatus

    manifests = _manifests(table)
    news = [manifest for manifest in manifests if manifest.manifest_path not in before.manifests]
    if len(manifests) - len(news) != len(before.manifests):
        return None
    files, places = {}, {}
    for manifest in news:
        entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
        added = all(entry.status == ManifestEntryStatus.ADDED for entry in entries)
        if manifest.content != ManifestContent.DATA or not added:
            return None
        for entry in entries:
            files[entry.data_file.file_path] = LiveFile(entry.data_file, (), ())
            places[entry.data_file.file_path] = manifest.manifest_path
    paths = before.manifests | {manifest.manifest_path for manifest in news}
    return Survey(before.files | files, before.places | places, paths)


def _manifests(table: "Table") -> "list[ManifestFile]":
    snapshot = table.current_snapshot()
    return snapshot.manifests(table.io) if snapshot is not None else []


def _with_deletes(file: "DataFile", deletes: "set[DataFile]") -> LiveFile:
    from pyiceberg.table.delete_file_index import _referenced_data_file_path

    own = tuple(item for item in deletes if _referenced_data_file_path(item) == file.file_path)
    return LiveFile(file, own, tuple(item for item in deletes if item not in own))


def _deleted_by_equality(table: "Table") -> DataError:
    return DataError(
        f"table {'.'.join(table.name()[-2:])}: another engine has deleted rows by equality delete files, which cannot "
        f"be followed here; rewrite its data files there (in Spark: CALL system.rewrite_data_files), then run again"
    )
