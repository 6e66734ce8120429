"""The databases that are read: servers of the benchmark's own, and a file, each with the table events."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gen_events
import pyarrow as pa
import pyarrow.compute as pc
from comparing import made
from measuring import apart

sys.path.append(str(Path(__file__).parent.parent))  # the tests' servers

TABLE = """
CREATE TABLE events (
    id bigint PRIMARY KEY, user_id integer NOT NULL, event_time {time} NOT NULL, event_date date NOT NULL,
    amount double precision NOT NULL, score double precision, is_active boolean NOT NULL,
    category varchar(40) NOT NULL, email varchar(80) NOT NULL, note varchar(200)
)
"""
COPY = "COPY events FROM STDIN (FORMAT csv, HEADER)"
COLUMNS = "id, user_id, event_time, event_date, amount, @score, @active, category, email, @note"
PARTITIONS = 2


@dataclass(frozen=True)
class Filled:
    """A database that has the table."""

    source: dict[str, Any]  # the job's, without what is to be read
    address: str  # as the bare driver takes it
    partitions: int  # how many connections may read at once


@contextmanager
def postgresql(data: Path, rows: int) -> Iterator[Filled]:
    import psycopg

    from ingestion_tests.servers import running_postgres

    with running_postgres() as server:
        url = server.fresh_database()
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(TABLE.format(time="timestamp(3)"))
            with (
                _csv(data, rows).open("rb") as file,
                cursor.copy(COPY) as copy,
            ):
                while block := file.read(1 << 20):
                    copy.write(block)
        server.execute("VACUUM (ANALYZE) events", url)
        yield Filled(_source("postgresql", server, url), url, PARTITIONS)


@contextmanager
def mysql(data: Path, rows: int) -> Iterator[Filled]:
    from ingestion_tests.servers import running_mariadb

    with running_mariadb() as server:
        server.execute("SET GLOBAL innodb_buffer_pool_size = 1073741824")
        url = server.fresh_database()
        server.execute(TABLE.format(time="datetime(3)"), url)
        server.execute(_load_data(_csv(data, rows)), url)
        server.execute("ANALYZE TABLE events", url)
        yield Filled(_source("mysql", server, url), url, PARTITIONS)


@contextmanager
def sqlite(data: Path, rows: int) -> Iterator[Filled]:
    path = (data / f"events_{rows}.sqlite").absolute()
    made(path, write_sqlite, rows)
    yield Filled({"type": "sqlite", "database": str(path)}, str(path), 1)


OPENED: dict[str, Callable[[Path, int], AbstractContextManager[Filled]]] = {
    "postgresql": postgresql,
    "mysql": mysql,
    "sqlite": sqlite,
}


def _source(kind: str, server: Any, url: str) -> dict[str, Any]:
    address = {"host": server.host, "port": server.port, "username": server.user, "password": server.password}
    return {"type": kind, "database": url.rpartition("/")[2], **address}


def _csv(data: Path, rows: int) -> Path:
    path = (data / f"events_{rows}.csv").absolute()
    if not path.exists():
        apart(gen_events.write, path, rows)
    return path


def _load_data(path: Path) -> str:
    """Read by the server itself, which the path must be open to."""
    empty = [f"{name} = NULLIF(@{name}, '')" for name in ("score", "note")]
    return (
        f"LOAD DATA INFILE '{path}' INTO TABLE events CHARACTER SET utf8mb4 "
        f"FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' IGNORE 1 LINES ({COLUMNS}) "
        f"SET is_active = (@active = 'true'), {', '.join(empty)}"
    )


def write_sqlite(path: Path, rows: int) -> None:
    """Times and dates as texts, as Python's own driver writes them."""
    from adbc_driver_sqlite import dbapi

    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(partial)) as empty:
        empty.execute(TABLE.format(time="timestamp"))
    with dbapi.connect(str(partial), autocommit=True) as connection, connection.cursor() as cursor:
        for table in gen_events.blocks(rows):
            cursor.adbc_ingest("events", _as_texts(table), mode="append")
    partial.replace(path)


def _as_texts(table: pa.Table) -> pa.Table:
    for index, name in enumerate(table.schema.names):
        if pa.types.is_temporal(table.schema.field(name).type):
            table = table.set_column(index, name, pc.cast(table[name], pa.string()))
    return table
