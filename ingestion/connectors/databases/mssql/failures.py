"""What SQL Server's driver raises, as errors named by their remedy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ingestion.connectors.databases.wording import STATEMENTS
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError

if TYPE_CHECKING:
    import mssql_python

__all__ = ["failure"]

_BY_WORDS: Sequence[tuple[tuple[str, ...], type[IngestionError], str]] = [
    (("Failed to load the driver",), ConfigError, "install libltdl7, libkrb5-3 and libgssapi-krb5-2 (names of Debian)"),
    (("0x2AF9", "0x2AFC", "failed to lookup address"), ConfigError, "the host is not known; check source.host"),
    (("certificate", "SSL Provider", "self-signed", "self signed"), ConfigError, "check source.ssl_mode"),
    (("Login failed",), ConfigError, "check source.username and source.password"),
    (("Cannot open database",), ConfigError, "check source.database, and that the user may use it"),
    (("Invalid object name",), ConfigError, "check the tables in source.query"),
    (("was specified multiple times",), ConfigError, "name them apart with AS in source.query"),
    (("permission was denied", "do not have permission"), ConfigError, "grant the user what it needs"),
    (("Unknown keyword", "connection string parsing"), ConfigError, "check source.connection_params"),
    (
        ("snapshot isolation is not allowed",),
        ConfigError,
        "leave source.isolation_level out, or allow snapshots in the database",
    ),
    (("deadlock", "Snapshot isolation transaction"), TransientError, "run again"),
    (("Timeout expired", "timeout expired"), TransientError, "raise source.statement_timeout, or run again later"),
    (
        ("Conversion failed", "Error converting", "overflow", "Divide by zero", "out-of-range", "would be truncated"),
        ConfigError,
        f"a value in the table does not suit an expression; correct {STATEMENTS}",
    ),
]
_AWAY = ("connect", "Connection", "Communication link", "rejected")


def failure(error: BaseException, place: str) -> IngestionError | None:
    """What *error* of a server at *place* is to us; None where it is no driver's."""
    import mssql_python
    from mssql_python.exceptions import ConnectionStringParseError
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    if isinstance(error, NoSuchModuleError):
        return ConfigError("SQL Server is read by SQLAlchemy 2.1 or later; run: pip install --upgrade sqlalchemy")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, ConnectionStringParseError):
        return ConfigError(f"{place}: the driver does not take source.connection_params: {'; '.join(cause.errors)}")
    if not isinstance(cause, mssql_python.Error):
        return None
    said = _said(cause)
    for words, kind, advice in _BY_WORDS:
        if any(word in said for word in words):
            return kind(f"{place}: {said}; {advice}")
    return _by_class(cause, f"{place}: {said}")


def _by_class(error: "mssql_python.Error", told: str) -> IngestionError:
    import mssql_python

    if isinstance(error, mssql_python.ProgrammingError | mssql_python.NotSupportedError):
        return ConfigError(f"{told}; correct {STATEMENTS}")
    if isinstance(error, mssql_python.DataError):
        return DataError(f"{told}; look at the values")
    if any(word in error.driver_error for word in _AWAY):
        return TransientError(f"{told}; check that the server is up, then run again")
    return TransientError(f"{told}; run again, or look into the server's log")


def _said(error: "mssql_python.Error") -> str:
    """The server's sentence where it has one, else the driver's."""
    told = error.ddbc_error.replace("[Microsoft]", "").replace("[SQL Server]", "").strip().rstrip(".")
    if "[SQL Server]" in error.ddbc_error or not told:
        return told or error.driver_error
    return f"{error.driver_error} ({told})"
