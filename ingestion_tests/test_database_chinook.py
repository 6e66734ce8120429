"""The shop of the corpus, from three databases: the same rows, exactly, in every table."""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import pytest
from pymysql.constants import CLIENT
from sqlalchemy.engine import make_url

from ingestion.config import load_job
from ingestion.pipeline import run

_ROWS = {
    "Album": 347,
    "Artist": 275,
    "Customer": 59,
    "Employee": 8,
    "Genre": 25,
    "Invoice": 412,
    "InvoiceLine": 2240,
    "MediaType": 5,
    "Playlist": 18,
    "PlaylistTrack": 8715,
    "Track": 3503,
}
_ELSEWHERE = re.compile(r"^(DROP DATABASE|CREATE DATABASE|USE|\\c) .*$", re.MULTILINE)


@pytest.fixture(scope="module")
def corpus() -> Path:
    given = os.environ.get("INGESTION_CORPUS")
    if not given:
        pytest.skip("set INGESTION_CORPUS to the folder whose db/ has the dumps of Chinook")
    return Path(given) / "db"


_NATIONAL = re.compile(r"(?<=, )N'")  # of which PostgreSQL makes char, whose blanks at the end do not count


def _script(path: Path) -> str:
    """The statements of a dump, for a database that is there already."""
    return _ELSEWHERE.sub("", path.read_text(encoding="utf-8-sig"))


@pytest.fixture
def sources(corpus, project, postgres_url, mysql_url) -> dict[str, dict[str, Any]]:
    """How a job reads each of the three."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(_NATIONAL.sub("'", _script(corpus / "Chinook_PostgreSql.sql")))
    address = _parts(mysql_url)
    plain = "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"  # the dump has titles with a backslash as it stands
    with pymysql.connect(**address, client_flag=CLIENT.MULTI_STATEMENTS, init_command=plain) as maria:
        with maria.cursor() as cursor:
            cursor.execute(_script(corpus / "Chinook_MySql.sql"))
            while cursor.nextset():
                pass
        maria.commit()
    shutil.copyfile(corpus / "Chinook_Sqlite.sqlite", project.path / "chinook.sqlite")
    return {
        "postgresql": {"type": "postgresql", "connection_string": postgres_url},
        "mysql": {"type": "mysql", "connection_string": mysql_url},
        "sqlite": {"type": "sqlite", "database": "chinook.sqlite"},
    }


def _parts(url: str) -> dict[str, Any]:
    """The parts of an address as pymysql takes them."""
    at = make_url(url)
    return {
        "host": at.host,
        "port": at.port,
        "user": at.username,
        "password": at.password or "",
        "database": at.database,
    }


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _comparable(table: pa.Table) -> pa.Table:
    """Its rows in one order, under PostgreSQL's names; whole numbers of SQLite have 64 bits, those of others 32."""
    table = table.drop_columns([name for name in table.column_names if name.startswith("_ing")])
    table = table.rename_columns([_snake(name) for name in table.column_names])
    wide = [item.with_type(pa.int64()) if pa.types.is_int32(item.type) else item for item in table.schema]
    table = table.cast(pa.schema([item.with_nullable(True).remove_metadata() for item in wide]))
    return table.sort_by([(name, "ascending") for name in table.column_names])


def _by_its_own_driver(kind: str, source: dict[str, Any]) -> Any:
    """A connection that none of our code has a part in."""
    if kind == "postgresql":
        return psycopg.connect(source["connection_string"])
    if kind == "mysql":
        return pymysql.connect(**_parts(source["connection_string"]))
    return sqlite3.connect(source["database"])


_PYTHON: dict[type[pa.DataType], Callable[[Any], Any]] = {
    pa.Decimal128Type: lambda value: Decimal(repr(value)).quantize(Decimal("0.01")),
    pa.TimestampType: datetime.fromisoformat,
}
"""What the values of SQLite, which knows no such types, stand for."""


def _rows_of(kind: str, source: dict[str, Any], table: str, schema: pa.Schema) -> list[str]:
    quote = "`" if kind == "mysql" else '"'
    with closing(_by_its_own_driver(kind, source)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT * FROM {quote}{table}{quote}")
        rows = cursor.fetchall()
        assert [_snake(column[0]) for column in cursor.description] == schema.names
    if kind == "sqlite":
        read = [_PYTHON.get(type(dtype), lambda value: value) for dtype in schema.types]
        rows = [[one if one is None else of(one) for one, of in zip(row, read, strict=True)] for row in rows]
    return sorted(repr(tuple(row)) for row in rows)


def test_three_databases_give_identical_tables(project, sources):
    tables: dict[str, dict[str, pa.Table]] = {}
    for name in _ROWS:
        for kind, source in sources.items():
            table = _snake(name) if kind == "postgresql" else name
            job = f"{kind}_{_snake(name)}"
            project.job(job, {"source": {**source, "table": table}})
            run(load_job(job), "first")
            found = tables.setdefault(name, {})[kind] = _comparable(project.table(f"default.{job}"))
            told = [repr(tuple(row.values())) for row in found.to_pylist()]
            assert sorted(told) == _rows_of(kind, source, table, found.schema), (name, kind)
    assert {name: found["sqlite"].num_rows for name, found in tables.items()} == _ROWS
    for name, by_kind in tables.items():
        for kind in ("postgresql", "mysql"):
            assert by_kind[kind].schema == by_kind["sqlite"].schema, (name, kind)
            assert by_kind[kind].to_pylist() == by_kind["sqlite"].to_pylist(), (name, kind)
    invoices = tables["Invoice"]["sqlite"]["total"]
    assert invoices.type == pa.decimal128(10, 2)
    assert str(pc.sum(invoices).as_py()) == "2328.60"
