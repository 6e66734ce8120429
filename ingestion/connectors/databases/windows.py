"""Which rows a run reads: all, or those whose cursor lies between where the last run ended and where this one does."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import ConfigError
from ingestion.plugins import Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["Window", "window_of"]


class Window(NamedTuple):
    """What a run reads, decided in the state of the database that it reads."""

    conditions: Sequence[ColumnElement[bool]] = ()
    order: Sequence[ColumnElement[Any]] = ()
    cursor: Cursor = None  # to be committed with the rows; None = as before
    told: Mapping[str, Any] = {}  # for the run's report


def window_of(
    session: Session, relation: Relation, described: Described, options: "DatabaseConnector", cursor: Cursor
) -> Window:
    """The window that *options* and *cursor* ask for; raises ConfigError where they do not fit the table."""
    del session, relation, described, cursor
    if options.incremental is not None:
        raise ConfigError("source.incremental is not there yet")
    return Window()
