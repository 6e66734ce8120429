"""Text becomes typed columns: strictly, vectorised, and naming the values that do not fit."""

from ingestion.parsing.formats import DateFormat
from ingestion.parsing.matching import cast_or_null, in_calendar, keep, matching
from ingestion.parsing.text import FALSE_VALUES, TRUE_VALUES, cast_text
from ingestion.parsing.types import expectation, misfit_reasons, parse_type, type_name

__all__ = [
    "FALSE_VALUES",
    "TRUE_VALUES",
    "DateFormat",
    "cast_or_null",
    "cast_text",
    "expectation",
    "in_calendar",
    "keep",
    "matching",
    "misfit_reasons",
    "parse_type",
    "type_name",
]
