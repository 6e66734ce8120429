"""`<table>__quarantine`: rejected rows with their reasons, in the transaction of the rows that passed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.loaders.postgres.copying import Home, Sender
from ingestion.loaders.postgres.plan import Plan
from ingestion.loaders.postgres.session import Session, quoted
from ingestion.loaders.postgres.table import find
from ingestion.loaders.tables.rejected import stamped
from ingestion.plugins import Load

__all__ = ["SUFFIX", "Quarantine"]

SUFFIX = "__quarantine"


class Quarantine:
    """The rejected rows of one load: on the server in a table of its own until the load lands."""

    def __init__(self, session: Session, table: tuple[str, str], load: Load, thread: ThreadPoolExecutor) -> None:
        self.rows = 0
        self._session = session
        self._table = (table[0], f"{table[1]}{SUFFIX}")
        self._load = load
        self._at = datetime.now(timezone.utc)
        self._plan = Plan(".".join(self._table), None)
        self._home = Home("", f"_ingestion_bad_{load.load_id[:16]}")
        self._sender = Sender(session, thread)

    def write(self, rejected: pa.RecordBatch) -> None:
        """Take rows of schema REJECTED."""
        self.rows += rejected.num_rows
        rows = self._stamped(rejected)
        self._plan.meet(rows.schema, rows=True)
        self._sender.add(rows, self._home, dict(self._plan.columns))

    def finish(self) -> None:
        """Have all rows on the server."""
        self._sender.flush()

    def land(self) -> None:
        """Have the rows in the quarantine table, which is created where there is none."""
        if not self.rows:
            return
        self._session.wait_for_turn(*self._table)  # others may be about to create it, too
        fresh = find(self._session, *self._table)
        if fresh is None:
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in self._plan.columns.items())
            self._session.run(f"CREATE TABLE {quoted(*self._table)} ({columns})")
        else:
            for statement in self._plan.statements(fresh, self._table):
                self._session.run(statement)
        names = ", ".join(map(quoted, self._plan.columns))
        self._session.run(f"INSERT INTO {quoted(*self._table)} ({names}) SELECT {names} FROM {self._home.sql}")  # noqa: S608

    def _stamped(self, rejected: pa.RecordBatch) -> pa.Table:
        rows = stamped(rejected, self._load, self._at)
        texts = [pc.replace_substring(c, "\0", "\\0") if pa.types.is_string(c.type) else c for c in rows.columns]
        return pa.table(texts, names=rows.schema.names)
