"""Between Arrow and polars, with the types that columns had."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError, DataError
from ingestion.parsing import in_calendar
from ingestion.transformers.queries.foreign import arrow_schema
from ingestion.transformers.transformations.shape import Place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["as_frame", "as_records", "decoded", "returned", "within_calendar"]

_PLAIN: Mapping[pa.DataType, pa.DataType] = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.time64("ns"): pa.time64("us"),
}


def decoded(records: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with values in place of dictionaries, and no metadata."""
    columns = [pc.cast(column, _values(column.type)) for column in records.columns]
    return pa.RecordBatch.from_arrays(columns, records.schema.names)


def _values(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def as_frame(records: pa.RecordBatch, place: Place) -> "pl.DataFrame":
    """The rows as polars holds them; raises ConfigError for a column that it cannot hold."""
    import polars as pl

    fields = zip(records.schema, decoded(records).columns, strict=True)
    return pl.DataFrame([_series(field, column, place) for field, column in fields])


def _series(field: pa.Field, column: pa.Array, place: Place) -> "pl.Series":
    import polars as pl

    try:
        return pl.Series(field.name, pl.from_arrow(column))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, TypeError) as error:
        raise ConfigError(
            f"{place}: column {field.name!r} is of type {field.type}, which polars cannot hold; drop it before"
        ) from error


def returned(given: pa.Schema, made: pa.Schema, place: Place) -> pa.Schema:
    """The types in which columns of the schema *made*, as polars gives them, go on.

    A column that has kept its name and its type in polars has the type of the column in *given*.
    """
    there = as_frame(pa.RecordBatch.from_pylist([], schema=given), place).to_arrow().schema
    fields = []
    for field in made:
        index = there.get_field_index(field.name)
        same = index >= 0 and there.field(index).type == field.type
        fields.append((field.name, _values(given.field(index).type) if same else _plain(field.type)))
    return pa.schema(fields)


def _plain(dtype: pa.DataType) -> pa.DataType:
    """The type as the rest of a run knows it; polars gives its own widths of texts and lists."""
    if pa.types.is_dictionary(dtype):
        return _plain(dtype.value_type)
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return pa.list_(_plain(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([(field.name, _plain(field.type)) for field in dtype])
    return _PLAIN.get(dtype, dtype)


def as_records(frame: "pl.DataFrame", schema: pa.Schema, place: Place) -> pa.RecordBatch:
    """The rows in the columns of *schema*; raises DataError for values that do not fit there."""
    arrow_schema(frame.schema, place)
    try:
        columns = [frame[field.name].rechunk().to_arrow().cast(field.type) for field in schema]
    except pa.ArrowException as error:
        if place.hidden:
            raise DataError(
                f"{place}: the result does not fit its types; values are hidden, as the job masks some"
            ) from None
        raise DataError(f"{place}: the result does not fit its types ({error}); cast it there") from error
    return within_calendar(pa.RecordBatch.from_arrays(columns, schema=schema), place)


def within_calendar(records: pa.RecordBatch, place: Place) -> pa.RecordBatch:
    """The same rows; raises DataError for dates and times that many tables and readers cannot hold."""
    for name, column in zip(records.schema.names, records.columns, strict=True):
        if _strays(column):
            text = f"{place}: column {name!r}: the result is outside of the years 1 to 9999; leave such rows out"
            raise DataError(text, veiled=text)
    return records


def _strays(column: pa.Array) -> bool:
    if pa.types.is_struct(column.type):
        return any(map(_strays, column.flatten()))
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _strays(column.flatten())
    return bool(in_calendar(column).null_count != column.null_count)
