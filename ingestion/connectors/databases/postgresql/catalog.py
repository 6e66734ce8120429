"""What PostgreSQL's catalog says of a table or query."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import TextClause, text

from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.postgresql.types import Type, column_of
from ingestion.connectors.databases.session import translated
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["UNSEEN", "described", "pages", "place"]

UNSEEN = "of no type that the user may see"
"""What columns are declared as that the user may not read."""

_TYPES = """
WITH RECURSIVE kinds AS (
    SELECT oid, typname, typtype, typcategory, typelem, typbasetype
    FROM pg_catalog.pg_type WHERE oid = ANY(:oids ::oid[])
    UNION
    SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typelem, t.typbasetype
    FROM kinds k JOIN pg_catalog.pg_type t ON t.oid IN (k.typelem, k.typbasetype)
)
SELECT oid::int8, typname::text, typtype::text, typcategory::text, typelem::int8, typbasetype::int8 FROM kinds
"""
_DECLARED = """
SELECT coalesce(pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.format_type(f.oid, f.modifier))
FROM unnest(:oids ::oid[], :modifiers ::int[], :tables ::oid[], :numbers ::int[]) WITH ORDINALITY
    AS f (oid, modifier, "table", number, place)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = f."table" AND a.attnum = f.number AND f."table" <> 0
ORDER BY f.place
"""
# An index says nothing of the rows of tables that inherit from this one, nor of texts that the column takes for equal
# by another collation.
_UNIQUE = """
SELECT i.indisprimary, (
    SELECT array_agg(a.attname::text ORDER BY k.place)
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts AND (a.attnotnull OR i.indnkeyatts = 1)
) AS names, i.indnkeyatts
FROM pg_catalog.pg_index i
WHERE i.indrelid = :found ::oid AND i.indisunique AND i.indimmediate AND i.indisvalid
    AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (
        SELECT FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS k (number, compared)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE k.compared <> a.attcollation
    )
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhparent
        WHERE h.inhparent = i.indrelid AND c.relkind <> 'p'
    )
"""
_PRIVILEGES = """
SELECT a.attname::text, pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = :found ::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_TABLES = """
SELECT n.nspname::text, c.relname::text, n.nspname = ANY(pg_catalog.current_schemas(false))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$)'
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
"""
_PAGES = """
SELECT pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE c.oid = :found ::oid AND c.relkind IN ('r', 'm') AND m.amname = 'heap'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid)
    AND pg_catalog.has_column_privilege(c.oid, 'ctid', 'SELECT')
"""


class _Field(NamedTuple):
    """One column of an answer."""

    name: str
    type: int
    modifier: int
    table: int
    number: int


def described(session: "Session", relation: "Relation") -> Described:
    """The columns of a table or query; raises ConfigError where there is no such table."""
    found = _oid(session, relation) if relation.options.table is not None else None
    readable, others = ((), ()) if found is None else _readable(session, relation, found)
    fields = _fields(session, relation, readable)
    types = _types(session, fields)
    scale = _money_scale(session) if any(kind.name == "money" for kind in types.values()) else 0
    columns = [
        column_of(field.name, declared, types[field.type], field.modifier, scale)
        for field, declared in zip(fields, _declared(session, fields), strict=True)
    ]
    # Whoever asks for one of these is told by the server.
    columns += [column_of(name, UNSEEN, Type(""), -1)._replace(order="") for name in others]
    return Described(columns) if found is None else Described(columns, *_keys(session, found))


def pages(session: "Session", relation: "Relation") -> int | None:
    """How many pages the rows of the table lie in; None where it is none that keeps all of its rows itself."""
    if relation.options.table is None:
        return None
    found = session.one(_bound(_PAGES, found=_oid(session, relation)))
    return None if found is None else int(found)


def place(relation: "Relation") -> str:
    """The table as statements name it."""
    return ".".join(relation.quoted(part) for part in (relation.options.schema, relation.options.table) if part)


def _oid(session: "Session", relation: "Relation") -> int:
    found = session.one(_bound("SELECT pg_catalog.to_regclass(:name ::text)::oid::int8", name=place(relation)))
    if found is None:
        raise ConfigError(f"there is no table {relation.name}; {_alternative(session, relation)}")
    return int(found)


def _alternative(session: "Session", relation: "Relation") -> str:
    options = relation.options
    rows = session.rows(_TABLES)
    elsewhere = sorted(schema for schema, table, _ in rows if table == options.table)
    if elsewhere:
        return f"the schema {elsewhere[0]} has a table of that name, set source.schema: {elsewhere[0]}"
    if options.schema is not None and options.schema not in {schema for schema, _, _ in rows}:
        return "that schema has none that the user may see, or there is no such schema"
    here = [table for schema, table, seen in rows if (seen if options.schema is None else schema == options.schema)]
    return nearest(str(options.table), here, "there are")


def _readable(session: "Session", relation: "Relation", table: int) -> tuple[Sequence[str], Sequence[str]]:
    """The columns that the user may read, and the others, where it may read but some; raises ConfigError for these."""
    privileges: dict[str, bool] = dict(session.rows(_bound(_PRIVILEGES, found=table)))
    if all(privileges.values()) or not any(privileges.values()):  # what is missing is told by whoever selects
        return (), ()
    others = [name for name, may in privileges.items() if not may]
    options = relation.options
    if asked := [name for name in options.columns or privileges if name in {*others} - {*options.exclude_columns}]:
        raise ConfigError(
            f"{session.database.place}: the user may read some columns of {relation.name}, and {asked[0]} is none of "
            f"them; grant it, or name in source.columns those that it may read"
        )
    return [name for name, may in privileges.items() if may], others


def _fields(session: "Session", relation: "Relation", names: Sequence[str]) -> Sequence[_Field]:
    statement = relation.everything(names)
    with translated(session.database), session.connection.execute(statement) as result:
        answer = result.cursor.pgresult
        return [
            _Field(bytes(answer.fname(i)).decode(), *(ask(i) for ask in _asked(answer))) for i in range(answer.nfields)
        ]


def _asked(answer: Any) -> Sequence[Callable[[int], int]]:
    return answer.ftype, answer.fmod, answer.ftable, answer.ftablecol


def _types(session: "Session", fields: Sequence[_Field]) -> dict[int, Type]:
    rows = {row[0]: row[1:] for row in session.rows(_bound(_TYPES, oids=[field.type for field in fields]))}

    def resolved(oid: int) -> Type:
        name, kind, category, element, base = rows[oid]
        if kind == "d":
            return resolved(base)
        # Points are made of numbers, too, and vectors of system tables are no arrays to anybody else.
        is_array = category == "A" and element and name.startswith("_")
        return Type(name, kind, resolved(element) if is_array else None)

    return {field.type: resolved(field.type) for field in fields}


def _declared(session: "Session", fields: Sequence[_Field]) -> list[str]:
    """The types as people write them, domains by their names."""
    columns = {
        "oids": [field.type for field in fields],
        "modifiers": [field.modifier for field in fields],
        "tables": [field.table for field in fields],
        "numbers": [field.number for field in fields],
    }
    return [row[0] for row in session.rows(_bound(_DECLARED, **columns))]


def _keys(session: "Session", table: int) -> tuple[tuple[str, ...], frozenset[tuple[str, ...]]]:
    rows = [
        (row[0], tuple(row[1])) for row in session.rows(_bound(_UNIQUE, found=table)) if len(row[1] or ()) == row[2]
    ]
    primary = next((names for is_primary, names in rows if is_primary), ())
    return primary, frozenset(names for is_primary, names in rows if not is_primary)


def _money_scale(session: "Session") -> int:
    return int(session.one("SELECT scale(0::money::numeric)"))


def _bound(statement: str, **values: Any) -> TextClause:
    return text(statement.replace("::", "\\:\\:")).bindparams(**values)
