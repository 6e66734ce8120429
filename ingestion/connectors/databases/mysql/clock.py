"""What time it is for MySQL and MariaDB."""

import re
from datetime import timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from ingestion.connectors.databases.clocks import Clock, in_utc, zone_named

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["clock"]

_OFFSET = re.compile(r"([+-])(\d\d?):(\d\d)")
_NOW = """
SELECT CAST(UTC_TIMESTAMP(6) AS CHAR), @@session.time_zone,
    TIMESTAMPDIFF(SECOND, '2026-01-01', FROM_UNIXTIME(1767225600)),
    TIMESTAMPDIFF(SECOND, '2026-07-01', FROM_UNIXTIME(1782864000))
"""


def clock(connection: "Connection") -> Clock:
    """The server's clock, and the zone that it writes times in which have none."""
    now, name, winter, summer = connection.exec_driver_sql(_NOW).one()
    return Clock(in_utc(now), _zone(name, winter, summer))


def _zone(name: str, winter: int, summer: int) -> tzinfo | None:
    if found := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    if name == "SYSTEM":  # the server has an abbreviation for it, which many zones share
        return timezone(timedelta(seconds=winter)) if winter == summer else None
    return zone_named(name)
