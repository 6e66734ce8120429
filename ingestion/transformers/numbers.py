"""Numbers as people write them: decimal commas, thousands separators, brackets, percent signs.

Each value is read by itself, so that the same text means the same in every batch and every run:

- Blanks, NBSP and narrow NBSP, and apostrophes may stand between groups of three digits: ``1 234``.
- With both a point and a comma the last one is the decimal separator: ``1.234,56``, ``1,234.56``.
- One of them several times separates thousands: ``1,234,567``.
- A single point is a decimal point: ``1.234`` is a little more than one.
- A single comma is a decimal comma, ``12,5``, unless exactly three digits follow one to three: ``1,234``
  may be either and is a misfit until decimal_separator says which.
- ``(123)`` is -123, ``12 %`` is 0.12, U+2212 is a minus; NaN and infinities stay what they are in doubles.
- Currency signs and units are misfits, and so is a whole number that a double cannot hold exactly.

A column that shows decimal commas and values such as ``1.234`` in one run is refused: one of the two would be
wrong by a factor of a thousand. Where all values with a point are like ``1.234``, `NumberReader.doubtful` counts them.
"""

import re
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError
from ingestion.parsing import cast_text, keep, matching, misfit_reasons
from ingestion.plugins import Origin
from ingestion.transformers.figures import number_reasons
from ingestion.transformers.points import LONE_GROUP, Points
from ingestion.transformers.readers import LARGE, TOO_LARGE, TextReader
from ingestion.transformers.steps import spot

__all__ = ["NumberReader"]

_BLANK = "[ \u00a0\u2007\u2009\u202f]"
_EXACT_IN_DOUBLES = float(2**53)  # all whole numbers below it
_DIGITS_OF_DOUBLES = 15
_SPECIAL_MISFITS = (
    (r"\p{Sc}", "a number: it has a currency sign; take it out at the source, or leave the column as text"),
    (LONE_GROUP, "clear: its separator may stand for decimals or for thousands; set transformer.decimal_separator"),
)


class _Notation(NamedTuple):
    """One way to write numbers: its decimal separator, and the patterns of what may part groups of digits."""

    point: str
    groups: tuple[str, ...]
    shape: str

    def plain(self, text: pa.Array) -> pa.Array:
        """The numbers among *text* with a decimal point and without groups; null for anything else."""
        text = keep(text, pc.match_substring_regex(text, self.shape))
        for group in self.groups:
            text = pc.replace_substring_regex(text, group, "")
        return text if self.point == "." else pc.replace_substring(text, self.point, ".")


def _notation(point: str, thousands: str) -> _Notation:
    groups: tuple[str, ...] = ()
    inner = r"\d{2,3}"  # who names a separator may also write 1,00,000
    if thousands == "auto":
        groups, inner = (re.escape("," if point == "." else "."), _BLANK, "'"), r"\d{3}"
    elif thousands:
        groups = (_BLANK if thousands.isspace() else re.escape(thousands),)
    grouped = "".join(rf"|[1-9]\d{{0,2}}(?:{group}{inner})*{group}\d{{3}}" for group in groups)
    sign = re.escape(point)
    shape = rf"^[+-]?(?:(?:\d+{grouped})(?:{sign}\d*)?|{sign}\d+)(?:[eE][+-]?\d+)?$"
    return _Notation(point, groups, shape)


def _significant(text: pa.Array) -> pa.Array:
    """The digits that a number's text gives, without the zeros at either end."""
    mantissa = pc.replace_substring_regex(pc.utf8_lower(text), r"e.*|\D", "")
    return pc.replace_substring_regex(mantissa, r"^0+|0+$", "")


class NumberReader(TextReader):
    """Reads one column of one run, and remembers what its values showed of their notation."""

    def __init__(self, column: str, dtype: pa.DataType, decimal: str, thousands: str, *, exact: bool) -> None:
        if decimal == "auto" and thousands in (".", ","):
            decimal = "," if thousands == "." else "."
        self._column = column
        self.dtype = dtype
        self._exact = exact
        self._auto = decimal == "auto"
        self._notations = {point: _notation(point, thousands) for point in ".," if self._auto or decimal == point}
        self._comma: str | None = None
        self._points = Points()
        self._places: dict[str, str] = {}  # of the first values that show a notation

    def read(self, text: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
        """The numbers and a mask of misfits."""
        typed, misfits = self._read_points(text)
        if pc.any(misfits).as_py():
            rest = pc.utf8_trim_whitespace(text.filter(misfits))
            rest = keep(rest, pc.not_equal(rest, ""))
            written = self._read_written(rest)
            typed = pc.replace_with_mask(typed, misfits, written)
            misfits = pc.replace_with_mask(misfits, misfits, pc.and_(pc.is_valid(rest), pc.is_null(written)))
        if self._exact:
            rounded = self._rounded(text, typed)
            typed, misfits = keep(typed, pc.invert(rounded)), pc.or_(misfits, rounded)
        return typed, misfits

    def check(self, text: pa.Array, origin: Origin) -> None:
        """Raise DataError, with the places of two values, where the column's notation contradicts itself."""
        comma, lone = self._comma, self._points.lone
        for value in (comma, lone):
            if value is not None and value not in self._places:
                at = pc.index(pc.utf8_trim_whitespace(text), value).as_py()  # one that was in brackets is not found
                known = spot(origin.source, origin.at(pa.array([at]))[0].as_py()) if at >= 0 else origin.source
                self._places[value] = known
        if comma is not None and lone is not None:
            raise DataError(
                f"transformer.numeric_columns: column {self._column!r} has {comma!r} ({self._places[comma]}) with a "
                f"decimal comma and also {lone!r} ({self._places[lone]}), which may then mean a thousand times more; "
                "set transformer.decimal_separator: ','"
            )

    @property
    def doubtful(self) -> int:
        """How many values such as 1.234 were read while no other value shows what a point stands for."""
        return self._points.doubtful

    def reasons(self, text: pa.Array) -> pa.Array:
        """One sentence for each misfit."""
        bare = pc.utf8_trim_whitespace(text)
        reasons = number_reasons(text, self.dtype, None if self._auto else next(iter(self._notations)))
        for pattern, expected in _SPECIAL_MISFITS if self._auto else _SPECIAL_MISFITS[:1]:
            reasons = pc.if_else(pc.match_substring_regex(bare, pattern), misfit_reasons(text, expected), reasons)
        if pa.types.is_floating(self.dtype):
            reasons = pc.if_else(pc.match_substring_regex(bare, LARGE), misfit_reasons(text, TOO_LARGE), reasons)
        if self._exact:
            digits = pc.match_substring_regex(bare, r"^[^\p{L}\p{Sc}]*$")
            long = pc.and_(digits, pc.greater(pc.binary_length(_significant(bare)), _DIGITS_OF_DOUBLES))
            too_long = misfit_reasons(
                text, "a number that a double holds exactly; give the column type long or decimal(p,s)"
            )
            reasons = pc.if_else(long, too_long, reasons)
        return reasons

    def _read_points(self, text: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
        """Values without any comma, where a point is a decimal point; all others are open."""
        if "." not in self._notations:
            return pa.nulls(len(text), self.dtype), pc.is_valid(text)
        commas = pc.match_substring(text, ",").fill_null(fill_value=False)
        if not pc.any(commas).as_py():
            typed, misfits = cast_text(text, self.dtype)
        else:
            typed, misfits = cast_text(keep(text, pc.invert(commas)), self.dtype)
            misfits = pc.or_(misfits, commas)
        self._note_points(text, typed)
        return typed, misfits

    def _read_written(self, text: pa.Array) -> pa.Array:
        """The numbers among *text*; what most columns hold is read first, because shapes cost five times as much."""
        typed = self._read_commas(text)
        for read in (self._read_grouped, self._read_by_shape):
            rest = pc.and_(pc.is_valid(text), pc.is_null(typed))
            if not pc.any(rest).as_py():
                break
            typed = pc.replace_with_mask(typed, rest, read(text.filter(rest)))
        return typed

    def _read_commas(self, text: pa.Array) -> pa.Array:
        """The values that hold a decimal comma beyond doubt, or any single comma where commas are decimal."""
        comma = pc.find_substring(text, ",")
        candidates = pc.and_(pc.greater_equal(comma, 0), pc.invert(pc.match_substring(text, ".")))
        if self._auto:
            clear = pc.or_(pc.not_equal(pc.add(comma, 4), pc.binary_length(text)), pc.starts_with(text, "0,"))
            candidates = pc.and_(candidates, clear)
        if "," not in self._notations or not pc.any(candidates).as_py():
            return pa.nulls(len(text), self.dtype)
        typed, _ = cast_text(pc.replace_substring(keep(text, candidates), ",", "."), self.dtype)
        self._note_comma(text, pc.is_valid(typed))
        return typed

    def _read_grouped(self, text: pa.Array) -> pa.Array:
        """The values with groups parted by points or commas and decimals behind the other: 1.234,56 or 1,234.56."""
        typed = pa.nulls(len(text), self.dtype)
        for notation in self._notations.values():
            group = "," if notation.point == "." else "."
            if re.escape(group) not in notation.groups:
                continue
            shape = rf"^[+-]?[1-9]\d{{0,2}}(?:{re.escape(group)}\d{{3}})+{re.escape(notation.point)}\d+$"
            bare = pc.replace_substring(matching(text, shape), group, "")
            read = cast_text(bare if notation.point == "." else pc.replace_substring(bare, ",", "."), self.dtype)[0]
            seen = pc.is_valid(read)
            if notation.point == ",":
                self._note_comma(text, seen)
            else:
                self._points.note_clear(text, seen)
            typed = pc.coalesce(typed, read)
        return typed

    def _read_by_shape(self, text: pa.Array) -> pa.Array:
        for pattern, replacement in ((r"^\x{2212}", "-"), (r"\x{2019}", "'"), (r"^\(\s*([^+-].*?)\s*\)$", r"-\1")):
            text = pc.replace_substring_regex(text, pattern, replacement)
        percent = pc.ends_with(text, "%")
        text = pc.replace_substring_regex(text, rf"{_BLANK}*%$", "")
        plain = self._agreed(text, [notation.plain(text) for notation in self._notations.values()])
        if pa.types.is_integer(self.dtype):
            plain = pc.replace_substring_regex(plain, r"\.0*$", "")
        plain = pc.if_else(percent, pc.binary_join_element_wise(plain, "e-2", ""), plain)
        return cast_text(plain, self.dtype)[0]

    def _agreed(self, text: pa.Array, readings: list[pa.Array]) -> pa.Array:
        """What the notations read alike, or only one can read, or a single point says."""
        if len(readings) == 1:
            return readings[0]
        by_point, by_comma = readings
        differ = pc.not_equal(by_point, by_comma).fill_null(fill_value=False)
        lone_point = pc.and_(differ, pc.match_substring(text, "."))
        self._note_points(text.filter(lone_point), by_point.filter(lone_point))
        self._note_comma(text, pc.and_(pc.is_null(by_point), pc.is_valid(by_comma)))
        self._points.note_clear(text, pc.and_(pc.is_valid(by_point), pc.is_null(by_comma)))
        return keep(pc.coalesce(by_point, by_comma), pc.or_(lone_point, pc.invert(differ)))

    def _rounded(self, text: pa.Array, typed: pa.Array) -> pa.BooleanArray:
        """Where a number is too long for a double to hold its digits."""
        large = pc.greater_equal(pc.abs(typed), _EXACT_IN_DOUBLES).fill_null(fill_value=False)
        if not pc.any(large).as_py():
            return large
        return pc.greater(pc.binary_length(_significant(keep(text, large))), _DIGITS_OF_DOUBLES).fill_null(
            fill_value=False
        )

    def _note_points(self, text: pa.Array, typed: pa.Array) -> None:
        if self._auto:
            self._points.note(text, typed)

    def _note_comma(self, text: pa.Array, seen: pa.BooleanArray) -> None:
        if self._auto and self._comma is None:
            found = text.filter(seen)
            self._comma = found[0].as_py() if len(found) else None
