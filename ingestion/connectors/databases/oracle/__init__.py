"""Oracle: its driver gives rows as Arrow, and needs no software of Oracle's."""

from typing import Literal

from pydantic import field_validator

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.oracle.server import LEVELS, Oracle

__all__ = ["Oracle", "OracleConnector"]


class OracleConnector(DatabaseConnector):
    """Reads a table of an Oracle database, version 12.2 or later, or the result of a query; database is the service."""

    type: Literal["oracle"] = "oracle"

    @field_validator("isolation_level")
    @classmethod
    def _one_state(cls, value: str | None) -> str | None:
        if value is not None and value.upper() not in LEVELS:
            raise ValueError(f"{value} shows rows as they change; write {' or '.join(LEVELS)}, or leave it out")
        return value

    @property
    def server(self) -> Database:
        """Oracle."""
        return Oracle(self)
