"""What assets return and ask for: tables and frames as streams of batches, and a stored table in the form asked for."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["batches_of", "form_named"]

_KNOWN = (
    "a pyarrow Table, RecordBatch or RecordBatchReader, an iterator of RecordBatches, "
    "or a DataFrame or LazyFrame of polars, or anything else with __arrow_c_stream__"
)


def batches_of(value: Any) -> Iterator[pa.RecordBatch]:
    """The rows of what an asset returned, batch by batch; the first tells the columns, even where there are no rows."""
    if isinstance(value, pa.RecordBatch):
        yield value
    elif hasattr(value, "collect_batches"):
        yield from _of_lazy_frame(value)
    elif hasattr(value, "to_arrow"):  # polars: its stream holds views of texts, which few of Arrow's functions know
        yield from _with_schema(value.to_arrow().to_reader())
    elif hasattr(value, "__arrow_c_stream__"):
        yield from _with_schema(pa.RecordBatchReader.from_stream(value))
    elif isinstance(value, Iterator):
        for item in value:
            yield from batches_of(item)
    else:
        raise ConfigError(f"an asset of this IO manager should return {_KNOWN}, not {type(value).__name__}")


def _with_schema(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([], reader.schema)
    yield from reader


def _of_lazy_frame(frame: "pl.LazyFrame") -> Iterator[pa.RecordBatch]:
    yield from batches_of(frame.collect_schema().to_frame())
    for part in frame.collect_batches(lazy=True):
        yield from part.to_arrow().to_batches()


def form_named(kind: Any) -> "Callable[[pl.LazyFrame, pa.Schema], Any]":
    """What brings a lazy frame of rows with these columns into the form that an annotation asks for."""
    name = getattr(kind, "__name__", "Any")
    return {"DataFrame": _frame, "Table": _table, "RecordBatchReader": _reader}.get(name, _lazy)


def _lazy(frame: "pl.LazyFrame", _: pa.Schema) -> "pl.LazyFrame":
    return frame


def _frame(frame: "pl.LazyFrame", _: pa.Schema) -> "pl.DataFrame":
    return frame.collect()


def _table(frame: "pl.LazyFrame", schema: pa.Schema) -> pa.Table:
    return _reader(frame, schema).read_all()


def _reader(frame: "pl.LazyFrame", schema: pa.Schema) -> pa.RecordBatchReader:
    """Batch by batch, in the table's own types, which polars holds in others."""
    return pa.RecordBatchReader.from_batches(schema, _cast(frame, schema))


def _cast(frame: "pl.LazyFrame", schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for part in frame.select(schema.names).collect_batches(lazy=True):
        yield from part.to_arrow().cast(schema).to_batches()
