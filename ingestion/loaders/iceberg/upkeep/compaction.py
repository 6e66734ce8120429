"""Small files, and files with many deleted rows, written anew as fewer and full ones."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.iceberg.merge.deletes import dead_rows
from ingestion.loaders.iceberg.merge.live import LiveFile, live_files
from ingestion.loaders.iceberg.target import Target
from ingestion.loaders.iceberg.upkeep.choice import chosen, dead_deletes
from ingestion.loaders.iceberg.upkeep.landing import Moved, new_mark, summary

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["Compaction"]

_STEP = "compaction"


class _SameColumns(Target):
    """Holds rows in the table's own columns, which must stay what they are."""

    def check(self, table: "Table") -> None:
        """Raise Moved unless this is about *table* as it is there."""
        if not self._evolution.stands_on(table):
            raise Moved(f"table {self.name} was changed meanwhile")

    def write(self, records: pa.RecordBatch, source: str = "") -> None:
        """Take rows; their columns are the table's, whatever these may be called."""
        self.rows += records.num_rows
        self._take(records, self._evolution.fit_planned(records.schema), source)

    def _rewrite(self, table: "Table | None") -> None:  # noqa: ARG002 - there is nothing to adapt to
        raise Moved(f"the columns or the layout of table {self.name} were changed meanwhile")


class Compaction:
    """The rewriting of some data files in one commit."""

    def __init__(
        self, catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", table: "Table"
    ) -> None:
        self._table = table
        self._files = chosen(live_files(table), options.target_file_size)
        self._paths = frozenset(live.path for live in self._files)
        self._mark = new_mark(_STEP)
        self._target = _SameColumns(catalog, identifier, options, self._mark)
        self._dead: frozenset[str] = frozenset()

    @property
    def is_due(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._files) or bool(dead_deletes(self._table, self._paths))

    def run(self) -> Counter[str]:
        """Write and commit; raises Moved, leaving nothing behind, where the files are no longer what they were."""
        try:
            self._target.check(self._table)
            for records in self._rows():
                self._target.write(records)
            self._target.finish()
            self._target.land(self._check, self._stage)
        except BaseException:
            self._target.abort()
            raise
        return Counter(
            files_compacted=len(self._files),
            files_written=len(self._target.files),
            delete_files_removed=len(self._dead),
        )

    def _rows(self) -> Iterator[pa.RecordBatch]:
        for live in self._files:
            rows = 0
            for batch in self._rows_of(live):
                rows += batch.num_rows
                yield batch
            alive = live.rows - (len(dead_rows(live, self._table.io)) if live.marks else 0)
            if rows != alive:
                raise DataError(
                    f"data file {live.path} holds {rows} rows and its table says {alive}; nothing was changed: "
                    f"restore the file from a backup, or take back the run that wrote it"
                )

    def _rows_of(self, live: LiveFile) -> Iterator[pa.RecordBatch]:
        """Batch by batch: pyiceberg's public scans read whole files into memory."""
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files
        from pyiceberg.table import FileScanTask

        table = self._table
        task = FileScanTask(live.file, {*live.own, *live.shared})
        scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
        deletes = _read_all_delete_files(table.io, [task])
        return scan._record_batches_from_scan_tasks_and_deletes([task], deletes)  # noqa: SLF001 - see above

    def _check(self, table: "Table | None") -> None:
        now = live_files(table)
        for live in self._files:
            found = now.get(live.path)
            if found is None or found.marks != live.marks:
                raise Moved(f"data file {live.path} was changed meanwhile")
        assert table is not None  # noqa: S101 - its files were found
        if table.metadata.default_sort_order_id != self._table.metadata.default_sort_order_id:
            raise Moved("the table's order was changed meanwhile")  # to commit would change it back
        self._dead = dead_deletes(table, self._paths)

    def _stage(self, transaction: "Transaction") -> "_SnapshotProducer[Any]":
        from ingestion.loaders.iceberg.commit import staged
        from ingestion.loaders.iceberg.upkeep.producers import Rewritten

        told = summary(transaction, _STEP, self._mark)
        return staged(transaction, Rewritten.on(transaction, told, self._paths | self._dead), self._target.files)
