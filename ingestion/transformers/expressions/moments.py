"""Literals of dates, times and intervals."""

import re
from datetime import date, datetime, time

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.nodes import Kind

__all__ = ["check_moment"]

_INTERVAL = re.compile(r"(?:\d{1,4} (?:year|month|week|day|hour|minute|second)s?\b ?)+")
_SPELLED = {"date": "2024-01-31", "timestamp": "2024-01-31 12:30:00", "time": "12:30:00", "interval": "1 month"}


def check_moment(kind: Kind, text: str) -> None:
    """Raise ConfigError where *text* is no *kind*."""
    try:
        if kind == "date":
            date.fromisoformat(text)
        elif kind == "timestamp":
            _naive(datetime.fromisoformat(text))
        elif kind == "time":
            time.fromisoformat(text)
        else:
            _interval(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no {kind}; write it as {kind.upper()} '{_SPELLED[kind]}'") from error


def _interval(text: str) -> None:
    if _INTERVAL.fullmatch(text) is None:
        raise ValueError(text)


def _naive(moment: datetime) -> None:
    if moment.tzinfo is not None:
        raise ValueError(moment)
