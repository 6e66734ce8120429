"""strptime formats, read strictly: what rolls over, is cut short or is left over is not a date."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import Self

from ingestion.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DateFormat"]

_YEAR_OF_POLARS = 2069

_SHORTHAND = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
_SHAPES = {
    "%Y": r"\d{4}",
    "%y": r"\d{2}",
    "%m": r"(?:0[1-9]|1[0-2])",
    "%d": r"(?:0[1-9]|[12]\d|3[01])",
    "%j": r"\d{3}",
    "%H": r"(?:[01]\d|2[0-3])",
    "%I": r"(?:0[1-9]|1[0-2])",
    "%M": r"[0-5]\d",
    "%S": r"[0-5]\d",
    ".%f": r"(?:\.\d{1,6})?",
    "%p": r"(?i:am|pm)",
    "%b": r"[A-Za-z]{3}",
    "%B": r"[A-Za-z]{3,9}",
    "%a": r"[A-Za-z]{3}",
    "%A": r"[A-Za-z]{6,9}",
    "%z": r"(?:Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)",
    "%%": "%",
}
_SHORT = {"%m": r"[1-9]", "%d": r"[1-9]", "%H": r"\d", "%I": r"[1-9]"}
_TOKEN = re.compile(r"\.%f|%.|[^%.]+|.", re.DOTALL)
_DIRECTIVES_IN_DIGITS = frozenset(("%Y", "%y", "%m", "%d", "%j", "%H", "%I", "%M", "%S"))
_CLOCK = ("%H", "%I", "%M", "%S", ".%f", "%p", "%z")


@dataclass(frozen=True)
class DateFormat:
    """One strptime format: the pattern that a text must match, and what polars calls the format."""

    text: str
    pattern: str
    native: str
    has_clock: bool
    has_offset: bool

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, text: str) -> Self:
        """The format that *text* spells; raises ConfigError for a directive that cannot be read strictly."""
        spelled = re.sub("|".join(_SHORTHAND), lambda match: _SHORTHAND[match[0]], text)
        tokens = _TOKEN.findall(spelled)
        unknown = [token for token in tokens if "%" in token and token not in _SHAPES]
        if unknown or not any(token in ("%Y", "%y") for token in tokens):
            problem = f"directive {unknown[0]!r} is not known" if unknown else "it has no year"
            raise ConfigError(
                f"date format {text!r}: {problem}; write a strptime format such as %d/%m/%Y or %Y-%m-%d %H:%M:%S"
            )
        return cls(
            text,
            "^" + "".join(_shape(tokens, at) for at in range(len(tokens))) + "$",
            "".join("%.f" if part == ".%f" else part for part in tokens),
            any(part in _CLOCK for part in tokens),
            "%z" in tokens,
        )

    def read(self, text: pa.Array) -> pa.Array:
        """Timestamps (in UTC where the format has an offset); null where a text does not match."""
        import polars as pl

        shaped = pc.if_else(pc.match_substring_regex(text, self.pattern), text, pa.scalar(None, text.type))
        if self.has_offset:
            shaped = pc.replace_substring_regex(shaped, r"Z$", "+0000")
        dtype = pl.Datetime("us", "UTC" if self.has_offset else None)
        series = pl.Series(pl.from_arrow(shaped)).str.strptime(dtype, self.native, strict=False)
        if "%y" in self.native:
            series = _with_posix_centuries(series)
        return pc.cast(series.to_arrow(), pa.timestamp("us", "UTC" if self.has_offset else None))


def _with_posix_centuries(stamps: "pl.Series") -> "pl.Series":
    """69 is 1969, as in every other strptime; polars makes it 2069."""
    return stamps.zip_with((stamps.dt.year() != _YEAR_OF_POLARS).fill_null(value=True), stamps.dt.offset_by("-100y"))


def _shape(tokens: list[str], at: int) -> str:
    """The pattern of one token; a single digit will do for day, month and hour where no other digits touch it."""
    token = tokens[at]
    shape = _SHAPES.get(token)
    if shape is None:
        return re.escape(token)
    neighbours = tokens[max(at - 1, 0) : at] + tokens[at + 1 : at + 2]
    if token in _SHORT and not any(_has_digits(neighbour) for neighbour in neighbours):
        return f"(?:{shape}|{_SHORT[token]})"
    return shape


def _has_digits(token: str) -> bool:
    return token in _DIRECTIVES_IN_DIGITS or any(letter.isdigit() for letter in token)
