"""Sorted runs of rows that wait, most of them on disk, until they are merged into files."""

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

import pyarrow as pa

from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.merging import merged
from ingestion.loaders.iceberg.partitions import Key
from ingestion.loaders.iceberg.sorting import sorted_rows

__all__ = ["Pile", "SortedRuns"]

_HELD_BYTES = 64 << 20  # of runs that stay in memory
_BLOCK_BYTES = 1 << 20  # of a run that is read at a time
_MOST_RUNS = 64  # merged at a time, and so blocks in memory


class _Block(NamedTuple):
    start: int
    length: int


@dataclass
class Pile:
    """The runs of one partition, oldest first."""

    fit: Fit
    key: Key
    runs: list[pa.Table | list[_Block]] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(run.nbytes for run in self.runs if isinstance(run, pa.Table))


class SortedRuns:
    """Shared by the writing threads. Raises OSError where the temporary folder is full."""

    def __init__(self) -> None:
        self._piles: dict[tuple[int, Key], Pile] = {}
        self._lock = threading.Lock()
        self._disk: IO[bytes] | None = None
        self._end = 0

    def add(self, fit: Fit, key: Key, rows: pa.Table) -> Pile | None:
        """Take rows, in any order; gives back a partition that has as many runs as can be merged at a time."""
        assert fit.order is not None  # noqa: S101 - others are not sorted
        run = sorted_rows(rows, fit.order)
        place = (fit.generation, key)
        with self._lock:
            pile = self._piles.setdefault(place, Pile(fit, key))
            pile.runs.append(run)
            if len(pile.runs) >= _MOST_RUNS:
                return self._piles.pop(place)
            if sum(item.held for item in self._piles.values()) > _HELD_BYTES:
                self._spill()
        return None

    def take(self) -> list[Pile]:
        """All partitions."""
        with self._lock:
            piles = list(self._piles.values())
            self._piles.clear()
            return piles

    def rows(self, pile: Pile) -> Iterator[pa.Table]:
        """The rows of a partition in order, in pieces."""
        assert pile.fit.order is not None  # noqa: S101 - others are not sorted
        yield from merged([self._blocks(run) for run in pile.runs], pile.fit.order)

    def close(self) -> None:
        """Give the space back."""
        self._piles.clear()
        if self._disk is not None:
            self._disk.close()

    def _blocks(self, run: pa.Table | list[_Block]) -> Iterator[pa.Table]:
        if isinstance(run, pa.Table):
            yield run
            return
        for block in run:
            assert self._disk is not None  # noqa: S101 - the block is on it
            data = os.pread(self._disk.fileno(), block.length, block.start)
            with pa.ipc.open_stream(data) as stream:
                yield stream.read_all()

    def _spill(self) -> None:
        """Put the larger half of what is in memory on disk."""
        left = _HELD_BYTES // 2
        held = sorted(self._piles.values(), key=lambda pile: pile.held)
        for pile in held:
            left -= pile.held
            if left < 0:
                pile.runs = [self._stored(run) if isinstance(run, pa.Table) else run for run in pile.runs]

    def _stored(self, run: pa.Table) -> list[_Block]:
        if self._disk is None:  # it has no name: it is gone with this process, however that ends
            self._disk = tempfile.TemporaryFile(prefix="ingestion-")  # noqa: SIM115 - closed by `close`
        step = max(run.num_rows * _BLOCK_BYTES // max(run.nbytes, 1), 1)
        return [self._block(run.slice(start, step), self._disk) for start in range(0, run.num_rows, step)]

    def _block(self, rows: pa.Table, disk: IO[bytes]) -> _Block:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
            stream.write_table(rows)
        data = sink.getvalue()
        disk.write(data)
        disk.flush()
        block = _Block(self._end, data.size)
        self._end += data.size
        return block
