"""The end of a run whose cursor is no clock: the newest row that the database shows."""

from sqlalchemy import or_

from ingestion.connectors.databases.incremental.ordering import Ordering, Position
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import DataError

__all__ = ["newest"]


def newest(session: Session, relation: Relation, ordering: Ordering, start: Position | None) -> Position | None:
    """The position behind the last row after *start*; before it and its equals, where nothing tells these apart.

    None where there is no row after *start*.
    """
    beyond = [] if start is None else [ordering.after(start)]
    if ordering.key and ordering.with_gaps:
        gaps = or_(*(item.sql.is_(None) for item in ordering.key))
        if count := session.one(relation.count([*beyond, gaps])):
            names = ", ".join(item.column.name for item in ordering.key)
            raise DataError.without_values(
                f"{count:,} row{'s' * (count > 1)} of {relation.name} with null in {names}, which is to tell rows of "
                f"equal {ordering.cursor.column.name} apart; set source.incremental.tie_breaker to columns without"
            )
    columns = [ordering.cursor, *ordering.key]
    conditions = [*beyond, *(item.fits for item in columns), *(item.sql.is_not(None) for item in columns)]
    statement = relation.value(columns[0].shown, conditions).add_columns(*(item.shown for item in columns[1:]))
    found = session.rows(statement.order_by(*(item.sql.desc() for item in columns)).limit(1))
    if not found:
        return None
    value, *key = (item.read(told) for item, told in zip(columns, found[0], strict=True))
    return Position(value, tuple(key) if ordering.unique or key else None)
