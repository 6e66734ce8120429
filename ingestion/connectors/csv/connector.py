"""The CSV source: its options, and how a load is read."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from ingestion.connectors.csv.dialect import Dialect
from ingestion.connectors.csv.inference import Rules
from ingestion.connectors.csv.reading import Reading
from ingestion.connectors.files import Chosen, FileConnector
from ingestion.errors import ConfigError
from ingestion.parsing import parse_type
from ingestion.plugins import Batch, Restart

__all__ = ["CsvConnector"]

_SPELLED = {"\\t": "\t", "tab": "\t"}
_SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")


class CsvConnector(FileConnector):
    """Reads CSV files, typed as the job, the target or the files themselves say."""

    default_patterns: ClassVar[tuple[str, ...]] = tuple(
        f"*.{kind}{suffix}" for kind in ("csv", "tsv") for suffix in _SUFFIXES
    )

    type: Literal["csv"] = "csv"
    """Comma separated values and their kin."""
    delimiter: str = ","
    """The character between cells; auto takes the one of comma, semicolon, tab and bar that splits most evenly."""
    quote_char: str = '"'
    """The character around cells that hold delimiters or line ends; empty for none."""
    escape_char: str | None = None
    """The character that makes the next one ordinary; by default a quote in quotes is doubled."""
    comment: str | None = None
    """Lines that start with this character are left out."""
    header: bool | list[str] = True
    """Whether the first row holds the column names; or the names, for files without such a row."""
    skip_rows: int = Field(default=0, ge=0)
    """How many lines to leave out before the header."""
    skip_footer: int = Field(default=0, ge=0)
    """How many lines to leave out at the end."""
    skip_blank_rows: bool = True
    """Leave out rows whose cells are all empty; false keeps them as rows of nulls."""
    null_values: list[str] = [""]
    """Unquoted cells that mean null; a quoted empty cell is an empty text, or null where the column is no text."""
    true_values: list[str] | None = None
    """Words that mean true, in any case; by default true, and 1 where the column is known to be boolean."""
    false_values: list[str] | None = None
    """Words that mean false, in any case; by default false, and 0 where the column is known to be boolean."""
    trim: bool = False
    """Cut blanks off both ends of every text."""
    multiline: bool = True
    """Quoted cells may hold line ends; false makes every line a row, so that an open quote spoils no other."""
    schema_hints: dict[str, str] = {}
    """Types of columns; a value that does not fit is a bad row."""
    infer: Literal["sample", "full", "none"] = "sample"
    """How other columns get their type: from a sample, from every value, or not: all are text."""
    sample_rows: int = Field(default=10_000, ge=1)
    """How many rows to look at in each of head, middle and tail."""
    preserve_leading_zeros: bool = True
    """Columns with numbers such as 007 stay text."""
    decimal_separator: str = "."
    """The character before the fraction of a number."""
    thousands_separator: str | None = None
    """The character between groups of three digits."""

    @field_validator("delimiter", "quote_char", "escape_char", "comment", "decimal_separator", "thousands_separator")
    @classmethod
    def _one_character(cls, value: str | None, info: ValidationInfo) -> str | None:
        value = _SPELLED.get(value, value) if value is not None else None
        if (
            value is None
            or (info.field_name == "delimiter" and value == "auto")
            or (info.field_name == "quote_char" and not value)
        ):
            return value
        number = info.field_name in ("decimal_separator", "thousands_separator")
        if len(value) != 1 or value in "\r\n" or not (number or value.isascii()):
            raise ValueError(f"{value!r} is not one plain character; give exactly one")
        return value

    @field_validator("schema_hints")
    @classmethod
    def _known_types(cls, value: dict[str, str]) -> dict[str, str]:
        for name, type_name in value.items():
            try:
                parse_type(type_name)
            except ConfigError as error:  # noqa: PERF203 - a handful of hints
                raise ValueError(f"{name}: {error}") from error
        return value

    @field_validator("header")
    @classmethod
    def _distinct_names(cls, value: bool | list[str]) -> bool | list[str]:  # noqa: FBT001 - pydantic passes it
        if isinstance(value, list) and (len(set(value)) < len(value) or not all(value)):
            raise ValueError("column names must be distinct and not empty")
        return value

    @model_validator(mode="after")
    def _distinct_signs(self) -> Self:
        signs = [sign for sign in (self.delimiter, self.quote_char, self.escape_char, self.comment) if sign]
        if len(set(signs)) < len(signs):
            raise ValueError("delimiter, quote_char, escape_char and comment must differ from each other")
        if self.decimal_separator == self.thousands_separator:
            raise ValueError("decimal_separator and thousands_separator must differ")
        return self

    def rows(self, files: Sequence[Chosen], known: pa.Schema | None) -> Iterator[Batch | Restart]:
        """Yield the rows of *files*; once more from the start where a free column turns out wider than it seemed."""
        return Reading(self, files, known).rows()

    @property
    def rules(self) -> Rules:
        """How words and numbers are to be understood."""
        return Rules(
            self.preserve_leading_zeros,
            self.decimal_separator,
            self.thousands_separator,
            tuple(self.true_values) if self.true_values is not None else None,
            tuple(self.false_values) if self.false_values is not None else None,
        )

    @property
    def dialect(self) -> Dialect:
        """How the files are written; where the delimiter is to be found, that of each text is."""
        return Dialect(
            delimiter="," if self.delimiter == "auto" else self.delimiter,
            quote=self.quote_char or None,
            escape=self.escape_char,
            comment=self.comment,
            multiline=self.multiline,
            null_values=tuple(self.null_values),
            trim=self.trim,
            skip_blank_rows=self.skip_blank_rows,
        )
