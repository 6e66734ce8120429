"""Which rows of a quarantine count: those of loads that landed, less those that a landed load brought anew."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import Superseded
from ingestion.loaders.tables.rejected import QUARANTINED, REPLAYS
from ingestion.plugins import Load

__all__ = ["Ids", "Known", "Read", "column", "gone", "live", "refuse_gone"]

Read: TypeAlias = Callable[[Sequence[str], str | None], Iterator[pa.RecordBatch]]
"""Gives those of the named columns that a quarantine has, batch by batch, at each call of the same rows; rows without
a value in the second argument's column may be left out."""

_ID = r"^.+-[0-9]{1,12}$"
_NUMBER_BITS = 40  # of the largest number that an id may have
_WHOSE = ("load_id", "job", "quarantined_at")


class Known(NamedTuple):
    """What a target's present history tells of loads."""

    loads: Collection[str]  # ids of those that landed
    since: datetime  # it tells of all of them from then on; a run that is older may have landed


class Ids:
    """A set of ids of quarantined rows, eight bytes for each."""

    def __init__(self) -> None:
        self._loads: dict[str, int] = {}
        self._known: npt.NDArray[np.int64] = np.empty(0, np.int64)  # sorted
        self._news: list[npt.NDArray[np.int64]] = []

    def add(self, ids: pa.Array) -> None:
        """Take *ids*; a null is none."""
        _, loads, numbers = _parts(ids)
        for load in loads.dictionary.to_pylist():
            self._loads.setdefault(load, len(self._loads))
        self._news.append(self._keys(loads, numbers))

    def has(self, ids: pa.Array) -> pa.BooleanArray:
        """For each of *ids* whether it is among them."""
        if self._news:
            self._known, self._news = np.unique(np.concatenate([self._known, *self._news])), []
        found = np.zeros(len(ids), np.bool_)
        if len(self._known):
            proper, loads, numbers = _parts(ids)
            keys = self._keys(loads, numbers)
            places = np.searchsorted(self._known, keys).clip(max=len(self._known) - 1)
            found[proper] = self._known[places] == keys
        return pa.array(found)

    def _keys(self, loads: pa.DictionaryArray, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """One number for both, negative where no id was taken of the load."""
        codes = np.array([self._loads.get(load, -1) for load in loads.dictionary.to_pylist()], np.int64)
        keys: npt.NDArray[np.int64] = (codes[loads.indices.to_numpy()] << _NUMBER_BITS) | numbers
        return keys


def _parts(ids: pa.Array) -> tuple[npt.NDArray[np.bool_], pa.DictionaryArray, npt.NDArray[np.int64]]:
    """Which of *ids* are some, and of these the loads and the numbers; a pattern would take ten times as long."""
    proper = pc.fill_null(pc.match_substring_regex(ids, _ID), fill_value=False)
    parts = pc.split_pattern(ids.filter(proper), "-", max_splits=1, reverse=True).flatten()
    firsts = np.arange(0, len(parts), 2)
    numbers = pc.cast(parts.take(pa.array(firsts + 1)), pa.int64()).to_numpy()
    return proper.to_numpy(zero_copy_only=False), parts.take(pa.array(firsts)).dictionary_encode(), numbers


def live(
    read: Read, job: str, known: Known, names: Sequence[str] = tuple(QUARANTINED.names)
) -> Iterator[pa.RecordBatch]:
    """These columns of the rows of *job* that count.

    A run that is older than history has landed, or its rejected rows would be nowhere; a replay has not, or those
    that it was to bring anew would be.
    """
    marked, doubtful = Ids(), set[str]()
    for rows in read((*_WHOSE, REPLAYS), REPLAYS):
        marks = rows.filter(pc.is_valid(column(rows, REPLAYS)))
        told = _told(marks, job, known)
        marked.add(column(marks.filter(told), REPLAYS))
        doubtful.update(pc.unique(pc.drop_null(column(marks.filter(pc.invert(told)), "load_id"))).to_pylist())
    for rows in read(tuple(dict.fromkeys((*_WHOSE, "id", REPLAYS, *names))), None):
        landed = pc.or_(_told(rows, job, known), _older(rows, job, known, doubtful))
        counts = pc.and_(landed, pc.is_null(column(rows, REPLAYS)))
        left = rows.filter(pc.and_(counts, pc.invert(marked.has(column(rows, "id")))))
        if left.num_rows:
            columns = [column(left, name) for name in names]
            yield pa.RecordBatch.from_arrays(columns, schema=pa.schema([QUARANTINED.field(name) for name in names]))


def _told(rows: pa.RecordBatch, job: str, known: Known) -> pa.BooleanArray:
    """Whether history tells that the load of the row landed."""
    return pc.and_(_own(rows, job), _is_in(rows, known.loads))


def _older(rows: pa.RecordBatch, job: str, known: Known, doubtful: Collection[str]) -> pa.BooleanArray:
    """Whether the row is of a run that is older than history."""
    old = pc.less(column(rows, "quarantined_at"), pa.scalar(known.since, pa.timestamp("us", "UTC")))
    run = pc.invert(_is_in(rows, doubtful))
    return pc.fill_null(pc.and_(_own(rows, job), pc.and_(old, run)), fill_value=False)


def _own(rows: pa.RecordBatch, job: str) -> pa.BooleanArray:
    return pc.fill_null(pc.equal(column(rows, "job"), job), fill_value=False)


def _is_in(rows: pa.RecordBatch, loads: Collection[str]) -> pa.BooleanArray:
    return pc.is_in(column(rows, "load_id"), value_set=pa.array(sorted(loads), pa.string()))


def column(rows: pa.RecordBatch, name: str) -> pa.Array:
    """The column of *rows*, null throughout where the quarantine is from before it was thought of."""
    dtype = QUARANTINED.field(name).type if name in QUARANTINED.names else pa.string()
    if name not in rows.schema.names:
        return pa.nulls(rows.num_rows, dtype)
    return pc.cast(rows.column(name), dtype)


def refuse_gone(load: Load, name: str, rows: Iterator[pa.RecordBatch]) -> None:
    """Raise Superseded unless all that *load* brings anew is among the *rows* that count; of these the id is enough."""
    if load.replays is None or not len(load.replays):
        return
    wanted, found = Ids(), 0
    wanted.add(load.replays)
    for batch in rows:
        found += pc.sum(wanted.has(batch.column("id"))).as_py() or 0
    missing = len(pc.unique(load.replays)) - found
    if missing:
        raise gone(load, name, missing)


def gone(load: Load, name: str, count: int) -> Superseded:
    """*count* rows that *load* brings anew are not in the quarantine any more."""
    rows = "1 row" if count == 1 else f"{count} rows"
    return Superseded(
        f"table {name}: {rows} that this run of job {load.job} brings anew from {name}__quarantine "
        f"{'is' if count == 1 else 'are'} not there any more, as another replay or a rollback took them; "
        f"nothing of this run was loaded, run the replay again"
    )
