"""What errors of MySQL's servers and of pymysql are to us."""

import re
from collections.abc import Mapping

from pymysql import err

from ingestion.connectors.databases.wording import STATEMENTS
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError

__all__ = ["failure_of"]

_REMEDIES: Mapping[int, str] = {
    1044: "grant the user the privilege, or set source.database",
    1045: "check source.username and source.password",
    1049: "check source.database",
    1054: f"correct {STATEMENTS}",
    1060: "name them apart with AS in source.query",
    1064: f"correct {STATEMENTS}",
    1142: "grant the user SELECT on it",
    1143: "grant the user SELECT on that column, or leave it out",
    1146: "check source.table, source.schema and source.query",
    1156: "the server takes no such packet",
    1227: "grant the user the privilege, or leave out what needs it",
    1251: "the server asks for a way to log on that the driver does not know",
    1370: "grant the user EXECUTE on it",
    1792: "the session only reads; set source.read_only: false where the query has to write",
    1820: "change the user's password first, it has expired",
    1862: "change the user's password first, it has expired",
    2026: "check source.ssl_mode and the certificates",
    3159: "the server wants encrypted connections; set source.ssl_mode: require or stricter",
}
_PASSING: Mapping[int, str] = {
    1040: "the server has too many connections",
    1053: "the server is shutting down",
    1129: "the server refuses this host after failed attempts; its administrator can FLUSH HOSTS",
    1152: "the server gave the connection up",
    1158: "the connection broke",
    1159: "the connection broke",
    1160: "the connection broke",
    1161: "the connection broke",
    1203: "the user has too many connections",
    1205: "a lock was not given in time",
    1213: "another transaction was in the way",
    1226: "the user is over a limit that the server sets",
    1317: "somebody ended the statement",
    1412: "the table was altered meanwhile",
    1461: "the server has too many prepared statements",
    1637: "the server has too many transactions",
    1696: "the server could not read the table",
    1927: "somebody ended the connection",
    1969: "source.statement_timeout is over; raise it, or read less by source.where_clause",
    2002: "the server does not answer; check source.host and source.port",
    2003: "the server does not answer; check source.host and source.port",
    2006: "the connection was lost",
    2013: "the connection was lost",
    3024: "source.statement_timeout is over; raise it, or read less by source.where_clause",
    4031: "the server gave the connection up",
}
_CONNECTING = (2003, 2013)
_DAMAGED = (1034, 1194, 1195, 1712, 1030)
_UNKNOWN_HOST = re.compile(r"\[Errno -\d+\]|getaddrinfo")
_TLS = re.compile(r"\[SSL|certificate|\bSSL\b")
_UNNUMBERED = "the server said something that the driver does not know"


def failure_of(error: BaseException, place: str) -> IngestionError | None:
    """*error* of pymysql, told with the place and what to do; None where it is none of pymysql's."""
    if isinstance(error, RuntimeError) and "cryptography" in str(error):
        return ConfigError(f"{place}: the user logs on by SHA-256; run: pip install cryptography, or set an ssl_mode")
    if not isinstance(error, err.MySQLError):
        return None
    number, text = _parts(error)
    told = f"{place}: {text}" + (f" ({number})" if number else "")
    if remedy := _unreached(number, text) or _REMEDIES.get(number):
        return ConfigError(f"{told}; {remedy}")
    if number in _PASSING:
        return TransientError(f"{told}: {_PASSING[number]}; run again")
    if number in _DAMAGED:
        return DataError(f"{told}; let the server's administrator check the table")
    return ConfigError(f"{told}; check source against what the server says")


def _unreached(number: int, text: str) -> str | None:
    """What to do where a connection cannot come about; None where waiting may help."""
    if number in _CONNECTING and _TLS.search(text):
        return _REMEDIES[2026]
    return "check source.host" if number in _CONNECTING and _UNKNOWN_HOST.search(text) else None


def _parts(error: err.MySQLError) -> tuple[int, str]:
    """The number, and the text in one line; some errors have the text alone, others neither."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    texts = [" ".join(text.split()) for text in error.args if isinstance(text, str) and text]
    return number, texts[-1] if texts else _UNNUMBERED
