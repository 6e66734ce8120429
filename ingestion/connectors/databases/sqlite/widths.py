"""How long the values of a table are, by rows from all over it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ingestion.connectors.databases.columns import Column

if TYPE_CHECKING:
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["widths"]

_ROWS = 500
_NAMES = ("rowid", "_rowid_", "oid")  # of the number of a row, where no column has them


def widths(session: "Session", relation: "Relation", columns: Sequence[Column]) -> Mapping[str, int] | None:
    """How long texts and the like are in each column, at most; None where rows have no numbers to be found by."""
    name = relation.quoted(str(relation.options.table))
    row = _number(session, name, columns)
    if row is None:
        return None
    [(first, last)] = session.rows(f"SELECT min({row}), max({row}) FROM main.{name}")  # noqa: S608 - it is quoted
    if first is None:
        return {}
    step = max(1, (last - first) // _ROWS)
    lengths = ", ".join(f"max(length({relation.quoted(column.name)}))" for column in columns)
    [found] = session.rows(
        f"WITH RECURSIVE spread (at) AS (SELECT {first} UNION ALL SELECT at + {step} FROM spread "  # noqa: S608 - as above
        f"WHERE at + {step} <= {last}) SELECT {lengths} FROM main.{name} WHERE {row} IN "
        f"(SELECT (SELECT {row} FROM main.{name} WHERE {row} >= at ORDER BY {row} LIMIT 1) FROM spread)"
    )
    return {column.name: length or 0 for column, length in zip(columns, found, strict=True)}


def _number(session: "Session", name: str, columns: Sequence[Column]) -> str | None:
    """What the number of a row is called; None where rows of that table have none."""
    listed = session.rows(f"PRAGMA main.table_list({name})")  # of versions since 3.37
    if not listed or listed[0][2] != "table" or listed[0][4]:
        return None
    taken = {column.name.lower() for column in columns}
    return next((one for one in _NAMES if one not in taken), None)
