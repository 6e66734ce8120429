"""What PostgreSQL's drivers raise, as errors named by their remedy."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ingestion.connectors.databases.wording import STATEMENTS
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError

__all__ = ["failure"]

_KINDS: Sequence[tuple[str, type[IngestionError], str]] = [
    ("25006", ConfigError, "the session only reads; set source.read_only: false if it has to write"),
    ("28", ConfigError, "check source.username and source.password"),
    ("3D000", ConfigError, "check source.database"),
    ("3F000", ConfigError, "check source.schema"),
    ("42501", ConfigError, "grant the user what it needs"),
    ("57014", TransientError, "raise source.statement_timeout, or run again when the server has less to do"),
    ("25P02", TransientError, "run again"),
    ("25P0", TransientError, "the server ended a session that waited too long; run again"),
    ("40", TransientError, "run again"),
    ("53", TransientError, "the server is out of resources; run again later"),
    ("55", TransientError, "run again once the other session is done"),
    ("57", TransientError, "the server or somebody at it ended the session; run again"),
    ("08", TransientError, "check that the server is up, then run again"),
    ("58", TransientError, "the server's disk or memory fails; run again once it is mended"),
    ("XX", DataError, "the server's files may be damaged"),
    ("22", ConfigError, f"a value in the table does not suit an expression; correct {STATEMENTS}"),
    ("21", ConfigError, f"correct {STATEMENTS}"),
    ("42702", ConfigError, "name columns apart with AS in source.query, or say whose column is meant"),
    ("42", ConfigError, f"correct {STATEMENTS}"),
    ("0A", ConfigError, f"correct {STATEMENTS}"),
]
# A refused connection has no code.
_AT_CONNECT: Sequence[tuple[tuple[str, ...], str]] = [
    (("too many", "remaining connection slots", "connection limit"), "53"),
    (("password authentication failed", "no password supplied", "pg_hba.conf"), "28"),
    (("role ",), "28"),
    (("database ",), "3D000"),
    (("permission denied",), "42501"),
]
_BY_WORDS: Sequence[tuple[tuple[str, ...], type[IngestionError], str]] = [
    (("could not translate host name", "Name or service not known"), ConfigError, "check source.host"),
    (("certificate", "not support SSL", "SSL error", "SSL is not enabled"), ConfigError, "check source.ssl_mode"),
    (
        ("invalid connection option", "invalid sslmode", "invalid integer value"),
        ConfigError,
        "check source.connection_params",
    ),
]


# Of rows that come, DuckDB and Arrow tell no codes.
_BY_TEXT: Sequence[tuple[tuple[str, ...], str]] = [
    (("statement timeout",), "57014"),
    (("canceling statement", "conflict with recovery", "terminating", "shutting down"), "57P"),
    (("permission denied",), "42501"),
    (("read-only transaction",), "25006"),
    (("deadlock", "could not serialize"), "40"),
    (("out of memory", "No space left", "could not extend"), "53"),
    (("ERROR:",), "42"),
]


class _Told(NamedTuple):
    """What a driver's error says."""

    state: str  # SQLSTATE, where there is one
    text: str
    where: str = ""  # a line of the statement


def failure(error: BaseException, place: str) -> IngestionError | None:
    """What *error* of a server at *place* is to us; None where it is no driver's."""
    told = _of_psycopg(error) or _of_adbc(error) or _of_rows(error)
    if told is None:
        return None
    state = told.state or _state_at_connect(told.text)
    if "invalid snapshot identifier" in told.text:  # the session that exported it is gone
        state = "57P"
    what = f"{place}: {told.text}{told.where}"
    for words, kind, advice in _BY_WORDS if not told.state else ():
        if any(word in told.text for word in words):
            return kind(f"{what}; {advice}")
    for start, kind, advice in _KINDS:
        if state.startswith(start):
            return kind(f"{what}; {advice}")
    code = f" (SQLSTATE {told.state})" if told.state else ""
    return TransientError(f"{what}{code}; check that the server is up and well, then run again")


def _of_psycopg(error: BaseException) -> _Told | None:
    import psycopg
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    said = cause.diag
    text = said.message_primary or _first_line(str(cause))
    return _Told(cause.sqlstate or "", _with_detail(text, said.message_detail, said.message_hint), _line(str(cause)))


def _of_adbc(error: BaseException) -> _Told | None:
    try:
        from adbc_driver_manager import Error
    except ImportError:
        return None
    if not isinstance(error, Error):
        return None
    details = {bytes(name): bytes(text).decode(errors="replace") for name, text in _details(error)}
    text = details.get(b"PG_DIAG_MESSAGE_PRIMARY") or _first_line(str(error))
    more = (details.get(name) for name in (b"PG_DIAG_MESSAGE_DETAIL", b"PG_DIAG_MESSAGE_HINT"))
    return _Told(error.sqlstate or "", _with_detail(text, *more))


def _of_rows(error: BaseException) -> _Told | None:
    """What went wrong while rows came: in DuckDB's words, or in ADBC's as Arrow passes them on."""
    duckdb = sys.modules.get("duckdb")  # where it is not loaded, it raised nothing
    text = str(error)
    by_arrow = isinstance(error, OSError | pa.ArrowException) and "[libpq]" in text
    if not by_arrow and (duckdb is None or not isinstance(error, duckdb.Error)):
        return None
    state = next((state for words, state in _BY_TEXT if any(word in text for word in words)), "08")
    for severity in ("ERROR:", "FATAL:"):
        text = text.partition(severity)[2] or text
    return _Told(state, _first_line(text))


def _details(error: Any) -> Sequence[tuple[Any, Any]]:
    return error.details or ()


def _with_detail(text: str, *more: str | None) -> str:
    return text + "".join(f" ({one.splitlines()[0].rstrip('.')})" for one in more if one)


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or ["the server did not say what is wrong"]
    return lines[0].removeprefix("IO: ").removeprefix("[libpq] ")


def _line(text: str) -> str:
    """The line of the statement that the server points at."""
    for line in text.splitlines():
        if line.startswith("LINE "):
            return f", in: {line.partition(':')[2].strip().removeprefix('FROM (')}"
    return ""


def _state_at_connect(text: str) -> str:
    reason = text.partition("FATAL:")[2]
    for words, state in _AT_CONNECT:
        if any(word in reason for word in words):
            return state
    return "08"
