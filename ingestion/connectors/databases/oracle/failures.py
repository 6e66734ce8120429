"""What Oracle's driver raises, as errors named by their remedy."""

import re
import socket
from collections.abc import Sequence
from typing import Any

from ingestion.connectors.databases.wording import STATEMENTS
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError

__all__ = ["failure"]

_BY_WORDS: Sequence[tuple[tuple[str, ...], type[IngestionError], str]] = [
    (("SSL: ", "certificate"), ConfigError, "check source.ssl_mode"),
    (
        ("DBMS_FLASHBACK",),
        ConfigError,
        "num_partitions needs EXECUTE on DBMS_FLASHBACK: grant it, or set source.num_partitions: 1",
    ),
    (("ORA-01017", "ORA-01005", "ORA-28000", "ORA-28001"), ConfigError, "check source.username and source.password"),
    (("ORA-12514", "ORA-12505", "DPY-6001", "DPY-6003"), ConfigError, "check source.database, the name of the service"),
    (("DPY-4000", "DPY-4001", "DPY-4027", "DPY-4026"), ConfigError, "check the address of source"),
    (("ORA-01031", "ORA-01045", "ORA-41900"), ConfigError, "grant the user what it needs"),
    (("ORA-00942",), ConfigError, "check the tables in source.query, and that the user may read them"),
    (("ORA-01456",), ConfigError, "the session only reads; set source.read_only: false if it has to write"),
    (("DPY-4024",), TransientError, "raise source.statement_timeout, or run again later"),
    (
        ("ORA-01555", "ORA-08180", "ORA-22924"),
        TransientError,
        "the server no longer has that state; raise its undo_retention or read less at once, then run again",
    ),
    (("ORA-12516", "ORA-12519", "ORA-12520", "ORA-00018", "ORA-00020"), TransientError, "it is full; run again later"),
    (("ORA-01033", "ORA-01034", "ORA-12528", "ORA-27101"), TransientError, "run again once the database is open"),
    (("ORA-08177", "ORA-00060", "ORA-01466"), TransientError, "run again"),
    (
        ("DPY-6", "DPY-4011", "DPY-1001", "DPY-4005", "ORA-125", "ORA-12170", "ORA-0311", "ORA-03135", "ORA-00028"),
        TransientError,
        "check that the server is up, then run again",
    ),
    (("ORA-01089", "ORA-01012", "ORA-02396", "ORA-03136"), TransientError, "the server ended the session; run again"),
    (("ORA-00600", "ORA-07445", "ORA-01578"), DataError, "the server's files may be damaged"),
    (
        ("ORA-01722", "ORA-01476", "ORA-018", "ORA-01426", "ORA-06502", "ORA-40441"),
        ConfigError,
        f"a value in the table does not suit an expression; correct {STATEMENTS}",
    ),
    (("ORA-00918",), ConfigError, "name columns apart with AS in source.query"),
    (("DPY-2", "DPY-3", "ORA-"), ConfigError, f"correct {STATEMENTS}"),
]
_CONNECTION = re.compile(r" \(CONNECTION_ID=[^)]*\)")  # is another one in every attempt


def failure(error: BaseException, place: str) -> IngestionError | None:
    """What *error* of a server at *place* is to us; None where it is no driver's."""
    import oracledb
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, socket.gaierror):  # the driver leaves it as it is
        return ConfigError(f"{place}: the host is not known; check source.host")
    if not isinstance(cause, oracledb.Error):
        return None
    said = _said(cause)
    for words, kind, advice in _BY_WORDS:
        if any(word in said for word in words):
            return kind(f"{place}: {said}; {advice}")
    return TransientError(f"{place}: {said}; run again, or look into the server's log")


def _said(error: BaseException) -> str:
    """What is said in one line, and where in the statement that is."""
    told: Any = error.args[0] if error.args else error
    lines = [line.strip() for line in str(told).splitlines() if line.strip() and not line.startswith("Help: ")]
    where = f", at character {told.offset + 1} of the statement" if getattr(told, "offset", 0) else ""
    return _CONNECTION.sub("", ": ".join(lines)).rstrip(".") + where
