"""SQLAlchemy over ADBC's driver: what is asked and what is read go through one connection, in one transaction.

Python's own driver brings a second SQLite library, and two of them in one process do not see each other's locks.
"""

from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.interfaces import ConnectArgsType, DBAPIConnection, DBAPIModule

__all__ = ["DRIVER", "AdbcSqlite"]

DRIVER = "sqlite+adbc"


class AdbcSqlite(SQLiteDialect):
    """SQLite by adbc-driver-sqlite, whose connections are in a transaction from their first statement on."""

    driver = "adbc"
    default_paramstyle = "qmark"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> DBAPIModule:
        """ADBC's module."""
        from adbc_driver_sqlite import dbapi

        return _with_version(dbapi)  # type: ignore[no-any-return]  # a module with what SQLAlchemy calls in it

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """The file as SQLite's URIs name it, with their parameters."""
        parameters = "&".join(f"{name}={value}" for name, value in url.query.items() if name != "uri")
        return [f"{url.database}?{parameters}"], {}

    def connect(self, *arguments: Any, timeout: float = 0, **named: Any) -> DBAPIConnection:
        """A connection that waits *timeout* seconds for writers, from its first statement on."""
        connection: Any = super().connect(*arguments, **named)
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
        return connection  # type: ignore[no-any-return]  # ADBC's

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        version = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar())
        return tuple(int(part) for part in version.split("."))


def _with_version(module: ModuleType) -> Any:
    """SQLAlchemy asks the module of a driver which SQLite it holds; ADBC's does not say."""
    if not hasattr(module, "sqlite_version_info"):
        with module.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT sqlite_version()")
            [version] = cursor.fetchone()
        module.sqlite_version_info = tuple(int(part) for part in version.split("."))  # type: ignore[attr-defined]
    return module


registry.register("sqlite.adbc", __name__, AdbcSqlite.__name__)
