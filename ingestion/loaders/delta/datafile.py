"""One Parquet file of a table, being written or in the table already."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ingestion.loaders.delta.stats import partition_text, statistics

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction

    from ingestion.loaders.delta.place import Place

__all__ = ["DataFile", "FileWriter"]

_DISTINCT = 0.3  # of the values; above it a dictionary costs more than it saves
_SAMPLE = 20_000  # rows


@dataclass(frozen=True)
class DataFile:
    """A file as the log has it, or will have it."""

    path: str  # within the table's folder; the log has it url-encoded, which is the driver's work
    size: int
    rows: int
    partition: Mapping[str, Any]  # values of the partition columns
    low: Mapping[str, Any]
    high: Mapping[str, Any]
    stats: str | None = None  # of a file that no commit has yet

    @property
    def is_new(self) -> bool:
        """Whether no commit refers to it yet."""
        return self.stats is not None

    def add(self) -> "AddAction":
        """The action that makes it part of the table."""
        from deltalake.transaction import AddAction

        texts = {name: partition_text(value) for name, value in self.partition.items()}
        return AddAction(
            path=self.path,
            size=self.size,
            partition_values=texts,
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=self.stats or "{}",
        )

    def remove(self) -> "RemoveAction":
        """The action that takes it out of the table."""
        from deltalake.transaction import RemoveAction

        texts = {name: partition_text(value) for name, value in self.partition.items()}
        return RemoveAction(
            self.path,  # what is url-encoded twice removes nothing
            data_change=True,
            deletion_timestamp=int(time.time() * 1000),
            size=self.size,
            partition_values=texts,
        )


class FileWriter:
    """A file being written: whole tables in, one row group each."""

    def __init__(self, place: "Place", path: str, sample: pa.Table, partition: Mapping[str, Any]) -> None:
        self.path = path
        self.partition = partition
        self.rows = 0
        self._schema = sample.schema
        self._sink = place.begin(path)
        texts, numbers = _encodings(sample)
        self._writer = pq.ParquetWriter(
            self._sink,
            sample.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=texts,
            column_encoding=numbers or None,
            write_page_index=False,
        )

    @property
    def size(self) -> int:
        """Bytes so far."""
        return int(self._sink.tell())

    def write(self, rows: pa.Table) -> None:
        """Put *rows* behind the others."""
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
        self.rows += rows.num_rows

    def finish(self) -> DataFile:
        """Close it, and say what it is."""
        self._writer.close()
        metadata = self._writer.writer.metadata
        size = self.size
        self._sink.close()
        return DataFile(self.path, size, self.rows, self.partition, {}, {}, statistics(metadata, self._schema))

    def abort(self) -> None:
        """Stop, whatever state it is in."""
        try:
            self._writer.close()
            self._sink.close()
        except (OSError, pa.ArrowException):  # the error that stopped it is the one to tell
            return


def _encodings(sample: pa.Table) -> tuple[Sequence[str], dict[str, str]]:
    """Which texts repeat enough for a dictionary, and how the numbers are written."""
    texts, numbers = [], {}
    rows = sample.slice(0, _SAMPLE)
    for item in sample.schema:
        if t.is_integer(item.type) or t.is_timestamp(item.type) or t.is_date(item.type):
            numbers[item.name] = "DELTA_BINARY_PACKED"
        elif t.is_string(item.type) and len(rows.column(item.name).unique()) <= _DISTINCT * max(len(rows), 1) + 1:
            texts.append(item.name)
    return texts, numbers
