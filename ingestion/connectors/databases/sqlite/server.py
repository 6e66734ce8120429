"""SQLite as a database: one connection to the file, which shows one state of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timezone
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion import settings
from ingestion.connectors.databases.clocks import Clock
from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.connectors.databases.parameters import given_by_url
from ingestion.connectors.databases.sizes import gathered
from ingestion.errors import IngestionError

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection as AdbcConnection
    from sqlalchemy import URL, Connection

    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["Sqlite"]

_LEADS = {pa.int64(): "0", pa.float64(): "0.0", pa.string(): "''", pa.binary(): "X''"}
_FIXED = (pa.int64(), pa.float64())
_SEEN, _UNSEEN = 1_024, 200  # rows of texts and bytes that come at a time; of tables some of whose rows were seen
_GATHERED = 16 << 20  # bytes


class Sqlite(Database):
    """SQLite, which opens the file for reading only."""

    title = "SQLite"
    extra = "sqlite"
    needs = ("database",)
    backend = "sqlite"
    portable = "pysqlite"
    _now = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
    _connection: "AdbcConnection"
    _widths: Callable[[], Mapping[str, int] | None] | None = None

    @property
    def path(self) -> str:
        """The file, absolute."""
        if self.options.connection_string is not None:
            from sqlalchemy.engine import make_url

            return settings.current().absolute(make_url(self.options.connection_string).database or "")
        return settings.current().absolute(str(self.options.database))

    @property
    def place(self) -> str:
        """The path of the file."""
        return self.path

    @property
    def url(self) -> "URL":
        """The file, opened in a mode that cannot write it."""
        from sqlalchemy import URL

        by_url, options = given_by_url(self.options), self.options.connection_params
        given = {name: str(value) for name, value in {**by_url, **options}.items()}
        query = {"mode": "ro" if self.options.read_only else "rw", **given, "uri": "true"}
        return URL.create("sqlite", database=Path(self.path).absolute().as_uri(), query=query)

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """How long to wait for a writer."""
        others = {} if self._is_fast else {"check_same_thread": False}
        return {"timeout": self.options.connect_timeout, **others}

    @property
    def reached(self) -> "URL":
        """The file by ADBC's driver, which reads the rows too; by Python's where that is not installed."""
        if not self._is_fast:
            return self.url
        from ingestion.connectors.databases.sqlite.dialect import DRIVER

        return self.url.set(drivername=DRIVER)

    @cached_property
    def _is_fast(self) -> bool:
        try:
            self.load_fast()
        except ImportError:
            return False
        return True

    def begin(self, connection: "Connection") -> None:
        """One transaction shows one state of the file, to what is asked and what is read."""
        driver: Any = connection.connection.driver_connection
        if self._is_fast:
            self._connection = driver
        else:
            driver.text_factory = _text
            connection.exec_driver_sql("BEGIN")  # Python's driver begins none for a SELECT
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()

    def clock(self, connection: "Connection") -> Clock:
        """In UTC, as SQLite's functions write times."""
        return super().clock(connection)._replace(zone=timezone.utc)

    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns as they are declared, or as their values are."""
        from ingestion.connectors.databases.sqlite.catalog import described
        from ingestion.connectors.databases.sqlite.widths import widths

        found = described(session, relation)
        if self.options.table is not None and self._is_fast:
            self._widths = partial(widths, session, relation, found.columns)
        return found

    def witness(self, columns: Sequence[Column]) -> str | None:
        """The values that the expression of their column changes."""
        from ingestion.connectors.databases.sqlite.misfits import witness

        return witness(columns)

    def load_fast(self) -> None:
        """Import ADBC's driver."""
        import adbc_driver_sqlite.dbapi  # noqa: F401 - whether it is there

    @property
    def fast_driver(self) -> str:
        """ADBC's."""
        return "adbc-driver-sqlite"

    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """By ADBC, which takes a column's type from its first row: one of our own leads, and is left out."""
        del snapshot
        leads = [_LEADS[column.wire or pa.string()] for column in columns]
        leads += ["''"] if any(column.witnessed for column in columns) else []
        rows = self._together(columns)
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows)})
            # Expressions of our own beside a statement that SQLAlchemy wrote; a LIMIT keeps its order.
            led = f"SELECT {', '.join(leads)} UNION ALL SELECT * FROM ({statement} LIMIT -1)"  # noqa: S608 - as said
            with self.stops.by(cursor.adbc_cancel):
                cursor.execute(led)
                with cursor.fetch_record_batch() as reader:
                    sizes = self.options.fetch_size, min(self.options.max_batch_bytes, _GATHERED)
                    for batch in gathered(_without_lead(reader), *sizes):
                        yield _unread(batch)

    def _together(self, columns: Sequence[Column]) -> int:
        """How many rows ADBC may put in a batch, as it cannot be told how many bytes: others may be longer by far."""
        if all(column.wire in _FIXED for column in columns):
            return self.options.fetch_size
        seen = self._widths() if self._widths is not None else None
        if seen is None:
            return min(self.options.fetch_size, _UNSEEN)
        fitting = self.options.max_batch_bytes // max(1, sum(seen.get(column.name, 0) for column in columns))
        return max(1, min(self.options.fetch_size, _SEEN, fitting))

    def failure(self, error: BaseException) -> IngestionError | None:
        """By what SQLite says."""
        from ingestion.connectors.databases.sqlite.failures import failure

        return failure(error, self.path)


def _text(raw: bytes) -> str | bytes:
    """Texts may hold any bytes; those that are not UTF-8 are left as they are."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _without_lead(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for number, batch in enumerate(batches):
        yield batch if number else batch.slice(1)


def _unread(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Texts as the bytes that they are, as nobody has seen yet whether these are UTF-8."""
    arrays = [item.view(pa.binary()) if pa.types.is_string(item.type) else item for item in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
