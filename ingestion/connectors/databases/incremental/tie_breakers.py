"""By which columns rows are ordered: the cursor, and what tells rows of equal cursor apart."""

from typing import TYPE_CHECKING

from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.incremental.kinds import kind_of
from ingestion.connectors.databases.incremental.ordering import Ordered, Ordering, ordered
from ingestion.connectors.databases.relation import Relation
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["ordering_of"]


def ordering_of(relation: Relation, described: Described, options: "DatabaseConnector") -> Ordering:
    """The order that *options* ask for; raises ConfigError where the columns do not serve."""
    asked = options.incremental
    assert asked is not None  # noqa: S101 - whoever calls has looked
    cursor = _ordered(relation, described, asked.cursor_column, "incremental.cursor_column")
    if cursor.kind is None or not cursor.kind.is_new:
        raise ConfigError(
            f"source.incremental.cursor_column {asked.cursor_column} is of type {cursor.column.declared}, which does "
            f"not tell what is new; take a column of times, dates, whole numbers, decimals, texts or rowversions"
        )
    given = [asked.tie_breaker] if isinstance(asked.tie_breaker, str) else asked.tie_breaker
    key = given or options.primary_key or described.key
    promised = "" if key is described.key else "incremental.tie_breaker" if given else "primary_key"
    parts = [_ordered(relation, described, name, promised) for name in key if name != asked.cursor_column]
    only = (asked.cursor_column,)
    # Two texts may be one time.
    known = cursor.near is None and only in {*described.unique, tuple(described.key)}
    gaps = bool(promised) or relation.dialect.name == "sqlite"  # where a primary key may have nulls
    unplaced = any(item.unplaced is not None for item in parts)
    unique = known or (bool(promised) and tuple(key) == only)
    return Ordering(cursor, parts, relation.dialect.name, unique, gaps or unplaced, "" if known else promised)


def _ordered(relation: Relation, described: Described, name: str, option: str) -> Ordered:
    column = described.column(name)
    if column is None:
        names = [item.name for item in described.columns]
        raise ConfigError(f"source.{option or 'primary_key'} names {name!r}; {nearest(name, names, 'the columns are')}")
    return ordered(relation, column, kind_of(column))
