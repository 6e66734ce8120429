"""Cron expressions of five fields, checked strictly, so that a schedule never fails after the job was accepted."""

from collections.abc import Mapping
from typing import NamedTuple

from ingestion.model import nearest

__all__ = ["check_cron"]

_NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class _Field(NamedTuple):
    """One of the five parts of an expression, and what may stand there."""

    name: str
    low: int
    high: int
    words: Mapping[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)


def check_cron(text: str) -> str:
    """*text* with single blanks between its fields; raises ValueError that names the wrong field."""
    parts = text.split()
    if len(parts) == 1 and parts[0].startswith("@"):
        if parts[0].lower() not in _NICKNAMES:
            raise ValueError(f"{parts[0]!r} is not known; {nearest(parts[0], _NICKNAMES, 'known are')}")
        return parts[0].lower()
    if len(parts) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        raise ValueError(f"{text!r} has {len(parts)} fields; write five ({names}), such as '0 5 * * *', or @daily")
    values = [_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    _, _, days, months, _ = values
    if parts[4] == "*" and min(days) > max(_LONGEST[month - 1] for month in months):
        raise ValueError(f"{text!r} never happens: none of its months has a day {min(days)}")
    return " ".join(parts)


def _values(part: str, field: _Field) -> set[int]:
    """The values that *part* stands for; raises ValueError."""
    found: set[int] = set()
    for item in part.split(","):
        span, slash, step = item.partition("/")
        if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
            raise ValueError(f"the {field.name} {item!r} has a step that is not a number above 0; write such as */15")
        start, dash, end = span.partition("-")
        first = field.low if span == "*" else _number(start, item, field)
        open_ended = span == "*" or (slash and not dash)
        last = field.high if open_ended else _number(end if dash else start, item, field)
        if first > last:
            raise ValueError(f"the {field.name} {item!r} runs backwards; write the smaller value first")
        if (slash or dash) and int(step or 1) > last:  # Dagster would warn of it, 0-0 included
            raise ValueError(
                f"the {field.name} {item!r} steps over its whole range; it would run at {first} alone, so write that"
            )
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _number(text: str, item: str, field: _Field) -> int:
    """The value that *text*, a part of *item*, stands for; raises ValueError."""
    if text.lower() in field.words:
        return field.words[text.lower()]
    if not (text.isascii() and text.isdigit()):
        numbers = f"numbers or names ({', '.join(field.words)})" if field.words else "numbers"
        raise ValueError(
            f"the {field.name} {item!r} cannot be read; use *, {numbers}, ranges (1-5), lists and steps (*/15)"
        )
    if not field.low <= int(text) <= field.high:
        raise ValueError(f"the {field.name} {item!r} is out of range; it goes from {field.low} to {field.high}")
    return int(text)
