"""Dates and times that Arrow's readers do not know: drivers give numbers for them, which become texts again."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.parsing import in_calendar, keep

__all__ = ["with_texts"]

_DAY = 86_400_000_000  # microseconds
_EPOCH = 10_957  # days from Arrow's to PostgreSQL's
# As DuckDB has them, and as they come out of ADBC's addition of the days between the epochs.
_INFINITIES = {
    64: ({2**63 - 1, _EPOCH * _DAY - 2**63 - 1}, {1 - 2**63, _EPOCH * _DAY - 2**63}),
    32: ({2**31 - 1, _EPOCH - 2**31 - 1}, {1 - 2**31, _EPOCH - 2**31}),
}


def with_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """*batch*, with columns as text that hold infinity, 24:00:00 or a year before 1 or after 9999."""
    columns = [_readable(values) for values in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _readable(values: pa.Array) -> pa.Array:
    spelled: Callable[[int], str] = _clock
    if t.is_time64(values.type):
        inside = _within_a_day(values)
    elif t.is_date32(values.type) or t.is_timestamp(values.type):
        inside, spelled = in_calendar(values), _of_date if t.is_date32(values.type) else _of_stamp(values.type)
    else:
        return values
    if inside.null_count == values.null_count:
        return values
    return pc.coalesce(pc.cast(inside, pa.string()), _spelled(values, inside, spelled))


def _within_a_day(values: pa.Array) -> pa.Array:
    within = pc.less(pc.cast(values, pa.int64()), _DAY)
    return values if pc.all(within).as_py() is not False else keep(values, within)


def _spelled(values: pa.Array, inside: pa.Array, spelled: Callable[[int], str]) -> pa.Array:
    """Texts of those *values* that are not *inside*; each distinct one is spelled once."""
    numbers = pc.cast(values, pa.int32() if t.is_date32(values.type) else pa.int64())
    outside = keep(numbers, pc.is_null(inside)).dictionary_encode()
    texts = pa.array([spelled(number) for number in outside.dictionary.to_pylist()], pa.string())
    return texts.take(outside.indices)


def _clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:06}".rstrip("0") if fraction else text


def _of_date(day: int) -> str:
    return _infinity(day, 32) or "{} {}".format(*_date(day)).strip()


def _of_stamp(dtype: pa.TimestampType) -> Callable[[int], str]:
    zone = "+00" if dtype.tz else ""

    def spelled(number: int) -> str:
        day, time = divmod(number if number > -(2**63) // 2 else number + 2**64, _DAY)  # overflown
        date, era = _date(day)
        return _infinity(number, 64) or f"{date} {_clock(time)}{zone} {era}".strip()

    return spelled


def _infinity(number: int, bits: int) -> str:
    positive, negative = _INFINITIES[bits]
    return "infinity" if number in positive else "-infinity" if number in negative else ""


def _date(day: int) -> tuple[str, str]:
    """The date, and its era, of a day in the calendar that is continued both ways."""
    era, rest = divmod(day + 719_468, 146_097)  # of 400 years that begin with a March
    year = (rest - rest // 1460 + rest // 36_524 - rest // 146_096) // 365
    rest -= 365 * year + year // 4 - year // 100
    month = (5 * rest + 2) // 153
    number = rest - (153 * month + 2) // 5 + 1
    year += 400 * era + (month >= 10)
    shown = year if year > 0 else 1 - year
    return f"{shown:04}-{(month + 2) % 12 + 1:02}-{number:02}", "" if year > 0 else "BC"
