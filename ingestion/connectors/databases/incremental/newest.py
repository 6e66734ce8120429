"""The end of a run whose cursor is no clock: the newest row that the database shows."""

from sqlalchemy import not_, or_

from ingestion.connectors.databases.incremental.ordering import Ordering, Position
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import DataError

__all__ = ["newest", "refuse_gaps", "refuse_twins"]


def newest(session: Session, relation: Relation, ordering: Ordering, start: Position | None) -> Position | None:
    """The position behind the last row after *start*; before it and its equals, where nothing tells these apart.

    None where there is no row after *start*.
    """
    refuse_gaps(session, relation, ordering, start)
    beyond = [] if start is None else [ordering.after(start)]
    columns = [ordering.cursor, *ordering.key]
    conditions = [*beyond, *(item.fits for item in columns), *(not_(item.absent) for item in columns)]
    statement = relation.value(columns[0].shown, conditions).add_columns(*(item.shown for item in columns[1:]))
    found = session.rows(statement.order_by(*(item.sql.desc() for item in columns)).limit(1))
    if not found:
        return None
    value, *key = (item.read(told) for item, told in zip(columns, found[0], strict=True))
    return Position(value, tuple(key) if ordering.unique or key else None)


def refuse_gaps(session: Session, relation: Relation, ordering: Ordering, start: Position | None) -> None:
    """Raise DataError where a row from *start* on cannot be told from rows of equal cursor."""
    if not ordering.key or not ordering.with_gaps:
        return
    # With the rows of an equal cursor: a null is neither before nor behind the key of *start*.
    beyond = [] if start is None else [ordering.after(Position(start.value))]
    gaps = or_(*(item.absent for item in ordering.key))
    if count := session.one(relation.count([*beyond, gaps])):
        names = ", ".join(item.column.name for item in ordering.key)
        raise DataError.without_values(
            f"{count:,} row{'s' * (count > 1)} of {relation.name} with null in {names}, which is to tell rows of "
            f"equal {ordering.cursor.column.name} apart; set source.incremental.tie_breaker to columns without"
        )


def refuse_twins(session: Session, relation: Relation, ordering: Ordering, start: Position) -> None:
    """Raise DataError where more rows than one are the last before *start*, which the job says cannot be."""
    if not ordering.promised or (count := session.one(relation.count([ordering.at(start)]))) < 2:
        return
    names = ", ".join(item.column.name for item in (ordering.cursor, *ordering.parts))
    raise DataError.without_values(
        f"{count:,} rows of {relation.name} have the same {names}, which source.{ordering.promised} says tell rows "
        f"apart, so that rows may have been left out; name columns there that do"
    )
