"""The rows at some places of a table that was read before."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.connectors.databases.literals import value
from ingestion.connectors.databases.places import Places
from ingestion.connectors.databases.reading import Reading
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import opened
from ingestion.connectors.databases.windows import beyond
from ingestion.errors import ConfigError
from ingestion.plugins import Batch, Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["overtaken", "reread", "unreadable"]

_TOGETHER = 1000  # keys in one statement; Oracle takes no more


def unreadable(options: "DatabaseConnector", sources: Sequence[str]) -> dict[str, str]:
    """Those of *sources* whose rows cannot be found again, each with the reason."""
    places = Reading(options, None, None).places()
    return {source: reason for source in sources if (reason := _trouble(source, places)) is not None}


def _trouble(source: str, places: Places) -> str | None:
    if source != places.source:
        return f"{source} is not what the job reads now, which is {places.source}"
    if places.key is None:
        return f"rows of {source} have no place to be found at: no primary key of one whole number is among its columns"
    return None


def reread(options: "DatabaseConnector", places: Mapping[str, pa.Array], known: pa.Schema | None) -> Iterator[Batch]:
    """The rows that have these keys; raises ConfigError where one of the sources cannot be read at a place."""
    for reason in unreadable(options, list(places)).values():
        raise ConfigError(reason)
    for positions in places.values():
        yield from Reading(options, None, known).at(_divided(positions))


def overtaken(options: "DatabaseConnector", places: Mapping[str, pa.Array], cursor: Cursor) -> dict[str, pa.Array]:
    """The keys of *places* whose rows lie beyond *cursor* now: runs that went on from there have read them, or will."""
    found = Reading(options, None, None).places()
    if cursor is None or found.key is None or found.source not in places:
        return {}
    with opened(options.server) as session:
        relation = Relation(options, session.connection.dialect)
        condition = beyond(session, relation, session.database.describe(session, relation), options, cursor)
        key = relation.column(found.key)
        keys = [
            int(row[0])
            for part in _divided(places[found.source])
            for row in session.rows(
                relation.value(key, [key.in_([value(item) for item in part.to_pylist()]), condition])
            )
        ]
    return {found.source: pa.array(keys, pa.int64())}


def _divided(positions: pa.Array) -> list[pa.Array]:
    return [positions.slice(start, _TOGETHER) for start in range(0, len(positions), _TOGETHER)]
