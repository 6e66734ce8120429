"""Tables of several kinds of database that grow while jobs read them, behind one face."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import Self

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.plugins import Cursor, Restart

TYPES = {  # of times with and without zone
    "sqlite": ("timestamp", "timestamp"),
    "postgresql": ("timestamptz", "timestamp"),
    "mysql": ("timestamp(6) NULL", "datetime(6)"),
}


@dataclass
class Source:
    """One database, and how a job reads it."""

    kind: str
    address: str  # a URL, or the path of a file

    @property
    def options(self) -> dict[str, Any]:
        if self.kind == "sqlite":
            return {"type": "sqlite", "database": self.address}
        return {"type": self.kind, "connection_string": self.address}

    def connect(self) -> Any:
        """A connection of the driver's own that commits nothing by itself."""
        if self.kind == "sqlite":
            return sqlite3.connect(self.address, timeout=30)
        if self.kind == "postgresql":
            import psycopg

            return psycopg.connect(self.address)
        import pymysql

        at = urlsplit(self.address)
        given = {
            "user": at.username,
            "password": at.password,
            "database": at.path[1:],
            "init_command": "SET time_zone='+00:00'",
        }
        return pymysql.connect(host=at.hostname, port=at.port, **given)

    def execute(self, *statements: str) -> Sequence[Any]:
        """What the last of *statements*, all of one transaction, answers."""
        connection = self.connect()
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        finally:
            connection.close()
        return rows

    def table(self, columns: str) -> None:
        self.execute(f"CREATE TABLE t ({columns})")

    def insert(self, *rows: Iterable[Any]) -> None:
        lines = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        self.execute(f"INSERT INTO t VALUES {lines}")


@dataclass
class Read:
    """What one run read."""

    cursor: Cursor  # of the next run
    rows: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    rejected: int = 0

    @property
    def ids(self) -> list[Any]:
        return [row["id"] for row in self.rows]


def read(
    source: Source,
    since: Cursor = None,
    *,
    cursor_column: str = "at",
    relation: dict[str, Any] | None = None,
    portable: bool = False,
    **incremental: Any,
) -> Read:
    """What a run reads after *since*; *relation* are options of the source itself, in place of the table t."""
    given = {**source.options, "incremental": {"cursor_column": cursor_column, **incremental}}
    connector = ConnectorFactory.create({**given, **({"table": "t"} | (relation or {}))})
    found = Read(since)
    for batch in (_portable(connector) if portable else connector).read(since, None):
        assert not isinstance(batch, Restart)
        found.rows += batch.records.to_pylist()
        found.rejected += batch.rejected.num_rows if batch.rejected is not None else 0
        found.cursor = batch.cursor if batch.cursor is not None else found.cursor
        found.told |= batch.told
    return found


def _portable(connector: Any) -> DatabaseConnector:
    """The same source where the fast driver is not installed."""

    class Slow(type(connector.server)):
        def load_fast(self) -> None:
            raise ImportError("no fast driver", name="fast")

    class Portable(type(connector)):
        @property
        def server(self) -> Slow:
            return Slow(self)

    return Portable(**connector.as_written())


def ago(seconds: float) -> str:
    """The time in UTC that long ago, as all databases read it."""
    moment = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def literal(item: Any) -> str:
    if item is None:
        return "NULL"
    return str(item) if isinstance(item, int | float) else f"'{item}'"


class Writers:
    """Writers of rows in transactions that commit out of the order of their times."""

    def __init__(self, source: Source, hold: Sequence[float]) -> None:
        """*hold* are the seconds that the transactions of each writer stay open."""
        context = get_context("spawn")
        self._stop, self._longest, self._failed = context.Event(), context.Value("d", 0.0), context.Value("i", 0)
        # Two SQLite libraries in one process do not see each other's locks.
        maker = context.Process if source.kind == "sqlite" else threading.Thread
        shared = (self._stop, self._longest, self._failed)
        self._writers = [maker(target=_write, args=(source, one, hold, shared)) for one in range(len(hold))]

    @property
    def longest(self) -> float:
        """How many seconds the longest transaction took."""
        return self._longest.value

    def __enter__(self) -> Self:
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for writer in self._writers:
            writer.join()
        assert not self._failed.value


def _write(source: Source, number: int, hold: Sequence[float], shared: tuple[Any, Any, Any]) -> None:
    stop, longest, failed = shared
    with failed.get_lock():
        failed.value += 1
    connection = source.connect()
    try:
        for turn in range(10_000):
            if stop.is_set():
                break
            started = datetime.now(timezone.utc)
            for statement in _changes(number, turn, len(hold)):
                connection.cursor().execute(statement)
            stop.wait(hold[number])
            connection.commit()
            longest.value = max(longest.value, (datetime.now(timezone.utc) - started).total_seconds())
        with failed.get_lock():
            failed.value -= 1
    finally:
        connection.close()


def _changes(number: int, turn: int, writers: int) -> Iterator[str]:
    """An insert, and an update of one of the rows that this writer inserted before."""
    key = turn * writers + number
    yield f"INSERT INTO t VALUES ({key}, '{ago(0)}', {turn})"
    if turn > 3:
        yield f"UPDATE t SET at = '{ago(0)}', v = v + 1000 WHERE id = {(turn // 2) * writers + number}"
