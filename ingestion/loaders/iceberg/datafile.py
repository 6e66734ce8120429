"""One Parquet file, from its first rows to the entry that a commit makes of it."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.loaders.iceberg.encoding import writer_options
from ingestion.loaders.iceberg.fit import Fit

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.typedef import Record

__all__ = ["DataFileWriter"]


class DataFileWriter:
    """One Parquet file on its way."""

    def __init__(self, fit: Fit, key: "Record", path: str, table: "Table", rows: pa.Table) -> None:
        self.fit, self.key, self.path = fit, key, path
        self._properties = dict(table.metadata.properties)
        self._sink: Any = table.io.new_output(path).create(overwrite=True)
        try:
            self._writer = pq.ParquetWriter(self._sink, rows.schema, **writer_options(rows))
        except BaseException:
            self._sink.close()
            raise

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return int(self._sink.tell())

    def write(self, rows: pa.Table) -> None:
        """Add one row group."""
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))

    def discard(self) -> None:
        """Close without caring for the content: the file is about to be removed."""
        self._writer.is_open = False  # otherwise its finaliser writes a footer into the closed file
        with suppress(OSError):
            self._sink.close()

    def close(self) -> "DataFile":
        """Finish the file and describe it from what its writer saw; it is not read again."""
        self._writer.close()
        size = self.size
        self._sink.close()
        return self._describe(size)

    def _describe(self, size: int) -> "DataFile":
        from pyiceberg.io.pyarrow import (
            compute_statistics_plan,
            data_file_statistics_from_parquet_metadata,
            parquet_path_to_id_mapping,
        )
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.schema import sanitize_column_names

        schema = self.fit.schema
        statistics = data_file_statistics_from_parquet_metadata(
            self._writer.writer.metadata,
            compute_statistics_plan(schema, self._properties),
            parquet_path_to_id_mapping(sanitize_column_names(schema)),
        )
        described = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self.path,
            file_format=FileFormat.PARQUET,
            partition=self.key,
            file_size_in_bytes=size,
            sort_order_id=None,
            spec_id=self.fit.spec.spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
        described.spec_id = self.fit.spec.spec_id  # from_args ignores it
        return described
