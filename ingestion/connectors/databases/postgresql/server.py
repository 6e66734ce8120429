"""What PostgreSQL does its own way."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.connectors.databases.clocks import Clock
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.connectors.databases.encryption import SSL_MODES
from ingestion.connectors.databases.options import seconds
from ingestion.errors import IngestionError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from ingestion.connectors.databases.postgresql.driver import Driver
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["Postgresql"]

_ALIVE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
}


class Postgresql(Database):
    """PostgreSQL, read in a transaction whose state other connections can import."""

    title = "PostgreSQL"
    extra = "postgres"
    backend = "postgresql"
    portable = "psycopg"
    schemes = ("postgres",)
    port = 5432
    ssl_modes = tuple(SSL_MODES)
    shares_snapshots = True
    _narrow = False  # whether rows are known to be
    _row_bytes = math.inf

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """Parameters of libpq."""
        given: dict[str, Any] = {
            "connect_timeout": max(2, round(self.options.connect_timeout)),  # libpq knows no shorter one
            "application_name": "ingestion",
            "client_encoding": "UTF8",
            **_ALIVE,
        }
        if self.near is not None:  # a certificate is the one of the host, wherever its tunnel begins
            given |= {"host": self.url.host, "hostaddr": self.near[0]}
        if self.options.ssl_mode is not None:
            given["sslmode"] = self.options.ssl_mode
        return {**given, **self.url.query, **self.options.connection_params}

    def begin(self, connection: "Connection") -> None:
        """Read only, in one state, in UTC, with texts of the forms that we read."""
        for statement in self._beginning():
            connection.exec_driver_sql(statement)

    def _beginning(self, snapshot: Snapshot | None = None) -> Iterator[str]:
        """What makes a transaction ours; settings end with it, so that a pooled connection goes back as it was."""
        level = (self.options.isolation_level or "REPEATABLE READ").upper()
        yield f"SET TRANSACTION ISOLATION LEVEL {level}, {'READ ONLY' if self.options.read_only else 'READ WRITE'}"
        if snapshot is not None:
            yield f"SET TRANSACTION SNAPSHOT '{snapshot.name}'"
        timeout = self.options.statement_timeout
        settings = {**_SETTINGS, "statement_timeout": str(round(seconds(timeout or 0) * 1000))}
        values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
        # By the list of those there are: servers of other versions know other ones.
        known = f"(VALUES {values}) AS v (name, setting) JOIN pg_catalog.pg_settings s ON s.name = v.name"
        yield f"SELECT pg_catalog.set_config(s.name, v.setting, true) FROM {known}"  # noqa: S608 - all of it is ours

    def clock(self, connection: "Connection") -> Clock:
        """With the zone of the session, before it begins."""
        from ingestion.connectors.databases.postgresql.clock import clock

        return clock(connection)

    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns, primary key and other unique columns as the catalog has them."""
        from ingestion.connectors.databases.postgresql.catalog import described
        from ingestion.connectors.databases.postgresql.widths import widths

        found = described(session, relation)
        self._narrow, self._row_bytes = widths(session, relation, found.columns)
        return found

    def witness(self, columns: Sequence[Column]) -> str | None:
        """Arrays of several dimensions."""
        if not columns:
            return None
        quote = self.fast_dialect.identifier_preparer.quote_identifier
        misfits = {item.name: f"NOT ({item.fits.replace('{}', quote(item.name))})" for item in columns}
        names = ", ".join("'" + name.replace("'", "''") + "'" for name in misfits)
        values = ", ".join(
            f"CASE WHEN {misfits[item.name]} THEN {item.text.replace('{}', quote(item.name))} END" for item in columns
        )
        told = f"json_object(ARRAY[{names}], ARRAY[{values}])::text"
        return f"CASE WHEN {' OR '.join(misfits.values())} THEN {told} END"

    def load_fast(self) -> None:
        """Import the driver."""
        self.driver  # noqa: B018 - found once, or not at all

    @property
    def fast_driver(self) -> str:
        """The fastest of those that are installed."""
        return self.driver.name

    @property
    def driver(self) -> "Driver":
        """The driver of the fast path for what is described; raises ImportError where there is none."""
        from ingestion.connectors.databases.postgresql.driver import fastest

        return fastest(narrow=self._narrow)

    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """By a connection of its own, as COPY sends it."""
        from ingestion.connectors.databases.postgresql.driver import Reading
        from ingestion.connectors.databases.postgresql.moments import with_texts
        from ingestion.connectors.databases.relation import WITNESS

        address = self.reached.translate_connect_args(username="user", database="dbname")
        parameters = {**address, **self.connect_arguments}
        beginning = [*self._beginning(snapshot), *self.options.init_sql]
        names = [column.name for column in columns]
        names += [WITNESS] if any(column.fits for column in columns) else []
        rows, size = self.options.fetch_size, self.options.max_batch_bytes
        reading = Reading(parameters, beginning, statement, names, rows, size, self._row_bytes, self.stops)
        yield from map(with_texts, self.driver.stream(reading))

    def ranges(self, session: "Session", relation: "Relation", count: int) -> "Sequence[ColumnElement[bool]] | None":
        """Pages of the table, which servers from version 14 on find without reading the others."""
        from ingestion.connectors.databases.partitions import between
        from ingestion.connectors.databases.postgresql.catalog import pages

        dialect = session.connection.dialect
        found = pages(session, relation) if (dialect.server_version_info or ()) >= (14,) else None
        if found is None:
            return None
        bounds = sorted({found * number // count for number in range(1, count)} - {0})
        return between(relation.column("ctid"), [f"({page},0)" for page in bounds], nulls=False)

    def snapshot(self, connection: "Connection") -> Snapshot:
        """The state that *connection* reads, until its transaction ends."""
        return Snapshot(str(connection.exec_driver_sql("SELECT pg_catalog.pg_export_snapshot()").scalar_one()))

    def failure(self, error: BaseException) -> IngestionError | None:
        """By the server's code, or by what libpq says of a connection that did not come about."""
        from ingestion.connectors.databases.postgresql.failures import failure

        return failure(error, self.place)
