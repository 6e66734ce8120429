"""What MySQL's catalog says of a table, and its server of a query."""

from collections import defaultdict
from typing import TYPE_CHECKING

from pymysql import Connection
from sqlalchemy import text

from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.mysql.fields import declared_of
from ingestion.connectors.databases.mysql.protocol import fields_of
from ingestion.connectors.databases.mysql.types import column_of
from ingestion.connectors.databases.session import translated
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["described", "raw"]

_COLUMNS = """
SELECT column_name, column_type, extra FROM information_schema.columns
WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name ORDER BY ordinal_position
"""
_UNIQUE = """
SELECT index_name, column_name, sub_part, nullable FROM information_schema.statistics
WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name AND non_unique = 0
ORDER BY index_name, seq_in_index
"""
_TABLES = """
SELECT table_schema, table_name, table_schema = COALESCE(:schema, DATABASE()) FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') OR table_schema = :schema
"""


def raw(session: "Session") -> Connection:
    """Pymysql's own connection."""
    found = session.connection.connection.dbapi_connection
    assert isinstance(found, Connection)  # noqa: S101 - `Mysql.url` names that driver
    return found


def described(session: "Session", relation: "Relation") -> Described:
    """The columns of a table or query; raises ConfigError where there is no such table."""
    if relation.options.table is None:
        statement = session.database.fast_text(relation.everything())
        with translated(session.database):
            fields = fields_of(raw(session), statement)
        return Described([column_of(field.name, declared_of(field)) for field in fields])
    options = relation.options
    rows = _about(session, relation, _COLUMNS)
    if not rows:
        raise ConfigError(f"{_refusal(session, relation)}; {_alternative(session, relation)}")
    # Nobody sees an invisible column who does not name it.
    columns = [
        column_of(name, declared)
        for name, declared, extra in rows
        if "invisible" not in extra.lower() or name in (options.columns or ())
    ]
    return Described(columns, *_keys(session, relation))


def _refusal(session: "Session", relation: "Relation") -> str:
    """Why there is nothing to read: to a user who may not see it, the server does not say whether there is a table."""
    try:
        session.rows(relation.everything())
    except ConfigError as error:
        return str(error)
    return f"there is no table {relation.name}"


def _about(session: "Session", relation: "Relation", statement: str) -> list[tuple[str, ...]]:
    options = relation.options
    bound = text(statement).bindparams(schema=options.schema)
    if ":name" in statement:
        bound = bound.bindparams(name=options.table)
    return [tuple(row) for row in session.rows(bound)]


def _keys(session: "Session", relation: "Relation") -> tuple[tuple[str, ...], frozenset[tuple[str, ...]]]:
    """The primary key, and other columns without null that are unique together."""
    found: dict[str, list[str]] = defaultdict(list)
    partial = set()
    for index, column, prefix, nullable in _about(session, relation, _UNIQUE):
        found[index].append(column)
        if column is None or prefix is not None or nullable == "YES":
            partial.add(index)
    whole = {index: tuple(columns) for index, columns in found.items() if index not in partial}
    key = whole.pop("PRIMARY", ())
    return key, frozenset(whole.values())


def _alternative(session: "Session", relation: "Relation") -> str:
    rows = _about(session, relation, _TABLES)
    elsewhere = sorted(schema for schema, name, here in rows if name == relation.options.table and not here)
    if elsewhere:
        return f"the database {elsewhere[0]} has a table of that name, set source.schema: {elsewhere[0]}"
    return nearest(str(relation.options.table), [name for _, name, here in rows if here], "there are")
