"""SQL Server: Microsoft's driver gives rows as Arrow, in the session that decides what is read."""

from typing import Literal

from pydantic import field_validator

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.mssql.server import LEVELS, Mssql

__all__ = ["Mssql", "MssqlConnector"]


class MssqlConnector(DatabaseConnector):
    """Reads a table of a SQL Server, version 2016 or later, or the result of a query."""

    type: Literal["mssql"] = "mssql"

    @field_validator("isolation_level")
    @classmethod
    def _known_level(cls, value: str | None) -> str | None:
        if value is not None and value.upper() not in LEVELS:
            raise ValueError(
                f"{value} lets a run miss rows that move meanwhile; write {' or '.join(LEVELS)}, or leave it out"
            )
        return value

    @property
    def server(self) -> Database:
        """SQL Server."""
        return Mssql(self)
