"""SQLite: a file whose columns hold values of any type, whatever they are declared as."""

from typing import Literal

from pydantic import model_validator
from typing_extensions import Self

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.parameters import given_by_url
from ingestion.connectors.databases.sqlite.server import Sqlite
from ingestion.model import nearest
from ingestion.secrets import has_placeholder

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


_PARAMETERS = ("cache", "immutable", "mode", "nolock", "psow", "vfs")


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

    @model_validator(mode="after")
    def _as_sqlite_opens_files(self) -> Self:
        by_url = given_by_url(self) if self.settled("connection_string") is not None else {}
        given = {**by_url, **self.connection_params}
        if unknown := [name for name in given if name not in _PARAMETERS]:
            option = "connection_string" if unknown[0] in by_url else "connection_params"
            known = nearest(unknown[0], _PARAMETERS, "it knows")
            raise ValueError(f"{option}: SQLite knows no parameter {unknown[0]!r}; {known}")
        mode, read_only = given.get("mode"), self.settled("read_only")
        if mode is not None and not has_placeholder(mode) and read_only in (True, False):
            ours = "ro" if read_only else "rw"
            told = str(read_only).lower()
            if mode != ours:
                raise ValueError(f"mode={mode}: read_only: {told} opens files by mode={ours}; leave it out")
        return self

    @property
    def server(self) -> Database:
        """SQLite."""
        return Sqlite(self)
