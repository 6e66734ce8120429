"""What SQL Server's catalog says of a table or query."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import TextClause, text

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.mssql.types import column_of
from ingestion.errors import ConfigError, IngestionError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation, Statement
    from ingestion.connectors.databases.session import Session

__all__ = ["described"]

_DIGITS = re.compile(r"\s*\(\s*(max|\d+)\s*(?:,\s*(\d+)\s*)?\)")
_COLUMNS = """
SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, COALESCE(NUMERIC_SCALE, DATETIME_PRECISION)
FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_NAME = :table AND TABLE_SCHEMA = {schema}
ORDER BY ORDINAL_POSITION
"""
_TABLES = "SELECT TABLE_SCHEMA, TABLE_NAME, SCHEMA_NAME() FROM INFORMATION_SCHEMA.TABLES"
_KEYS = """
SELECT c.CONSTRAINT_NAME, c.CONSTRAINT_TYPE, k.COLUMN_NAME
FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS c JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE k
    ON k.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = c.CONSTRAINT_NAME
WHERE c.TABLE_NAME = :table AND c.TABLE_SCHEMA = {schema}
    AND c.CONSTRAINT_TYPE IN ('PRIMARY KEY', 'UNIQUE')
ORDER BY c.CONSTRAINT_NAME, k.ORDINAL_POSITION
"""


def described(session: "Session", relation: "Relation") -> Described:
    """The columns of a table or query; raises ConfigError where there is no such table."""
    if relation.options.table is None:
        return Described(_of_query(session, relation))
    columns = _of_table(session, relation)
    return Described(columns, *_keys(session, relation))


def _of_table(session: "Session", relation: "Relation") -> list[Column]:
    found = session.rows(_bound(_COLUMNS, relation))
    if not found:
        raise ConfigError(f"there is no table {relation.name}; {_alternative(session, relation)}")
    return [column_of(name, str(kind).lower(), *sizes) for name, kind, *sizes in found]


def _bound(statement: str, relation: "Relation") -> TextClause:
    given = {"table": relation.options.table, "schema": relation.options.schema}
    if relation.options.schema is None:
        del given["schema"]
    return text(statement.format(schema=":schema" if "schema" in given else "SCHEMA_NAME()")).bindparams(**given)


def _alternative(session: "Session", relation: "Relation") -> str:
    options = relation.options
    rows = session.rows(_TABLES)
    elsewhere = sorted(schema for schema, table, _ in rows if table == options.table)
    if elsewhere:
        return f"the schema {elsewhere[0]} has a table of that name, set source.schema: {elsewhere[0]}"
    here = [table for schema, table, usual in rows if schema == (options.schema or usual)]
    if not here:
        return "that schema has none that the user may see, or there is no such schema"
    return nearest(str(options.table), here, "there are")


def _keys(session: "Session", relation: "Relation") -> tuple[Sequence[str], frozenset[tuple[str, ...]]]:
    keys: dict[tuple[str, str], list[str]] = {}
    for name, kind, part in session.rows(_bound(_KEYS, relation)):
        keys.setdefault((kind, name), []).append(part)
    primary = next((tuple(names) for (kind, _), names in keys.items() if kind == "PRIMARY KEY"), ())
    return primary, frozenset(tuple(names) for (kind, _), names in keys.items() if kind == "UNIQUE")


def _of_query(session: "Session", relation: "Relation") -> list[Column]:
    """The columns of the query's result as the server works them out, without running it."""
    columns = _within(session, relation)
    if columns is None:
        columns = _first_result(session, relation.whole())
        relation.alone = [column.name for column in columns]
    return columns


def _within(session: "Session", relation: "Relation") -> list[Column] | None:
    """The columns of the query in parentheses; None where T-SQL lets it stand alone only."""
    words = str(relation.options.query).upper()
    try:
        return _first_result(session, relation.everything())
    except IngestionError:
        if "WITH" in words or "ORDER" in words:
            return None
        raise


def _first_result(session: "Session", statement: "Statement") -> list[Column]:
    asked = text("EXEC sp_describe_first_result_set @tsql = :statement")
    rows = session.rows(asked.bindparams(statement=session.database.fast_text(statement)))
    return [_answered(row) for row in rows]


def _answered(row: Any) -> Column:
    if row.name is None:
        raise ConfigError(f"column {row.column_ordinal} of source.query has no name; write one with AS")
    kind = str(row.system_type_name or row.user_type_name).lower()
    digits = _DIGITS.search(kind)
    length = None if digits is None else -1 if digits[1] == "max" else int(digits[1])
    return column_of(row.name, _DIGITS.sub("", kind), length, row.precision, row.scale)
