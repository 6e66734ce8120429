"""What Oracle says of a table or query."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import TextClause, text

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.oracle.types import TYPES, UNREADABLE, column_of
from ingestion.connectors.databases.session import translated
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["described"]

# A synonym stands for one table, of this owner or of all.
_FOUND = """
SELECT owner, object_name FROM all_objects
WHERE owner = {owner} AND object_name = :name AND object_type IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW')
UNION ALL
SELECT table_owner, table_name FROM all_synonyms WHERE owner IN ({owners}) AND synonym_name = :name
"""
_USUAL = "SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')"
_KEYS = """
SELECT c.constraint_name, c.constraint_type, k.column_name
FROM all_constraints c JOIN all_cons_columns k ON k.owner = c.owner AND k.constraint_name = c.constraint_name
WHERE c.owner = :owner AND c.table_name = :name AND c.constraint_type IN ('P', 'U') AND c.status = 'ENABLED'
ORDER BY c.constraint_name, k.position
"""
_TABLES = """
SELECT owner, object_name, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') FROM all_objects
WHERE object_type IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW') AND oracle_maintained = 'N'
"""


def described(session: "Session", relation: "Relation") -> Described:
    """The columns of a table or query; raises ConfigError where there is no such table."""
    if relation.options.table is None:
        return Described(_columns(session, relation))
    found = session.rows(_where_it_is(_upper(relation.options.schema), _upper(relation.options.table)))
    if not found:
        raise ConfigError(f"there is no table {relation.name}; {_alternative(session, relation)}")
    return Described(_columns(session, relation), *_keys(session, *found[0]))


def _where_it_is(schema: str | None, table: str | None) -> TextClause:
    if schema is None:
        return text(_FOUND.format(owner=_USUAL, owners=f"{_USUAL}, 'PUBLIC'")).bindparams(name=table)
    return text(_FOUND.format(owner=":owner", owners=":owner")).bindparams(owner=schema, name=table)


def _upper(name: str | None) -> str | None:
    """The name as the catalog has it: what is not quoted is in upper case, and SQLAlchemy quotes what has any."""
    return name.upper() if name is not None and name == name.lower() else name


def _alternative(session: "Session", relation: "Relation") -> str:
    options = relation.options
    schema, name = _upper(options.schema), str(_upper(options.table))
    rows = session.rows(_TABLES)
    elsewhere = sorted(owner for owner, table, _ in rows if table == name)
    if elsewhere:
        return f"the schema {elsewhere[0]} has a table of that name, set source.schema: {elsewhere[0]}"
    here = [table for owner, table, usual in rows if owner == (schema or usual)]
    if not here:
        return "that schema has none that the user may see, or there is no such schema"
    return nearest(name, here, "there are")


def _keys(session: "Session", owner: str, table: str) -> tuple[Sequence[str], frozenset[tuple[str, ...]]]:
    keys: dict[tuple[str, str], list[str]] = {}
    for name, kind, part in session.rows(text(_KEYS).bindparams(owner=owner, name=table)):
        keys.setdefault((kind, name), []).append(part)
    primary = next((tuple(names) for (kind, _), names in keys.items() if kind == "P"), ())
    return primary, frozenset(tuple(names) for (kind, _), names in keys.items() if kind == "U")


def _columns(session: "Session", relation: "Relation") -> list[Column]:
    """The columns as the driver tells them of an answer without rows."""
    with translated(session.database), session.connection.execute(relation.everything()) as result:
        fields: list[Any] = list(result.cursor.description)  # the driver's, which tell more than DBAPI's
    options = relation.options
    wanted = set(options.columns or [field.name for field in fields]) - set(options.exclude_columns)
    return [_column(field, wanted) for field in fields]


def _column(field: Any, wanted: set[str]) -> Column:
    """A column of the answer; raises ConfigError where it is wanted and cannot be read."""
    kind = field.type_code.name
    if kind in TYPES:
        return column_of(field.name, kind, field.precision, field.scale, field.display_size)
    declared = kind.removeprefix("DB_TYPE_")
    if field.name in wanted:
        why = UNREADABLE.get(kind, "its type is not known")
        raise ConfigError(f"column {field.name} of type {declared} cannot be read: {why}; name it in exclude_columns")
    return Column(field.name, declared, pa.string())
