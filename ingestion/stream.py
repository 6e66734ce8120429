"""What flows from a source to a target: batches of rows, with all that the run must know of them.

The stream is an iterator of `Batch`. One that holds no rows still counts: it carries a schema, rejected rows, removals
or a cursor.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.names import cleaned

__all__ = [
    "BAD_ROW",
    "INGESTED_AT",
    "REJECTED",
    "RUN_ID",
    "AsRead",
    "Batch",
    "Cursor",
    "Origin",
    "Restart",
    "StartOver",
    "bad_rows",
    "by_cleaned_names",
    "is_list",
    "known_type",
    "remembering",
    "without_views",
]

_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}

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
        pa.field("part", pa.int64()),  # which of the rows made of that one, from 1; null = all there is of it
        # of the JSON object: an Arrow schema in IPC form, held once for all rows; null = none is known
        pa.field("payload_schema", pa.dictionary(pa.int32(), pa.binary())),
        pa.field("source_modified_at", pa.timestamp("us", "UTC")),  # when the source as it was read was written
    ]
)
"""Schema of `Batch.rejected`, one row per rejected row."""

RUN_ID = "_ingestion_run_id"
"""The column of the run that brought a row."""

INGESTED_AT = "_ingested_at"
"""The column of the time at which that run began."""

BAD_ROW = "bad_row"
"""The reason in `Batch.removed` of rows left out because they are bad, alone or before a colon and the rule that they
break; they spend the error budget as rejected ones."""


def bad_rows(removed: Mapping[str, int]) -> int:
    """How many of the *removed* rows are bad ones."""
    return sum(count for reason, count in removed.items() if reason == BAD_ROW or reason.startswith(f"{BAD_ROW}: "))


class AsRead(NamedTuple):
    """Rows as a connector gave them, and which of them each row of a batch was made of."""

    records: pa.RecordBatch
    rows: pa.Array | None = None  # int64 indices, one for each row of the batch; None = row for row
    shown: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None  # what may be told of such rows; None = all

    def take(self, rows: pa.Array) -> "AsRead":
        """The same for a batch that keeps only the rows with these indices; one may come several times."""
        return self._replace(rows=pc.cast(rows, pa.int64()) if self.rows is None else self.rows.take(rows))

    def blurred(self, count: int) -> "AsRead | None":
        """The same for *count* rows made of nobody knows which: nothing, where not all may be told, else None."""
        nothing = pa.record_batch({"": pa.nulls(count)}).select([])
        return None if self.shown is None else AsRead(nothing, shown=self.shown)

    def at(self, rows: pa.Array) -> pa.RecordBatch:
        """What the rows with these indices were made of, as far as it may be told."""
        found = self.records.take(rows if self.rows is None else self.rows.take(rows))
        return found if self.shown is None else self.shown(found)


@dataclass(frozen=True)
class Origin:
    """Where the rows of a batch come from: a source, and the position of each row in it.

    Positions count from 1: physical lines of a file, items of a page, rows of a query. Without
    *positions* row i stands at ``first + i``. A row that was made of several has none: its position is null.
    """

    source: str
    first: int = 1
    positions: pa.Array | None = None
    modified_at: datetime | None = None
    parts: pa.Array | None = None  # int64: which of the rows made of the one at its position each is, from 1
    read: AsRead | None = field(default=None, compare=False, repr=False)  # None = nobody has kept what was read

    def at(self, rows: pa.Array) -> pa.Array:
        """The int64 positions of the rows with these indices."""
        return pc.add(pc.cast(rows, pa.int64()), self.first) if self.positions is None else self.positions.take(rows)

    def take(self, rows: pa.Array) -> "Origin":
        """The origin of a batch that keeps only the rows with these indices."""
        return replace(
            self,
            positions=self.at(rows),
            parts=None if self.parts is None else self.parts.take(rows),
            read=None if self.read is None else self.read.take(rows),
        )

    def divided(self, rows: pa.Array, parts: pa.Array) -> "Origin":
        """The origin of a batch whose rows were made of those with these indices, which come once for each part."""
        return replace(self.take(rows), parts=pc.cast(parts, pa.int64()))

    def blurred(self, count: int) -> "Origin":
        """The origin of *count* rows of which nobody knows what rows they were made of."""
        read = None if self.read is None else self.read.blurred(count)
        return Origin(self.source, positions=pa.nulls(count, pa.int64()), modified_at=self.modified_at, read=read)


class Batch(NamedTuple):
    """Rows on their way, and all that the run must know of them."""

    records: pa.RecordBatch  # rows that are fine so far
    origin: Origin
    rejected: pa.RecordBatch | None = None  # rows that are not (schema REJECTED), those of earlier stages included
    removed: Mapping[str, int] = {}  # rows this far taken out on purpose, by reason; rows added count negative
    cursor: Cursor = None  # where to resume once everything up to here is committed; None = as before
    bytes_read: int = 0  # bytes taken from the source for this batch, as stored there
    emptied: Mapping[str, int] = {}  # values this far made null because they did not fit, by "column: rule"
    noted: Mapping[str, int] = {}  # values this far that break a rule and stay all the same, by "column: rule"
    told: Mapping[str, Any] = {}  # what the source says of this reading, for the run's report: by what, what waits
    examples: Mapping[str, str] = {}  # of noted and of bad rows that were removed: where the first is, and what it is


_CLEANED = {b"ingestion.names": b"cleaned"}


def by_cleaned_names(known: pa.Schema) -> pa.Schema:
    """The same columns, which a source may also have under names that become these by `cleaned`."""
    return known.with_metadata({**(known.metadata or {}), **_CLEANED})


def known_type(known: pa.Schema | None, name: str) -> pa.DataType | None:
    """The type that *known* settles for the column that a source calls *name*; None where it is free."""
    if known is None:
        return None
    if name not in known.names and _CLEANED.items() <= (known.metadata or {}).items():
        name = cleaned(name)
    return known.field(name).type if name in known.names else None


def remembering(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; whatever becomes of their rows, the origin knows them as they are now, or were before.

    Views of texts and bytes become plain ones: Arrow can pick no rows of them.
    """
    for batch in batches:
        if batch.origin.read:
            yield batch
            continue
        records = without_views(batch.records)
        yield batch._replace(records=records, origin=replace(batch.origin, read=AsRead(records)))


def is_list(dtype: pa.DataType) -> bool:
    """Whether *dtype* is a list of any kind."""
    checks = (t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_list_view, t.is_large_list_view)
    return any(check(dtype) for check in checks)


def without_views(records: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with string in place of string_view, and binary of binary_view."""
    for index, dtype in enumerate(records.schema.types):
        if dtype in _PLAIN:
            plain = records.schema.field(index).with_type(_PLAIN[dtype])
            records = records.set_column(index, plain, pc.cast(records.column(index), plain.type))
    return records


class Restart(NamedTuple):
    """In a connector's stream: all that was yielded so far is void, the whole follows once more from the start.

    A connector yields it when it learns too late that a column is wider than it took it for, or that a
    source is broken half-way. Nothing has been committed by then, so it costs time and nothing else.
    """

    reason: str


class StartOver(Exception):
    """Carries a `Restart` past transformers and loader, which undo what they hold."""
