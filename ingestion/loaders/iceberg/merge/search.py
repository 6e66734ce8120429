"""Where the table has the keys of a pass: read from the key columns of the files that may have them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.loaders.iceberg.merge.deletes import Positions
from ingestion.loaders.iceberg.merge.keys import Keys
from ingestion.loaders.iceberg.merge.pruning import Pruning
from ingestion.loaders.iceberg.merge.reading import FileReader, Group

__all__ = ["Hits", "Rows", "in_short", "none_of_the_pass", "search"]

Rows: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Rows of a pass by their index."""

_THREADS = 2
_ROWS_AT_ONCE = 1 << 20  # of the table: each look-up begins with a hash table of the keys
_AHEAD = 4  # tasks that wait
_FOOTERS_AHEAD = 8
_MANY_KEYS = 1 << 21  # so large a hash table is held but once at a time
_SHORT = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Hits:
    """Rows of one file, and for each the row of the pass with the same key."""

    reader: FileReader
    positions: Positions
    rows: Rows

    def where(self, keep: npt.NDArray[np.bool_]) -> "Hits":
        """Those for which *keep* is true."""
        return Hits(self.reader, self.positions[keep], self.rows[keep])


def none_of_the_pass(count: int) -> Rows:
    """As the rows of a pass for rows of the table that it has none for; takes no room."""
    return np.broadcast_to(np.int32(-1), (count,))


def in_short(positions: Positions, reader: FileReader) -> Positions:
    """*positions* of a file in the room that they need."""
    return positions if reader.live.rows > _SHORT else positions.astype(np.int32)


def search(keys: Keys, names: Sequence[str], pruning: Pruning, readers: Iterable[FileReader]) -> Iterator[Hits]:
    """The live rows with one of *keys* in the columns *names*, file after file; those without any are left out."""
    with ThreadPoolExecutor(1 if keys.rows > _MANY_KEYS else _THREADS, "iceberg-search") as pool:
        waiting: deque[tuple[FileReader, list[Future[tuple[Positions, Rows]]]]] = deque()
        for reader, groups in _pruned(pruning, readers):
            waiting.append((reader, [pool.submit(_find, reader, part, keys, names) for part in _parts(groups, keys)]))
            while sum(len(tasks) for _, tasks in waiting) > _AHEAD:
                yield from _hits(*waiting.popleft())
        for reader, tasks in waiting:
            yield from _hits(reader, tasks)


def _pruned(pruning: Pruning, readers: Iterable[FileReader]) -> Iterator[tuple[FileReader, list[Group]]]:
    """The files that may have a key, with the row groups that may; footers are fetched ahead, as each is a wait."""
    with ThreadPoolExecutor(_FOOTERS_AHEAD, "iceberg-footers") as pool:
        waiting: deque[tuple[FileReader, Future[list[Group]]]] = deque()
        for reader in readers:
            if pruning.may_hold(reader.live):
                waiting.append((reader, pool.submit(pruning.groups, reader)))
            if len(waiting) > _FOOTERS_AHEAD:
                first, groups = waiting.popleft()
                yield first, groups.result()
        for reader, groups in waiting:
            yield reader, groups.result()


def _parts(groups: Sequence[Group], keys: Keys) -> Iterator[list[Group]]:
    part: list[Group] = []
    for group in groups:
        part.append(group)
        if sum(item.rows for item in part) >= max(_ROWS_AT_ONCE, keys.rows):
            yield part
            part = []
    if part:
        yield part


def _find(reader: FileReader, groups: Sequence[Group], keys: Keys, names: Sequence[str]) -> tuple[Positions, Rows]:
    table = reader.read(groups, names)
    found = keys.find(table.columns)
    places = pc.indices_nonzero(found.is_valid()).to_numpy().astype(np.int64)
    rows = found.take(pa.array(places)).to_numpy()
    positions = _positions(groups, places)
    return in_short(positions, reader), rows


def _positions(groups: Sequence[Group], places: Positions) -> Positions:
    """Places in what was read as positions in the file."""
    sizes = np.array([group.rows for group in groups])
    starts = np.cumsum(sizes) - sizes
    shift = np.array([group.first for group in groups]) - starts
    return np.asarray(places + shift[np.searchsorted(starts, places, side="right") - 1])


def _hits(reader: FileReader, tasks: list[Future[tuple[Positions, Rows]]]) -> Iterator[Hits]:
    found = [task.result() for task in tasks]
    if not found:
        return
    hits = Hits(reader, np.concatenate([item[0] for item in found]), np.concatenate([item[1] for item in found]))
    if len(hits.positions):
        hits = hits.where(~np.isin(hits.positions, reader.dead, assume_unique=True))
    if len(hits.positions):
        yield hits
