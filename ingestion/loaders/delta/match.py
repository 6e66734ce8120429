"""Rows of a table and rows of a load with the same keys: who meets whom, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.keyed.choice import frame_of
from ingestion.loaders.delta.datafile import DataFile
from ingestion.loaders.delta.files import RowGroup
from ingestion.loaders.tables.options import DELETED_AT
from ingestion.plugins import INGESTED_AT, RUN_ID

__all__ = ["GONE", "Counts", "Match"]

GONE = "\0gone"
"""The column of a load's rows that says which of them delete; it is never stored."""

_ROW, _OTHER, _FIRST = "row", "other", "first"
_OURS = frozenset({RUN_ID, INGESTED_AT})  # differ between rows that are equal
_ROUNDED = timedelta(milliseconds=1)  # other writers note times in whole milliseconds, cut off


@dataclass
class Counts:
    """Rows of the table, by what became of them; shared by threads."""

    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, updated: int, unchanged: int, deleted: int) -> None:
        """Add those of one row group."""
        with self.lock:
            self.updated += updated
            self.unchanged += unchanged
            self.deleted += deleted


class Match:
    """Rows of a load, each key once, on their way to the rows of the table that they replace."""

    def __init__(
        self, rows: pa.Table, keys: Sequence[str], order_by: Sequence[str], counts: Counts, *, soft: bool = False
    ) -> None:
        self._gone = pl.Series(pl.from_arrow(rows.column(GONE))) if GONE in rows.column_names else None
        self._rows = rows.drop_columns([GONE]) if self._gone is not None else rows
        self._rows = self._rows.combine_chunks()
        self._keys = list(keys)
        self._order_by = list(order_by)
        self._counts = counts
        self._frame = frame_of(self._rows, keys)
        self._soft = soft  # rows may be marked as missing
        self._found = _none(rows.num_rows)
        self._older = self._twice = self._moved = self._found
        self._met: dict[tuple[str, int], pl.DataFrame] = {}
        self._lock = Lock()
        self._sorted = {
            name: values for place, name in enumerate(keys) if (values := _in_order(self._frame, place)) is not None
        }

    @property
    def older(self) -> int:
        """Rows of the load that lost to newer ones of the table."""
        return int(self._older.sum())

    def candidate(self, file: DataFile) -> bool:
        """Whether *file* may have one of the keys, as far as its bounds tell."""
        return all(self._may_hold(values, name, file) for name, values in self._sorted.items())

    def survey(self, group: RowGroup) -> None:
        """Note which of the group's rows have keys of the load; to be done for all of the table before any edit."""
        pairs = self._pairs(group)
        if not pairs.height:
            return
        older = self._is_older(group.read(self._order_by), pairs) if self._order_by else _none(pairs.height)
        with self._lock:
            self._met[group.file.path, group.number] = pairs
            others = pairs[_OTHER]
            twice = self._found.gather(others) | ~others.is_first_distinct()
            self._twice = _set(self._twice, others.filter(twice))
            self._found = _set(self._found, others)
            self._older = _set(self._older, others.filter(older))

    def settle(self, files: Sequence[DataFile]) -> list[DataFile]:
        """Those of *files*, in this order, that were found to have a key of the load."""
        place = {file.path: number for number, file in enumerate(files)}
        taken = _none(self._rows.num_rows)
        for group in sorted(self._met, key=lambda group: (place[group[0]], group[1])) if self._twice.any() else ():
            others = self._met[group][_OTHER]
            first = ~taken.gather(others) & others.is_first_distinct()
            taken = _set(taken, others)
            self._met[group] = self._met[group].with_columns(first.alias(_FIRST))
        met = {path for path, _ in self._met}
        return [file for file in files if file.path in met]

    def edit(self, group: RowGroup) -> pa.Table | None:
        """The group's rows after the merge; None where they are as they were."""
        pairs = self._met.get((group.file.path, group.number))
        if pairs is None:
            return None
        lost = self._older.gather(pairs[_OTHER])
        back = self._back(group, pairs.filter(lost)[_ROW])
        pairs = pairs.filter(~lost)
        if not pairs.height and not back.len():
            return None
        rows = group.read().combine_chunks()
        changed, leaving = self._decide(rows, pairs)
        self._counts.add(back.len(), 0, 0)
        if not leaving.len() and not back.len():
            return None
        stays = ~_set(_none(rows.num_rows), leaving)
        here = changed.filter(~self._moves(group, changed)) if group.file.partition else changed
        left = (_unmarked(rows, back) if back.len() else rows).filter(stays.to_arrow())
        return pa.concat_tables([left, self._rows.take(here[_OTHER].to_arrow())])

    def _decide(self, rows: pa.Table, pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """The pairs of which the load's row is to be written, and which rows of the table leave."""
        gone = self._gone.gather(pairs[_OTHER]) if self._gone is not None else _none(pairs.height)
        deleted, pairs = pairs.filter(gone), pairs.filter(~gone)
        differing = self._differ(rows, pairs) | self._twice.gather(pairs[_OTHER])
        leaving = pl.concat([pairs.filter(differing)[_ROW], deleted[_ROW]])
        # Of rows of the table with one key the first one's place is taken.
        first = pairs[_FIRST] if _FIRST in pairs.columns else ~_none(pairs.height)
        changed = pairs.filter(differing & first)
        self._counts.add(changed.height, int((~differing).sum()), deleted.height)
        return changed, leaving

    def _back(self, group: RowGroup, kept: pl.Series) -> pl.Series:
        """Rows that were missing before and are there again, although the table's values are newer."""
        if not self._soft or not kept.len():
            return kept.clear()
        marked = pl.Series(pl.from_arrow(group.read([DELETED_AT]).column(0))).is_not_null()
        return kept.filter(marked.gather(kept))

    @property
    def staying(self) -> int:
        """Rows that do not delete."""
        return int(self._rows.num_rows) - (int(self._gone.sum()) if self._gone is not None else 0)

    @property
    def inserted(self) -> int:
        """Rows whose keys the table does not have; those that delete have nothing to do."""
        return int(self._new().sum())

    def unplaced(self) -> pa.Table:
        """The rows that are in no file yet: new ones, and those whose partition is another one now."""
        return self._rows.filter((self._new() | self._moved).to_arrow())

    def _new(self) -> pl.Series:
        return ~self._found if self._gone is None else ~self._found & ~self._gone

    def _moves(self, group: RowGroup, changed: pl.DataFrame) -> pl.Series:
        """Which of the changed rows belong into files of another partition than the group's."""
        moves = _none(changed.height)
        for name, value in group.file.partition.items():
            mine = _column(self._rows, name).gather(changed[_OTHER])
            moves = moves | mine.ne_missing(pl.repeat(value, mine.len(), dtype=mine.dtype, eager=True))
        with self._lock:
            self._moved = _set(self._moved, changed[_OTHER].filter(moves))
        return moves

    def hits(self, keys: pl.DataFrame) -> pl.Series:
        """For each of these keys whether the load has it."""
        found = keys.with_row_index(_ROW).join(self._frame, on=self._frame.columns, how="semi")[_ROW]
        return _set(_none(keys.height), found)

    def _pairs(self, group: RowGroup) -> pl.DataFrame:
        keys = frame_of(group.read(self._keys), self._keys).with_row_index(_ROW)
        return keys.join(self._frame.with_row_index(_OTHER), on=self._frame.columns, how="inner").select(_ROW, _OTHER)

    def _is_older(self, rows: pa.Table, pairs: pl.DataFrame) -> pl.Series:
        """Whether the table's row is strictly newer; null is older than any value."""
        newer = _none(pairs.height)
        tied = ~newer
        for name in self._order_by:
            there = _column(rows, name).gather(pairs[_ROW])
            mine = _column(self._rows, name).gather(pairs[_OTHER])
            greater = (there > mine).fill_null(value=False) | (there.is_not_null() & mine.is_null())
            newer = newer | (tied & greater)
            tied = tied & there.eq_missing(mine)
        return newer

    def _differ(self, rows: pa.Table, pairs: pl.DataFrame) -> pl.Series:
        """Whether any column has another value, those apart that tell of the run."""
        differ = _none(pairs.height)
        for name in rows.column_names:
            if name in _OURS or name in self._keys or differ.all():
                continue
            there = _column(rows, name).gather(pairs[_ROW])
            mine = _column(self._rows, name).gather(pairs[_OTHER])
            differ = differ | there.ne_missing(mine)
        return differ

    def _may_hold(self, values: pl.Series, name: str, file: DataFile) -> bool:
        if name in file.partition:
            value = file.partition[name]
            return value is not None and _within(values, value, value)
        low, high = file.low.get(name), file.high.get(name)
        if low is None or high is None:
            return True
        return _within(values, low, high + _ROUNDED if isinstance(high, datetime) else high)


def _unmarked(rows: pa.Table, back: pl.Series) -> pa.Table:
    place = rows.column_names.index(DELETED_AT)
    marks = pc.if_else(_set(_none(rows.num_rows), back).to_arrow(), None, rows.column(place))
    return rows.set_column(place, rows.schema.field(place), marks)


def _within(values: pl.Series, low: Any, high: Any) -> bool:
    """Whether one of the sorted *values* is between the two."""
    bounds = pl.Series([low, high], dtype=values.dtype)
    first = values.search_sorted(bounds[0], side="left")
    last = values.search_sorted(bounds[1], side="right")
    return int(first) < int(last)


def _in_order(frame: pl.DataFrame, place: int) -> pl.Series | None:
    """The column's values, sorted, where they can be compared with bounds in the log."""
    values = frame.to_series(place)
    if not (values.dtype.is_integer() or values.dtype in (pl.String, pl.Date) or values.dtype == pl.Datetime):
        return None
    return values.unique().sort()


def _column(rows: pa.Table, name: str) -> pl.Series:
    return pl.Series(pl.from_arrow(rows.column(name)))


def _none(count: int) -> pl.Series:
    return pl.repeat(value=False, n=count, eager=True)


def _set(flags: pl.Series, places: pl.Series, *, value: bool = True) -> pl.Series:
    """*flags* with *value* at *places*."""
    return flags.clone().scatter(places, value) if places.len() else flags
