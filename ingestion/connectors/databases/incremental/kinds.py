"""What a cursor can be: how its values are told by people, kept as text, and counted back."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.types as t

from ingestion.connectors.databases.clocks import earliest_wall_time
from ingestion.connectors.databases.columns import Column, Order
from ingestion.connectors.databases.options import seconds
from ingestion.parsing import cast_text

__all__ = ["Kind", "kind_of"]

_UTC = timezone.utc
_DIGITS = 100  # more than the numbers of any database have that fit a decimal of a table
_OFFSET = re.compile(r":.*[-+]|[Zz]$")


class Kind(NamedTuple):
    """One kind of cursor."""

    name: str  # as it is kept with the cursor
    read: Callable[[Any, tzinfo | None], Any]  # the value that a job, a driver or a kept text says; ValueError
    text: Callable[[Any], str]  # all of the value
    back: Callable[[Any, str | float, tzinfo | None], Any]  # the value that much earlier; None = before all; ValueError
    is_clock: bool = False  # whether values are times, which only grow with the server's clock
    at: Callable[[datetime, tzinfo | None], Any] | None = None  # the value that no later row is below, for a clock
    is_new: bool = True  # whether a row that is new can have a value beyond those of all others


def kind_of(column: Column) -> Kind | None:
    """The kind of *column*; None where its values have no order."""
    if column.order:
        return _ORDERS[column.order]
    if t.is_timestamp(column.dtype):
        return _TIME if column.dtype.tz else _WALL_TIME
    return next((kind for is_one, kind in _KINDS.items() if is_one(column.dtype)), None)


def _whole(item: Any, zone: tzinfo | None) -> int:
    number = _number(item, zone)
    if number != number.to_integral_value():
        raise ValueError(f"{item!r} is not a whole number")
    return int(number)


def _number(item: Any, zone: tzinfo | None) -> Decimal:
    del zone
    try:
        number = Decimal(str(item))
    except InvalidOperation:
        raise ValueError(f"{item!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{item!r} is not a number that others can be beyond")
    return number


def _time(item: Any, zone: tzinfo | None) -> datetime:
    found = _datetime(item)
    return (found if found.tzinfo else found.replace(tzinfo=zone or _UTC)).astimezone(_UTC)


def _wall_time(item: Any, zone: tzinfo | None) -> datetime:
    found = _datetime(item)
    if found.tzinfo is None:
        return found
    if zone is None:
        raise ValueError(f"{item!r} has an offset, and the column has no zone; set source_timezone")
    return found.astimezone(zone).replace(tzinfo=None)


def _datetime(item: Any) -> datetime:
    if isinstance(item, datetime):
        return item
    if isinstance(item, date):
        return datetime.combine(item, time())
    text = str(item).strip()
    # Texts of databases have any number of digits, and offsets of hours alone.
    [found], _ = cast_text(pa.array([text]), pa.timestamp("us", "UTC" if _OFFSET.search(text) else None))
    if not found.is_valid:
        raise ValueError(f"{item!r} is not a time between the years 1 and 9999; write one such as 2026-01-31 13:45:00")
    return found.as_py()  # type: ignore[no-any-return]  # pyarrow has no types


def _date(item: Any, zone: tzinfo | None) -> date:
    if isinstance(item, date) and not isinstance(item, datetime):
        return item
    found = _wall_time(item, zone)
    if found.time() != time():
        raise ValueError(f"{item!r} is a time within a day; the column has whole days")
    return found.date()


def _text(item: Any, zone: tzinfo | None) -> str:
    del zone
    return str(item)


def _bytes(item: Any, zone: tzinfo | None) -> bytes:
    del zone
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    try:
        return bytes.fromhex(str(item).lower().removeprefix("0x"))
    except ValueError:
        raise ValueError(
            f"{item!r} is not binary; write its digits in hexadecimal, such as 0x00000000000007D1"
        ) from None


def _truth(item: Any, zone: tzinfo | None) -> bool:
    del zone
    return str(item) in {"True", "1"}


def _whole_less(value: int, lookback: str | float, zone: tzinfo | None) -> int:
    return value - _whole(lookback, zone)


def _less(value: Decimal, lookback: str | float, zone: tzinfo | None) -> Decimal:
    return Context(prec=_DIGITS).subtract(value, _number(lookback, zone))


def _earlier(value: datetime, lookback: str | float, zone: tzinfo | None) -> datetime | None:
    length = timedelta(seconds=seconds(lookback))
    try:
        earlier = value - length
        if zone is None or value.tzinfo is not None:
            return earlier
        # Where clocks were put forward meanwhile, they showed less than that time ago what they show now.
        return min(
            earlier, (value.replace(tzinfo=zone).astimezone(_UTC) - length).astimezone(zone).replace(tzinfo=None)
        )
    except OverflowError:
        return None


def _days_earlier(value: date, lookback: str | float, zone: tzinfo | None) -> date | None:
    del zone
    try:
        return value - timedelta(days=math.ceil(seconds(lookback) / 86_400))
    except OverflowError:
        return None


def _never(value: Any, lookback: str | float, zone: tzinfo | None) -> Any:
    del value, lookback, zone
    raise ValueError("it is for cursors of times, dates or numbers")


def _second(moment: datetime, zone: tzinfo | None) -> datetime:
    """The second that *moment* lies in: columns may keep whole seconds, and a row of that one may follow."""
    del zone
    return moment.replace(microsecond=0)


def _wall_second(moment: datetime, zone: tzinfo | None) -> datetime:
    return earliest_wall_time(moment, zone or _UTC).replace(microsecond=0)


def _wall_minute(moment: datetime, zone: tzinfo | None) -> datetime:
    return _wall_second(moment, zone).replace(second=0)


def _day(moment: datetime, zone: tzinfo | None) -> date:
    return earliest_wall_time(moment, zone or _UTC).date()


_TIME = Kind("timestamp with time zone", _time, datetime.isoformat, _earlier, is_clock=True, at=_second)
_WALL_TIME = Kind("timestamp", _wall_time, datetime.isoformat, _earlier, is_clock=True, at=_wall_second)
_WHOLE = Kind("integer", _whole, str, _whole_less)
_KINDS: Mapping[Callable[[pa.DataType], bool], Kind] = {
    t.is_date: Kind("date", _date, date.isoformat, _days_earlier, is_clock=True, at=_day),
    t.is_integer: _WHOLE,
    t.is_decimal: Kind("decimal", _number, str, _less),
    t.is_string: Kind("text", _text, str, _never),
    t.is_binary: Kind("binary", _bytes, bytes.hex, _never),
    t.is_fixed_size_binary: Kind("binary", _bytes, bytes.hex, _never),
    t.is_boolean: Kind("boolean", _truth, str, _never, is_new=False),
}
_ORDERS: Mapping[Order, Kind | None] = {
    "none": None,
    "words": Kind("words", _text, str, _never, is_new=False),
    "whole numbers": _WHOLE,
    "whole minutes": _WALL_TIME._replace(at=_wall_minute),
}
