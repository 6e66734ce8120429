"""What the driver and the server raise, as errors named by their remedy."""

from contextlib import AbstractContextManager
from typing import Any

from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
from ingestion.loaders.tables import failures
from ingestion.loaders.tables.failures import translating
from ingestion.secrets import redact

__all__ = ["first_line", "translated"]

_KINDS: list[tuple[str, type[IngestionError], str]] = [
    ("25006", ConfigError, "the server only reads; name the primary in loader.host"),
    ("28", ConfigError, "check loader.username and loader.password"),
    ("3D000", ConfigError, "check loader.dbname"),
    ("42501", ConfigError, "grant the user what it needs"),
    ("42P16", DataError, "change the table by hand, or load into another one"),
    ("53100", TransientError, "the server's disk is full; free some space and run again"),
    ("55P03", TransientError, "another session holds the table; run again once it is done"),
    ("40P01", TransientError, "two sessions waited for each other; run again"),
    ("54", DataError, "PostgreSQL's limit; change the data or the table"),
    ("22", DataError, "convert the value in the transformer, or load into another table"),
    ("23", DataError, "mend the data, or drop the constraint"),
    ("08", TransientError, "check that the server is up, then run again"),
    ("40", TransientError, "run again"),
    ("53", TransientError, "the server is out of resources; run again later"),
    ("57", TransientError, "the server or somebody at it ended the session; run again"),
    ("3F000", TransientError, "the schema went away; run again"),
    ("42", TransientError, "the table was changed by another session; run again"),
]
_AT_CONNECT: list[tuple[tuple[str, ...], str]] = [
    (("password authentication failed", "no password supplied", "pg_hba.conf"), "28"),
    (("role ", "user "), "28"),
    (("database ",), "3D000"),
    (("permission denied",), "42501"),
]


def translated(what: str) -> AbstractContextManager[None]:
    """Raise ConfigError, DataError or TransientError, without secrets, in place of what the driver raises."""
    return translating(what, "run: pip install 'ingestion[postgres]'", _of_storage, _of_driver)


def _of_storage(what: str, error: OSError) -> IngestionError:
    return TransientError(f"{what}: {first_line(error)}; run again, nothing was loaded")


def _of_driver(what: str, error: Exception) -> IngestionError | None:
    from adbc_driver_manager import Error

    return _as_ours(what, error) if isinstance(error, Error) else None


def _as_ours(what: str, error: Any) -> IngestionError:
    details = {bytes(name): bytes(text).decode(errors="replace") for name, text in error.details or ()}
    text = details.get(b"PG_DIAG_MESSAGE_PRIMARY", "") or first_line(error)
    for key in (b"PG_DIAG_MESSAGE_DETAIL", b"PG_DIAG_CONTEXT"):
        if details.get(key):
            text += f" ({details[key].splitlines()[0]})"
    for start, kind, advice in _KINDS:
        if _state(error).startswith(start):
            return kind(f"{what}: {redact(text)}; {advice}")
    if "certificate" in text or ("SSL" in text and "not support" in text):
        return ConfigError(f"{what}: {redact(text)}; check loader.ssl_mode")
    if "invalid connection option" in text or "invalid sslmode" in text or "invalid integer value" in text:
        return ConfigError(f"{what}: {redact(text)}; check loader.connection_params")
    code = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return TransientError(f"{what}: {redact(text)}{code}; check that the server is up and well, then run again")


def _state(error: Any) -> str:
    """The server's code; a refused connection has none, so that its text must tell."""
    if error.sqlstate:
        return str(error.sqlstate)
    text = str(error)
    if "FATAL:" not in text:
        return "none"
    reason = text.partition("FATAL:")[2]
    for words, code in _AT_CONNECT:
        if any(word in reason for word in words):
            return code
    return "08"


def first_line(error: BaseException) -> str:
    """The first line of what *error* says, without secrets."""
    return failures.first_line(error).removeprefix("IO: ").removeprefix("[libpq] ")
