"""The columns of a table, view or query of an SQLite file."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import Boolean, literal_column

from ingestion.connectors.databases.choosing import alike
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.literals import compiled
from ingestion.connectors.databases.session import translated
from ingestion.connectors.databases.sqlite.types import Kind, Table, column_of, kind_of, stored_as
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["described"]

_CLASSES = ("integer", "real", "text", "blob")
_RENAMED = re.compile(r"(.*):\d+", re.DOTALL)  # the second column of a name
_VIEW = "_ingestion_query"
_COMPUTED = ("", "NUM", "BLOB")  # what newer versions say of expressions, where older ones say nothing
_HIDDEN = 1  # columns of virtual tables that hold arguments; 2 and 3 are computed ones


def described(session: "Session", relation: "Relation") -> Described:
    """The columns of *relation* as they are declared; of those that are not, the values tell."""
    utf8 = session.one("PRAGMA encoding") == "UTF-8"
    if relation.options.table is None:
        return Described(_columns(session, relation, _of_query(session, relation), Table(utf8=utf8)))
    name = relation.quoted(relation.options.table)
    rows = session.rows(f"PRAGMA main.table_xinfo({name})")
    if not rows:
        raise ConfigError(_missing(session, relation))
    listed = session.rows(f"PRAGMA main.table_list({name})")  # of versions since 3.37
    is_table = bool(listed) and listed[0][2] == "table"
    table = Table(is_table, is_table and bool(listed[0][5]), utf8)
    columns = _columns(session, relation, [row for row in rows if row[6] != _HIDDEN], table)
    key = [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]
    texts = {column.name for column in columns if column.dtype == pa.string()}
    return Described(columns, key, _unique(session, name, texts))


def _of_query(session: "Session", relation: "Relation") -> Sequence[Any]:
    """The columns of a query, by a view of it that is gone at once; computed ones are declared as nothing."""
    query = compiled(relation.everything(), relation.dialect)
    with translated(session.database):
        session.connection.exec_driver_sql(f"CREATE TEMP VIEW {_VIEW} AS {query}").close()
        rows = session.connection.exec_driver_sql(f"PRAGMA temp.table_xinfo({_VIEW})").fetchall()
        session.connection.exec_driver_sql(f"DROP VIEW temp.{_VIEW}").close()
    for _, name, *_ in rows:
        if (renamed := _RENAMED.fullmatch(name)) and name not in query:
            raise alike(renamed[1])
    return rows


def _columns(session: "Session", relation: "Relation", rows: Sequence[Any], table: Table) -> list[Column]:
    declared = {row[1]: "" if not table.converts and row[2].upper() in _COMPUTED else row[2] for row in rows}
    kinds = {name: kind_of(text) for name, text in declared.items()}
    kinds |= _stored(session, relation, [name for name, kind in kinds.items() if kind is None])
    return [column_of(name, declared[name], kind, table) for name, kind in kinds.items() if kind is not None]


def _stored(session: "Session", relation: "Relation", names: Sequence[str]) -> dict[str, Kind]:
    """The kinds of columns by what is stored in them, in one scan of all rows."""
    if not names:
        return {}
    asked = [f"max(typeof({relation.quoted(name)}) = '{one}')" for name in names for one in _CLASSES]
    first, *others = (literal_column(sql, Boolean) for sql in asked)
    [row] = session.rows(relation.value(first).add_columns(*others))
    answers = iter(row)
    return {name: stored_as([one for one in _CLASSES if next(answers)]) for name in names}


def _unique(session: "Session", name: str, texts: set[str]) -> frozenset[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for index in session.rows(f"PRAGMA main.index_list({name})"):
        if index[2] and not index[4]:  # unique, and of all rows
            quoted = session.connection.dialect.identifier_preparer.quote_identifier(index[1])
            found.append(tuple(row[2] for row in session.rows(f"PRAGMA main.index_info({quoted})")))
    # None is an expression. Of texts a column may take for equal what an index tells apart, by another collation.
    return frozenset(names for names in found if None not in names and texts.isdisjoint(names))


def _missing(session: "Session", relation: "Relation") -> str:
    names = [row[0] for row in session.rows("SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view')")]
    hint = nearest(relation.name, names, "it has") if names else "it has no tables at all"
    return f"{session.database.place} has no table {relation.name}; {hint}"
