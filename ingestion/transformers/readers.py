"""How the texts of one column are read: as dates, as booleans, or plainly as a type."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.parsing import cast_text, expectation, misfit_reasons
from ingestion.plugins import Origin
from ingestion.transformers.dates import advised, hints, hints_by_formats
from ingestion.transformers.figures import number_reasons

__all__ = ["LARGE", "TOO_LARGE", "BooleanReader", "DateReader", "PlainReader", "TextReader"]

LARGE = r"^\s*[+-]?[\d.,]+[eE]\+?\d{3,}\s*$"
"""Numbers that are misfits of a float or a double by their size alone."""
TOO_LARGE = "a number that a double can hold: it is too large"

_TRUE_WORDS = ("yes", "true", "y", "1", "ja", "on")
_FALSE_WORDS = ("no", "false", "n", "0", "nej", "off")
_MIDNIGHT = r"[ T]00:00(?::00(?:\.0+)?)?\s*$"
_OTHER_NOTATION = r"^\s*(?:\d{1,2}[./ -]|\d{4}[./ ]|\d{8}\s*$|\d{4}-\d{1,2}-\d\s*$|\d{4}-\d-)"
_TIME_OF_DAY = r"^\s*\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}"


class TextReader(ABC):
    """Reads the texts of one column in one run."""

    dtype: pa.DataType

    @property
    def doubtful(self) -> int:
        """How many of the values read so far may mean something else, as nothing in the column shows which."""
        return 0

    @abstractmethod
    def read(self, text: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
        """The values as `dtype`, null for misfits, and a mask of the misfits."""

    def check(self, text: pa.Array, origin: Origin) -> None:  # noqa: B027 - most read each value by itself
        """Raise DataError where the values read so far, *text* being the last, contradict each other."""

    def reasons(self, text: pa.Array) -> pa.Array:
        """One sentence for each misfit."""
        return misfit_reasons(text, expectation(self.dtype))


@dataclass(frozen=True)
class PlainReader(TextReader):
    """Reads as `types` and schema hints do: one notation, nothing tolerated."""

    dtype: pa.DataType
    decimal_separator: str = "."
    thousands_separator: str | None = None
    timezone: str | None = None

    def read(self, text: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
        """The values as `dtype`, and a mask of the misfits."""
        return cast_text(
            text,
            self.dtype,
            decimal_separator=self.decimal_separator,
            thousands_separator=self.thousands_separator,
            timezone=self.timezone,
        )

    def reasons(self, text: pa.Array) -> pa.Array:
        """One sentence for each misfit."""
        plain = super().reasons(text)
        if pa.types.is_temporal(self.dtype):
            return advised(plain, hints(text, self.dtype, self.timezone))
        if pa.types.is_floating(self.dtype) or pa.types.is_decimal(self.dtype):
            plain = number_reasons(text, self.dtype, self.decimal_separator)
        if not pa.types.is_floating(self.dtype):
            return plain
        return pc.if_else(pc.match_substring_regex(text, LARGE), misfit_reasons(text, TOO_LARGE), plain)


@dataclass(frozen=True)
class BooleanReader(TextReader):
    """Reads yes and no in the words of `boolean_columns`."""

    dtype: pa.DataType

    def read(self, text: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
        """The values as booleans, and a mask of the misfits."""
        return cast_text(text, self.dtype, true_values=_TRUE_WORDS, false_values=_FALSE_WORDS)

    def reasons(self, text: pa.Array) -> pa.Array:
        """One sentence for each misfit."""
        return misfit_reasons(text, "one of yes/no, true/false, y/n, 1/0, ja/nej, on/off")


@dataclass(frozen=True)
class DateReader(TextReader):
    """Reads ISO 8601 or the given formats; a date may carry the time 00:00, and no other."""

    dtype: pa.DataType
    formats: tuple[str, ...] = ()
    timezone: str | None = None
    column: str = "column"

    def read(self, text: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
        """The values as `dtype`, and a mask of the misfits."""
        typed, misfits = cast_text(text, self.dtype, formats=self.formats, timezone=self.timezone)
        if self.formats or not pa.types.is_date(self.dtype) or not pc.any(misfits).as_py():
            return typed, misfits
        return cast_text(pc.replace_substring_regex(text, _MIDNIGHT, ""), self.dtype)

    def reasons(self, text: pa.Array) -> pa.Array:
        """One sentence for each misfit."""
        kind = "a date" if pa.types.is_date(self.dtype) else "a timestamp"
        if self.formats:
            plain = misfit_reasons(text, f"{kind} (expected {' or '.join(self.formats)})")
            return advised(plain, hints_by_formats(text, self.dtype, self.formats, self.timezone))
        plain = misfit_reasons(text, expectation(self.dtype))
        if pa.types.is_date(self.dtype):
            plain = self._undated(text, plain)
        return advised(plain, hints(text, self.dtype, self.timezone))

    def _undated(self, text: pa.Array, plain: pa.Array) -> pa.Array:
        """*plain* reasons, or better ones for dates in other notations and for times of day."""
        timed = misfit_reasons(
            text, "a date: it has a time of day; give the column type timestamp in types, or a format"
        )
        advice = f'; name its format, as in transformer.date_columns: {{{self.column}: "%d.%m.%Y"}}'
        other = misfit_reasons(text, expectation(self.dtype) + advice)
        plain = pc.if_else(pc.match_substring_regex(text, _OTHER_NOTATION), other, plain)
        return pc.if_else(pc.match_substring_regex(text, _TIME_OF_DAY), timed, plain)
