"""Literals as polars reads them."""

from datetime import date, datetime, timezone
from typing import Final
from zoneinfo import ZoneInfo

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.kinds import Kind
from ingestion.transformers.expressions.nodes import Value

__all__ = ["advice", "as_kind", "quoted", "sql"]

_GREATEST: Final = 2**63 - 1
_WORDS = {"date": "DATE", "timestamp": "TIMESTAMP", "time": "TIME", "interval": "INTERVAL"}


def quoted(text: str) -> str:
    """*text* as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def sql(value: Value, *, exact: bool) -> str:
    """The literal in SQL; numbers with a point are decimals where *exact*, else doubles."""
    if value.kind == "text":
        return quoted(value.value)
    if value.kind in _WORDS:
        return f"{_WORDS[value.kind]} {quoted(value.value)}"
    if value.kind != "number":
        return value.value
    if value.value.lstrip("-").isdigit():
        if abs(int(value.value)) > _GREATEST:
            raise ConfigError(f"{value.value} has more than 64 bits; write it as a double, {value.value}.0")
        return value.value
    if exact and not set("eE") & set(value.value):
        return value.value
    return f"CAST({value.value} AS DOUBLE)" if "e" not in value.value.lower() else value.value


def as_kind(value: Value, kind: Kind, zone: str | None = None) -> str | None:
    """A text that stands beside dates or times, as one of them, without an offset in *zone*; None where it is none."""
    text = value.value.strip()
    try:
        if kind == "date" and len(text) == len("2024-01-31"):
            return f"DATE {quoted(date.fromisoformat(text).isoformat())}"
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if kind == "timestamptz":
        utc = _utc(moment, zone)
        if utc is None:
            return None
        return f"TIMESTAMP WITH TIME ZONE {quoted(utc.strftime('%Y-%m-%d %H:%M:%S.%f') + 'Z')}"
    if kind in ("date", "timestamp") and moment.tzinfo is None:
        return f"TIMESTAMP {quoted(moment.strftime('%Y-%m-%d %H:%M:%S.%f'))}"
    return None


def advice(kind: Kind, zone: str | None) -> str:
    """How a text that stands beside a date or time is to be written."""
    if kind == "date":
        return "write it as '2024-01-31'"
    if kind == "timestamp":
        return "write it as '2024-01-31 12:30:00'"
    if zone:
        return f"write it as '2024-01-31T12:30:00Z', or without an offset as clocks in {zone} show it"
    return "write it as '2024-01-31T12:30:00Z', or set transformer.timezone"


def _utc(moment: datetime, zone: str | None) -> datetime | None:
    """The first moment at which clocks show *moment*; None where none in *zone* does, or there is no zone."""
    try:
        if moment.tzinfo is not None:
            return moment.astimezone(timezone.utc)
        if zone is None:
            return None
        local = ZoneInfo(zone)
        utc = moment.replace(tzinfo=local).astimezone(timezone.utc)
        return utc if utc.astimezone(local).replace(tzinfo=None) == moment else None
    except OverflowError:  # the first or last hours of the calendar
        return None
