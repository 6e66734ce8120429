"""A table that gets one row per key: all of them in place of its rows, or each in place of the one with its key."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.commit import change
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.merge.plan import Plan, Planner
from ingestion.loaders.iceberg.merge.source import Pass, Source
from ingestion.loaders.iceberg.merge.writing import Changes, Writing
from ingestion.loaders.iceberg.target import Target
from ingestion.loaders.iceberg.writer import StreamWriter, remove
from ingestion.loaders.tables.intake import OLDER
from ingestion.loaders.tables.options import DELETED_AT

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["KeyedTarget", "MergeTarget"]

_TIME = pa.timestamp("us", "UTC")


class KeyedTarget(Target):
    """Holds the rows until all are there, then writes one of each key."""

    def __init__(self, catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", load_id: str) -> None:
        super().__init__(catalog, identifier, options, load_id)
        self._source = Source(options.merge_keys, options.order_by, options.delete_column, self.name)
        self._put_rows = 0

    @property
    def staying(self) -> int:
        """Rows of the load that do not delete, one for each key."""
        return self._put_rows

    @property
    def removed(self) -> dict[str, int]:
        """Rows that lost to another one with the same key."""
        older = self._source.rows - self.rows
        return {OLDER: older} if older else {}

    def finish(self) -> None:
        """Have one row of each key in closed files."""
        for given in self._passes():
            self._put(given.rows.filter(pa.array(~given.deletes)))
        self.files = self._writer.finish()
        self.rows = self._source.rows - self._source.superseded

    def close(self) -> None:
        """Give back the rows that were held."""
        self._source.close()

    @property
    def _written(self) -> int:
        return self._put_rows

    def _stored(self, records: pa.RecordBatch) -> pa.RecordBatch:
        return self._source.stored(records)

    def _take(self, records: pa.RecordBatch, fit: Fit, source: str) -> None:
        del fit  # the last batch may ask for another one
        self._source.add(records, source)

    def _passes(self) -> Iterator[Pass]:
        return self._source.passes(self._shaped)

    def _shaped(self, records: pa.RecordBatch) -> pa.Table:
        """Rows in the columns of the table as the commit will leave it."""
        self._evolution.settle()
        fit = self._evolution.fit(records.schema)
        return fit.apply([records]).rename_columns([field.name for field in fit.schema.fields])

    def _put(self, rows: pa.Table) -> None:
        """Write rows that are in the table's columns."""
        self._put_rows += rows.num_rows
        for records in rows.to_batches():
            self._writer.write(records, self._evolution.fit_planned(records.schema), self._evolution.home)


class MergeTarget(KeyedTarget):
    """Puts each row in place of the table's row with the same key."""

    def __init__(self, catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", load_id: str) -> None:
        super().__init__(catalog, identifier, options, load_id)
        self._planner = Planner(options, self._passes)
        self._plan: Plan | None = None
        self._done = Changes()
        self._added: Sequence[DataFile] = ()
        self._delete_paths: list[str] = []
        self._first_writer, self._writers = self._writer, 0
        self._at = pa.scalar(datetime.now(timezone.utc), _TIME)
        self._columns: Schema | None = None  # that the files were written for

    @property
    def idle(self) -> bool:
        """Whether neither rows nor columns change."""
        table, planned = self._evolution.table, self._evolution.planned
        return (self._plan is None or self._plan.idle) and (planned is None or (table and table.schema()) == planned)

    @property
    def staying(self) -> int:
        """Rows of the load that do not delete, one for each key."""
        return self._plan.staying if self._plan is not None else 0

    @property
    def changes(self) -> dict[str, int]:
        """Rows by what was done to them."""
        return self._plan.changes if self._plan is not None else {}

    def finish(self) -> None:
        """Have the files of a plan upon the table's present state."""
        if self.has_schema:
            self._settle_on(find_table(self._catalog, self.identifier))

    def abort(self) -> None:
        """Stop; remove the files unless a commit refers to them or may do so."""
        self._first_writer.abort(keep=self.landed or self.in_doubt)
        if not (self.landed or self.in_doubt) and self._delete_paths:
            remove(self.home.io, self._delete_paths)

    def stage(self, transaction: "Transaction", summary: dict[str, str]) -> "_SnapshotProducer[Any]":
        """Stage one snapshot with what the plan changes."""
        done, places = self._done, self._plan.survey.places if self._plan is not None else {}
        removed = {path: places[path] for path in done.removed}
        return change(transaction, summary, self._added, removed=removed, deletes=done.deletes)

    def _transaction(self, table: "Table | None") -> "Transaction":
        self._settle_on(table)
        transaction = super()._transaction(table)
        if transaction.table_metadata.schema() != self._columns:
            raise DataError(
                f"table {self.name}: its columns are not those that the rows were written for; nothing was loaded. "
                f"This is a bug of the loader: please report it, with the job and the data that show it"
            )
        return transaction

    def _settle_on(self, table: "Table | None") -> None:
        """Keep to the plan where it holds for *table* too, else make another."""
        if not self._evolution.stands_on(table):
            self._rebase(table)
        if self._options.delete_missing == "soft":
            self._evolution.follow(pa.schema([(DELETED_AT, _TIME)]))
        head = table.metadata.current_snapshot_id if table is not None else None
        if self._plan is not None and self._plan.head != head:
            self._plan = self._planner.still_holds(self._plan, table)
        if self._plan is None:
            self._carry_out(table)

    def _rewrite(self, table: "Table | None") -> None:
        self._rebase(table)
        self._settle_on(table)

    def _rebase(self, table: "Table | None") -> None:
        self._evolution.rebase(table)
        self._source.forget()
        self._plan = None

    def _carry_out(self, table: "Table | None") -> None:
        self._begin_files()
        planned = self._evolution.settle()
        self._columns = planned.schema()
        self._plan = self._planner.plan(table, planned, settles_missing=self.settles_missing)
        missing_at = self._at if self._options.delete_missing == "soft" else None
        writing = Writing(self.home, self._plan, self._options.merge_strategy, self._put, self._new_path, missing_at)
        self._done = writing.run(self._passes(), self._source.only)
        self._added = self._writer.finish()
        self.files = [*self._added, *self._done.deletes]
        self.rows = self._source.rows - self._source.superseded - self._plan.lost

    def _begin_files(self) -> None:
        """Those of an earlier plan stay until one has landed: a request for them may still be under way."""
        self._put_rows = 0
        if self._writers:
            self._writer = StreamWriter(f"{self._load_id}-{self._writers}", self._target_file_size)
            self._first_writer.succeeded_by(self._writer)
        self._writers += 1

    def _new_path(self) -> str:
        name = f"{self._load_id}-{len(self._delete_paths):05d}-deletes.parquet"
        self._delete_paths.append(self.home.location_provider().new_data_location(name))
        return self._delete_paths[-1]

    @property
    def _written(self) -> int:
        return self._put_rows + sum(int(file.record_count) for file in self._done.deletes)

    @property
    def _begun(self) -> Sequence[str]:
        return [*self._first_writer.paths, *self._delete_paths]
