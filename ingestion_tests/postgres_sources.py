"""What the tests of reading PostgreSQL share: sources of one database, read by each driver."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.postgresql import Postgresql, PostgresqlConnector, adbc, scanner
from ingestion.connectors.databases.postgresql.driver import Driver
from ingestion.plugins import REJECTED, Batch

__all__ = ["PATHS", "address", "read", "rejected", "source"]


class ByAdbc(PostgresqlConnector):
    """A source that ADBC reads, whatever else is installed."""

    @property
    def server(self) -> Database:
        return _By(self, adbc.driver)


class ByScanner(PostgresqlConnector):
    """A source that DuckDB reads."""

    @property
    def server(self) -> Database:
        return _By(self, scanner.driver)


class Portable(PostgresqlConnector):
    """A source on a machine without a fast driver."""

    @property
    def server(self) -> Database:
        return _By(self, _missing)


class _By(Postgresql):
    def __init__(self, options: PostgresqlConnector, found: Callable[[], Driver]) -> None:
        super().__init__(options)
        self.found = found

    @property
    def driver(self) -> Driver:  # type: ignore[override]  # found anew each time
        return self.found()


def _missing() -> Driver:
    raise ImportError("no fast driver", name="adbc_driver_postgresql")


PATHS: dict[str, type[PostgresqlConnector]] = {"scanner": ByScanner, "adbc": ByAdbc, "portable": Portable}


def address(url: str) -> dict[str, Any]:
    """A URL's parts as a source's options."""
    parts = urlsplit(url)
    user = {"username": parts.username, "password": parts.password}
    return {"host": parts.hostname, "port": parts.port, "database": parts.path[1:], **user}


def source(url: str, path: str = "adbc", **options: Any) -> PostgresqlConnector:
    """A source in the database at *url*."""
    return PATHS[path](**{**address(url), **options})


def batches(connector: PostgresqlConnector, known: pa.Schema | None = None) -> list[Batch]:
    """All that a first run reads."""
    return [item for item in connector.read(None, known) if isinstance(item, Batch)]


def read(connector: PostgresqlConnector, known: pa.Schema | None = None) -> pa.Table:
    """The rows that a first run reads."""
    return pa.Table.from_batches([item.records for item in batches(connector, known)])


def rejected(connector: PostgresqlConnector) -> list[dict[str, Any]]:
    """The rows that a first run rejects."""
    found = [item.rejected for item in batches(connector) if item.rejected is not None]
    return list(pa.Table.from_batches(found, REJECTED).to_pylist())
