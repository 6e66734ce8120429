"""What a database says of a table or query before a row of it is read."""

from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.connectors.databases.choosing import chosen
from ingestion.connectors.databases.partitions import must_part
from ingestion.connectors.databases.places import Places
from ingestion.connectors.databases.reading import Reading
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import opened, translated
from ingestion.connectors.databases.windows import window_of
from ingestion.loads import CheckedColumn
from ingestion.plugins import Checked, Cursor

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["checked"]


def checked(options: "DatabaseConnector", cursor: Cursor, known: pa.Schema | None) -> Checked:
    """Server, columns, key, and the window that a run from *cursor* on would read; raises what the run would.

    Rows are not counted, so that those without a cursor are found by the run alone.
    """
    reading = Reading(options, cursor, known)
    with opened(reading.database) as session:
        relation = Relation(options, session.connection.dialect)
        described = reading.database.describe(session, relation)
        columns = chosen(described, options, known)
        must_part(session, relation, described, options)
        window = window_of(session, relation, described, options, cursor)
        with translated(reading.database):
            server = reading.database.version(session.connection)
        return Checked(
            Places(reading.database, relation, described, columns).source,
            [CheckedColumn(item.name, item.dtype, item.declared, item.note) for item in columns],
            server,
            options.primary_key or described.key,
            window.cursor,
            {"read by": reading.reader(session), **reading.database.told, **window.told},
        )
