"""SQLite files as a job reads them, by either path."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingestion.connectors.databases.sqlite import Sqlite, SqliteConnector


class _PortableSqlite(Sqlite):
    def load_fast(self) -> None:
        raise ImportError


class Portable(SqliteConnector):
    """The same without its fast path."""

    @property
    def server(self) -> Sqlite:
        return _PortableSqlite(self)


@dataclass
class Read:
    """What a reading gave."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    types: dict[str, pa.DataType] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


def made(path: Path, *statements: str) -> Path:
    """A file in which *statements* were run."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def read(
    path: Path, connector: type[SqliteConnector] = SqliteConnector, known: pa.Schema | None = None, **options: Any
):
    """All that a job with these options reads."""
    found = Read()
    for batch in connector(database=str(path), **options).read(None, known):
        found.rows += batch.records.to_pylist()
        found.types = {item.name: item.type for item in batch.records.schema}
        found.rejected += batch.rejected.to_pylist() if batch.rejected is not None else []
        found.told |= batch.told
        found.sizes.append(batch.records.num_rows)
    return found
