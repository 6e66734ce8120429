"""Which type the texts of a column have, and which type holds two of them."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.csv.rounding import inexact
from ingestion.parsing import FALSE_VALUES, TRUE_VALUES, cast_text

__all__ = ["Rules", "infer", "join"]

BIG = pa.decimal128(38, 0)
"""Whole numbers beyond 64 bits."""
_UTC = pa.timestamp("us", "UTC")
_NAIVE = pa.timestamp("us")

_INTEGER = r"^(?:0|-?[1-9]\d*)$"  # -0 would lose its sign
_ANY_INTEGER = r"^-?\d+$"
_NUMBER = r"^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_ANY_NUMBER = r"^-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_NOT_FINITE = r"^(?i:nan|[+-]?inf|[+-]?infinity)$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_CLOCK = r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?"
_TIMESTAMP = rf"^\d{{4}}-\d{{2}}-\d{{2}}(?:{_CLOCK})?$"
_ZONED = rf"^\d{{4}}-\d{{2}}-\d{{2}}{_CLOCK}(?:Z|[+-]\d{{2}}(?::?\d{{2}})?)$"


@dataclass(frozen=True)
class Rules:
    """How words and numbers of a source are to be understood."""

    leading_zeros: bool = True  # "007" is text
    decimal_separator: str = "."
    thousands_separator: str | None = None
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None

    def words(self, *, free: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words for true and false; 1 and 0 are among them only where the type is settled."""
        true, false = (("true",), ("false",)) if free else (TRUE_VALUES, FALSE_VALUES)
        return self.true_values or true, self.false_values or false

    def cast(self, values: pa.Array, dtype: pa.DataType, *, free: bool) -> tuple[pa.Array, pa.BooleanArray]:
        """*values* as *dtype*, and which of them do not fit; *free* where the type was inferred."""
        if pa.types.is_boolean(dtype) and self.true_values is None and self.false_values is None:
            quick = _true_or_false(values)
            if quick is not None:
                return quick, pa.repeat(pa.scalar(value=False), len(values))
        true_values, false_values = self.words(free=free)
        return cast_text(
            values,
            dtype,
            decimal_separator=self.decimal_separator,
            thousands_separator=self.thousands_separator,
            true_values=true_values,
            false_values=false_values,
        )

    def plain(self, text: pa.Array) -> pa.Array:
        """Numbers with these separators written with a point alone; other texts are not numbers any more."""
        decimal, thousands = self.decimal_separator, self.thousands_separator
        if decimal == "." and not thousands:
            return text
        groups = rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|" if thousands else ""
        shape = rf"^[+-]?(?:{groups}\d*)(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d{{1,3}})?$"
        bare = pc.replace_substring(text, thousands, "") if thousands else text
        plain = pc.replace_substring(bare, decimal, ".")
        return pc.if_else(pc.match_substring_regex(text, shape), plain, "x")


def _true_or_false(values: pa.Array) -> pa.Array | None:
    """Words that mean true and false as Arrow reads them; None where there is any other, or a digit."""
    if (pc.min(pc.binary_length(values)).as_py() or 0) <= 1:
        return None
    try:
        return pc.cast(values, pa.bool_())
    except pa.ArrowInvalid:
        return None


def infer(values: pa.Array, rules: Rules) -> pa.DataType | None:
    """The narrowest type that holds every one of the texts *values* exactly; None where all are null or blank."""
    text = pc.utf8_trim_whitespace(values).drop_null()
    text = text.filter(pc.not_equal(text, ""))
    if not len(text):
        return None
    for candidate in (_number, _boolean, _date, _timestamp, _zoned):
        dtype = candidate(text, rules)
        if dtype is not None:
            return dtype
    return pa.string()


def join(one: pa.DataType | None, other: pa.DataType | None) -> pa.DataType | None:
    """The narrowest type that holds what both hold."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    for pair, wider in _WIDER:
        if {one, other} == pair:
            return wider
    return pa.string()


_WIDER: list[tuple[set[pa.DataType], pa.DataType]] = [
    ({pa.int64(), pa.float64()}, pa.float64()),
    ({pa.int64(), BIG}, BIG),
    ({pa.date32(), _NAIVE}, _NAIVE),
]


def _all(text: pa.Array, pattern: str) -> bool:
    """Whether all texts match; the first one alone mostly tells that they do not."""
    if re.search(pattern, text[0].as_py()) is None:
        return False
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _fits(text: pa.Array, dtype: pa.DataType, rules: Rules) -> bool:
    return not pc.any(rules.cast(text, dtype, free=True)[1]).as_py()


def _number(text: pa.Array, rules: Rules) -> pa.DataType | None:
    plain = rules.plain(text)
    if _all(plain, _INTEGER if rules.leading_zeros else _ANY_INTEGER):
        return _integer(plain)
    number = _NUMBER if rules.leading_zeros else _ANY_NUMBER
    if re.search(f"{number}|{_NOT_FINITE}", plain[0].as_py()) is None:
        return None
    finite = plain.filter(pc.invert(pc.match_substring_regex(plain, _NOT_FINITE)))
    if not len(finite) or not _all(finite, number):
        return None
    exact = inexact(finite, pc.cast(finite, pa.float64()), lambda numbers: numbers) is None
    return pa.float64() if exact else None


def _integer(plain: pa.Array) -> pa.DataType | None:
    for dtype in (pa.int64(), BIG):
        try:
            pc.cast(plain, dtype)
        except pa.ArrowInvalid:
            continue
        return dtype
    return None


def _boolean(text: pa.Array, rules: Rules) -> pa.DataType | None:
    words = {word.lower() for every in rules.words(free=True) for word in every}
    unique = pc.unique(pc.utf8_lower(text))
    return pa.bool_() if len(unique) <= len(words) and set(unique.to_pylist()) <= words else None


def _date(text: pa.Array, rules: Rules) -> pa.DataType | None:
    return pa.date32() if _all(text, _DATE) and _fits(text, pa.date32(), rules) else None


def _timestamp(text: pa.Array, rules: Rules) -> pa.DataType | None:
    return _NAIVE if _all(text, _TIMESTAMP) and _fits(text, _NAIVE, rules) else None


def _zoned(text: pa.Array, rules: Rules) -> pa.DataType | None:
    return _UTC if _all(text, _ZONED) and _fits(text, _UTC, rules) else None
