"""Which rows a run reads: all, or those whose cursor lies between where the last run ended and where this one does."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.plugins import Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["Window", "beyond", "window_of"]


class Window(NamedTuple):
    """What a run reads, decided in the state of the database that it reads."""

    conditions: Sequence[ColumnElement[bool]] = ()
    order: Sequence[ColumnElement[Any]] = ()
    cursor: Cursor = None  # to be committed with the rows; None = as before
    told: Mapping[str, Any] = {}  # for the run's report
    counted: Callable[[], Mapping[str, Any]] = dict  # more for it, for which rows are counted; may raise DataError


def window_of(
    session: Session, relation: Relation, described: Described, options: "DatabaseConnector", cursor: Cursor
) -> Window:
    """The window that *options* and *cursor* ask for; raises ConfigError where they do not fit the table."""
    if options.incremental is None:
        return Window()
    from ingestion.connectors.databases.incremental import Incremental

    reading = Incremental(session, relation, described, options)
    span = reading.backfill() if options.incremental.end_value is not None else reading.since(cursor)
    order = reading.ordering.columns if options.num_partitions == 1 else ()  # parts come side by side
    conditions, after = reading.conditions(span), reading.state(span)
    return Window(conditions, order, after, reading.told(span, cursor), lambda: reading.counted(span))


def beyond(
    session: Session, relation: Relation, described: Described, options: "DatabaseConnector", cursor: Cursor
) -> ColumnElement[bool]:
    """The condition of rows that are new since *cursor*; raises ConfigError as `window_of` does."""
    from ingestion.connectors.databases.incremental import Incremental

    return Incremental(session, relation, described, options).beyond(cursor)
