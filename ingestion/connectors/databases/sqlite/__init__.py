"""SQLite: a file whose columns hold values of any type, whatever they are declared as."""

from typing import Literal

from pydantic import model_validator
from typing_extensions import Self

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.sqlite.server import Sqlite

__all__ = ["Sqlite", "SqliteConnector"]

_WITHOUT_SENSE = {
    "host": "SQLite is a file on this machine; its path is database",
    "port": "SQLite is a file on this machine; its path is database",
    "username": "SQLite has no users",
    "password": "SQLite has no users",
    "ssl_mode": "SQLite is a file; there is no connection to encrypt",
    "ssh_tunnel": "SQLite is a file on this machine; copy it here",
    "isolation_level": "SQLite shows every reader one state of the file, and nothing else",
    "statement_timeout": "SQLite cannot end a statement by itself",
}


class SqliteConnector(DatabaseConnector):
    """Reads a table or view of an SQLite file, or the result of a query."""

    type: Literal["sqlite"] = "sqlite"

    @model_validator(mode="after")
    def _of_a_file(self) -> Self:
        for name, reason in _WITHOUT_SENSE.items():
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: {reason}; leave it out")
        if self.settled("schema") not in {None, "main"}:
            raise ValueError("schema: the tables of an SQLite file have none; leave it out, or query attached files")
        if self.is_parted:
            raise ValueError("num_partitions: an SQLite file is read by one connection; leave it out")
        return self

    @property
    def server(self) -> Database:
        """SQLite."""
        return Sqlite(self)
