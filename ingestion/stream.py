"""What flows from a source to a target: batches of rows, with all that the run must know of them.

The stream is an iterator of `Batch`. One that holds no rows still counts: it carries a schema, rejected rows, removals
or a cursor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["BAD_ROW", "INGESTED_AT", "REJECTED", "RUN_ID", "Batch", "Cursor", "Origin", "Restart"]

Cursor: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | pa.Table | None
"""Opaque to all but the connector that made it; None = from the start. Small state is JSON; a ledger of
files is a table, which the loader stores as an immutable file that the commit points to."""

REJECTED = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),  # read, transform, validate, load
        pa.field("rule", pa.string(), nullable=False),  # the option that refused it: date_columns, ragged, ...
        pa.field("column", pa.string()),
        pa.field("value", pa.string()),
        pa.field("reason", pa.string(), nullable=False),  # a sentence
        pa.field("source", pa.string(), nullable=False),  # file, URL or table
        pa.field("position", pa.int64()),  # physical line, item of the page, row of the query
        pa.field("payload", pa.string(), nullable=False),  # the row as read: JSON object, or the raw line
    ]
)
"""Schema of `Batch.rejected`, one row per rejected row."""

RUN_ID = "_ingestion_run_id"
"""The column of the run that brought a row."""

INGESTED_AT = "_ingested_at"
"""The column of the time at which that run began."""

BAD_ROW = "bad_row"
"""The reason in `Batch.removed` of rows left out because they are bad; they spend the error budget as rejected ones."""


@dataclass(frozen=True)
class Origin:
    """Where the rows of a batch come from: a source, and the position of each row in it.

    Positions count from 1: physical lines of a file, items of a page, rows of a query. Without
    *positions* row i stands at ``first + i``.
    """

    source: str
    first: int = 1
    positions: pa.Array | None = None
    modified_at: datetime | None = None

    def at(self, rows: pa.Array) -> pa.Array:
        """The int64 positions of the rows with these indices."""
        return pc.add(pc.cast(rows, pa.int64()), self.first) if self.positions is None else self.positions.take(rows)

    def take(self, rows: pa.Array) -> "Origin":
        """The origin of a batch that keeps only the rows with these indices."""
        return replace(self, positions=self.at(rows))


class Batch(NamedTuple):
    """Rows on their way, and all that the run must know of them."""

    records: pa.RecordBatch  # rows that are fine so far
    origin: Origin
    rejected: pa.RecordBatch | None = None  # rows that are not (schema REJECTED), those of earlier stages included
    removed: Mapping[str, int] = {}  # rows this far taken out on purpose, by reason; rows added count negative
    cursor: Cursor = None  # where to resume once everything up to here is committed; None = as before
    bytes_read: int = 0  # bytes taken from the source for this batch, as stored there
    emptied: Mapping[str, int] = {}  # values this far made null because they did not fit, by "column: rule"


class Restart(NamedTuple):
    """In a connector's stream: all that was yielded so far is void, the whole follows once more from the start.

    A connector yields it when it learns too late that a column is wider than it took it for, or that a
    source is broken half-way. Nothing has been committed by then, so it costs time and nothing else.
    """

    reason: str
