"""Rows by SQLAlchemy, for every database whose fast driver is not installed: slower, and the same values."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.relation import Statement

__all__ = ["portable"]


def portable(
    connection: Connection, statement: Statement, columns: Sequence[Column], fetch_size: int
) -> Iterator[pa.RecordBatch]:
    """What *statement* answers, *fetch_size* rows at a time; columns beyond *columns* are texts."""
    streaming = connection.execution_options(stream_results=True, max_row_buffer=fetch_size)
    with streaming.execute(statement) as result:
        names = list(result.keys())
        types = [_wire(column) for column in columns] + [pa.string()] * (len(names) - len(columns))
        for rows in result.partitions(fetch_size):
            values = zip(*rows, strict=True)
            arrays = [_array(list(items), dtype) for items, dtype in zip(values, types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, names=names)


def _wire(column: Column) -> pa.DataType:
    return column.dtype if column.wire is None else column.wire


def _array(values: list[Any], dtype: pa.DataType) -> pa.Array:
    """Values of one column; as texts where one of them is of another type."""
    try:
        return pa.array(values, dtype)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if item is None else str(item) for item in values], pa.string())
