"""`<table>__quarantine`: rejected rows with their reasons, in the transaction of the rows that passed."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.loaders.postgres.copying import Home, Sender
from ingestion.loaders.postgres.plan import Plan
from ingestion.loaders.postgres.quarantined import SUFFIX, counting
from ingestion.loaders.postgres.session import Session, quoted
from ingestion.loaders.postgres.table import Found, find
from ingestion.loaders.tables.rejected import Stamp
from ingestion.loaders.tables.replayed import gone
from ingestion.plugins import Load

__all__ = ["Quarantine"]


class Quarantine:
    """The rejected rows of one load, and its marks of those that it brings anew.

    They are on the server in a table of its own until the load lands.
    """

    def __init__(self, session: Session, table: tuple[str, str], load: Load, thread: ThreadPoolExecutor) -> None:
        self._session = session
        self._target = table
        self._table = (table[0], f"{table[1]}{SUFFIX}")
        self._load = load
        self._stamp = Stamp(load)
        self._plan = Plan(".".join(self._table), None)
        self._home = Home("", f"_ingestion_bad_{load.load_id[:16]}")
        self._sender = Sender(session, thread)

    @property
    def rows(self) -> int:
        """Rejected rows; marks are none."""
        return self._stamp.count

    @property
    def idle(self) -> bool:
        """Whether there is nothing to land."""
        return self._stamp.idle

    def write(self, rejected: pa.RecordBatch) -> None:
        """Take rows of schema REJECTED."""
        for rows in self._stamp.rows(rejected):
            self._take(rows)

    def _take(self, stamped: pa.RecordBatch) -> None:
        rows = _sendable(stamped)
        self._plan.meet(rows.schema, rows=True)
        self._sender.add(rows, self._home, dict(self._plan.columns))

    def finish(self) -> None:
        """Have rows and marks on the server."""
        for marks in self._stamp.marks():
            self._take(marks)
        self._sender.flush()

    def land(self) -> None:
        """Have rows and marks in the quarantine table, which is created where there is none."""
        if self.idle:
            return
        self._session.wait_for_turn(*self._table)  # others may be about to create it, too
        fresh = find(self._session, *self._table)
        self._refuse_gone(fresh)
        if fresh is None:
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in self._plan.columns.items())
            self._session.run(f"CREATE TABLE {quoted(*self._table)} ({columns})")
        else:
            for statement in self._plan.statements(fresh, self._table):
                self._session.run(statement)
        names = ", ".join(map(quoted, self._plan.columns))
        self._session.run(f"INSERT INTO {quoted(*self._table)} ({names}) SELECT {names} FROM {self._home.sql}")  # noqa: S608

    def _refuse_gone(self, fresh: Found | None) -> None:
        """Nothing lands where another replay, or a rollback, took what this load brings anew."""
        replays = self._load.replays
        if replays is None or not len(replays):
            return
        missing = len(replays.unique())
        if fresh is not None:
            marks = f"SELECT replays FROM {self._home.sql} WHERE replays IS NOT NULL"  # noqa: S608 - quoted names
            there = f"{counting(self._target, fresh, self._load.job)} AND q.id IN ({marks})"
            missing -= int(self._session.one(f"SELECT count(*) {there}"))
        if missing:
            raise gone(self._load, ".".join(self._target), missing)


def _sendable(rows: pa.RecordBatch) -> pa.Table:
    """The server takes no NUL characters."""
    texts = [pc.replace_substring(c, "\0", "\\0") if pa.types.is_string(c.type) else c for c in rows.columns]
    return pa.table(texts, names=rows.schema.names)
