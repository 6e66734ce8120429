"""What runs a query, and what becomes of its errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import ConfigError, DataError
from ingestion.transformers.queries.foreign import arrow_schema
from ingestion.transformers.queries.frames import as_frame, returned
from ingestion.transformers.queries.query import INPUT, Query
from ingestion.transformers.steps import require_column
from ingestion.transformers.transformations.shape import Place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["no_scan", "result", "result_schema", "told"]

_LONGEST = 300  # characters of what polars says, which may be the whole tree of a query
_QUOTED = re.compile(r'"[^"]*"')
_READS = re.compile(r"\bscan\b|\bsink\b", re.IGNORECASE)
_DATES = re.compile(r"conversion from `str` to `(date|time)")
_CAST = "see to such values before, or use TRY_CAST"
_GUESSED = "make dates of such texts before, with transformer.date_columns"  # which TRY_CAST would make by guess
_MISSING = re.compile(r'^unable to find column "(.*?)"')


def result(text: str, frame: "pl.LazyFrame") -> "pl.LazyFrame":
    """What the query *text*, which was looked at by `Query.parse`, makes of *frame*; nothing has run yet."""
    import polars as pl

    return pl.SQLContext({INPUT: frame}, register_globals=False).execute(text)


def result_schema(query: Query, given: pa.Schema, place: Place) -> pa.Schema:
    """The columns that the *query* makes of rows with the schema *given*, whatever is in them.

    Raises ConfigError where the columns or types do not allow it, or where its plan would read anything else.
    """
    frame = as_frame(pa.RecordBatch.from_pylist([], schema=given), place)
    with told(place, given.names):
        made = result(query.text, frame.lazy())
        no_scan(made, place)
        schema = arrow_schema(made.collect_schema(), place)
    return returned(given, schema, place)


def no_scan(made: "pl.LazyFrame", place: Place) -> None:
    """Raises ConfigError where the plan reads anything but frames in memory."""
    plan = _QUOTED.sub("", made.explain(optimized=False))
    if _READS.search(plan):
        raise ConfigError(f"{place}: the query would read something else than {INPUT}")


@contextmanager
def told(place: Place, columns: list[str], rows: str = "") -> Iterator[None]:
    """Within, what polars raises becomes an error that names the *place*: a DataError if *rows* says which ran."""
    import polars as pl

    try:
        yield
    except pl.exceptions.ColumnNotFoundError as error:
        missing = _MISSING.match(str(error))
        if missing:
            require_column(missing[1], place.rule, columns)
        raise ConfigError(f"{place}: {_first_line(error)}") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if not rows:
            raise ConfigError(f"{place}: {_first_line(error)}") from error
        if place.hidden:
            raise DataError.without_values(
                f"{place}: a value does not fit; values are hidden, as the job masks some ({rows})"
            ) from None
        said = _first_line(error)
        raise DataError(f"{place}: {said} ({rows}); {_GUESSED if _DATES.search(said) else _CAST}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:_LONGEST]
