"""`_ingestion_loads`: one row per load beside the tables, written in the transaction of its rows."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.loaders.postgres.session import Session, quoted
from ingestion.plugins import Cursor, Landed, Load

__all__ = ["LOADS", "History", "created_meanwhile"]

LOADS = "_ingestion_loads"
_DUPLICATE = {"23505", "42P07", "42P06", "42710"}
_COLUMNS = """
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  table_name text NOT NULL,
  job text NOT NULL,
  run_id text NOT NULL,
  load_id text NOT NULL UNIQUE,
  at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  mode text NOT NULL,
  rows bigint NOT NULL,
  quarantined bigint NOT NULL,
  config_hash text NOT NULL,
  cursor json,  -- of a ledger what people are shown of it
  ledger bytea,
  current boolean NOT NULL DEFAULT true"""
_LISTED = """
job, run_id, load_id, (extract(epoch FROM at) * 1000000)::bigint, mode, rows, id, cursor::text"""


class History:
    """The loads of one table."""

    def __init__(self, session: Session, table: tuple[str, str]) -> None:
        self._session = session
        self._schema, self._table = table
        self.sql = quoted(self._schema, LOADS)

    def exists(self) -> bool:
        """Whether anything was ever loaded into this schema."""
        question = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        return bool(self._session.one(f"{question} WHERE n.nspname = $1 AND c.relname = $2", self._schema, LOADS))

    def create(self) -> None:
        """Have the table; another session may create it in the same moment."""
        if self.exists():
            return
        statements = [
            f"CREATE TABLE IF NOT EXISTS {self.sql} ({_COLUMNS})",
            f"CREATE INDEX ON {self.sql} (table_name, job, id)",
        ]
        for statement in statements:
            self._session.run(statement)

    def newest(self, job: str) -> str | None:
        """The job's newest load that counts."""
        statement = f"SELECT load_id FROM {self.sql} WHERE {_OF_JOB} ORDER BY id DESC LIMIT 1"  # noqa: S608 - quoted
        found = self._session.one(statement, self._table, job)
        return str(found) if found is not None else None

    def cursor(self, job: str) -> Cursor:
        """Where the job resumes."""
        rows = self._session.rows(
            f"SELECT cursor::text, ledger FROM {self.sql} WHERE {_OF_JOB} "  # noqa: S608 - quoted
            f"AND (cursor IS NOT NULL OR ledger IS NOT NULL) ORDER BY id DESC LIMIT 1",
            self._table,
            job,
        )
        if not rows:
            return None
        text, ledger = rows[0]
        if ledger is not None:
            return pq.read_table(pa.BufferReader(ledger))
        cursor: Cursor = json.loads(text)
        return cursor

    def holds(self, load_id: str) -> bool:
        """Whether that load was committed."""
        return bool(self._session.one(f"SELECT 1 FROM {self.sql} WHERE load_id = $1", load_id))  # noqa: S608 - quoted

    def tried(self, once: str) -> int | None:
        """The number of the load that counts and whose id begins with *once*."""
        statement = f"SELECT id FROM {self.sql} WHERE table_name = $1 AND current AND starts_with(load_id, $2)"  # noqa: S608
        found = self._session.one(statement, self._table, once)
        return int(found) if found is not None else None

    def forget(self) -> None:
        """Let what was loaded before count no more, the table being a new one."""
        statement = f"UPDATE {self.sql} SET current = false WHERE table_name = $1 AND current"  # noqa: S608 - quoted
        self._session.run(statement, self._table)

    def record(self, load: Load, mode: str, rows: int, quarantined: int, cursor: Cursor) -> int:
        """Note the load; its number. Without a cursor the one before stays."""
        is_ledger = isinstance(cursor, pa.Table)
        shown = {"entries": cursor.num_rows} if isinstance(cursor, pa.Table) else cursor
        values = [
            self._table,
            load.job,
            load.run_id,
            load.load_id,
            mode,
            rows,
            quarantined,
            load.config_hash,
            None if shown is None else json.dumps(shown),
            _encoded(cursor) if is_ledger else None,
        ]
        self._session.run(
            f"INSERT INTO {self.sql} (table_name, job, run_id, load_id, mode, rows, quarantined, config_hash, cursor, "  # noqa: S608
            f"ledger) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json, $10)",
            *values,
        )
        return int(self._session.one(f"SELECT id FROM {self.sql} WHERE load_id = $1", load.load_id))  # noqa: S608

    def landed(self) -> list[Landed]:
        """Every load of the table that counts, newest first."""
        statement = f"SELECT {_LISTED} FROM {self.sql} WHERE table_name = $1 AND current ORDER BY id DESC"  # noqa: S608
        return [_landed(row) for row in self._session.rows(statement, self._table)]

    def undo(self, loads: Sequence[Landed]) -> None:
        """Let *loads* count no more; the cursor is then that of the load before."""
        ids = [load.load_id for load in loads]
        statement = f"UPDATE {self.sql} SET current = false WHERE load_id = ANY($1)"  # noqa: S608 - quoted
        self._session.run(statement, ids)

    def drop_ledgers(self, keep: int) -> int:
        """Drop the cursors that are tables but for each job's newest *keep*; how many went."""
        dropped = self._session.one(
            f"WITH u AS (UPDATE {self.sql} SET ledger = NULL, cursor = NULL "  # noqa: S608 - quoted
            f"WHERE ledger IS NOT NULL AND table_name = $1 AND id NOT IN (SELECT id FROM "
            f"(SELECT id, row_number() OVER (PARTITION BY job ORDER BY current DESC, id DESC) AS place "
            f"FROM {self.sql} WHERE table_name = $1 AND ledger IS NOT NULL) q WHERE place <= $2) RETURNING 1) "
            f"SELECT count(*) FROM u",
            self._table,
            keep,
        )
        return int(dropped or 0)


_OF_JOB = "table_name = $1 AND job = $2 AND current"


def _landed(row: Sequence[Any]) -> Landed:
    from datetime import datetime, timedelta, timezone

    job, run_id, load_id, at, mode, rows, number, cursor = row
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=at)
    shown = json.loads(cursor) if cursor is not None else None
    return Landed(job, run_id, load_id, moment, mode, rows, snapshot=str(number), cursor=shown)


def _encoded(ledger: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(ledger, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def created_meanwhile(error: BaseException) -> bool:
    """Whether another session created the same thing in the same moment."""
    return getattr(error.__cause__, "sqlstate", None) in _DUPLICATE
