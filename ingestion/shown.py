"""Rows and counts as people see them."""

from typing import Any

import pyarrow as pa

__all__ = ["counted", "rows_of"]


def counted(count: int, noun: str) -> str:
    """1 row, 2 rows."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


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
