"""One load: rows, rejected rows and the cursor in one transaction."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ingestion.errors import IngestionError, OutcomeUnknown, TransientError
from ingestion.loaders.postgres.history import History, created_meanwhile
from ingestion.loaders.postgres.merging import Merge
from ingestion.loaders.postgres.parts import within
from ingestion.loaders.postgres.quarantine import Quarantine
from ingestion.loaders.postgres.session import CommitUnclear, Session, opened, quoted
from ingestion.loaders.postgres.table import Found, ensure_schema, find
from ingestion.loaders.postgres.target import Target
from ingestion.loaders.tables.intake import OLDER, Intake
from ingestion.loaders.tables.options import DELETED_AT, TRIED_BEFORE
from ingestion.plugins import Batch, Load, LoadResult

if TYPE_CHECKING:
    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["loaded"]


def loaded(options: "PostgresLoader", load: Load, batches: Iterator[Batch]) -> LoadResult:
    """Land *batches* in one transaction; an error means that nothing of them is left."""
    with opened(options, f"table {'.'.join(options.identifier(load.job))}") as session:
        thread = ThreadPoolExecutor(1, "copy")
        try:
            return Loading(options, load, session, thread).run(batches)
        finally:
            thread.shutdown(cancel_futures=True)  # what is under way uses the session until then


class Loading:
    """Holds what is under way; whatever was not committed goes with the session."""

    def __init__(self, options: "PostgresLoader", load: Load, session: Session, thread: ThreadPoolExecutor) -> None:
        self._options = options
        self._load = load
        self._session = session
        self._table = (options.database, options.table or load.job)
        self._intake = Intake(options, load, ".".join(self._table))
        self._prepare_schema()
        self._target = Target(session, options, load, thread)
        self._quarantine = Quarantine(session, self._table, load, thread)
        self._history = History(session, self._table)
        self._merge = Merge(session, options, self._table, self._target.stage, [])

    def run(self, batches: Iterator[Batch]) -> LoadResult:
        """Land *batches* in one commit; an error means that nothing of them is left."""
        for batch in batches:
            self._target.write(batch.records, batch.origin.source)
            if batch.rejected is not None and batch.rejected.num_rows:
                self._quarantine.write(batch.rejected)
            self._intake.note(batch)
        self._intake.refuse_to_empty(self._target.rows)
        self._target.finish()
        self._quarantine.finish()
        started = time.perf_counter()
        if not self._has_something_to_say():
            return self._result(None, None, started)
        return self._land(started)

    def _prepare_schema(self) -> None:
        """Have the schema and the table of loads, in a transaction of their own: they are there to stay."""
        try:
            self._create_schema()
        except IngestionError as error:
            if not created_meanwhile(error):
                raise
            self._session.rollback()
            self._create_schema()  # now it is there

    def _create_schema(self) -> None:
        ensure_schema(self._session, self._table[0], create=self._options.create_schema_if_not_exists)
        History(self._session, self._table).create()
        try:
            self._session.commit()
        except CommitUnclear as error:
            raise TransientError(f"{self._session.what}: {error}; nothing was loaded, run again") from error

    def _has_something_to_say(self) -> bool:
        if self._options.replaces_all or self._load.replaces:
            return self._target.has_schema
        if self._target.rows or not self._quarantine.idle:
            return True
        return self._target.has_schema and (self._target.plan.changes or self._intake.has_new_cursor)

    def _land(self, started: float) -> LoadResult:
        session, table = self._session, self._table
        # Rows that are in the table already hold it against changes: waiting with them for one who is about to change
        # it, and who waits for them, would never end.
        if not self._target.stands:
            session.wait_for_turn(*table)
        session.wait_for_turn(*table, self._load.job)
        before = find(session, *table)
        if (number := self._tried(before)) is not None:
            session.rollback()
            return self._result(before, number, started)._replace(bytes_written=0, added=(), notes=(TRIED_BEFORE,))
        if not self._load.alone:
            self._intake.refuse_if_superseded(self._history.newest(self._load.job) if before is not None else None)
        if before is None:
            self._history.forget()
        self._pick_rows()
        self._target.prepare()
        self._write(before)
        if before is not None and self._merged_nothing():
            session.rollback()
            return self._result(before, None, started)
        self._quarantine.land()
        number = self._history.record(self._load, self._mode, self._rows, self._quarantine.rows, self._intake.cursor)
        after = find(session, *table)
        self._commit()
        return self._result(after, number, started)

    def _merged_nothing(self) -> bool:
        """Whether rows were merged and there is nothing to commit."""
        news = not self._quarantine.idle or self._target.plan.changes or self._intake.has_new_cursor
        return self._intake.merges and self._merge.idle and not news

    def _tried(self, before: Found | None) -> int | None:
        """The number of the load that is in the table in this one's place."""
        return self._history.tried(self._load.once) if before is not None and self._load.once else None

    def _pick_rows(self) -> None:
        """Leave one staged row per key."""
        if self._picks_rows():
            self._merge.sources = list(self._target.sources)
            self._merge.single_out()
            if self._options.delete_column is not None:
                self._intake.refuse_to_empty(self._merge.upserts())

    def _picks_rows(self) -> bool:
        """Whether there are rows of which one per key is to be found."""
        return self._target.keyed and self._target.stage.made

    @property
    def _mode(self) -> str:
        return "overwrite" if self._load.replaces else self._options.write_mode

    @property
    def _rows(self) -> int:
        return self._target.rows - self._merge.superseded

    def _write(self, before: Found | None) -> None:
        options, session, name = self._options, self._session, quoted(*self._table)
        if self._load.replaces:
            if before is not None:
                session.run(f"DELETE FROM {name} WHERE {within(self._load.replaces, before)}")  # noqa: S608 - quoted
        elif options.write_mode == "merge":
            self._merge.land(first=before is None, settles_missing=self._intake.settles_missing)
            return
        elif options.write_mode == "overwrite" and before is not None:
            # Not TRUNCATE: a reader whose snapshot is older than the commit would find the table empty.
            session.run(f"DELETE FROM {name}")  # noqa: S608 - quoted
        if self._picks_rows():
            self._merge.keep_upserts()
        self._target.append()

    def _commit(self) -> None:
        try:
            self._session.commit()
        except CommitUnclear as error:
            self._look_up(error)

    def _look_up(self, reason: CommitUnclear) -> None:
        """Ask on another connection whether the commit landed; it waits for the old session's end, which decides it."""
        what = self._session.what
        try:
            with opened(self._options, what) as session:
                session.wait_for_turn(*self._table, self._load.job)
                landed = History(session, self._table).holds(self._load.load_id)
        except IngestionError as error:
            raise OutcomeUnknown(
                f"{what}: the connection broke at the commit ({reason}) and the server cannot be asked whether it "
                f"landed ({error}); run again, the next run finds out"
            ) from reason
        if not landed:
            raise TransientError(
                f"{what}: the connection broke at the commit ({reason}); nothing was loaded, run again"
            ) from reason

    def _result(self, after: Found | None, number: int | None, started: float) -> LoadResult:
        target, plan = self._target, self._target.plan
        there = list(target.found.columns) if target.found is not None else []
        found = after or target.found
        superseded = self._merge.superseded
        return LoadResult(
            rows=self._rows,
            quarantined=self._quarantine.rows,
            files=0,
            bytes_written=target.bytes_written,
            snapshot=str(number) if number is not None else None,
            schema=found.schema if found is not None else None,
            commit_seconds=time.perf_counter() - started,
            table=".".join(self._table),
            location=f"{self._options.host}:{self._options.port}/{self._options.dbname}",
            added=tuple(name for name in plan.columns if there and name not in there) if number is not None else (),
            absent=tuple(name for name in there if name not in {*target.brought, DELETED_AT}) if target.rows else (),
            removed={OLDER: superseded} if superseded else {},
            changes=self._intake.changes(self._merge.changes),
            notes=(*(plan.notes() if number is not None else ()), *self._intake.notes(first=not there)),
        )
