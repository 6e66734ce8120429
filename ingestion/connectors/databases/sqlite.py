"""SQLite: a file whose columns hold values of any type, whatever they are declared as."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from ingestion import settings
from ingestion.connectors.databases.columns import Column, Described, decimal_of
from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import Session

__all__ = ["Sqlite", "SqliteConnector"]

_DECLARED = re.compile(r"\s*([^(]*?)\s*(?:\(\s*([+-]?\d+)\s*(?:,\s*([+-]?\d+)\s*)?\))?\s*")


class SqliteConnector(DatabaseConnector):
    """Reads a table of an SQLite file, or the result of a query."""

    type: Literal["sqlite"] = "sqlite"

    @property
    def server(self) -> Database:
        """SQLite."""
        return Sqlite(self)


class Sqlite(Database):
    """SQLite, which opens the file for reading only."""

    title = "SQLite"
    needs = ("database",)
    backend = "sqlite"

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

        query = {"mode": "ro" if self.options.read_only else "rw", "uri": "true"}
        return URL.create("sqlite", database=Path(self.path).absolute().as_uri(), query=query)

    def begin(self, connection: "Connection") -> None:
        """One transaction shows one state of the file; Python's driver begins none for a SELECT."""
        connection.exec_driver_sql("BEGIN")

    def describe(self, session: "Session", relation: "Relation") -> Described:
        """The columns as they are declared."""
        if self.options.table is None:
            raise ConfigError("TODO")
        rows = session.rows(f"PRAGMA table_xinfo({relation.quoted(self.options.table)})")
        if not rows:
            names = [row[0] for row in session.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
            from ingestion.model import nearest

            raise ConfigError(f"{self.place} has no table {relation.name}; {nearest(relation.name, names, 'it has')}")
        columns = [_column(row[1], row[2]) for row in rows if row[6] != 1]
        key = [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]
        return Described(columns, key)

    def witness(self, columns: Sequence[Column]) -> str | None:
        """The values whose storage class is not what the column's type says."""
        from sqlalchemy.dialects import sqlite

        quote = sqlite.dialect().identifier_preparer.quote_identifier
        if not columns:
            return None
        conditions, pairs = [], []
        for column in columns:
            name = quote(column.name)
            fits = column.fits.replace("{}", name)
            literal = "'" + column.name.replace("'", "''") + "'"
            conditions.append(f"NOT ({fits})")
            pairs.append(f"{literal}, CASE WHEN NOT ({fits}) THEN {column.text.replace('{}', name)} END")
        return f"CASE WHEN {' OR '.join(conditions)} THEN json_object({', '.join(pairs)}) END"

    def load_fast(self) -> None:
        """Import ADBC's driver."""
        import adbc_driver_sqlite.dbapi  # noqa: F401 - whether it is there

    @property
    def fast_driver(self) -> str:
        """ADBC's."""
        return "adbc-driver-sqlite"

    def fast(self, statement: str, columns: Sequence[Column], snapshot: Snapshot | None) -> Iterator[pa.RecordBatch]:
        """By ADBC, which takes a column's type from its first row: one of our own leads, and is left out."""
        from adbc_driver_sqlite import dbapi

        del snapshot
        lead = [_LEADS[column.wire or pa.string()] for column in columns]
        lead += ["''"] if any(column.fits for column in columns) else []
        address = str(self.url.database) + f"?mode={self.url.query['mode']}"
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(self.options.fetch_size)})
            # Expressions of our own beside a statement that SQLAlchemy wrote.
            cursor.execute(f"SELECT {', '.join(lead)} UNION ALL SELECT * FROM ({statement})")  # noqa: S608 - as said
            with cursor.fetch_record_batch() as reader:
                first = True
                for batch in reader:
                    yield batch.slice(1) if first else batch
                    first = False

    def failure(self, error: BaseException) -> IngestionError | None:
        """By what SQLite says."""
        from sqlalchemy.exc import DBAPIError

        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, sqlite3.Error):
            return None
        text = str(cause)
        if "unable to open" in text:
            return ConfigError(f"{self.place}: {text}; check source.database")
        if "locked" in text or "busy" in text:
            return TransientError(f"{self.place}: {text}; run again once the writer is done")
        if "malformed" in text or "not a database" in text:
            return DataError(f"{self.place}: {text}")
        return ConfigError(f"{self.place}: {text}")


_LEADS = {pa.int64(): "0", pa.float64(): "0.0", pa.string(): "''", pa.binary(): "X''"}


def _column(name: str, declared: str) -> Column:  # noqa: PLR0911 - one line a kind
    kind, precision, scale = _DECLARED.fullmatch(declared.upper()).groups()  # type: ignore[union-attr]  # any text
    text = "CASE typeof({}) WHEN 'blob' THEN hex({}) ELSE CAST({} AS TEXT) END"

    def of(dtype: pa.DataType, wire: pa.DataType, *classes: str, fast: str = "{}") -> Column:
        fits = f"typeof({{}}) IN ({', '.join(repr(item) for item in (*classes, 'null'))})"
        return Column(name, declared, dtype, fast, fast, wire, fits, text)

    if "BOOL" in kind:
        return of(pa.bool_(), pa.int64(), "integer")
    if "DATETIME" in kind or "TIMESTAMP" in kind:
        return of(pa.timestamp("us"), pa.string(), "text")
    if kind == "DATE":
        return of(pa.date32(), pa.string(), "text")
    if "INT" in kind:
        return of(pa.int64(), pa.int64(), "integer")
    if "CHAR" in kind or "CLOB" in kind or "TEXT" in kind:
        return of(pa.string(), pa.string(), "text")
    if "REAL" in kind or "FLOA" in kind or "DOUB" in kind:
        return of(pa.float64(), pa.float64(), "real", "integer", fast="CAST({} AS REAL)")
    if "BLOB" in kind:
        return of(pa.binary(), pa.binary(), "blob")
    return of(
        decimal_of(int(precision or 38), int(scale or 0)), pa.float64(), "real", "integer", fast="CAST({} AS REAL)"
    )
