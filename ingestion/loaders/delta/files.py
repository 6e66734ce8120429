"""The files of a table: those that the log has now, and how their rows are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.loaders.delta.datafile import DataFile
from ingestion.loaders.delta.place import Place, translated
from ingestion.loaders.delta.types import cast

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["RowGroup", "files_of", "read", "row_groups"]


def files_of(table: "DeltaTable") -> list[DataFile]:
    """Every file of *table*, with the bounds of its columns as far as the log knows them."""
    found = pa.table(table.get_add_actions(flatten=True))
    return [_file(row) for batch in found.to_batches() for row in batch.to_pylist()]


def _file(row: dict[str, Any]) -> DataFile:
    def under(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}

    partition = under("partition.")
    path = unquote(row["path"])
    return DataFile(path, row["size_bytes"], row["num_records"] or 0, partition, under("min."), under("max."))


def read(table: "DeltaTable", columns: pa.Schema, what: str, predicate: str | None = None) -> Iterator[pa.RecordBatch]:
    """These columns of *table*, or of its rows for which *predicate*, as SQL, is true.

    Raises ConfigError or TransientError, which name *what* is read.
    """
    with translated(what):
        try:
            yield from pa.RecordBatchReader.from_stream(table.scan(columns.names, predicate)).cast(columns)
        except pa.ArrowInvalid as error:  # how the driver's stream brings whatever it meets, of the store too
            raise OSError(str(error)) from error


@dataclass
class RowGroup:
    """A part of a file that is read at once, as the table has its columns."""

    file: DataFile
    columns: pa.Schema
    _parquet: pq.ParquetFile
    number: int

    def read(self, names: Sequence[str] | None = None) -> pa.Table:
        """These columns, or all."""
        wanted = self.columns if names is None else pa.schema([self.columns.field(name) for name in names])
        stored = set(self._parquet.schema_arrow.names)
        found = self._parquet.read_row_group(self.number, columns=[name for name in wanted.names if name in stored])
        rows = self._parquet.metadata.row_group(self.number).num_rows
        values = [self._column(item, found, rows) for item in wanted]
        return pa.Table.from_arrays(values, schema=pa.schema([(item.name, item.type) for item in wanted]))

    def _column(self, item: pa.Field, found: pa.Table, rows: int) -> pa.ChunkedArray:
        if item.name in self.file.partition:
            value = self.file.partition[item.name]
            return pa.chunked_array([pa.repeat(pa.scalar(value, item.type), rows)])
        if item.name not in found.column_names:
            return pa.chunked_array([pa.nulls(rows, item.type)])
        return cast(found.column(item.name), item.type)


def row_groups(place: Place, file: DataFile, columns: pa.Schema) -> Iterator[RowGroup]:
    """The parts of *file*, in order; each is read only when it is asked for its rows."""
    with place.files.open_input_file(file.path) as source, pq.ParquetFile(source) as parquet:
        for number in range(parquet.num_row_groups):
            yield RowGroup(file, columns, parquet, number)
