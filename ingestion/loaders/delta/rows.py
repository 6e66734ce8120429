"""The rows of one load on their way to files, and what they do to the files of the table."""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError
from ingestion.keyed.keyed import KeyedRows
from ingestion.loaders.delta.commit import Change
from ingestion.loaders.delta.datafile import DataFile
from ingestion.loaders.delta.files import RowGroup, files_of
from ingestion.loaders.delta.match import GONE
from ingestion.loaders.delta.merging import Merge
from ingestion.loaders.delta.place import Place
from ingestion.loaders.delta.plan import Plan
from ingestion.loaders.delta.rewrite import WorkingSet
from ingestion.loaders.delta.stats import partition_text
from ingestion.loaders.delta.writer import TableWriter
from ingestion.loaders.tables.admission import deletes
from ingestion.loaders.tables.parts import bounds, inside
from ingestion.plugins import Load

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ingestion.loaders.delta import DeltaLoader

__all__ = ["Rows"]

_WRITTEN_AGAIN = "all files of the table were written again, as a column became wider"


class Rows:
    """Takes the rows of a load; without keys they are written at once, with keys once all are there."""

    def __init__(self, options: "DeltaLoader", load: Load, place: Place, plan: Plan) -> None:
        self.plan = plan
        self.given = 0
        self.settles_missing = False  # whether rows of the table that the load does not bring are to go
        self._added: tuple[str, ...] = ()  # by this attempt or one before it
        self._at = datetime.now(timezone.utc)
        self._options = options
        self._load = load
        self._place = place
        self._keyed: KeyedRows | None = None
        if options.merge_keys:
            self._keyed = KeyedRows(options.merge_keys, options.order_by, name=plan.name)
        self._writer: TableWriter | None = None
        self._schema: pa.Schema | None = None  # of the writer
        self._writers: list[TableWriter] = []
        self._finished: list[tuple[pa.Schema, list[DataFile]]] = []
        self._written: list[DataFile] = []  # of rows that were written at once
        self._attempts = 0
        self._sets: list[WorkingSet] = []

    @property
    def edits(self) -> bool:
        """Whether rows that are there may change, so that the table's columns have to be settled before."""
        scoped = self._options.write_mode == "overwrite" and self._options.overwrite_scope == "partitions"
        return scoped or self._merges or bool(self._load.replaces)

    @property
    def _merges(self) -> bool:
        return self._options.write_mode == "merge" and not self._load.replaces

    @property
    def superseded(self) -> int:
        """Rows that were left out because the load has a newer one with the same key."""
        return self._keyed.superseded if self._keyed is not None else 0

    def write(self, records: pa.RecordBatch, source: str) -> None:
        """Take rows; a batch without rows still brings those of its columns that have a type."""
        self.plan.take(records.schema, rows=bool(records.num_rows))
        if not records.num_rows:
            return
        self.given += records.num_rows
        if self._keyed is not None:
            self._keyed.add(records, source)
        else:
            self._write(self.plan.shape(records))

    def finish(self) -> None:
        """Have all rows in files, but for those of a merge."""
        columns = self.plan.settle()
        if self._keyed is not None and not self._merges:
            for rows in self._passes():
                self._write(_without_deleting(rows))
        self._close_writer()
        for number, (schema, files) in enumerate(self._finished):
            self._written += files if _is_within(schema, columns) else self._widened(number, columns, files)

    def change(self, table: "DeltaTable | None") -> Change:
        """What the commit is to do to the table as it is now."""
        plan = self.plan.rebased(table)
        columns = plan.settle()
        files = self._working_set(table, columns)
        replaces_all = self._options.write_mode == "overwrite" and not self.edits
        if plan.widened and not replaces_all:
            files.widen()
        merge = None if replaces_all else self._edit(files)
        files.insert(self._written)
        self._added = plan.added or self._added
        change = Change(columns, list(plan.partition_by), files.adds, files.removes, replaces_all or plan.widened)
        change.is_empty = table is not None and not (replaces_all or files.adds or files.removes or plan.added)
        change.configuration = self._options.table_properties
        change.staying = sum(file.rows for file in self._written)
        if merge is not None:
            change.counts, change.staying, change.older = merge.changes, merge.staying, merge.older
        change.notes = self._facts(len(files.adds), change.older)
        change.added = self._added
        change.said = (_WRITTEN_AGAIN,) if plan.widened and not replaces_all else ()
        return change

    def _working_set(self, table: "DeltaTable | None", columns: pa.Schema) -> WorkingSet:
        there = files_of(table) if table is not None else []
        self._attempts += 1
        self._sets.append(
            WorkingSet(self._place, f"{self._load.load_id}-{self._attempts}", columns, self.plan.partition_by, there)
        )
        return self._sets[-1]

    def tidy(self, kept: Iterable[DataFile]) -> None:
        """Remove all that was written but for what landed."""
        paths = {file.path for file in kept}
        self._place.remove([path for path in self._paths() if path not in paths])

    def stop(self) -> None:
        """Stop, and leave the files: a commit may refer to them."""
        for writer in self._writers:
            writer.stop()

    def abort(self) -> None:
        """Stop, and remove all that was written."""
        self.stop()
        self._place.remove(self._paths())

    def close(self) -> None:
        """Give memory and disk back."""
        if self._keyed is not None:
            with contextlib.suppress(OSError):
                self._keyed.close()

    def _edit(self, files: WorkingSet) -> Merge | None:
        """Change the files of the table as the mode says."""
        if self._load.replaces:
            self._empty_parts(files)
        elif self._options.write_mode == "overwrite":
            touched = {tuple(map(partition_text, file.partition.values())) for file in self._written}
            names = self.plan.partition_by
            found = [f for f in files.files if tuple(partition_text(f.partition[name]) for name in names) in touched]
            files.drop(found)
        elif self._merges:
            merge = Merge(self._options, self._place, files, self._passes, self._at)
            merge.run(self._new_writer, settles_missing=self.settles_missing)
            return merge
        return None

    def _empty_parts(self, files: WorkingSet) -> None:
        limits = bounds(self._load.replaces, files.columns)

        def without(group: RowGroup) -> pa.Table | None:
            rows = group.read()
            hit = pa.chunked_array([inside(limits, batch) for batch in rows.to_batches()], pa.bool_())
            return rows.filter(pc.invert(hit)) if pc.any(hit).as_py() else None

        files.edit(files.files, without)

    def _passes(self) -> Iterator[pa.Table]:
        assert self._keyed is not None  # noqa: S101 - asked only by those who gave it rows
        return self._keyed.passes(self._shape)

    def _shape(self, records: pa.RecordBatch) -> pa.Table:
        table = self.plan.shape(records)
        for key in self._options.merge_keys:
            if table.column(key).null_count:
                raise DataError(
                    f"table {self.plan.name}: rows have nothing in {key!r}, or an empty text where it makes "
                    f"partitions, and loader.merge_keys names it; fill it in the source or in the transformer"
                )
        column = self._options.delete_column
        if column is None:
            return table
        known = column in records.schema.names
        gone = deletes(records.column(column)) if known else pc.is_valid(pa.nulls(records.num_rows))
        return table.append_column(GONE, pa.chunked_array([gone]))

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None or self._schema != rows.schema:
            self._close_writer()
            self._writer, self._schema = self._new_writer(), rows.schema
        self._writer.write(rows)

    def _new_writer(self) -> TableWriter:
        prefix = f"{self._load.load_id}-{len(self._writers):02d}"
        self._writers.append(TableWriter(self._place, prefix, self.plan.partition_by, self._options.target_file_size))
        return self._writers[-1]

    def _close_writer(self) -> None:
        if self._writer is not None and self._schema is not None:
            self._finished.append((self._schema, self._writer.finish()))
        self._writer = None

    def _widened(self, number: int, columns: pa.Schema, files: list[DataFile]) -> list[DataFile]:
        again = WorkingSet(self._place, f"{self._load.load_id}-w{number}", columns, self.plan.partition_by, files)
        self._sets.append(again)
        again.widen()
        return again.adds

    def _paths(self) -> list[str]:
        return [
            *(path for writer in self._writers for path in writer.paths),
            *(path for files in self._sets for path in files.paths),
        ]

    def _facts(self, files: int, older: int) -> dict[str, object]:
        load = self._load
        return {
            "ingestion.run-id": load.run_id,
            "ingestion.job": load.job,
            "ingestion.config-hash": load.config_hash,
            "ingestion.mode": self._options.write_mode,
            "ingestion.rows": self.given - self.superseded - older,
            "ingestion.files": files,
        }


def _without_deleting(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.invert(rows.column(GONE))).drop_columns([GONE]) if GONE in rows.column_names else rows


def _is_within(schema: pa.Schema, columns: pa.Schema) -> bool:
    """Whether files of *schema* may stand under *columns*: what they lack is null."""
    return all(columns.field(item.name).type == item.type for item in schema)
