"""How large the rows of a table or query may be."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow.types as t
from sqlalchemy import text

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.postgresql.catalog import place

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["narrow"]

_MOST = 8192  # bytes; 2048 rows as long as that take 16 MiB
_LENGTH = re.compile(r"character(?: varying)?\((\d+)\)|bit(?: varying)?\((\d+)\)")
_SHORT = ("uuid", "inet", "cidr", "macaddr", "macaddr8", "interval", "name", '"char"', "money")
_PER_CHARACTER = 4  # bytes


def narrow(session: "Session", relation: "Relation", columns: Sequence[Column]) -> bool:
    """Whether rows are short: by the lengths that their types allow, or by the mean of the table."""
    if sum(_length(column) for column in columns) <= _MOST:
        return True
    if relation.options.table is None:
        return False
    name = place(relation)
    size = session.one(text("SELECT pg_catalog.pg_table_size(to_regclass(:name))").bindparams(name=name))
    escaped = name.replace(":", "\\:")
    # The planner's guess follows the pages, so that it needs no statistics.
    (plan,) = session.one(text(f"EXPLAIN (FORMAT JSON) SELECT FROM {escaped}"))
    return bool(size) and size / plan["Plan"]["Plan Rows"] <= _MOST


def _length(column: Column) -> float:
    """How many bytes its values have at most."""
    if not (t.is_string(column.dtype) or t.is_binary(column.dtype) or t.is_nested(column.dtype)):
        return 16
    if column.declared in _SHORT:
        return 64
    found = _LENGTH.fullmatch(column.declared)
    return _PER_CHARACTER * int(found[1] or found[2]) if found else float("inf")
