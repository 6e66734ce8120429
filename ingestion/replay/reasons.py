"""What is in a quarantine, told by reason or row by row."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl
import pyarrow as pa

__all__ = ["Reason", "Rows", "Told", "newest", "reasons"]

_KEY = ("stage", "column", "rule")
_EXAMPLE = ("reason", "source", "position", "quarantined_at")
_LISTED = (
    *("id", "quarantined_at", *_KEY, "value", "reason", "source", "position", "part", "payload"),
    *("run_id", "load_id", "config_hash"),
)


class Reason(NamedTuple):
    """Rows that broke one rule in one column, and the newest of them."""

    stage: str
    column: str | None
    rule: str
    reason: str  # of the newest row, as the rest
    source: str
    position: int | None
    quarantined_at: datetime
    rows: int

    @property
    def label(self) -> str:
        """What was broken, as run reports say it."""
        return f"{self.column}: {self.rule}" if self.column else self.rule


class Told(NamedTuple):
    """What was asked for, newest first, and how many there are in all."""

    shown: list[Reason]
    total: int  # rows


class Rows(NamedTuple):
    """What was asked for, newest first, and how many there are in all."""

    shown: list[dict[str, object]]
    total: int


def reasons(batches: Iterable[pa.RecordBatch], text: str = "") -> Told:
    """The rows of a quarantine by reason; those alone that have *text*, in any case, in "column: rule" or reason."""
    known: pl.DataFrame | None = None
    for frame in _searched(batches, text):
        last = pl.col(*_EXAMPLE).sort_by("quarantined_at", maintain_order=True).last()
        counted = frame.group_by(_KEY, maintain_order=True).agg(last, pl.len().cast(pl.Int64).alias("rows"))
        both = counted if known is None else pl.concat([known, counted])
        known = both.group_by(_KEY, maintain_order=True).agg(last, pl.col("rows").sum())
    if known is None:
        return Told([], 0)
    ordered = known.sort("quarantined_at", "rows", descending=True, maintain_order=True)
    return Told([Reason(*row) for row in ordered.iter_rows()], int(known["rows"].sum()))


def newest(batches: Iterable[pa.RecordBatch], text: str, count: int) -> Rows:
    """The newest *count* rows of a quarantine, as `reasons` finds them; 0 = all."""
    kept: list[pl.DataFrame] = []
    total = 0
    for frame in _searched(batches, text):
        total += len(frame)
        kept.append(frame.select(_LISTED))
        if count:
            kept = [pl.concat(kept).sort("quarantined_at", descending=True, maintain_order=True).head(count)]
    if not kept:
        return Rows([], 0)
    return Rows(pl.concat(kept).sort("quarantined_at", descending=True, maintain_order=True).to_dicts(), total)


def _searched(batches: Iterable[pa.RecordBatch], text: str) -> Iterator[pl.DataFrame]:
    for batch in batches:
        frame = pl.DataFrame(batch.drop_columns(["payload_schema"]))
        if text:
            label = pl.concat_str(pl.col("column") + ": ", "rule", ignore_nulls=True)
            told = pl.concat_str(label, "reason", separator="\n").str.to_lowercase()
            frame = frame.filter(told.str.contains(text.lower(), literal=True))
        if len(frame):
            yield frame
