"""Parquet files written in threads while the source is still being read, within a fixed amount of memory."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.iceberg.datafile import DataFileWriter
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.partitions import split

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.typedef import Record

__all__ = ["StreamWriter", "remove"]

_THREADS = 2
_ROW_GROUP_BYTES = 64 << 20  # of Arrow data
_HELD_BYTES = 96 << 20  # of rows that wait for more of their partition
_MAX_OPEN = 64  # files; of many partitions the least recently used one is closed


class StreamWriter:
    """Takes batches, gives data files; `abort` leaves nothing behind."""

    def __init__(self, load_id: str, target_file_size: int) -> None:
        self._load_id = load_id
        self._target_file_size = target_file_size
        self._pool = ThreadPoolExecutor(_THREADS, "iceberg-writer")
        self._tasks: set[Future[None]] = set()
        self._pending: list[tuple[Fit, pa.RecordBatch]] = []
        self._pending_bytes = 0
        self._table: Table | None = None
        self._lock = threading.Lock()
        self._shelf = _Shelf()
        self._files: list[DataFile] = []
        self._paths: list[str] = []
        self._successor: StreamWriter | None = None
        self._stopped = False

    @property
    def paths(self) -> list[str]:
        """Every file begun, those of successors included."""
        return self._paths + (self._successor.paths if self._successor is not None else [])

    def write(self, records: pa.RecordBatch, fit: Fit, table: "Table") -> None:
        """Take a batch; waits while as much as memory allows is under way. Raises what a thread met."""
        if self._pending and self._pending[0][0].generation != fit.generation:
            self._submit()
        self._table = table
        self._pending.append((fit, records))
        self._pending_bytes += records.nbytes
        if self._pending_bytes >= _ROW_GROUP_BYTES:
            self._submit()

    def finish(self) -> "list[DataFile]":
        """Write what is left, close all files and describe them."""
        if self._pending:
            self._submit()
        self._drain(0)
        for fit, key, rows in self._shelf.take_all():
            self._write(fit, key, rows)
        for file in self._shelf.close_all():
            self._close(file)
        self._pool.shutdown()
        return self._files

    def succeeded_by(self, other: "StreamWriter") -> None:
        """Let *other*, which writes the same rows anew, end with this one."""
        if self._successor is None:
            self._successor = other
        else:
            self._successor.succeeded_by(other)

    def abort(self, *, keep: bool = False) -> None:
        """Stop, and remove every file begun unless they are to be kept."""
        self._stopped = True
        self._pending.clear()
        self._pool.shutdown(cancel_futures=True)
        for file in self._shelf.close_all():
            file.discard()
        if self._successor is not None:
            self._successor.abort(keep=keep)
        if self._table is not None and not keep:
            remove(self._table.io, self._paths)

    def _submit(self) -> None:
        chunk, self._pending, self._pending_bytes = self._pending, [], 0
        self._drain(_THREADS - 1)
        self._tasks.add(self._pool.submit(self._work, chunk))

    def _drain(self, allowed: int) -> None:
        """Wait until no more than *allowed* tasks are under way."""
        while len(self._tasks) > allowed:
            done, self._tasks = wait(self._tasks, return_when=FIRST_COMPLETED)
            for task in done:
                task.result()

    def _work(self, chunk: list[tuple[Fit, pa.RecordBatch]]) -> None:
        fit = chunk[0][0]
        rows = pa.concat_tables(_fitted(chunk))
        chunk.clear()
        if fit.spec.is_unpartitioned():
            for key, part in split(rows, fit.schema, fit.spec):
                self._write(fit, key, part)
            return
        for key, part in split(rows, fit.schema, fit.spec):
            self._shelf.hold(fit, key, part)
        del rows
        while (heaviest := self._shelf.take_heaviest(_HELD_BYTES)) is not None:
            self._write(*heaviest)

    def _write(self, fit: Fit, key: "Record", rows: pa.Table) -> None:
        if self._stopped or not rows.num_rows:
            return
        file, surplus = self._shelf.take_file(fit, key)
        for other in surplus:
            self._close(other)
        if file is None:
            file = self._open(fit, key, rows)
        try:
            file.write(rows)
        except BaseException:
            file.discard()
            raise
        if file.size >= self._target_file_size:
            self._close(file)
        else:
            self._shelf.put_file(file)

    def _open(self, fit: Fit, key: "Record", rows: pa.Table) -> "DataFileWriter":
        table = self._table
        assert table is not None  # noqa: S101 - set by the first write
        with self._lock:
            name = f"{self._load_id}-{len(self._paths):05d}.parquet"
            folder = fit.spec.partition_to_path(key, fit.schema)
            path = table.location_provider().new_data_location(f"{folder}/{name}" if folder else name)
            self._paths.append(path)
        return DataFileWriter(fit, key, path, table, rows)

    def _close(self, file: "DataFileWriter") -> None:
        described = file.close()
        with self._lock:
            self._files.append(described)


def _fitted(chunk: list[tuple[Fit, pa.RecordBatch]]) -> Iterable[pa.Table]:
    """Neighbours of one schema together: small batches by the thousand cost little so."""
    start = 0
    for stop in range(1, len(chunk) + 1):
        if stop == len(chunk) or chunk[stop][0] is not chunk[start][0]:
            yield chunk[start][0].apply(records for _, records in chunk[start:stop])
            start = stop


@dataclass
class _Held:
    fit: Fit
    rows: list[pa.Table] = field(default_factory=list)
    size: int = 0


class _Shelf:
    """Between two writes: rows that wait for more of their partition, and files open for more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[int, Record], _Held] = {}
        self._size = 0
        self._open: OrderedDict[int, DataFileWriter] = OrderedDict()

    def hold(self, fit: Fit, key: "Record", rows: pa.Table) -> None:
        with self._lock:
            held = self._held.setdefault((fit.generation, key), _Held(fit))
            size = rows.nbytes
            held.rows.append(rows)
            held.size += size
            self._size += size

    def take_heaviest(self, limit: int) -> "tuple[Fit, Record, pa.Table] | None":
        with self._lock:
            if self._size <= limit:
                return None
            place = max(self._held, key=lambda item: self._held[item].size)
            held = self._held.pop(place)
            self._size -= held.size
            return held.fit, place[1], pa.concat_tables(held.rows)

    def take_all(self) -> "Iterable[tuple[Fit, Record, pa.Table]]":
        while self._held:
            heaviest = self.take_heaviest(-1)
            if heaviest is not None:
                yield heaviest

    def take_file(self, fit: Fit, key: "Record") -> "tuple[DataFileWriter | None, list[DataFileWriter]]":
        """An open file for these rows, and those that can be closed for good."""
        with self._lock:
            surplus = [file for file in self._open.values() if file.fit.generation != fit.generation]
            for file in surplus:
                del self._open[id(file)]
            found = next((file for file in reversed(self._open.values()) if file.key == key), None)
            if found is not None:
                del self._open[id(found)]
            elif len(self._open) >= _MAX_OPEN:
                surplus.append(self._open.popitem(last=False)[1])
            return found, surplus

    def put_file(self, file: "DataFileWriter") -> None:
        with self._lock:
            self._open[id(file)] = file

    def close_all(self) -> "list[DataFileWriter]":
        with self._lock:
            files = list(self._open.values())
            self._open.clear()
            return files


def remove(io: "FileIO", paths: Iterable[str]) -> None:
    """Delete files that nothing refers to; one that is gone or cannot be deleted is left to upkeep."""
    for path in paths:
        with suppress(OSError):
            io.delete(path)
