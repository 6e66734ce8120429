"""Literals as polars reads them."""

from datetime import date, datetime, timezone
from typing import Final

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.kinds import Kind
from ingestion.transformers.expressions.nodes import Value

__all__ = ["as_kind", "quoted", "sql"]

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


def as_kind(value: Value, kind: Kind) -> str | None:
    """A text that stands beside dates or times, as one of them; None where it is none."""
    text = value.value.strip()
    try:
        if kind == "date" and len(text) == len("2024-01-31"):
            return f"DATE {quoted(date.fromisoformat(text).isoformat())}"
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if kind == "timestamptz" and moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc)
        return f"TIMESTAMP WITH TIME ZONE {quoted(moment.strftime('%Y-%m-%d %H:%M:%S.%f') + 'Z')}"
    if kind in ("date", "timestamp") and moment.tzinfo is None:
        return f"TIMESTAMP {quoted(moment.strftime('%Y-%m-%d %H:%M:%S.%f'))}"
    return None
