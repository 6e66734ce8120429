"""One load: rows and the cursor land together, or neither does."""

import json
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.delta.columns import columns_of, strict_columns_of
from ingestion.loaders.delta.commit import Change, Landfall, Landing
from ingestion.loaders.delta.history import tried
from ingestion.loaders.delta.jobs import CURSOR, Entry, app_id, entry_of, keep, next_number, restored, shown
from ingestion.loaders.delta.layout import check_editable, check_layout, with_columns, with_features, with_properties
from ingestion.loaders.delta.place import translated
from ingestion.loaders.delta.plan import Plan
from ingestion.loaders.delta.quarantine import Quarantine
from ingestion.loaders.delta.quarantined import quarantined
from ingestion.loaders.delta.rows import Rows
from ingestion.loaders.tables.intake import OLDER, Intake
from ingestion.loaders.tables.options import DELETED_AT, TRIED_BEFORE
from ingestion.loaders.tables.replayed import refuse_gone
from ingestion.loaders.tables.unsettled import REPLAYED
from ingestion.plugins import Batch, Load, LoadResult
from ingestion.secrets import redact

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ingestion.loaders.delta import DeltaLoader

__all__ = ["Loading"]

_log = logging.getLogger(__name__)
_EDITS = 20  # tries of what reads and writes files anew each time


class Loading:
    """Holds what is under way, so that an error or an interruption can take it back."""

    def __init__(self, options: "DeltaLoader", load: Load) -> None:
        self._options = options
        self._load = load
        self._name = options.name(load.job)
        self._place = options.place(load.job)
        self._intake = Intake(options, load, self._name)
        self._kept: list[str] = []  # files of the job's state, of all attempts
        table = self._place.open()
        check_layout(self._place, table, options, self._name)
        self._table = table
        left_out = frozenset([options.delete_column] if options.delete_column else [])
        base = columns_of(table) if table is not None else None
        partition_by = list(table.metadata().partition_columns) if table is not None else options.partition_by
        strict = strict_columns_of(table) if table is not None else None
        plan = Plan(self._name, base, partition_by, left_out, strict)
        self._rows = Rows(options, load, self._place, plan)
        self._quarantine = Quarantine(options, load)
        self._landing = Landing(self._place, self._name, load.load_id, self._prepare)

    def run(self, batches: Iterator[Batch]) -> LoadResult:
        """Land *batches* in one version; on any exception before it landed nothing of them is left."""
        try:
            self._consume(batches)
            with translated(f"table {self._name}"):
                return self._land()
        except BaseException:
            self._take_back()
            raise
        finally:
            self._rows.close()

    def _consume(self, batches: Iterator[Batch]) -> None:
        where = f"table {self._name}"
        for batch in batches:
            with translated(where):
                self._rows.write(batch.records, batch.origin.source)
                if batch.rejected is not None and batch.rejected.num_rows:
                    self._quarantine.write(batch.rejected)
            self._intake.note(batch)
        self._rows.settles_missing = self._intake.settles_missing
        if self._options.delete_missing == "soft" and self._intake.merges and self._rows.plan.settled:
            self._rows.plan.take(pa.schema([(DELETED_AT, pa.timestamp("us", "UTC"))]), rows=False)

    def _land(self) -> LoadResult:
        started = time.perf_counter()
        self._intake.refuse_to_empty(self._rows.given)
        if not self._has_something_to_say():
            return self._result(self._table, None, started)
        self._rows.finish()
        if self._rows.edits or self._rows.plan.widened:
            self._landing.tries = _EDITS
        if self._load.replays is not None:
            refuse_gone(self._load, self._name, quarantined(self._place, self._name, self._load.job, ["id"]))
        self._quarantine.land()
        self._quarantine.survey()
        try:
            landfall = self._landing.land()
        except _TriedBefore as found:
            self._take_back()
            return self._result(self._place.open(), found.version, started)._replace(
                files=0, bytes_written=0, added=(), notes=(TRIED_BEFORE,)
            )
        return self._result(self._tidied(landfall), landfall.version, started, landfall.change)

    def _tidied(self, landfall: Landfall) -> "DeltaTable | None":
        """The table, after what is of no use any more was removed; a load that landed does not fail for that."""
        change = landfall.change
        if not self._landing.in_doubt:
            self._rows.tidy(change.adds if self._landing.landed else ())
            self._place.remove([path for path in self._kept if path not in change.state_files])
        if landfall.version is None:
            return self._table
        table = None
        try:
            table = self._place.open()
            if table is not None:
                self._quarantine.clean(self._place, table)
        except Exception as error:  # noqa: BLE001 - how the load went is settled, and not to be hidden by this
            said = redact(f"{type(error).__name__}: {error}").splitlines()[0]
            _log.warning(
                "table %s: the load has landed, and what was to be looked after then was not: %s", self._name, said
            )
        return table

    def _has_something_to_say(self) -> bool:
        if self._rows.given or not self._quarantine.idle or self._load.replaces:
            return True
        settled = self._rows.plan.settled
        return settled and (self._options.replaces_all or self._intake.has_new_cursor)

    def _prepare(self, table: "DeltaTable | None") -> Change:
        """The change on what the table is now; raises Superseded where it may not be made."""
        load = self._load
        self._refuse_twice(table)
        entry = entry_of(self._place, table, load.job) if table is not None else Entry()
        self._intake.refuse_if_superseded(entry.load_id)
        check_layout(self._place, table, self._options, self._name)
        if table is not None:
            table = with_properties(table, self._options.table_properties)
            plan = self._rows.plan.rebased(table)
            self._refuse_edits(table, plan)
            change_columns = with_columns if self._rows.edits else with_features
            table = change_columns(table, plan, load.load_id)
        change = self._rows.change(table)
        self._intake.refuse_to_empty(change.staying)
        news = not self._quarantine.idle or (not load.alone and self._intake.has_new_cursor)
        change.is_empty = change.is_empty and not news
        if load.replays is not None:
            change.notes = {**change.notes, REPLAYED: str(len(load.replays))}
        if not load.alone and not change.is_empty:
            self._keep(change, table, entry)
        return change

    def _refuse_edits(self, table: "DeltaTable", plan: Plan) -> None:
        """Where even rows that are only added would have files replaced."""
        if self._load.replaces:
            doing = "a part of it would be replaced"
            check_editable(table, self._name, doing, "leave partition_expr out so that rows are added")
        elif plan.widened:
            doing = "a column that becomes wider has all files written again"
            check_editable(table, self._name, doing, "convert the column in the transformer")

    def _refuse_twice(self, table: "DeltaTable | None") -> None:
        """Each time in the whole log: a restore may have taken back what was found before."""
        if table is None or not self._load.once:
            return
        version = tried(self._place, table, self._load.once)
        if version is not None:
            raise _TriedBefore(version)

    def _keep(self, change: Change, table: "DeltaTable | None", entry: Entry) -> None:
        """Have the job's state in a file that the commit points to."""
        load = self._load
        number = next_number(table, load.job)
        cursor = self._intake.cursor if self._intake.cursor is not None else restored(self._place, entry)
        version = table.version() + 1 if table is not None else 0
        own = Entry(load.load_id, load.run_id, None, version, number)
        change.state_files = keep(self._place, load.job, own, cursor)
        self._kept += change.state_files
        change.transaction = (app_id(load.job), number)
        change.notes = {**change.notes, CURSOR: json.dumps(shown(cursor))}

    def _take_back(self) -> None:
        if self._landing.in_doubt or self._landing.landed:
            self._quarantine.leave()
            self._rows.stop()
            return
        self._quarantine.abort()
        self._rows.abort()
        self._place.remove(self._kept)

    def _result(
        self, table: "DeltaTable | None", version: int | None, started: float, change: Change | None = None
    ) -> LoadResult:
        rows, plan = self._rows, self._rows.plan
        change = change or Change(pa.schema([]), [])
        older = rows.superseded + change.older
        adds = change.adds if version is not None else []
        return LoadResult(
            rows=rows.given - older,
            quarantined=self._quarantine.rows,
            files=len(adds),
            bytes_written=sum(file.size for file in adds),
            snapshot=str(version) if version is not None else None,
            schema=columns_of(table) if table is not None else plan.schema if plan.columns else None,
            commit_seconds=time.perf_counter() - started,
            table=self._name,
            location=self._place.uri if table is not None or version is not None else None,
            added=change.added if version is not None else (),
            absent=plan.absent if rows.given else (),
            table_rows=table.count() if table is not None else None,
            removed={OLDER: older} if older else {},
            changes=self._intake.changes(change.counts),
            notes=(*change.said, *self._intake.notes(first=self._table is None)),
        )


class _TriedBefore(Exception):
    """Another try of the load has landed."""

    def __init__(self, version: int) -> None:
        super().__init__(str(version))
        self.version = version
