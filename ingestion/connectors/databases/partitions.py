"""A reading in several parts, which connections read side by side in one snapshot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy.sql.elements import ColumnElement

from ingestion.connectors.databases.columns import Described
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import Session
from ingestion.errors import ConfigError

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["parts_of"]


def parts_of(
    session: Session,
    relation: Relation,
    described: Described,
    options: "DatabaseConnector",
    conditions: Sequence[ColumnElement[bool]],
) -> Sequence[Sequence[ColumnElement[bool]]]:
    """The conditions of each part: together they are *conditions*, and no row meets those of two."""
    del session, relation, described
    if options.num_partitions > 1:
        raise ConfigError("source.num_partitions is not there yet")
    return [conditions]
