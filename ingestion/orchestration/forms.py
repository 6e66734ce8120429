"""What assets return and ask for: tables and frames as streams of batches, and a stored table in the form asked for."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args

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
    elif _home(type(value)) == ("polars", "DataFrame"):  # its stream has views of texts, which few of Arrow know
        yield from _with_schema(value.to_arrow().to_reader())
    elif hasattr(value, "__arrow_c_stream__"):
        yield from _with_schema(_stream_of(value))
    elif isinstance(value, Iterator):
        for item in value:
            yield from batches_of(item)
    else:
        raise _refused(value)


def _stream_of(value: Any) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(value)
    except pa.ArrowInvalid as error:  # one column alone has a stream, too
        raise _refused(value) from error


def _refused(value: Any) -> ConfigError:
    return ConfigError(f"an asset of this IO manager should return {_KNOWN}, not {'.'.join(_home(type(value)))}")


def _with_schema(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([], reader.schema)
    yield from reader


def _of_lazy_frame(frame: "pl.LazyFrame") -> Iterator[pa.RecordBatch]:
    yield from batches_of(frame.collect_schema().to_frame())
    for part in frame.collect_batches(lazy=True):
        yield from part.to_arrow().to_batches()


def form_named(kind: Any) -> "Callable[[pl.LazyFrame, pa.Schema], Any]":
    """What brings a lazy frame of rows with these columns into the form that an annotation asks for.

    Raises ConfigError for a form that there is none of.
    """
    asked = [item for item in get_args(kind) if item is not type(None)]
    named = asked[0] if len(asked) == 1 and type(None) in get_args(kind) else kind
    if named in (Any, object, None):
        return _lazy
    home = _home(named)
    if home not in _FORMS:
        known = ", ".join(".".join(item) for item in _FORMS)
        raise ConfigError(
            f"a parameter is annotated with {'.'.join(home)}, and a stored table can be given as one of {known}; "
            f"annotate it with one of these and convert it in the asset"
        )
    return _FORMS[home]


def _home(kind: Any) -> tuple[str, str]:
    """The package of a class and its name, without the modules between."""
    return str(getattr(kind, "__module__", "")).partition(".")[0], str(getattr(kind, "__name__", kind))


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


_FORMS = {
    ("polars", "LazyFrame"): _lazy,
    ("polars", "DataFrame"): _frame,
    ("pyarrow", "Table"): _table,
    ("pyarrow", "RecordBatchReader"): _reader,
}
