"""The options that make dates, numbers and booleans of text."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
from pydantic import AfterValidator, Discriminator, Field, Tag

from ingestion.errors import ConfigError
from ingestion.names import repeated
from ingestion.parsing import DateFormat, parse_type, type_name
from ingestion.plugins import Model
from ingestion.transformers.casting import Casting
from ingestion.transformers.conversions import Conversion
from ingestion.transformers.numbers import NumberReader
from ingestion.transformers.readers import BooleanReader, DateReader, PlainReader, TextReader
from ingestion.transformers.steps import Step

__all__ = ["ColumnType", "Converting"]


def _checked(parse: Callable[[str], object]) -> AfterValidator:
    """A text that *parse* accepts; its ConfigError becomes an error of the field."""

    def check(value: str) -> str:
        try:
            parse(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    return AfterValidator(check)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time zone {name!r} is not known; use a name such as Europe/Stockholm") from error
    return name


ColumnType: TypeAlias = Annotated[str, _checked(parse_type)]
Format: TypeAlias = Annotated[str, _checked(DateFormat.parse)]
Formats: TypeAlias = Annotated[
    Annotated[Format, Tag("format")] | Annotated[list[Format], Tag("formats")],
    Discriminator(lambda value: "formats" if isinstance(value, list) else "format"),
]
DateColumns: TypeAlias = Annotated[
    Annotated[dict[str, Formats | None], Tag("formats")] | Annotated[list[str], Tag("names")],
    Discriminator(
        lambda value: "formats" if isinstance(value, dict) else "names" if isinstance(value, list | tuple) else None,
        custom_error_type="list_or_map",
        custom_error_message="should be a list, or a map of column and format",
    ),
]


class Converting(Model):
    """Makes dates, numbers and booleans of text; a value that does not fit is never lost."""

    types: dict[str, ColumnType] = {}
    """Types of columns: int, long, float, double, decimal(p,s), string, boolean, date, time, timestamp, timestamptz or
    binary."""
    date_columns: DateColumns = []
    """Columns to convert to dates: a list (ISO 8601, or date_format), or {column: strptime format or list of formats};
    a format with a time of day makes timestamps. %y reads 69 to 99 as 1969 to 1999; names of months are English."""
    date_format: Formats | None = None
    """The strptime format, or several to be tried in turn, of all date_columns that have none of their own."""
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    """The zone of times that are written without an offset: columns of type timestamptz, and date_columns whose format
    has a time of day, which are then timestamptz too."""
    numeric_columns: list[str] = []
    """Columns to convert to numbers: double, unless types says otherwise; what the source gives as numbers stays as
    it is."""
    decimal_separator: Literal["auto", ".", ","] = "auto"
    """What separates decimals in numeric_columns; auto reads 1.5, 1,5, 1.234,56 and 1,234.56 but refuses 1,234."""
    thousands_separator: Annotated[str, Field(pattern=r"^(auto|[^0-9+-]?)$")] = "auto"
    """What may separate thousands in numeric_columns: auto (comma or point, blank, apostrophe), one character, or ''
    for nothing."""
    boolean_columns: list[str] = []
    """Columns to convert to booleans, from yes/no, true/false, y/n, 1/0, ja/nej, on/off in any case."""
    on_conversion_error: Literal["quarantine", "null", "fail"] = "quarantine"
    """What becomes of a row with a value that cannot be converted, or for which a formula or filter has no result:
    quarantine it, empty the value, or fail the run."""

    def conversion_steps(self) -> Iterator[Step]:
        """The conversions, where there are any."""
        conversions = self.conversions()
        if conversions:
            yield Casting(conversions, self.on_conversion_error)

    def conversions(self) -> list[Conversion]:
        """What happens to which column, in order; made anew for each run, because readers remember what they saw."""
        conversions = [
            Conversion(column, "types", self._plain_reader(parse_type(name)))
            for column, name in self.types.items()
            if column not in self._read_specially()
        ]
        dates = self._date_formats()
        conversions += [
            Conversion(column, "date_columns", self._date_reader(column, dates[column])) for column in dates
        ]
        conversions += [
            Conversion(column, "numeric_columns", self._number_reader(column)) for column in self.numeric_columns
        ]
        boolean = BooleanReader(pa.bool_())
        return conversions + [Conversion(column, "boolean_columns", boolean) for column in self.boolean_columns]

    def converted(self) -> Iterable[str]:
        """The columns that are to arrive as text."""
        return dict.fromkeys([*self.types, *self._read_specially()])

    def _read_specially(self) -> list[str]:
        return [*self.date_columns, *self.numeric_columns, *self.boolean_columns]

    def _plain_reader(self, dtype: pa.DataType) -> TextReader:
        decimal = "." if self.decimal_separator == "auto" else self.decimal_separator
        thousands = None if self.thousands_separator == "auto" else self.thousands_separator
        return PlainReader(dtype, decimal, thousands, self.timezone)

    def _number_reader(self, column: str) -> TextReader:
        dtype = parse_type(self.types.get(column, "double"))
        exact = column not in self.types
        return NumberReader(column, dtype, self.decimal_separator, self.thousands_separator, exact=exact)

    def _date_formats(self) -> Mapping[str, tuple[str, ...]]:
        formats = self.date_columns if isinstance(self.date_columns, dict) else dict.fromkeys(self.date_columns)
        return {column: _as_tuple(own or self.date_format) for column, own in formats.items()}

    def _date_reader(self, column: str, formats: tuple[str, ...]) -> TextReader:
        parsed = [DateFormat.parse(spelled) for spelled in formats]
        if any(spelled.has_offset for spelled in parsed):
            natural = "timestamptz"
        elif any(spelled.has_clock for spelled in parsed):
            natural = "timestamptz" if self.timezone else "timestamp"
        else:
            natural = "date"
        return DateReader(parse_type(self.types.get(column, natural)), formats, self.timezone, column)

    def conversion_contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        for name, count in repeated(self._read_specially()).items():
            yield f"column {name!r} stands {count} times in date_, numeric_ and boolean_columns; keep one"
        if self.decimal_separator == self.thousands_separator != "auto":
            yield f"decimal_separator and thousands_separator are both {self.decimal_separator!r}; change one"
        if self.date_format and not self.date_columns:
            yield "date_format: there are no date_columns for it; name them, or take it out"
        yield from self._wrong_types()

    def _wrong_types(self) -> Iterator[str]:
        for column, name in self.types.items():
            if self.timezone and type_name(parse_type(name)) == "timestamp":
                yield (
                    f"types: column {column!r} is a timestamp, which has no zone, but timezone is set; "
                    f"make it timestamptz, or take timezone out"
                )
        kinds = {
            "date_columns": (self.date_columns, ("date", "timestamp", "timestamptz")),
            "numeric_columns": (self.numeric_columns, ("int", "long", "float", "double", "decimal")),
            "boolean_columns": (self.boolean_columns, ("boolean",)),
        }
        for option, (columns, fitting) in kinds.items():
            for column in columns:
                name = type_name(parse_type(self.types.get(column, fitting[0])))
                if name.partition("(")[0] not in fitting:
                    yield f"column {column!r} is in {option}, but types says {name}; take it out of one of them"
        for column, formats in self._date_formats().items():
            yield from _unreadable(column, self._date_reader(column, formats).dtype, formats, self.timezone)


def _as_tuple(formats: str | list[str] | None) -> tuple[str, ...]:
    return (formats,) if isinstance(formats, str) else tuple(formats or ())


def _unreadable(column: str, dtype: pa.DataType, formats: Iterable[str], timezone: str | None) -> Iterator[str]:
    for spelled in map(DateFormat.parse, formats):
        if type_name(dtype) == "timestamptz" and not spelled.has_offset and not timezone:
            yield f"date_columns: {column}: format {spelled.text!r} has no offset (%z); set timezone"
        if type_name(dtype) != "timestamptz" and spelled.has_offset:
            yield f"date_columns: {column}: format {spelled.text!r} has an offset (%z); only type timestamptz keeps it"
