"""What time it is for a server, asked before the transaction that reads: what is older than that, it can see."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Clock", "earliest_wall_time", "in_utc", "zone_named"]

_LONGEST_CHANGE = 25 * 60  # minutes within which clocks that are put back show a time again


class Clock(NamedTuple):
    """What a server said before a transaction began."""

    now: datetime  # in UTC
    zone: tzinfo | None  # of times that it writes without one; None = it tells no zone that says when clocks change
    rowversion: bytes | None = None  # the first that a transaction under way may still commit, where there are such


def in_utc(text: str) -> datetime:
    """The moment that a server tells as a text in UTC, without offset."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def earliest_wall_time(moment: datetime, zone: tzinfo) -> datetime:
    """The earliest time that clocks of *zone* show at *moment* or later, without zone.

    Before clocks are put back that is the time which they are put back to: what is written afterwards is not earlier.
    """
    minute = moment.replace(second=0, microsecond=0)
    later = (minute + timedelta(minutes=number) for number in range(1, _LONGEST_CHANGE))
    return min(one.astimezone(zone).replace(tzinfo=None) for one in (moment, *later))


def zone_named(name: str) -> tzinfo | None:
    """The zone of that name; None where it is not known here."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
