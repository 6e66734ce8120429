"""What SQL Server does its own way."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.databases.clocks import Clock, in_utc
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.connectors.databases.options import seconds
from ingestion.errors import ConfigError, IngestionError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from ingestion.connectors.databases.connector import DatabaseConnector
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["ENCRYPTION", "LEVELS", "Mssql"]

LEVELS = ("SNAPSHOT", "SERIALIZABLE", "READ COMMITTED")
ENCRYPTION: Mapping[str, Mapping[str, str]] = {
    "disable": {"Encrypt": "no"},
    "require": {"Encrypt": "yes", "TrustServerCertificate": "yes"},
    # Its driver cannot trust an authority and leave the name unchecked: there is no verify-ca.
    "verify-full": {"Encrypt": "yes", "TrustServerCertificate": "no"},
}
"""What the driver calls each ssl_mode."""

_ROWS = 8192  # at once; more take longer to come
_ROWS_OF_LARGE = 500  # as the driver counts rows and never bytes
_LARGE = re.compile(r".*\(max\)|n?text|image|xml|json|geometry|geography")
_MOVING = "READ COMMITTED: rows that change meanwhile come as they were or as they become; allow snapshot isolation"
_ROWVERSIONS = ("rowversion", "timestamp")
_ALLOWED = (
    "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE database_id = DB_ID()"
)

_NOW = "SELECT CONVERT(varchar(26), SYSUTCDATETIME(), 121), CAST(MIN_ACTIVE_ROWVERSION() AS binary(8))"


class Mssql(Database):
    """SQL Server, read in one snapshot where the database allows that."""

    title = "SQL Server"
    extra = "mssql"
    backend = "mssql"
    portable = "mssqlpython"
    port = 1433
    ssl_modes = tuple(ENCRYPTION)

    def __init__(self, options: "DatabaseConnector") -> None:
        super().__init__(options)
        self._connection: Any = None  # the driver's, once a session has begun
        self._moving = False  # whether rows may change while they are read

    @property
    def reached(self) -> "URL":
        """The server with what the driver takes in its connection string, or the end of the tunnel that leads there."""
        words = dict(ENCRYPTION.get(self.options.ssl_mode or "", {}))
        if self.near is not None:  # a certificate is the one of the host, wherever its tunnel begins
            words["HostnameInCertificate"] = str(self.url.host)
        words |= {name: _written(value) for name, value in self.options.connection_params.items()}
        return super().reached.update_query_dict(words)

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """How long to wait."""
        return {"timeout": math.ceil(self.options.connect_timeout)}

    def begin(self, connection: "Connection") -> None:
        """In one snapshot where the database allows that and isolation_level asks for nothing else."""
        self._connection = connection.connection.driver_connection
        if self.options.statement_timeout is not None:
            self._connection.timeout = math.ceil(seconds(self.options.statement_timeout))
        snapshots, versions = connection.exec_driver_sql(_ALLOWED).first() or (0, False)
        level = (self.options.isolation_level or ("SNAPSHOT" if snapshots == 1 else "READ COMMITTED")).upper()
        connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {level}")
        connection.commit()  # the level is one of transactions that begin after it
        self._moving = level == "READ COMMITTED" and not versions  # else each statement sees one state

    @property
    def told(self) -> Mapping[str, Any]:
        """Whether rows could change while they were read."""
        return {"isolation": _MOVING} if self._moving else {}

    def clock(self, connection: "Connection") -> Clock:
        """With the first rowversion that may still come."""
        now, rowversion = connection.exec_driver_sql(_NOW).one()
        return Clock(in_utc(now), None, bytes(rowversion))

    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns, primary key and other unique columns as the catalog has them."""
        from ingestion.connectors.databases.mssql.catalog import described

        found = described(session, relation)
        self._must_hold_still(found)
        return found

    def _must_hold_still(self, found: Described) -> None:
        """Raise ConfigError where a row could move past the one that is read, and never be new again."""
        asked = self.options.incremental
        if not self._moving or asked is None:
            return
        # A row that moves has a rowversion beyond the end of the run, which the next one reads.
        if any(column.declared in _ROWVERSIONS for column in found.columns if column.name == asked.cursor_column):
            return
        raise ConfigError(
            f"source.incremental: {self.place} shows rows as they move, so that new ones can be missed for good; run "
            f"ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON there, take a rowversion as cursor_column, or set "
            f"source.isolation_level: SERIALIZABLE, for which writers wait"
        )

    def load_fast(self) -> None:
        """Import Microsoft's driver."""
        from mssql_python import Cursor

        if not hasattr(Cursor, "arrow_reader"):
            raise ImportError("mssql-python is too old for Arrow", name="mssql_python")

    @property
    def fast_driver(self) -> str:
        """Microsoft's, in the session that decides what is read."""
        return "mssql-python"

    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """In the transaction that the session has begun: it shares its state with no other."""
        del snapshot
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement)
            most = _ROWS_OF_LARGE if any(_LARGE.fullmatch(column.declared) for column in columns) else _ROWS
            with cursor.arrow_reader(min(self.options.fetch_size, most)) as reader, self.stops.by(reader.close):
                for batch in reader:
                    yield _as_portable(batch, columns)
        finally:
            cursor.close()

    def failure(self, error: BaseException) -> IngestionError | None:
        """By the driver's words for the SQLSTATE, and what the server says."""
        from ingestion.connectors.databases.mssql.failures import failure

        return failure(error, self.place)


def _written(value: str | float) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _as_portable(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """*batch* with the values that the driver gives to Python."""
    arrays = [_value(array, column.declared) for array, column in zip(batch.columns, columns, strict=False)]
    return pa.RecordBatch.from_arrays([*arrays, *batch.columns[len(arrays) :]], names=batch.schema.names)


def _value(array: pa.Array, declared: str) -> pa.Array:
    if array.type == pa.time64("ns"):
        return pc.cast(array, pa.time64("us"), safe=False)  # cuts, as the driver does with timestamps
    if declared == "uniqueidentifier":
        return pc.utf8_lower(array)
    return array
