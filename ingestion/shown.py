"""Rows as Python has them, for the few that people look at."""

from typing import Any

import pyarrow as pa

__all__ = ["rows_of"]


def rows_of(records: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Each row by column; values that Python cannot hold, as nanoseconds or the year 10000, are text."""
    try:
        found: list[dict[str, Any]] = records.to_pylist()
    except (OverflowError, ValueError):
        columns = dict(zip(records.schema.names, records.columns, strict=True))
        return [{name: _value(column[row]) for name, column in columns.items()} for row in range(records.num_rows)]
    return found


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(item) for name, item in scalar.items()}
        if isinstance(scalar, pa.ListScalar):
            return [_value(item) for item in scalar.values]
        return scalar.cast(pa.string()).as_py()
