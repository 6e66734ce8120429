"""What differs from one kind of database to another; everything else is shared."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.clocks import Clock, in_utc
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.stopping import Stops
from ingestion.errors import ConfigError, IngestionError

if TYPE_CHECKING:
    from sqlalchemy import URL, ColumnElement, Connection, Dialect, Engine

    from ingestion.connectors.databases.connector import DatabaseConnector
    from ingestion.connectors.databases.relation import Relation, Statement
    from ingestion.connectors.databases.session import Session

__all__ = ["Database", "Snapshot"]

_MICROSECONDS = len("2026-01-31 13:45:00.123456")
_LOG = "source"  # of connections that are lost; the error that a run ends with tells of it


class Snapshot(NamedTuple):
    """One state of a database that several connections can read."""

    name: str
    held: AbstractContextManager[Any] = nullcontext()  # what keeps it readable


class Database(ABC):
    """One kind of database, at the address that *options* give.

    What it raises while it talks to the server may be the driver's own errors: `failure` names them.
    """

    title: ClassVar[str]  # as people call it
    extra: ClassVar[str] = ""  # of this package, which installs the drivers
    needs: ClassVar[tuple[str, ...]] = ("host", "username", "database")  # options that make an address
    backend: ClassVar[str]  # SQLAlchemy's name of it
    portable: ClassVar[str]  # the driver that SQLAlchemy takes
    schemes: ClassVar[tuple[str, ...]] = ()  # other names that a connection_string may begin with
    port: ClassVar[int] = 0  # where its servers usually listen; 0 = there is no server
    ssl_modes: ClassVar[tuple[str, ...]] = ()  # that its drivers can hold to
    _now: ClassVar[str] = "SELECT CAST(CURRENT_TIMESTAMP AT TIME ZONE 'UTC' AS VARCHAR(40))"  # it is, in UTC
    shares_snapshots = False  # whether `snapshot` can give one

    def __init__(self, options: "DatabaseConnector") -> None:
        self.options = options
        self.near: tuple[str, int] | None = None  # the end of a tunnel on this machine, while one is open
        self.stops = Stops()  # of the statements whose rows are read now

    @property
    def url(self) -> "URL":
        """The address for SQLAlchemy's portable driver, password included."""
        from sqlalchemy import URL
        from sqlalchemy.engine import make_url

        given, driver = self.options, f"{self.backend}+{self.portable}"
        if given.connection_string is not None:
            return make_url(given.connection_string).set(drivername=driver)
        return URL.create(driver, given.username, given.password, given.host, given.port or self.port, given.database)

    @property
    def reached(self) -> "URL":
        """Where every driver connects to: `url`, or the end of the tunnel that leads there."""
        return self.url if self.near is None else self.url.set(host=self.near[0], port=self.near[1])

    @property
    def place(self) -> str:
        """The address as people are told of it, without user and password."""
        url = self.url
        return f"{self.backend}://{url.host}{f':{url.port}' if url.port else ''}/{url.database or ''}"

    def check_address(self) -> None:
        """Raise ValueError where connection_string is none of this kind of database; it is never quoted."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            backend = make_url(str(self.options.connection_string)).get_backend_name()
        except (ArgumentError, ValueError):
            raise ValueError(
                f"connection_string is not a URL; write {self.backend}://, user and password, the host and the database"
            ) from None
        if backend not in (self.backend, *self.schemes):
            raise ValueError(f"connection_string is of {backend}, not of {self.backend}; set type to match")

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """What the portable driver takes beside the URL: timeouts, encryption, connection_params."""
        return dict(self.options.connection_params)

    def engine(self) -> "Engine":
        """What makes connections of the portable driver."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        arguments = dict(self.connect_arguments)
        logging.getLogger(f"{NullPool.__module__}.{NullPool.__name__}.{_LOG}").setLevel(logging.CRITICAL)
        return create_engine(
            self.reached, poolclass=NullPool, pool_logging_name=_LOG, connect_args=arguments, hide_parameters=True
        )

    def begin(self, connection: "Connection") -> None:
        """Make the session one that only reads, in one state of the database, in UTC, within its time limits."""
        del connection

    def cancel(self, driver: Any) -> None:
        """Have the statement fail that *driver*, a connection of the portable driver, runs in another thread."""
        way = getattr(driver, "cancel", None) or getattr(driver, "interrupt", None)
        if way is not None:
            way()

    def clock(self, connection: "Connection") -> Clock:
        """What time it is by the server's clock, and the zone of times that it writes without one, where it tells."""
        return Clock(in_utc(str(connection.exec_driver_sql(self._now).scalar_one())[:_MICROSECONDS]), None)

    @property
    def told(self) -> Mapping[str, Any]:
        """What a run's report says of how the session reads, once it has begun."""
        return {}

    def version(self, connection: "Connection") -> str:
        """What the server calls itself, and its version."""
        return f"{self.title} {'.'.join(map(str, connection.dialect.server_version_info or ()))}".rstrip()

    @abstractmethod
    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns of *relation* as the catalog has them; raises ConfigError where there is no such table."""

    def witness(self, columns: Sequence[Column]) -> str | None:
        """SQL for the values that cannot be selected, as a JSON object of texts by name; null where all can.

        *columns* are those that are `witnessed`.
        """
        del columns
        return None

    @abstractmethod
    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """What *statement* answers, values of *columns* and perhaps a witness, as Arrow without Python rows.

        Where *snapshot* is given, in that state of the database. `stops` has to know how the statement is stopped.
        """

    @abstractmethod
    def load_fast(self) -> None:
        """Import the driver of the fast path; raises ImportError where it is not installed."""

    @property
    def fast_driver(self) -> str:
        """The driver of the fast path, as a run's metadata names it."""
        return self.title

    @property
    def fast_dialect(self) -> "Dialect":
        """How statements of the fast path are written; texts in them are literals of this dialect."""
        return self.url.get_dialect()(paramstyle="named")  # type: ignore[call-arg]  # all of SQLAlchemy's own take it

    def fast_text(self, statement: "Statement") -> str:
        """*statement* as the fast path sends it, values written out as literals that nothing can break out of."""
        from ingestion.connectors.databases.literals import compiled

        return compiled(statement, self.fast_dialect)

    def snapshot(self, connection: "Connection") -> Snapshot:
        """The state of the database that *connection* reads, for others to read too; only where it shares them."""
        del connection
        raise ConfigError(f"{self.title} gives no snapshot that several connections can read; set num_partitions: 1")

    def ranges(self, session: "Session", relation: "Relation", count: int) -> "Sequence[ColumnElement[bool]] | None":
        """Conditions on where rows lie, of which each row meets one; None = they have to be on a column's values."""
        del session, relation, count
        return None

    @abstractmethod
    def failure(self, error: BaseException) -> IngestionError | None:
        """What a driver's *error* is to us, its text without secrets; None where it is not a driver's."""
