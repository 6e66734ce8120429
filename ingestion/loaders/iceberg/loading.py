"""One load: rows and the cursor land together, or neither does; rejected rows land just before them."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ingestion.loaders.iceberg.catalog import translated
from ingestion.loaders.iceberg.cursors import discard, stored
from ingestion.loaders.iceberg.history import (
    CONFIG,
    ENTRY,
    FIRST,
    JOB,
    LOAD,
    MODE,
    ROWS,
    RUN,
    Entry,
    all_entries,
    entry_of,
    rows_of,
)
from ingestion.loaders.iceberg.quarantine import Quarantine
from ingestion.loaders.iceberg.quarantined import quarantined
from ingestion.loaders.iceberg.target import Target
from ingestion.loaders.iceberg.types import file_schema
from ingestion.loaders.tables.intake import Intake
from ingestion.loaders.tables.options import DELETED_AT, TRIED_BEFORE
from ingestion.loaders.tables.replayed import refuse_gone
from ingestion.loaders.tables.unsettled import REPLAYED
from ingestion.plugins import Batch, Load, LoadResult

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["Loading"]


class Loading:
    """Holds what is under way, so that an error or an interruption can take it back."""

    def __init__(self, options: "IcebergLoader", catalog: "Catalog", load: Load) -> None:
        identifier = options.identifier(load.job)
        self._options = options
        self._catalog = catalog
        self._load = load
        self._intake = Intake(options, load, ".".join(identifier))
        self._kept: Any = None  # the cursor as the commit holds it
        self._target = _target_of(options, load)(catalog, identifier, options, load.load_id)
        self._quarantine = Quarantine(catalog, identifier, load)
        if load.replaces:
            self._target.replace(load.replaces)

    def run(self, batches: Iterator[Batch]) -> LoadResult:
        """Land *batches* in one commit; on any exception nothing of them is left."""
        try:
            self._consume(batches)
            with translated(f"table {self._target.name}"):
                return self._land()
        except BaseException:
            self._take_back()
            raise
        finally:
            self._target.close()

    def _consume(self, batches: Iterator[Batch]) -> None:
        where = f"table {self._target.name}"
        for batch in batches:
            with translated(where):
                self._target.write(batch.records, batch.origin.source)
                if batch.rejected is not None and batch.rejected.num_rows:
                    self._quarantine.write(batch.rejected)
            self._intake.note(batch)
        self._intake.refuse_to_empty(self._target.rows)
        with translated(where):
            self._target.settles_missing = self._intake.settles_missing
            self._target.finish()
        self._intake.refuse_to_empty(self._target.staying)

    def _land(self) -> LoadResult:
        started = time.perf_counter()
        if not self._has_something_to_say():
            return self._result(None, None, started)
        self._target.begin()
        self._refuse_gone()
        self._quarantine.land()
        self._quarantine.survey()
        self._kept = stored(self._intake.cursor, self._cursor_folder(), self._load.load_id, self._target.home.io)
        table, snapshot = self._target.land(self._refuse_if_superseded, self._stage, self._load.once)
        if self._target.tried_before:
            self._quarantine.abort()
        else:
            self._quarantine.clean(table.metadata)
        return self._result(table, snapshot, started)

    def _refuse_gone(self) -> None:
        if self._load.replays is not None:
            rows = quarantined(self._catalog, self._target.identifier, self._load.job, ["id"])
            refuse_gone(self._load, self._target.name, rows)

    def _has_something_to_say(self) -> bool:
        if self._options.write_mode == "overwrite" and self._options.overwrite_scope == "table":
            return self._target.has_schema
        if not (self._quarantine.idle and self._target.idle):
            return True
        return self._target.has_schema and self._intake.has_new_cursor

    def _cursor_folder(self) -> str:
        """Outside the table's own folder, so that tools which clean that up leave cursors alone."""
        parent = self._target.home.location().rstrip("/").rpartition("/")[0]
        return f"{parent}/_cursors/{self._target.name}"

    def _refuse_if_superseded(self, table: "Table | None") -> None:
        if not self._load.alone:
            found = entry_of(table.metadata, self._load.job, table.io) if table is not None else Entry()
            self._intake.refuse_if_superseded(found.load_id)

    def _stage(self, transaction: "Transaction") -> "_SnapshotProducer[Any]":
        load, metadata = self._load, transaction.table_metadata
        io = transaction._table.io  # noqa: SLF001 - the table that the transaction is on
        summary = {
            **all_entries(metadata, io),
            LOAD: load.load_id,
            RUN: load.run_id,
            JOB: load.job,
            CONFIG: load.config_hash,
            MODE: self._options.write_mode,
            ROWS: str(self._target.rows),
            **({FIRST: "true"} if metadata.current_snapshot_id is None else {}),
            **({REPLAYED: str(len(load.replays))} if load.replays is not None else {}),
        }
        if load.alone:
            return self._target.stage(transaction, summary)
        cursor = entry_of(metadata, load.job, io).cursor if self._kept is None else self._kept
        entry = Entry(load.load_id, cursor)
        summary[ENTRY + load.job] = entry.in_summary()
        sequence = getattr(metadata, "last_sequence_number", 0) + 1  # format version 1 has none
        producer = self._target.stage(transaction, summary)
        transaction.set_properties({ENTRY + load.job: entry.in_property(producer.snapshot_id, sequence)})
        return producer

    def _take_back(self) -> None:
        self._target.abort()
        if self._target.in_doubt or self._target.landed:
            self._quarantine.leave()
        else:
            self._quarantine.abort()
            if self._kept is not None:
                discard(self._kept, self._target.home.io)

    def _result(self, table: "Table | None", snapshot: "Snapshot | None", started: float) -> LoadResult:
        target, spared = self._target, self._intake.notes(first=self._target.found is None)
        schema = table.schema() if table is not None else target.schema if target.has_schema else None
        return LoadResult(
            rows=target.rows,
            quarantined=self._quarantine.rows,
            files=len(target.files),
            bytes_written=target.bytes_written,
            snapshot=str(snapshot.snapshot_id) if snapshot is not None else None,
            schema=file_schema(schema, field_ids=False) if schema is not None else None,
            commit_seconds=time.perf_counter() - started,
            table=target.name,
            location=table.location() if table is not None else None,
            added=target.added,
            absent=tuple(name for name in target.absent if name != DELETED_AT),
            table_rows=rows_of(table or target.found),
            removed=target.removed,
            changes=self._intake.changes(target.changes),
            notes=(TRIED_BEFORE,) if target.tried_before else (*target.notes, *spared),
        )


def _target_of(options: "IcebergLoader", load: Load) -> type[Target]:
    merges = options.write_mode == "merge" and not load.replaces
    if not merges and not options.merge_keys:
        return Target
    # Not for other loads: it brings polars, whose import takes a tenth of a second.
    from ingestion.loaders.iceberg.merge.target import KeyedTarget, MergeTarget

    return MergeTarget if merges else KeyedTarget
