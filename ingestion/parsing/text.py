"""A column of text becomes a column of a type; values that do not fit are named, never bent.

A clean column is cast whole. Only where Arrow refuses it, or may have taken something that we do not,
values are judged by their shape: those of the right shape are cast, the others are misfits.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.parsing.decimals import is_cast_safely, read_decimals
from ingestion.parsing.formats import DateFormat
from ingestion.parsing.matching import cast_or_null, in_calendar, keep, matching
from ingestion.parsing.types import type_name

__all__ = ["FALSE_VALUES", "TRUE_VALUES", "cast_text"]

TRUE_VALUES = ("true", "1")
FALSE_VALUES = ("false", "0")
_PROBE = 64
_PROBED = 4096  # values that tell whether a column's texts recur
_UNREAD = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
_FLOAT = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:nan|inf|infinity))$"
_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_HOUR = r"(?:[01]\d|2[0-3])"
_OFFSET = rf"(?:Z|[+-]{_HOUR}(?::?[0-5]\d)?)"
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def cast_text(
    values: pa.Array,
    dtype: pa.DataType,
    *,
    decimal_separator: str = ".",
    thousands_separator: str | None = None,
    true_values: Sequence[str] = TRUE_VALUES,
    false_values: Sequence[str] = FALSE_VALUES,
    formats: Sequence[str] | None = None,
    timezone: str | None = None,
) -> tuple[pa.Array, pa.BooleanArray]:
    """*values* as *dtype*, and a mask of the non-null values that do not fit (null in the result).

    Blanks around a value do not count, and nothing but blanks is null, except where *dtype* is text or
    binary. *formats* are strptime formats, tried in turn, in place of ISO 8601; *timezone* is the zone of
    values without offset where *dtype* has a zone. True and false words are compared without case.
    """
    words = (true_values, false_values)
    notation = _Notation(decimal_separator, thousands_separator, words, formats or (), timezone)
    whole, text = (None, _trimmed(values)) if notation.is_special(dtype) else _at_once(values, dtype)
    if whole is not None:
        return whole, pa.repeat(pa.scalar(value=False), len(values))
    typed = notation.read(text, dtype)
    return typed, pc.and_(pc.is_valid(text), pc.is_null(typed))


class _Notation(NamedTuple):
    """How values are written."""

    decimal: str
    thousands: str | None
    words: tuple[Sequence[str], Sequence[str]]  # true ones, false ones
    formats: Sequence[str]
    timezone: str | None

    def is_special(self, dtype: pa.DataType) -> bool:
        """Whether Arrow's own cast to *dtype* may read the values in another sense."""
        return dtype not in _UNREAD and (self.is_localised(dtype) or bool(self.formats))

    def is_localised(self, dtype: pa.DataType) -> bool:
        """Whether *dtype* is of numbers, and those are not written as programs do."""
        is_number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
        return is_number and (self.decimal != "." or bool(self.thousands))

    def read(self, text: pa.Array, dtype: pa.DataType) -> pa.Array:
        """The values of *text* one by one; null for those that do not fit."""
        if self.formats:
            return _by_formats(text, dtype, self.formats, self.timezone)
        if pa.types.is_boolean(dtype):
            return _booleans(text, *self.words)
        plain = _plain_numbers(text, self.decimal, self.thousands) if self.is_localised(dtype) else text
        return _by_shape(plain, dtype, self.timezone)


def _at_once(values: pa.Array, dtype: pa.DataType) -> tuple[pa.Array | None, pa.Array]:
    """The column cast as a whole, if it can be; else its text without the blanks that may have been in the way."""
    whole = _whole(values, dtype)
    if whole is not None:
        return whole, values
    text = _trimmed(values)
    has_blanks = pc.sum(pc.binary_length(text)) != pc.sum(pc.binary_length(values))
    return _whole(text, dtype) if has_blanks else None, text


def _trimmed(values: pa.Array) -> pa.Array:
    """Without surrounding blanks, NBSP and its kin included; empty is null."""
    text = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
    return keep(text, pc.not_equal(text, ""))


def _whole(values: pa.Array, dtype: pa.DataType) -> pa.Array | None:
    """The column cast at once; None where it has to be looked at value by value."""
    if dtype in _UNREAD:
        return pc.cast(values, dtype)
    if (
        pa.types.is_boolean(dtype)
        or pa.types.is_time(dtype)
        or (pa.types.is_decimal(dtype) and not is_cast_safely(values, dtype))
    ):
        return None
    try:
        pc.cast(values[:_PROBE], dtype)  # a cast that fails at every value costs ten times one that succeeds
        typed = pc.cast(values, dtype)
    except pa.ArrowInvalid:
        return None
    return None if _is_suspect(values, typed) else typed


def _is_suspect(values: pa.Array, typed: pa.Array) -> bool:
    """Whether Arrow's cast may have taken something that is refused here."""
    if pa.types.is_integer(typed.type):  # 0x1F
        if not any(pc.any(pc.starts_with(values, zero)).as_py() for zero in ("0", "-0")):
            return False
        return bool(pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py())
    if pa.types.is_floating(typed.type):  # nan(1), and 1e400 as infinity
        return pc.all(pc.is_finite(typed)).as_py() is False
    return bool(typed.null_count != in_calendar(typed).null_count)


def _by_shape(text: pa.Array, dtype: pa.DataType, timezone: str | None) -> pa.Array:
    if pa.types.is_integer(dtype):
        digits = len(str(2**dtype.bit_width))
        bare = pc.replace_substring_regex(matching(text, rf"^[+-]?0*\d{{1,{digits}}}$"), r"^\+?(-?)0*(\d)", r"\1\2")
        return cast_or_null(bare, dtype)
    if pa.types.is_floating(dtype):
        typed = pc.cast(matching(text, _FLOAT), dtype)
        overflown = pc.and_(pc.is_inf(typed), pc.match_substring_regex(text, r"\d"))
        return keep(typed, pc.invert(overflown))
    if pa.types.is_decimal(dtype):
        return read_decimals(text, dtype)
    if pa.types.is_time(dtype):
        clock = matching(text, rf"^{_HOUR}:[0-5]\d(?::[0-5]\d(?:\.\d{{1,6}})?)?$")
        stamps = pc.cast(pc.binary_join_element_wise("1970-01-01", clock, " "), pa.timestamp("us"))
        return pc.cast(stamps, dtype)
    if pa.types.is_date(dtype):
        return in_calendar(cast_or_null(matching(text, rf"^{_DATE}$"), dtype))
    if pa.types.is_timestamp(dtype):
        return _timestamps(text, dtype, timezone)
    raise ConfigError(f"text cannot be read as {dtype}; choose one of the column types")


def _timestamps(text: pa.Array, dtype: pa.TimestampType, timezone: str | None) -> pa.Array:
    digits = _DIGITS[dtype.unit]
    fraction = rf"(?:\.\d{{1,{digits}}})?" if digits else ""
    clock = rf"{_HOUR}(?::[0-5]\d(?::[0-5]\d{fraction})?)?"
    text = pc.replace_substring_regex(text, rf"(\.\d{{{digits}}})0+($|[Z+ -])", r"\1\2")
    naive = matching(text, rf"^{_DATE}(?:[ T]{clock})?$")
    if dtype.tz is None:
        return in_calendar(cast_or_null(naive, dtype))
    text = pc.replace_substring_regex(text, r" ?(?:UTC|GMT)$", "Z")
    text = pc.replace_substring_regex(text, r"(:\d\d(?:\.\d+)?) ([+-]\d)", r"\1\2")
    zoned = cast_or_null(matching(text, rf"^{_DATE}[ T]{clock}{_OFFSET}$"), dtype)
    if timezone:
        zoned = pc.coalesce(zoned, _localised(cast_or_null(naive, pa.timestamp(dtype.unit)), dtype, timezone))
    return in_calendar(zoned)


def _localised(stamps: pa.Array, dtype: pa.TimestampType, timezone: str) -> pa.Array:
    """Wall-clock times of *timezone*: the first of a repeated hour; null in an hour that was skipped."""
    try:
        assumed = pc.assume_timezone(stamps, timezone, ambiguous="earliest", nonexistent="earliest")
    except pa.ArrowInvalid as error:
        raise ConfigError(f"time zone {timezone!r} is not known; use a name such as Europe/Stockholm") from error
    existed = pc.equal(pc.local_timestamp(assumed), stamps)
    return keep(pc.cast(assumed, dtype), existed)


def _booleans(text: pa.Array, true_values: Sequence[str], false_values: Sequence[str]) -> pa.Array:
    lowered = pc.utf8_lower(text)
    true, false = (
        pc.is_in(lowered, value_set=pa.array([word.strip().lower() for word in words], pa.string()))
        for words in (true_values, false_values)
    )
    return keep(true, pc.or_(true, false))


def _by_formats(text: pa.Array, dtype: pa.DataType, formats: Sequence[str], timezone: str | None) -> pa.Array:
    """Read by the first format that matches; each distinct text is read once where texts recur."""
    recurs = len(text[:_PROBED].unique()) * 2 < len(text[:_PROBED])
    encoded = text.dictionary_encode() if recurs else None
    distinct = text if encoded is None else encoded.dictionary
    typed = pc.coalesce(*(_by_format(distinct, dtype, DateFormat.parse(spelled), timezone) for spelled in formats))
    return in_calendar(typed) if encoded is None else in_calendar(typed).take(encoded.indices)


def _by_format(text: pa.Array, dtype: pa.DataType, spelled: DateFormat, timezone: str | None) -> pa.Array:
    stamps = spelled.read(text)
    zoned = pa.types.is_timestamp(dtype) and dtype.tz is not None
    if spelled.has_offset != zoned:
        if spelled.has_offset or not timezone:
            has, remedy = (
                ("an", "type timestamptz") if spelled.has_offset else ("no", "type timestamp, or set timezone")
            )
            raise ConfigError(
                f"date format {spelled.text!r} has {has} offset (%z) and gives no {type_name(dtype)}; choose {remedy}"
            )
        return _localised(stamps, dtype, timezone)
    if pa.types.is_date(dtype):
        midnight = pc.equal(pc.floor_temporal(stamps, unit="day"), stamps)
        return pc.cast(keep(stamps, midnight), dtype)
    return pc.cast(stamps, dtype)


def _plain_numbers(text: pa.Array, decimal: str, thousands: str | None) -> pa.Array:
    """Numbers written with these separators as Arrow writes them; null for any other text."""
    point, group = re.escape(decimal), _group(thousands)
    grouped = rf"|\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}" if group else ""
    number = rf"^[+-]?(?:\d+{grouped})?(?:{point}\d*)?(?:[eE][+-]?\d+)?$"
    plain = matching(text, rf"{number}|^[+-]?(?i:nan|inf|infinity)$")
    if group:
        plain = pc.replace_substring_regex(plain, group, "")
    return plain if decimal == "." else pc.replace_substring(plain, decimal, ".")


def _group(thousands: str | None) -> str:
    """The pattern of one thousands separator; a blank stands for every kind of blank that printers use."""
    if not thousands:
        return ""
    return "[ \u00a0\u2007\u2009\u202f]" if thousands.isspace() else re.escape(thousands)
