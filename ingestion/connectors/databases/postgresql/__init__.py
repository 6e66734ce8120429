"""PostgreSQL: binary COPY, by the fastest driver that is installed; all connections read one exported snapshot."""

from typing import Literal

from pydantic import field_validator

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.postgresql.server import Postgresql

__all__ = ["Postgresql", "PostgresqlConnector"]

_LEVELS = ("REPEATABLE READ", "SERIALIZABLE")


class PostgresqlConnector(DatabaseConnector):
    """Reads a table of a PostgreSQL server, version 13 or later, or the result of a query."""

    type: Literal["postgresql"] = "postgresql"

    @field_validator("isolation_level")
    @classmethod
    def _one_state(cls, value: str | None) -> str | None:
        if value is not None and value.upper() not in _LEVELS:
            raise ValueError(f"{value} shows rows as they change; write {' or '.join(_LEVELS)}, or leave it out")
        return value

    @property
    def server(self) -> Database:
        """PostgreSQL."""
        return Postgresql(self)
