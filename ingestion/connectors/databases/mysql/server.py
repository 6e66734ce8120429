"""What MySQL and MariaDB do in their own way."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.connectors.databases.clocks import Clock
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.connectors.databases.encryption import SSL_MODES, tls
from ingestion.connectors.databases.parameters import given_by_url
from ingestion.errors import IngestionError

if TYPE_CHECKING:
    from pymysql import Connection as Driver
    from sqlalchemy import URL, Connection

    from ingestion.connectors.databases.connector import DatabaseConnector
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["Mysql"]

_CERTIFICATES = {"ssl_ca": "authorities", "ssl_cert": "certificate", "ssl_key": "key"}
_NUMBERS = ("connect_timeout", "read_timeout", "write_timeout", "max_allowed_packet")
_ROOM = 4 << 20  # bytes of rows that are decoded at once, few enough for the processor's cache
_PRIVATE = ("_execute_command", "_read_packet", "_force_close", "_sock")  # of pymysql's connections


class Mysql(Database):
    """MySQL or MariaDB. Rows come by the connection that asks the catalog, too, in the transaction that it began.

    Measured on 2 million rows: connectorx takes the same time, is an install of 180 MB, and panics on zero dates.
    """

    title = "MySQL"
    extra = "mysql"
    backend = "mysql"
    portable = "pymysql"
    schemes = ("mariadb",)
    port = 3306
    ssl_modes = tuple(SSL_MODES)
    shares_snapshots = True
    fast_driver = "pymysql, binary protocol"

    def __init__(self, options: "DatabaseConnector") -> None:
        super().__init__(options)
        self._sessions: list[Driver] = []  # that see the snapshot, and read nothing at the moment

    @property
    def url(self) -> "URL":
        """The address, for pymysql."""
        return super().url.update_query_dict({"charset": "utf8mb4"})

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """With the password as the bytes that servers expect, whatever characters it has."""
        arguments = self._parameters
        password, mode = self.url.password, self.options.ssl_mode
        if password is not None:
            arguments["password"] = str(password).encode()
        if mode == "disable":
            arguments["ssl_disabled"] = True
        elif mode is not None:
            files = {ours: arguments.pop(name) for name, ours in _CERTIFICATES.items() if name in arguments}
            arguments["ssl"] = tls(mode, self.url.host or "", **files)
        # A server that accepts a connection and then says nothing would be waited for without end.
        return {
            "connect_timeout": self.options.connect_timeout,
            "read_timeout": self.options.connect_timeout,
            **arguments,
        }

    @property
    def _parameters(self) -> dict[str, Any]:
        """Those that the job gives; numbers that a URL or the environment has as texts are numbers."""
        by_url = given_by_url(self.options)
        ours = {name: item for name, item in by_url.items() if name in (*_NUMBERS, *_CERTIFICATES)}
        given = {**ours, **self.options.connection_params}
        return {name: int(item) if name in _NUMBERS and isinstance(item, str) else item for name, item in given.items()}

    def begin(self, connection: "Connection") -> None:
        """A transaction that sees the state of this moment, until it ends."""
        from ingestion.connectors.databases.mysql.sessions import beginning, settings_of

        for statement in settings_of(self.options, mariadb=_is_mariadb(connection)):
            connection.exec_driver_sql(statement)
        self._waits(connection.connection.dbapi_connection)
        connection.exec_driver_sql(beginning(self.options))

    def _waits(self, driver: Any) -> None:
        """From now on statements take as long as they need, or as options say."""
        driver._read_timeout = self._parameters.get("read_timeout")  # noqa: SLF001 - set nowhere else

    def version(self, connection: "Connection") -> str:
        """As the server says it."""
        said = str(connection.exec_driver_sql("SELECT VERSION()").scalar())
        return said if "MariaDB" in said else f"MySQL {said}"

    def clock(self, connection: "Connection") -> Clock:
        """With the zone of the session, before it begins."""
        from ingestion.connectors.databases.mysql.clock import clock

        return clock(connection)

    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns as the catalog declares them, or as the server tells them of a query."""
        from ingestion.connectors.databases.mysql.catalog import described

        return described(session, relation)

    def load_fast(self) -> None:
        """Import pymysql; a version of it that is made in another way is no fast driver."""
        from pymysql import Connection

        if missing := [name for name in _PRIVATE if not hasattr(Connection, name)]:
            raise ImportError(f"pymysql has no {missing[0]}")

    def snapshot(self, connection: "Connection") -> Snapshot:
        """The state that *connection* sees; with several partitions it and the others begin anew."""
        return Snapshot("", self._opened(connection))

    @contextmanager
    def _opened(self, connection: "Connection") -> Iterator[None]:
        from ingestion.connectors.databases.mysql.sessions import beginning, must_share, same_state

        options = self.options
        if options.num_partitions == 1:
            self._sessions = [connection.connection.dbapi_connection]
            yield
            return
        must_share(connection, options)
        quote = self.fast_dialect.identifier_preparer.quote_identifier
        table = ".".join(quote(part) for part in (options.schema, options.table) if part)
        statement, mariadb = beginning(options), _is_mariadb(connection)

        def begin() -> None:
            connection.exec_driver_sql(statement)

        def connect() -> "Driver":
            return self._connected(mariadb=mariadb)

        with same_state(connect, options.num_partitions, begin, statement, table) as self._sessions:
            yield

    def _connected(self, *, mariadb: bool) -> "Driver":
        """One more connection, with the settings of the first."""
        import pymysql

        from ingestion.connectors.databases.mysql.sessions import settings_of

        _, arguments = self.reached.get_dialect()().create_connect_args(self.reached)
        connection = pymysql.connect(**{**arguments, **self.connect_arguments})
        with connection.cursor() as cursor:
            for statement in (*settings_of(self.options, mariadb=mariadb), *self.options.init_sql):
                cursor.execute(statement)
        self._waits(connection)
        return connection

    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """By a session that sees the snapshot; one that is left before its end is closed, for it has more to say."""
        from ingestion.connectors.databases.mysql.decoding import decoded
        from ingestion.connectors.databases.mysql.protocol import answer

        del columns, snapshot
        session = self._sessions.pop()
        done = False
        try:
            with self.stops.by(lambda: self.cancel(session)):
                fields, answered = answer(session, statement, min(_ROOM, self.options.max_batch_bytes))
                for rows in answered:
                    for part in rows.parts(self.options.fetch_size):
                        yield decoded(part, fields)
            done = True
        finally:
            if done:
                self._sessions.append(session)
            else:
                session._force_close()  # noqa: SLF001 - a later close() must not find it closed

    def cancel(self, driver: "Driver") -> None:
        """By one more connection, as that one listens to nobody while it waits."""
        import pymysql

        _, arguments = self.reached.get_dialect()().create_connect_args(self.reached)
        try:
            with pymysql.connect(**{**arguments, **self.connect_arguments}) as other, other.cursor() as cursor:
                cursor.execute(f"KILL QUERY {driver.thread_id()}")
        except pymysql.MySQLError:  # it takes no more connections; what it sends finds nobody then
            driver._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - close() would free what the other thread reads by

    def failure(self, error: BaseException) -> IngestionError | None:
        """By the server's error numbers."""
        from sqlalchemy.exc import DBAPIError

        from ingestion.connectors.databases.mysql.failures import failure_of

        cause = error.orig if isinstance(error, DBAPIError) else error
        return None if cause is None else failure_of(cause, self.place)


def _is_mariadb(connection: "Connection") -> bool:
    return bool(getattr(connection.dialect, "is_mariadb", False))
