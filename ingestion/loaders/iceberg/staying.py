"""Rows that stay where others of their files go: written anew, and proven to be all of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError
from ingestion.loaders.iceberg.merge.live import LiveFile
from ingestion.loaders.iceberg.merge.reading import FileReader, Group

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from ingestion.loaders.iceberg.fit import Fit
    from ingestion.loaders.iceberg.writer import StreamWriter

__all__ = ["Inside", "Origin", "origin_of", "with_deletes", "write_staying"]

Inside: TypeAlias = Callable[[FileReader, Group], pa.BooleanArray]
"""For each row of a group of a file whether it goes."""
Origin: TypeAlias = tuple[frozenset[str], Any]
"""What files of rows that stay were made from, and for which table."""


def origin_of(across: Sequence[LiveFile], files: "Sequence[DataFile]", metadata: "TableMetadata") -> Origin:
    """All that decides which rows of *across* stay beside the new *files*, and how they are written."""
    paths = {path for item in across for path in (item.path, *item.marks)} | {str(file.file_path) for file in files}
    return frozenset(paths), (repr(metadata.schema()), metadata.default_spec_id, metadata.default_sort_order_id)


def write_staying(
    readers: Sequence[FileReader], inside: Inside, fit: "Fit", writer: "StreamWriter", table: "Table"
) -> "list[DataFile]":
    """Files with the live rows of others that are not *inside*; raises DataError where their number is not right."""
    kept = 0
    for reader in readers:
        for records in _staying(reader, inside, [item.name for item in fit.schema.fields]):
            kept += records.num_rows
            writer.write(records, fit, table)
    files = writer.finish()
    held = sum(int(file.record_count) for file in files)
    if held != kept:
        raise DataError(
            f"table {fit.table}: {kept} rows were to stay and their new files hold {held}; nothing was loaded. "
            f"This is a bug of the loader: please report it, with the job and the data that show it"
        )
    return files


def _staying(reader: FileReader, inside: Inside, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    seen = 0
    for group in reader.groups:
        stays = pc.invert(inside(reader, group)).to_numpy(zero_copy_only=False)
        dead = reader.dead[(reader.dead >= group.first) & (reader.dead < group.first + group.rows)]
        stays[dead - group.first] = False
        rows = reader.read([group], names).filter(pa.array(stays))
        seen += rows.num_rows + int(np.count_nonzero(~stays))
        yield from rows.to_batches()
    if seen != reader.live.rows:
        raise DataError(
            f"data file {reader.live.path} holds {seen} rows and its table says {reader.live.rows}; nothing was "
            f"loaded: restore the file from a backup, or take back the run that wrote it"
        )


def with_deletes(gone: Sequence[LiveFile], live: Sequence[LiveFile]) -> set[str]:
    """The paths of these files, and of delete files that are about no other."""
    paths = {item.path for item in gone}
    needed = {path for item in live if item.path not in paths for path in item.marks}
    return paths | {path for item in gone for path in item.marks if path not in needed}
