"""What Oracle does its own way."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.connectors.databases.encryption import SSL_MODES, tls
from ingestion.connectors.databases.options import seconds
from ingestion.errors import IngestionError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

    from ingestion.connectors.databases.connector import DatabaseConnector
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["LEVELS", "Oracle"]

LEVELS = ("READ ONLY", "SERIALIZABLE")
_LARGE = ("CLOB", "NCLOB", "BLOB", "JSON", "XMLTYPE", "VECTOR", "LONG", "LONG RAW")
_ROWS_OF_LARGE = 1000  # at once, as the driver counts rows and never bytes
_SETTINGS = {
    "TIME_ZONE": "+00:00",
    "NLS_NUMERIC_CHARACTERS": ".,",
    "NLS_DATE_FORMAT": 'YYYY-MM-DD"T"HH24:MI:SS',
    "NLS_TIMESTAMP_FORMAT": 'YYYY-MM-DD"T"HH24:MI:SS.FF',
    "NLS_TIMESTAMP_TZ_FORMAT": 'YYYY-MM-DD"T"HH24:MI:SS.FFTZH:TZM',
    "NLS_CALENDAR": "GREGORIAN",
}
_STATE = "SELECT DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER FROM DUAL"


class Oracle(Database):
    """Oracle, read in a transaction that sees one state; other connections are set back to that state."""

    title = "Oracle"
    extra = "oracle"
    backend = "oracle"
    portable = "oracledb"
    port = 1521
    ssl_modes = tuple(SSL_MODES)
    shares_snapshots = True
    _now = "SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS.FF6') FROM DUAL"

    def __init__(self, options: "DatabaseConnector") -> None:
        super().__init__(options)
        self._connection: Any = None  # the driver's, once a session has begun

    @property
    def url(self) -> "URL":
        """The server; the service is in the query, as a database of such URLs is a SID."""
        url = super().url
        if self.options.connection_string is not None:
            return url
        return url.update_query_dict({"service_name": str(url.database)})._replace(database=None)

    @property
    def place(self) -> str:
        """The address with the service or SID."""
        name = self.url.query.get("service_name") or self.url.database or ""
        return f"oracle://{self.url.host}:{self.url.port or self.port}/{name}"

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """Parameters of the driver, the address among them: a URL has no place for its encryption."""
        url = self.reached
        given: dict[str, Any] = {
            "user": url.username,
            "password": url.password,
            "host": url.host,
            "port": url.port or self.port,
            "tcp_connect_timeout": self.options.connect_timeout,
            "expire_time": 1,  # minutes of silence after which a dead connection is noticed
            "program": "ingestion",
        }
        if url.database:
            given["sid"] = url.database
        if self.options.ssl_mode is not None:
            given |= self._encryption(self.options.ssl_mode)
        return {**given, **url.query, **self.options.connection_params}

    def _encryption(self, mode: str) -> Mapping[str, Any]:
        if not SSL_MODES[mode].encrypted:
            return {"protocol": "tcp"}
        # The context checks the name: the driver would take that of the tunnel's end.
        return {"protocol": "tcps", "ssl_context": tls(mode, str(self.url.host)), "ssl_server_dn_match": False}

    def connect(self) -> Any:
        """A connection of the driver, whose every answer is waited for as long as statement_timeout says."""
        import oracledb

        oracledb.defaults.fetch_lobs = False  # texts and bytes for rows by SQLAlchemy; nobody else has the driver
        connection = oracledb.connect(**self.connect_arguments)
        if self.options.statement_timeout is not None:
            connection.call_timeout = round(seconds(self.options.statement_timeout) * 1000)
        return connection

    def engine(self) -> "Engine":
        """By `connect`."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        return create_engine("oracle+oracledb://", creator=self.connect, poolclass=NullPool, hide_parameters=True)

    def begin(self, connection: "Connection") -> None:
        """Read only, in one state, in UTC, with texts of the forms that we read."""
        self._connection = connection.connection.driver_connection
        connection.exec_driver_sql(_settings())
        level = self.options.isolation_level or ("READ ONLY" if self.options.read_only else "SERIALIZABLE")
        connection.exec_driver_sql(f"SET TRANSACTION {'' if level.upper() == LEVELS[0] else 'ISOLATION LEVEL '}{level}")

    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns, primary key and other unique columns as the catalog has them."""
        from ingestion.connectors.databases.oracle.catalog import described

        return described(session, relation)

    def witness(self, columns: Sequence[Column]) -> str | None:
        """The moments before the year 1."""
        from ingestion.connectors.databases.oracle.types import witness

        return witness(columns)

    def load_fast(self) -> None:
        """Import the driver."""
        from oracledb import Connection

        if not hasattr(Connection, "fetch_df_batches"):
            raise ImportError("python-oracledb is too old for Arrow", name="oracledb")

    @property
    def fast_driver(self) -> str:
        """Oracle's own, without its client libraries."""
        return "python-oracledb"

    def snapshot(self, connection: "Connection") -> Snapshot:
        """The system change number; empty where one connection reads all, in the transaction that it has begun."""
        if self.options.num_partitions == 1:
            return Snapshot("")
        return Snapshot(str(connection.exec_driver_sql(_STATE).scalar()))

    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """In the session's own transaction, or in one of a connection that is set back to *snapshot*."""
        if snapshot is None or not snapshot.name:
            yield from self._selected(self._connection, statement, columns)
            return
        with closing(self.connect()) as connection:
            with connection.cursor() as cursor:
                cursor.execute(_settings())
                # Not AS OF behind the name of a table: a query has no such place.
                cursor.execute("BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER(:1); END;", [int(snapshot.name)])
                for prepared in self.options.init_sql:
                    cursor.execute(prepared)
            yield from self._selected(connection, statement, columns)

    def _selected(self, connection: Any, statement: str, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        large = any(column.declared.partition("(")[0] in _LARGE for column in columns)
        rows = min(self.options.fetch_size, _ROWS_OF_LARGE) if large else self.options.fetch_size
        with self.stops.by(connection.cancel):
            for frame in connection.fetch_df_batches(statement, size=rows, fetch_decimals=True):
                yield from pa.table(frame).to_batches()

    def failure(self, error: BaseException) -> IngestionError | None:
        """By the number that Oracle or its driver gives it."""
        from ingestion.connectors.databases.oracle.failures import failure

        return failure(error, self.place)


def _settings() -> str:
    values = " ".join(f"{name} = '{value}'" for name, value in _SETTINGS.items())
    return f"ALTER SESSION SET {values}"
