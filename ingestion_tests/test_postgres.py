"""Rows, rejected rows and the cursor reach PostgreSQL in one transaction."""

from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pytest

from ingestion.loaders.postgres import PostgresLoader
from ingestion.testing import check_loader


class Database:
    """A database of one test's own, read by other means than the loader's."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def table(self, name: str = "default.t") -> pa.Table:
        place = ".".join(f'"{part}"' for part in name.split("."))
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(f"SELECT * FROM {place}")
            names = [column.name for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return pa.Table.from_pylist(rows) if rows else pa.table({name: [] for name in names})

    def loader(self, **options: Any) -> PostgresLoader:
        parts = urlsplit(self.url)
        place = {"host": parts.hostname, "port": parts.port, "username": parts.username, "password": parts.password}
        return PostgresLoader(**{"table": "t", **place, "dbname": parts.path[1:], **options})


@pytest.fixture
def database(postgres_server):
    return Database(postgres_server.fresh_database())


def test_the_loader_keeps_the_contract(database):
    check_loader(database.loader(), database.table)
