"""Calls of functions that take and give tables, in the form that their annotations name."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_type_hints

import pyarrow as pa

from ingestion.errors import ConfigError, DataError, IngestionError
from ingestion.names import repeated
from ingestion.secrets import redact
from ingestion.stream import without_views
from ingestion.transformers.functions import Function, find
from ingestion.transformers.queries.foreign import arrow_schema
from ingestion.transformers.queries.frames import as_frame, as_records, decoded, returned, within_calendar
from ingestion.transformers.transformations.shape import Place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Call"]

_LONGEST = 300  # characters of what a function says when it fails
_FORMS = "pa.RecordBatch, pa.Table, pl.DataFrame or pl.LazyFrame"


class Call:
    """A function with its options; raises ConfigError where it may not be called, or not like this."""

    def __init__(self, name: str, options: Mapping[str, Any], place: Place, *, whole: bool) -> None:
        self.name = name
        self._place = place
        self._options = options
        try:
            self._function = find(name)
            self._form = _form(name, self._function)
            _require_options(name, self._function, options)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from error
        if whole and self._form != "LazyFrame":
            raise ConfigError(f"{place}: {name} takes a {self._form}, but with over: load it gets a pl.LazyFrame")

    def batch(self, records: pa.RecordBatch, where: str) -> pa.RecordBatch:
        """What the function makes of *records*; raises ConfigError where that is no table, DataError where it fails."""
        import polars as pl

        given = self._given(decoded(records))
        with self.told(where):
            made = self._function(given, **self._options)
            made = made.collect() if isinstance(made, pl.LazyFrame) else made
        done = self._records(made, records.schema)
        for column, count in repeated(done.schema.names).items():
            raise ConfigError(f"{self._place}: {self.name} gave {count} columns {column!r}; each may stand once")
        return done

    def frame(self, frame: "pl.LazyFrame", where: str) -> "pl.LazyFrame":
        """What the function makes of *frame*."""
        import polars as pl

        with self.told(where):
            made = self._function(frame, **self._options)
        if not isinstance(made, pl.LazyFrame):
            raise ConfigError(f"{self._place}: {self.name} gave {_kind(made)}; with over: load it gives a pl.LazyFrame")
        return made

    @contextmanager
    def told(self, where: str) -> Iterator[None]:
        """Within, whatever the function raises becomes a DataError that says so; errors of ours stay what they are."""
        import polars as pl

        try:
            yield
        except IngestionError:
            raise
        except (Exception, pl.exceptions.PanicException) as error:  # other people's code may raise anything
            if self._place.hidden:
                text = f"{self._place}: {self.name} raised {type(error).__name__} ({where}); what it said is hidden"
                raise DataError.without_values(f"{text}, as the job masks columns") from None
            said = redact(" ".join(str(error).split()))[:_LONGEST]
            raise DataError(f"{self._place}: {self.name} raised {type(error).__name__}: {said} ({where})") from error

    def _given(self, records: pa.RecordBatch) -> Any:
        if self._form == "RecordBatch":
            return records
        if self._form == "Table":
            return pa.Table.from_batches([records])
        frame = as_frame(records, self._place)
        return frame.lazy() if self._form == "LazyFrame" else frame

    def _records(self, made: Any, given: pa.Schema) -> pa.RecordBatch:
        import polars as pl

        if isinstance(made, pl.DataFrame):
            schema = returned(given, arrow_schema(made.schema, self._place), self._place)
            return as_records(made, schema, self._place)
        if isinstance(made, pa.Table):
            made = pa.RecordBatch.from_arrays([column.combine_chunks() for column in made.columns], schema=made.schema)
        if not isinstance(made, pa.RecordBatch):
            raise ConfigError(f"{self._place}: {self.name} gave {_kind(made)}; it has to give {_FORMS}")
        return within_calendar(without_views(made), self._place)


def _kind(made: Any) -> str:
    return "nothing" if made is None else f"a {type(made).__name__}"


def _form(name: str, function: Function) -> str:
    """The name of the class that the first parameter is annotated with."""
    import polars as pl

    try:
        first = next(iter(inspect.signature(function).parameters), None)
        annotation = get_type_hints(function).get(first) if first else None
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise ConfigError(f"the annotations of function {name!r} cannot be read: {error}") from error
    forms: list[Any] = [pa.RecordBatch, pa.Table, pl.DataFrame, pl.LazyFrame]
    if annotation is not None and any(annotation is form for form in forms):
        return str(annotation.__name__)
    raise ConfigError(f"annotate the first parameter of function {name!r}: {_FORMS}")


def _require_options(name: str, function: Function, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(function)
    try:
        signature.bind(None, **options)
    except TypeError as error:
        takes = ", ".join(list(signature.parameters)[1:]) or "none"
        raise ConfigError(f"the options do not fit function {name!r}: {error}; it takes: {takes}") from error
