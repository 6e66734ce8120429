"""What time it is for PostgreSQL."""

import re
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

from ingestion.connectors.databases.clocks import Clock, in_utc, zone_named

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["clock"]

_FIXED = re.compile(r"(?:<[^<>]+>|[A-Za-z]+)?[+-]?\d[\d:]*")  # how zones are written whose clocks never change
_NOW = """
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
    current_setting('TimeZone'), extract(timezone FROM now())::int
"""


def clock(connection: "Connection") -> Clock:
    """The server's clock, and the zone that it writes times in which have none."""
    now, name, seconds = connection.exec_driver_sql(_NOW).one()
    fixed = timezone(timedelta(seconds=int(seconds))) if _FIXED.fullmatch(name) else None
    return Clock(in_utc(now), fixed or zone_named(name))
