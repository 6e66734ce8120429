"""What time it is for PostgreSQL."""

import re
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

from ingestion.connectors.databases.clocks import Clock, in_utc, zone_named

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["clock"]

_FIXED = re.compile(r"(?:<[^<>]+>|[A-Za-z]+)?[+-]?\d[\d:]*")  # how zones are written whose clocks never change
_TEXT = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
_NOW = "clock_timestamp()"
_ZONE = "SELECT current_setting('TimeZone'), extract(timezone FROM now())::int, pg_is_in_recovery()"
_TELLS_CHECKPOINTS = "SELECT has_function_privilege(to_regprocedure('pg_catalog.pg_control_checkpoint()'), 'EXECUTE')"
_CHECKPOINT = "(SELECT checkpoint_time FROM pg_control_checkpoint())"


def clock(connection: "Connection") -> Clock:
    """The server's clock, and the zone that it writes times in which have none.

    A standby's is the one of its primary when that wrote what the standby has come to.
    """
    name, seconds, is_standby = connection.exec_driver_sql(_ZONE).one()
    now = connection.exec_driver_sql(f"SELECT {_TEXT.format(_replayed(connection) if is_standby else _NOW)}")
    fixed = timezone(timedelta(seconds=int(seconds))) if _FIXED.fullmatch(name) else None
    return Clock(in_utc(now.scalar_one()), fixed or zone_named(name))


def _replayed(connection: "Connection") -> str:
    """The moment before which all that was committed has come to the standby; now where it tells none.

    That is when the last transaction ended that it has replayed, or where a primary has none to send, or the standby
    was started since, when the last checkpoint began. That all is replayed that was received does not say that all was
    sent.
    """
    known = ["pg_last_xact_replay_timestamp()"]
    if connection.exec_driver_sql(_TELLS_CHECKPOINTS).scalar_one():  # some servers have none, or keep it to themselves
        known.append(_CHECKPOINT)
    return f"least({_NOW}, greatest({', '.join(known)}))"  # both leave nulls out
