"""Dates and times of MySQL's binary protocol."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["clocks", "moments"]

_Ints = NDArray[np.int64]
_MICROSECONDS = 1_000_000
_DAY = 86_400
# The length of what follows comes first; what the value has none of is not sent.
_TIME = [("hour", "u1"), ("minute", "u1"), ("second", "u1"), ("micro", "<u4")]
_MOMENT = np.dtype([("size", "u1"), ("year", "<u2"), ("month", "u1"), ("day", "u1"), *_TIME, ("unused", "u1")])
_CLOCK = np.dtype([("size", "u1"), ("minus", "u1"), ("days", "<u4"), *_TIME])


@lru_cache(maxsize=1)
def _months() -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The day since 1970 on which each month since that of the year 0 begins, and how many days it has."""
    begins = (np.datetime64("0000-01", "M") + np.arange(12 * 10_000 + 1)).astype("M8[D]").astype(np.int32)
    return begins[:-1], np.diff(begins).astype(np.uint8)


def moments(parts: NDArray[np.void], lengths: _Ints, nulls: "NDArray[np.bool_] | None", dtype: pa.DataType) -> pa.Array:
    """Dates, or dates with times; all as texts where one of them is none, such as 0000-00-00 or 2024-02-00."""
    value = parts.view(_MOMENT)
    year, month, day = (value[name].astype(np.int64) for name in ("year", "month", "day"))
    begins, days = _months()
    number = year * 12 + month - 1
    fits = (lengths > 0) & (year > 0) & (year < 10_000) & (month > 0) & (month < 13) & (day > 0)
    number[~fits] = 0
    fits &= day <= days[number]
    since = begins[number] + day - 1
    if not pa.types.is_date(dtype):
        since = since * (_DAY * _MICROSECONDS) + _micros(value, lengths, 4, 7)
    typed = pa.array(since, pa.int64(), mask=nulls)
    typed = typed.cast(pa.int32()).cast(dtype) if pa.types.is_date(dtype) else typed.cast(dtype)
    return _told(typed, fits, nulls, lambda row: _moment_text(value[row], int(lengths[row]), dtype))


def clocks(parts: NDArray[np.void], lengths: _Ints, nulls: "NDArray[np.bool_] | None") -> pa.Array:
    """Times of a day; all as texts where one of them is none, such as -12:00:00 or 838:59:59."""
    value = parts.view(_CLOCK)
    fits = (lengths == 0) | ((value["minus"] == 0) & (value["days"] == 0))
    typed = pa.array(_micros(value, lengths, 0, 8), pa.int64(), mask=nulls).cast(pa.time64("us"))
    return _told(typed, fits, nulls, lambda row: _clock_text(value[row], int(lengths[row])))


def _micros(value: NDArray[np.void], lengths: _Ints, clock: int, fraction: int) -> _Ints:
    """Microseconds since midnight, of values longer than *clock* and *fraction* the parts that they have."""
    hour, minute, second, micro = (value[name].astype(np.int64) for name in ("hour", "minute", "second", "micro"))
    seconds = (hour * 60 + minute) * 60 + second
    return seconds * (_MICROSECONDS * (lengths > clock)) + micro * (lengths > fraction)


def _told(
    typed: pa.Array, fits: NDArray[np.bool_], nulls: "NDArray[np.bool_] | None", text: Callable[[int], str]
) -> pa.Array:
    misfits = ~fits if nulls is None else ~(fits | nulls)
    if not misfits.any():
        return typed
    texts = pa.array([text(row) for row in np.flatnonzero(misfits).tolist()], pa.string())
    return pc.replace_with_mask(pc.cast(typed, pa.string()), pa.array(misfits), texts)


def _moment_text(value: np.void, length: int, dtype: pa.DataType) -> str:
    year, month, day = (int(value[name]) if length else 0 for name in ("year", "month", "day"))
    date = f"{year:04}-{month:02}-{day:02}"
    return date if pa.types.is_date(dtype) else f"{date} {_of_day(value, length, 4, 7)}"


def _clock_text(value: np.void, length: int) -> str:
    hours = int(value["days"]) * 24 + int(value["hour"])
    return ("-" if value["minus"] else "") + _of_day(value, length, 0, 8, hours)


def _of_day(value: np.void, length: int, clock: int, fraction: int, hours: int | None = None) -> str:
    hour, minute, second = (int(value[name]) if length > clock else 0 for name in ("hour", "minute", "second"))
    micro = f".{int(value['micro']):06}" if length > fraction else ""
    return f"{hour if hours is None else hours:02}:{minute:02}:{second:02}{micro}"
