"""Why a text is no date or time, where more is known than the notation that was expected."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.parsing import DateFormat, cast_text, keep, matching

__all__ = ["advised", "hints", "hints_by_formats"]

_DAY = r"^\d{4}-\d{2}-\d{2}(?:\D|$)"
_NO_DAY = "there is no such day"
_NO_NAME = "there is no such day, or its month or weekday has another name in English"
_NAMES = ("%b", "%B", "%a", "%A")
_CLOCK_FAULTS = (
    (r"[ T]24:", "hours go from 00 to 23"),
    (r":\d\d:60", "seconds go from 00 to 59"),
    (r":\d\d\.\d{7,}", "seconds have six decimals at most"),
)


def advised(reasons: pa.Array, advice: pa.Array) -> pa.Array:
    """*reasons* followed by *advice*, where there is any."""
    return pc.coalesce(pc.binary_join_element_wise(reasons, advice, "; "), reasons)


def hints(text: pa.Array, dtype: pa.DataType, timezone: str | None) -> pa.Array:
    """What keeps *text*, written as ISO 8601, from being *dtype*; null where its notation is all that can be told."""
    bare = pc.utf8_trim_whitespace(text)
    if pa.types.is_time(dtype):
        return _clock_hints(pc.binary_join_element_wise("", bare, " "))
    days = pc.utf8_slice_codeunits(matching(bare, _DAY), 0, 10)
    no_day = _where(cast_text(days, pa.date32())[1], _NO_DAY)
    return pc.coalesce(no_day, _clock_hints(bare), _zone_hints(bare, dtype, timezone))


def hints_by_formats(text: pa.Array, dtype: pa.DataType, formats: Sequence[str], timezone: str | None) -> pa.Array:
    """The same for texts that no format could read."""
    bare = pc.utf8_trim_whitespace(text)
    by_format = (_hints_by_format(bare, dtype, DateFormat.parse(one), timezone) for one in formats)
    return pc.coalesce(*by_format, _clock_hints(bare))


def _hints_by_format(text: pa.Array, dtype: pa.DataType, spelled: DateFormat, timezone: str | None) -> pa.Array:
    shaped = pc.match_substring_regex(text, spelled.pattern)
    read = pc.is_valid(spelled.read(text))
    no_day = _where(pc.and_not(shaped, read), _NO_NAME if any(name in spelled.native for name in _NAMES) else _NO_DAY)
    if pa.types.is_date(dtype) and spelled.has_clock:
        return pc.coalesce(no_day, _where(read, "it has a time of day, and the column type is date"))
    skipped = _skipped(timezone) if timezone and not spelled.has_offset else None
    return no_day if skipped is None else pc.coalesce(no_day, _where(read, skipped))


def _clock_hints(text: pa.Array) -> pa.Array:
    return pc.coalesce(*(_where(pc.match_substring_regex(text, pattern), hint) for pattern, hint in _CLOCK_FAULTS))


def _zone_hints(text: pa.Array, dtype: pa.DataType, timezone: str | None) -> pa.Array:
    if not pa.types.is_timestamp(dtype):
        return pa.nulls(len(text), pa.string())
    other = pa.timestamp("us", None if dtype.tz else "UTC")
    if not dtype.tz:
        hint = "it has an offset, which only type timestamptz keeps"
    else:
        hint = _skipped(timezone) if timezone else "it has no offset; set transformer.timezone"
    return _where(pc.is_valid(cast_text(text, other)[0]), hint)


def _skipped(timezone: str) -> str:
    return f"clocks in {timezone} skipped that time"


def _where(mask: pa.BooleanArray, hint: str) -> pa.Array:
    return keep(pa.repeat(pa.scalar(hint, pa.string()), len(mask)), mask)
