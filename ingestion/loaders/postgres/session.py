"""One connection and its one transaction: statements, bulk rows and the commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.loaders.postgres.failures import first_line, translated

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection  # type: ignore[import-untyped]  # it ships no types

    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["CommitUnclear", "Session", "opened", "quoted"]

_LOCK_WAIT = "60s"
_LANDING_WAIT = "10min"  # another load of the table is landing, and will be done
_SETTINGS = {"idle_in_transaction_session_timeout": "0", "work_mem": "64MB"}  # a source may be slow
_KEEPALIVE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}


class CommitUnclear(Exception):
    """The server did not say whether the transaction was committed."""


def quoted(*names: str) -> str:
    """A name, or a qualified one, as SQL writes it whatever is in it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


class Session:
    """Everything that happens to the server between two commits."""

    def __init__(self, connection: "Connection", what: str, *, autocommit: bool = False) -> None:
        self._connection = connection
        self.what = what
        self._begun = autocommit

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query answers, all of it."""
        return self._ask(statement, values, fetch=True)

    def one(self, statement: str, *values: Any) -> Any:
        """The first value of the first row; None without rows."""
        found = self.rows(statement, *values)
        return found[0][0] if found else None

    def run(self, statement: str, *values: Any) -> int:
        """How many rows a statement changed; -1 where it is given *values*, of which the driver does not tell."""
        return int(self._ask(statement, values, fetch=False)[0][0])

    def _ask(self, statement: str, values: tuple[Any, ...], *, fetch: bool) -> list[tuple[Any, ...]]:
        self._begin()
        with translated(self.what), self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if fetch else [(cursor.rowcount,)]

    def _begin(self) -> None:
        """Settings of this transaction alone, so that a pooled connection goes back as it was."""
        if self._begun:
            return
        self._begun = True
        settings = {"lock_timeout": _LOCK_WAIT, **_SETTINGS}
        self.rows("SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items()))

    @contextmanager
    def stream(self, statement: str) -> Iterator[pa.RecordBatchReader]:
        """What a query answers, batch by batch."""
        self._begin()
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            with cursor.fetch_record_batch() as reader:
                yield reader

    def copy(self, rows: pa.Table, schema: str, table: str) -> None:
        """Send *rows* into a table that has their columns; an empty *schema* means a temporary one."""
        self._begin()
        with translated(self.what), self._connection.cursor() as cursor:
            reader = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches())
            place = {"db_schema_name": schema} if schema else {"temporary": True}
            cursor.adbc_ingest(table, reader, mode="append", **place)

    def wait_for_turn(self, *what: str) -> None:
        """Only one session at a time has the turn at *what*, from here to the end of its transaction."""
        self.run(f"SET LOCAL lock_timeout = '{_LANDING_WAIT}'")
        self.rows("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text", f"ingestion {quoted(*what)}")
        self.run(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")

    def commit(self) -> None:
        """Commit; raises CommitUnclear where the connection broke before the answer."""
        from adbc_driver_manager import Error

        try:
            self._connection.commit()
        except Error as error:
            if error.sqlstate and not error.sqlstate.startswith(("08", "57")):
                with translated(self.what):
                    raise
            raise CommitUnclear(first_line(error)) from error
        self._begun = False

    def rollback(self) -> None:
        """Undo what is not committed."""
        with translated(self.what):
            self._connection.rollback()
        self._begun = False


@contextmanager
def opened(options: "PostgresLoader", what: str, *, autocommit: bool = False) -> Iterator[Session]:
    """A session with the server; what is not committed at its end is undone."""
    with translated(what):
        from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]  # as above

        connection = dbapi.connect(_address(options), autocommit=autocommit)
    try:
        yield Session(connection, what, autocommit=autocommit)
    finally:
        _close(connection)


def _close(connection: "Connection") -> None:
    from adbc_driver_manager import Error

    try:
        connection.close()
    except Error as error:  # broken already: the server has undone all
        del error


def _address(options: "PostgresLoader") -> str:
    given: dict[str, Any] = {
        "host": options.host,
        "port": options.port,
        "user": options.username,
        "password": options.password,
        "dbname": options.dbname,
        "connect_timeout": options.connect_timeout,
        "sslmode": options.ssl_mode,
        "application_name": "ingestion",
        **_KEEPALIVE,
        **options.connection_params,
    }
    return " ".join(f"{name}={_value(value)}" for name, value in given.items() if value is not None)


def _value(value: Any) -> str:
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
