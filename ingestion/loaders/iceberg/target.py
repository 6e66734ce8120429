"""One table as one load sees it: rows in, files written, one commit at the end."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import DataError, TransientError
from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.commit import Landing, NotSent, added_by, append, replace_all
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.rereading import rows_of_files
from ingestion.loaders.iceberg.schema import Evolution
from ingestion.loaders.iceberg.staging import SchemaMoved
from ingestion.loaders.iceberg.writer import StreamWriter, remove
from ingestion.plugins import Part

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["Target"]

Add = Callable[["Transaction", dict[str, str], "Sequence[DataFile]"], "_SnapshotProducer[Any]"]
Stage = Callable[["Transaction"], "_SnapshotProducer[Any]"]


class Target:
    """Collects rows for a table, which the commit creates where it does not exist."""

    def __init__(self, catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", load_id: str) -> None:
        self.identifier = identifier
        self.name = ".".join(identifier)
        self.rows = 0
        self.files: list[DataFile] = []
        self.landed = False
        self.tried_before = False  # another try of the load has landed
        self.settles_missing = False  # whether rows of the table that the load does not bring are to go
        self.in_doubt = False  # a request is on its way, or was lost: nothing that it refers to may be deleted
        self._catalog = catalog
        self._load_id = load_id
        self._options = options
        self._target_file_size = options.target_file_size
        self._brought: dict[str, None] = {}  # names of the columns, in the order of the data
        self._evolution = Evolution(catalog, identifier, find_table(catalog, identifier), options)
        self._writer = StreamWriter(load_id, self._target_file_size)
        self._add = self._adding()
        self._used: dict[int, list[DataFile]] = {}  # by the snapshot that was to hold them

    @property
    def home(self) -> "Table":
        """The table, or the one that the commit will create."""
        return self._evolution.home

    @property
    def found(self) -> "Table | None":
        """The table as it was before the load."""
        return self._evolution.table

    @property
    def has_schema(self) -> bool:
        """Whether the table exists or the data has said what it will look like."""
        return self._evolution.table is not None or self._evolution.planned is not None

    @property
    def bytes_written(self) -> int:
        """Bytes of all files."""
        return sum(int(file.file_size_in_bytes) for file in self.files)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to commit but a cursor."""
        return not self.rows

    @property
    def staying(self) -> int:
        """Rows of the load that do not delete, known once it is finished."""
        return self.rows

    @property
    def removed(self) -> dict[str, int]:
        """Rows that were left out on purpose, by reason."""
        return {}

    @property
    def changes(self) -> dict[str, int]:
        """What a merge did, by rows."""
        return {}

    def write(self, records: pa.RecordBatch, source: str = "") -> None:
        """Take rows of *source*; a batch without rows still adds those of its columns that have a type."""
        stored = self._stored(records)
        self._brought.update(dict.fromkeys(stored.schema.names))
        schema = stored.schema if stored.num_rows else self._evolution.decided(stored.schema)
        if not schema.names:
            return
        fit = self._evolution.fit_of(stored) if stored.num_rows else self._evolution.fit(schema)
        if records.num_rows:
            self.rows += records.num_rows
            self._take(records, fit, source)

    def _stored(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The columns that the table is to hold."""
        return records

    def _take(self, records: pa.RecordBatch, fit: "Fit", source: str) -> None:
        del source
        self._writer.write(records, fit, self._evolution.home)

    @property
    def added(self) -> tuple[str, ...]:
        """Columns of the data that the table, which was there already, did not have."""
        planned, before = self._evolution.planned, self._evolution.before
        if planned is None or not before or not self.landed:
            return ()
        return tuple(column.name for column in planned.fields if column.name not in before)

    @property
    def absent(self) -> tuple[str, ...]:
        """Columns of the table that the rows do not have."""
        return tuple(name for name in self._evolution.before if name not in self._brought) if self.rows else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the commit changes beside columns and rows, in sentences."""
        return self._evolution.notes if self.rows or self.landed else ()

    def replace(self, parts: Sequence[Part]) -> None:
        """Let the rows take the place of those that the table has in *parts*."""
        from ingestion.loaders.iceberg.parts import PartReplacement

        self._add = PartReplacement(parts, self._whole, self._another_writer).stage

    def finish(self) -> None:
        """Have all rows in closed files."""
        self.files = self._writer.finish()

    def begin(self) -> None:
        """Have a table to commit to, even where no row says what it should look like."""
        self._evolution.begin()

    def close(self) -> None:
        """Give back what was held for this load alone."""

    def abort(self) -> None:
        """Stop; remove the files unless a commit refers to them or may do so."""
        self._writer.abort(keep=self.landed or self.in_doubt)

    def land(
        self, expect: "Callable[[Table | None], None]", stage: "Stage", once: str = ""
    ) -> "tuple[Table, Snapshot]":
        """Commit the files by *stage* unless *expect* objects, or *once* begins the id of a load that has landed."""

        def staged(table: "Table | None") -> "tuple[Transaction, _SnapshotProducer[Any]]":
            expect(table)
            transaction = self._transaction(table)
            self._prove_whole()
            producer = stage(transaction)
            self._used[producer.snapshot_id] = added_by(producer)
            self.in_doubt = True
            return transaction, producer

        try:
            table, snapshot = Landing(self._catalog, self.identifier, self._load_id, staged, once).land()
        except NotSent as error:
            self.in_doubt = not error.safe
            raise error.reason from error.reason.__cause__
        self.tried_before = snapshot.snapshot_id not in self._used
        self.landed, self.in_doubt = not self.tried_before, False
        self._keep_only(self._used.get(snapshot.snapshot_id, ()), table)
        return table, snapshot

    def stage(self, transaction: "Transaction", summary: dict[str, str]) -> "_SnapshotProducer[Any]":
        """Stage one snapshot with what was written."""
        return self._add(transaction, summary, self.files)

    def _adding(self) -> "Add":
        if self._options.overwrite_scope == "table":
            return replace_all if self._options.write_mode == "overwrite" else append
        from ingestion.loaders.iceberg.replacing import PartitionReplacement, check_scope

        check_scope(self._options, self.found, self.name)
        return PartitionReplacement(self._whole, self._another_writer).stage

    def _whole(self, metadata: "TableMetadata") -> Fit:
        """How rows of the table itself are written."""
        return Fit.whole(metadata, self._options.sort_by, self.name)

    def _another_writer(self) -> StreamWriter:
        writer = StreamWriter(f"{self._load_id}-kept-{len(self._used)}", self._target_file_size)
        self._writer.succeeded_by(writer)
        return writer

    def _transaction(self, table: "Table | None") -> "Transaction":
        """What the files fit, once there are such that do."""
        try:
            return self._evolution.transaction(table)
        except SchemaMoved:
            self._rewrite(table)
        try:
            return self._evolution.transaction(table)
        except SchemaMoved as error:
            raise TransientError(f"{error}; run again") from error

    def _prove_whole(self) -> None:
        held = sum(int(file.record_count) for file in self.files)
        if held != self._written:
            raise DataError(
                f"table {self.name}: {self._written} rows were to be written and its files hold {held}; nothing was "
                f"loaded. This is a bug of the loader: please report it, with the job and the data that show it"
            )

    @property
    def _written(self) -> int:
        """Rows that the files must hold."""
        return self.rows

    def _rewrite(self, table: "Table | None") -> None:
        """Write the files once more, as the table's present schema and partitioning want them."""
        before, io = self._evolution.settle().schema(), self.home.io
        self._evolution.rebase(table)
        writer = StreamWriter(f"{self._load_id}-{len(self._used) + 1}", self._target_file_size)
        self._writer.succeeded_by(writer)
        for records in rows_of_files(self.files, io, before, self._evolution.brought):
            writer.write(records, self._evolution.fit_of(records), self._evolution.home)
        self.files = writer.finish()

    def _keep_only(self, files: "Sequence[DataFile]", table: "Table") -> None:
        self.files = list(files)
        kept = {file.file_path for file in files}
        remove(table.io, [path for path in self._begun if path not in kept])

    @property
    def _begun(self) -> Sequence[str]:
        """The paths of all files that were begun."""
        return self._writer.paths

    @property
    def schema(self) -> "Schema":
        """The schema that the commit leaves."""
        return self._evolution.settle().schema()
