"""What time it is for a server, asked before the transaction that reads: what is older than that, it can see."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

__all__ = ["Clock", "clock_of", "earliest_wall_time"]

_UTC = timezone.utc
_FIXED = re.compile(r"(?:<[^<>]+>|[A-Za-z]+)?[+-]?\d[\d:]*")  # as PostgreSQL writes zones whose clocks never change
_OFFSET = re.compile(r"([+-])(\d\d?):(\d\d)")
_LONGEST_CHANGE = 25 * 60  # minutes within which clocks that are put back show a time again


class Clock(NamedTuple):
    """What a server said before a transaction began."""

    now: datetime  # in UTC
    zone: tzinfo | None  # of times that it writes without one; None = it tells no zone that says when clocks change
    rowversion: bytes | None = None  # the first that a transaction under way may still commit, where there are such


def clock_of(connection: Connection) -> Clock:
    """The server's clock, in a transaction of its own; raises the driver's errors."""
    statement, clock = _ASKED[connection.dialect.name]
    now, *told = connection.exec_driver_sql(statement).one()
    connection.rollback()
    return clock(datetime.fromisoformat(now).replace(tzinfo=_UTC), told)


def earliest_wall_time(moment: datetime, zone: tzinfo) -> datetime:
    """The earliest time that clocks of *zone* show at *moment* or later, without zone.

    Before clocks are put back that is the time which they are put back to: what is written afterwards is not earlier.
    """
    minute = moment.replace(second=0, microsecond=0)
    later = (minute + timedelta(minutes=number) for number in range(1, _LONGEST_CHANGE))
    return min(one.astimezone(zone).replace(tzinfo=None) for one in (moment, *later))


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _postgresql(now: datetime, told: Sequence[Any]) -> Clock:
    name, seconds = told
    fixed = timezone(timedelta(seconds=int(seconds))) if _FIXED.fullmatch(name) else None
    return Clock(now, fixed or _zone(name))


def _mysql(now: datetime, told: Sequence[Any]) -> Clock:
    name, winter, summer = told
    if found := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return Clock(now, timezone(-offset if found[1] == "-" else offset))
    if name == "SYSTEM":  # the server has an abbreviation for it, which many zones share
        return Clock(now, timezone(timedelta(seconds=winter)) if winter == summer else None)
    return Clock(now, _zone(name))


def _sqlite(now: datetime, told: Sequence[Any]) -> Clock:
    del told
    return Clock(now, _UTC)  # as its functions write them


def _oracle(now: datetime, told: Sequence[Any]) -> Clock:
    del told
    return Clock(now, None)


def _mssql(now: datetime, told: Sequence[Any]) -> Clock:
    return Clock(now, None, bytes(told[0]))


_ASKED: Mapping[str, tuple[str, Callable[[datetime, Sequence[Any]], Clock]]] = {
    "postgresql": (
        (
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), "
            "current_setting('TimeZone'), extract(timezone FROM now())::int"
        ),
        _postgresql,
    ),
    "mysql": (
        (
            "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR), @@session.time_zone, "
            "TIMESTAMPDIFF(SECOND, '2026-01-01', FROM_UNIXTIME(1767225600)), "
            "TIMESTAMPDIFF(SECOND, '2026-07-01', FROM_UNIXTIME(1782864000))"
        ),
        _mysql,
    ),
    "sqlite": ("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')", _sqlite),
    "oracle": (
        "SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS.FF6') FROM DUAL",
        _oracle,
    ),
    "mssql": ("SELECT CONVERT(varchar(26), SYSUTCDATETIME(), 121), CAST(MIN_ACTIVE_ROWVERSION() AS binary(8))", _mssql),
}
