"""Rows by SQLAlchemy, for every database whose fast driver is not installed: slower, and the same values."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, CursorResult, Row

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.relation import Statement
from ingestion.connectors.databases.sizes import gathered

__all__ = ["portable"]

_FIRST = 10  # rows, which tell how wide the others may be
_AT_ONCE = 100  # rows at most, as those that come next may be far wider
_ROOM = 8 << 20  # bytes of values, which the driver and Python hold several times


def portable(
    connection: Connection, statement: Statement, columns: Sequence[Column], fetch_size: int, most: int
) -> Iterator[pa.RecordBatch]:
    """What *statement* answers, *fetch_size* rows at a time; fewer where they would take more than *most* bytes.

    Columns beyond *columns* are texts.
    """
    with connection.execution_options(stream_results=True).execute(statement) as result:
        yield from gathered(_fetched(result, columns, fetch_size), fetch_size, most)


def _fetched(result: CursorResult[Any], columns: Sequence[Column], most: int) -> Iterator[pa.RecordBatch]:
    """The rows, as many at a time as a few megabytes hold, *most* of them at most."""
    names = list(result.keys())
    types = [_wire(column) for column in columns] + [pa.string()] * (len(names) - len(columns))
    size = min(most, _FIRST)
    while (batch := _batch(result.fetchmany(size), names, types)) is not None:
        yield batch
        fitting = _ROOM * batch.num_rows // max(batch.nbytes, 1)
        size = max(1, min(most, _AT_ONCE, fitting, 2 * size))


def _batch(rows: Sequence[Row[Any]], names: Sequence[str], types: Sequence[pa.DataType]) -> pa.RecordBatch | None:
    if not rows:
        return None
    values = zip(*rows, strict=True)
    arrays = [_array(list(items), dtype) for items, dtype in zip(values, types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _wire(column: Column) -> pa.DataType:
    return column.dtype if column.wire is None else column.wire


def _array(values: list[Any], dtype: pa.DataType) -> pa.Array:
    """Values of one column; the bytes of their texts where one of them is of another type, or not UTF-8."""
    try:
        return pa.array(values, dtype)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [item if item is None or isinstance(item, bytes) else str(item) for item in values], pa.binary()
        )
