"""A connection by the portable driver, in one read-only transaction, and its errors under our names."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Executable, text

from ingestion.connectors.databases.clocks import Clock
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.parameters import taken
from ingestion.connectors.databases.tunnel import tunnelled
from ingestion.connectors.databases.wording import of_the_job
from ingestion.errors import ConfigError, IngestionError
from ingestion.secrets import MASK, redact

__all__ = ["Session", "opened", "translated"]


class Session:
    """What is asked of the database beside its rows."""

    def __init__(self, database: Database, connection: Connection, clock: Clock | None = None) -> None:
        self.database = database
        self.connection = connection
        self.clock = clock  # of the moment before the transaction began; None where nothing is read by time

    def rows(self, statement: Executable | str) -> Sequence[Any]:
        """What a statement answers, all of it."""
        with translated(self.database):
            if isinstance(statement, str):
                return self.connection.exec_driver_sql(statement).fetchall()
            return self.connection.execute(statement).fetchall()

    def one(self, statement: Executable | str) -> Any:
        """The first value of the first row; None without rows."""
        found = self.rows(statement)
        return found[0][0] if found else None


@contextmanager
def opened(database: Database) -> Iterator[Session]:
    """A session at the database's address; its transaction is undone at the end, whatever was in it."""
    with tunnelled(database):
        connection = _connected(database)
        try:
            with translated(database):
                clock = _clock(database, connection)
                database.begin(connection)
                _prepare(database, connection)
            yield Session(database, connection, clock)
        finally:
            _close(connection)


def _connected(database: Database) -> Connection:
    with translated(database), taken(database):
        return database.engine().connect()


def _prepare(database: Database, connection: Connection) -> None:
    try:
        with translated(database):
            for statement in database.options.init_sql:
                connection.execute(text(statement.replace(":", "\\:"))).close()
    except ConfigError as error:
        raise ConfigError(f"source.init_sql: {error}") from None


def _clock(database: Database, connection: Connection) -> Clock | None:
    """The server's clock, in a transaction of its own."""
    if database.options.incremental is None:
        return None
    clock = database.clock(connection)
    connection.rollback()
    return clock


def _close(connection: Connection) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection.close()
    except SQLAlchemyError:  # broken already: the server has let go of it
        with suppress(SQLAlchemyError):
            connection.invalidate()


@contextmanager
def translated(database: Database) -> Iterator[None]:
    """Raise ConfigError, DataError or TransientError, without secrets, in place of what a driver raises."""
    try:
        yield
    except IngestionError:
        raise
    except ImportError as error:
        extra = f"run: pip install 'ingestion[{database.extra}]'" if database.extra else "install it"
        raise ConfigError(f"the driver of {database.title} is missing ({error.name}); {extra}") from error
    except Exception as error:  # what drivers raise has no base that is theirs alone
        ours = database.failure(error)
        if ours is None:
            raise
        told = of_the_job(_without_secrets(str(ours), database), database.options)
        raise type(ours)(told) from None  # the driver's own text quotes the address


def _without_secrets(told: str, database: Database) -> str:
    for secret in (database.options.password, database.url.password):
        if secret:
            told = told.replace(str(secret), MASK)
    return redact(told)
