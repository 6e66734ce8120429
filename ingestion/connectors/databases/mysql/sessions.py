"""Sessions that only read: their settings, and how several of them see one state of a table."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from pymysql import Connection, err
from pymysql.constants import ER
from sqlalchemy import text

from ingestion.connectors.databases.options import seconds
from ingestion.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection

    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["SNAPSHOT_LEVEL", "beginning", "must_share", "same_state", "settings_of"]

SNAPSHOT_LEVEL = "REPEATABLE READ"
"""The isolation in which all statements of a transaction see one state."""

_LONG = 86_400  # seconds that the server waits for us while what it sent is written elsewhere
_LOCK_SECONDS = 30  # a transaction that writes the table is waited for, and others wait for us meanwhile
_WITH_SNAPSHOTS = ("InnoDB", "ROCKSDB")
_ENGINE = """
SELECT COALESCE(engine, table_type) FROM information_schema.tables
WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name
"""
_NO_PADDING = "TRIM(BOTH ',' FROM REPLACE(CONCAT(',', @@SESSION.sql_mode, ','), ',PAD_CHAR_TO_FULL_LENGTH,', ','))"


def settings_of(options: "DatabaseConnector", *, mariadb: bool) -> Sequence[str]:
    """The statements that make a session one in UTC, within its time limits, that no setting cuts rows off."""
    limit = 0 if options.statement_timeout is None else seconds(options.statement_timeout)
    limits = {"max_statement_time": limit} if mariadb else {"max_execution_time": round(limit * 1000)}
    if mariadb:
        limits |= {"idle_transaction_timeout": 0, "idle_readonly_transaction_timeout": 0}
    values = {
        "time_zone": "'+00:00'",
        "sql_mode": _NO_PADDING,
        "sql_select_limit": 2**64 - 1,
        "net_write_timeout": _LONG,
        "wait_timeout": _LONG,
        **limits,
    }
    level = options.isolation_level or SNAPSHOT_LEVEL
    return [
        "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in values.items()),
        f"SET SESSION TRANSACTION ISOLATION LEVEL {level}",
    ]


def beginning(options: "DatabaseConnector") -> str:
    """The statement that begins the transaction which reads."""
    snapshot = ["WITH CONSISTENT SNAPSHOT"] if options.isolation_level in (None, SNAPSHOT_LEVEL) else []
    return f"START TRANSACTION {', '.join([*snapshot, *(['READ ONLY'] if options.read_only else [])])}".rstrip()


def must_share(session: "SqlConnection", options: "DatabaseConnector") -> None:
    """Raise ConfigError where the table is of a kind of which several sessions cannot see one state."""
    named = text(_ENGINE).bindparams(schema=options.schema, name=options.table)
    engine = session.execute(named).scalar()
    if engine not in _WITH_SNAPSHOTS:
        raise ConfigError(
            f"several connections cannot see one state of {options.table}, which is of {engine}; set num_partitions: 1"
        )


@contextmanager
def same_state(
    connect: Callable[[], Connection], count: int, begin: Callable[[], object], statement: str, table: str
) -> Iterator[list[Connection]]:
    """*count* sessions that see the same state of *table* as the one for which *begin* runs *statement*.

    No server of this kind exports a snapshot. So for a moment nobody may write the table, while all begin theirs.
    """
    with ExitStack() as stack:
        sessions = [stack.enter_context(closing(connect())) for _ in range(count)]
        with closing(connect()) as locker:
            _lock(locker, table)
            for session in sessions:
                _send(session, statement)
            begin()
        yield sessions


def _lock(locker: Connection, table: str) -> None:
    _send(locker, f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
    try:
        _send(locker, f"LOCK TABLES {table} READ")
    except err.OperationalError as error:
        number = error.args[0]
        if number in {ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR}:
            raise ConfigError(
                f"source.num_partitions needs the privilege LOCK TABLES on {table}, so that all connections see one "
                f"state of it; grant it, or set num_partitions: 1"
            ) from error
        if number == ER.LOCK_WAIT_TIMEOUT:
            raise TransientError(
                f"a transaction has been writing {table} for {_LOCK_SECONDS} s, so that no moment was found at which "
                f"source.num_partitions connections see one state of it; run again, or set num_partitions: 1"
            ) from error
        raise


def _send(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
