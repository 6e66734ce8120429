"""One Parquet file, from its first rows to the entry that a commit makes of it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.partitions import Key

if TYPE_CHECKING:
    from pyiceberg.io.pyarrow import DataFileStatistics, StatisticsCollector
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

__all__ = ["DataFileWriter"]


class DataFileWriter:
    """One Parquet file on its way."""

    def __init__(self, fit: Fit, key: Key, path: str, table: "Table", options: dict[str, Any]) -> None:
        self.fit, self.key, self.path = fit, key, path
        self._sink: Any = table.io.new_output(path).create(overwrite=True)
        try:
            self._writer = pq.ParquetWriter(self._sink, fit.target, **options)
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
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        described = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self.path,
            file_format=FileFormat.PARQUET,
            partition=Record(*self.key),
            file_size_in_bytes=size,
            sort_order_id=self.fit.order.order_id if self.fit.order is not None else None,
            spec_id=self.fit.spec.spec_id,
            equality_ids=None,
            key_metadata=None,
            **self._statistics().to_serialized_dict(),
        )
        described.spec_id = self.fit.spec.spec_id  # from_args ignores it
        return described

    def _statistics(self) -> "DataFileStatistics":
        from pyiceberg.io.pyarrow import data_file_statistics_from_parquet_metadata

        footer, wanted, ids = self._writer.writer.metadata, self.fit.statistics, self.fit.ids
        try:
            return data_file_statistics_from_parquet_metadata(footer, wanted, ids)
        except OverflowError:
            beyond = {ids[path] for path in _out_of_range(footer)}
            if not beyond:
                raise
        return data_file_statistics_from_parquet_metadata(footer, _counted_only(wanted, beyond), ids)


def _out_of_range(footer: pq.FileMetaData) -> Iterator[str]:
    """The columns with dates or times that Python has none for: no bounds can be told of them."""
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for column in map(group.column, range(footer.num_columns)):
            try:
                _ = column.is_stats_set and (column.statistics.min, column.statistics.max)
            except OverflowError:  # noqa: PERF203 - each column for itself
                yield column.path_in_schema


def _counted_only(wanted: "Mapping[int, StatisticsCollector]", columns: set[int]) -> "dict[int, StatisticsCollector]":
    from pyiceberg.io.pyarrow import MetricModeTypes, MetricsMode

    counts = MetricsMode(MetricModeTypes.COUNTS)
    return {number: replace(item, mode=counts) if number in columns else item for number, item in wanted.items()}
