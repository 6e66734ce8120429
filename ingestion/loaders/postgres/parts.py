"""A part of the table as a condition on its rows."""

from collections.abc import Sequence

import pyarrow as pa

from ingestion.loaders.postgres.session import quoted
from ingestion.loaders.postgres.table import Found
from ingestion.loaders.tables.parts import bounds
from ingestion.plugins import Part

__all__ = ["within"]


def within(parts: Sequence[Part], found: Found) -> str:
    """What is true of the rows in all of *parts*, and of no others."""
    conditions = []
    for limit in bounds(parts, found.schema):
        column, kind = quoted(limit.column), found.columns[limit.column].kind
        if limit.spans:
            spans = [
                f"{column} >= {_text(low)}::{kind} AND {column} < {_text(high)}::{kind}" for low, high in limit.spans
            ]
            conditions.append(f"({' OR '.join(spans)})")
        else:
            conditions.append(f"{column} IN ({', '.join(f'{_text(value)}::{kind}' for value in limit.values)})")
    return " AND ".join(conditions)


def _text(value: pa.Scalar) -> str:
    text = str(value.cast(pa.string()).as_py()).replace("'", "''")
    return f"E'{text}'".replace("\\", "\\\\")
