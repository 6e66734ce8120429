"""Rows by SQLAlchemy, for every database whose fast driver is not installed: slower, and the same values."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.relation import Statement

__all__ = ["portable"]

_FIRST = 1_000  # rows, which tell how wide the others may be
_OVERHEAD = 4  # times the bytes of a batch that its rows take as Python's objects


def portable(
    connection: Connection, statement: Statement, columns: Sequence[Column], fetch_size: int, most: int
) -> Iterator[pa.RecordBatch]:
    """What *statement* answers, *fetch_size* rows at a time; fewer where they would take far more than *most* bytes.

    Columns beyond *columns* are texts.
    """
    streaming = connection.execution_options(stream_results=True, max_row_buffer=min(fetch_size, _FIRST))
    with streaming.execute(statement) as result:
        names = list(result.keys())
        types = [_wire(column) for column in columns] + [pa.string()] * (len(names) - len(columns))
        size = min(fetch_size, _FIRST)
        while rows := result.fetchmany(size):
            values = zip(*rows, strict=True)
            arrays = [_array(list(items), dtype) for items, dtype in zip(values, types, strict=True)]
            batch = pa.RecordBatch.from_arrays(arrays, names=names)
            yield batch
            fitting = most * len(rows) // (_OVERHEAD * max(batch.nbytes, 1))
            size = max(1, min(fetch_size, fitting, 2 * size))


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
