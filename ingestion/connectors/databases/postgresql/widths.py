"""How large the rows of a table or query may be."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.types as t
from sqlalchemy import text

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.postgresql.catalog import UNSEEN, place

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["Widths", "widths"]

_MOST = 8192  # bytes; 2048 rows as long as that take 16 MiB
_MOST_APART = 1 << 20  # bytes of long values, which may be compressed
_PAGES = 50  # of a table, which tell how long the values are in its rows
_LENGTH = re.compile(r"character(?: varying)?\((\d+)\)|bit(?: varying)?\((\d+)\)")
_SHORT = ("uuid", "inet", "cidr", "macaddr", "macaddr8", "interval", "name", '"char"', "money")
_PER_CHARACTER = 4  # bytes

# What makes a row longer than 2 kB is moved to the TOAST of its table, or of the partition or child that has the row.
_STORED = r"""
WITH RECURSIVE parts (oid) AS (
    SELECT pg_catalog.to_regclass(:name)\:\:oid
    UNION
    SELECT i.inhrelid FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
)
SELECT bool_and(c.relkind = 'p' OR c.relkind IN ('r', 'm') AND m.amname = 'heap'),
    coalesce(sum(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0))), 0),
    sum(pg_catalog.pg_relation_size(c.oid)) / pg_catalog.current_setting('block_size')\:\:int8
FROM parts JOIN pg_catalog.pg_class c USING (oid) LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
"""


class Widths(NamedTuple):
    """What is known of rows."""

    narrow: bool  # whether some thousands of them may be held
    most: float  # bytes of one, as types declare them


def widths(session: "Session", relation: "Relation", columns: Sequence[Column]) -> Widths:
    """How long rows are: by the lengths that their types allow, or by how the table stores them."""
    most = sum(_length(column) for column in columns)
    narrow = most <= _MOST or (relation.options.table is not None and _short(session, relation, columns))
    return Widths(narrow, most)


def _short(session: "Session", relation: "Relation", columns: Sequence[Column]) -> bool:
    """Whether next to no value of the table is long: none is moved out of its row, or becomes long there."""
    name = place(relation)
    ((stored, apart, pages),) = session.rows(text(_STORED).bindparams(name=name))
    if not stored or apart > _MOST_APART:
        return False
    unknown = [column for column in columns if _length(column) > _MOST and column.declared != UNSEEN]
    if not pages or not unknown:
        return True
    lengths = " + ".join(f"coalesce(octet_length({relation.quoted(column.name)}::text), 0)" for column in unknown)
    sample = f"TABLESAMPLE SYSTEM ({min(100, 100 * _PAGES / float(pages)):f}) REPEATABLE (0)"
    statement = f"SELECT max({lengths}) FROM {name} {sample}"  # noqa: S608 - all names are quoted
    return (session.one(text(statement.replace(":", "\\:"))) or 0) <= _MOST


def _length(column: Column) -> float:
    """How many bytes its values have at most."""
    if not (t.is_string(column.dtype) or t.is_binary(column.dtype) or t.is_nested(column.dtype)):
        return 16
    if column.declared in _SHORT:
        return 64
    found = _LENGTH.fullmatch(column.declared)
    return _PER_CHARACTER * int(found[1] or found[2]) if found else math.inf
