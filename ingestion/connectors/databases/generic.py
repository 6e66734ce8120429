"""A source whose kind of database is an option."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import ModelWrapValidatorHandler, model_validator
from typing_extensions import Self

from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.model import nearest

__all__ = ["KINDS", "AnyDatabaseConnector"]

Kind = Literal["mariadb", "mssql", "mysql", "oracle", "postgres", "postgresql", "sqlite", "sqlserver"]
KINDS: tuple[str, ...] = get_args(Kind)


class AnyDatabaseConnector(DatabaseConnector):
    """Reads from the kind of database that db_type names, as a source of that type does."""

    type: Literal["database"] = "database"
    db_type: Kind
    """The kind of database; the other options are those of a source of that type."""

    spelled_out = frozenset({"db_type"})

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Any:
        """The connector of that kind takes the place of this one."""
        kind = value.get("db_type") if isinstance(value, Mapping) else None
        if kind not in KINDS:
            if isinstance(kind, str) and "${" not in kind:
                raise ValueError(f"unknown db_type {kind!r}; {nearest(kind, KINDS, 'known ones')}")
            return validate(value)
        from ingestion.connectors import ConnectorFactory

        others = {name: item for name, item in value.items() if name not in {"type", "db_type"}}
        return ConnectorFactory.create({"type": kind, **others})

    @property
    def server(self) -> Database:
        """That of no kind: `_of_its_kind` makes another connector in place of this one."""
        raise TypeError(f"a source of db_type {self.db_type} is one of its own type")
