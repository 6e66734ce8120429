"""The target as the server's catalog has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.loaders.postgres.session import Session, quoted
from ingestion.loaders.postgres.types import PgType, known, parsed

__all__ = ["Column", "Found", "ensure_schema", "find", "has_unique_index"]

_TABLE = """
SELECT c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.atthasdef OR a.attidentity <> '', a.attgenerated <> ''
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = $1 AND c.relname = $2 ORDER BY a.attnum"""
_UNIQUE = """
SELECT 1 FROM pg_index i WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indisvalid AND i.indimmediate
AND i.indpred IS NULL AND i.indexprs IS NULL AND (
  SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k) = (
  SELECT array_agg(name ORDER BY name) FROM unnest($2::text[]) name)"""
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"}


@dataclass(frozen=True)
class Column:
    """One column of the target."""

    kind: PgType
    required: bool = False
    filled: bool = False  # by a default, an identity or an expression where no value is given
    generated: bool = False  # always by an expression


@dataclass(frozen=True)
class Found:
    """A table that is there."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    partitioned: bool = False

    def renamed(self, names: Mapping[str, str]) -> "Found":
        """The same table once the columns that *names* maps are called by their new names."""
        return Found({names.get(name, name): column for name, column in self.columns.items()}, self.partitioned)

    @property
    def schema(self) -> pa.Schema:
        """The columns as Arrow types."""
        return pa.schema([pa.field(name, known(column.kind)) for name, column in self.columns.items()])


def find(session: Session, schema: str, table: str) -> Found | None:
    """The table, None where there is none; raises ConfigError for what is no table."""
    rows = session.rows(_TABLE, schema, table)
    if not rows:
        return None
    kind = rows[0][0]
    if kind not in ("r", "p"):
        raise ConfigError(f"{session.what} is {_KINDS.get(kind, 'no table')}; name a table, or one that does not exist")
    columns = {
        name: Column(parsed(text), required, filled, generated)
        for _, name, text, required, filled, generated in rows
        if name is not None
    }
    return Found(columns, kind == "p")


def has_unique_index(session: Session, table: tuple[str, str], columns: Sequence[str]) -> bool:
    """Whether the server keeps *columns* together unique."""
    return bool(session.rows(_UNIQUE, quoted(*table), list(columns)))


def ensure_schema(session: Session, schema: str, *, create: bool) -> None:
    """Have *schema*; raises ConfigError where it is missing and not to be created."""
    if session.one("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
        return
    if not create:
        raise ConfigError(
            f"{session.what}: schema {schema!r} does not exist; create it, correct loader.database, "
            f"or set loader.create_schema_if_not_exists: true"
        )
    session.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
