"""Parquet files written in threads while the source is still being read, within a fixed amount of memory."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.loaders.iceberg.datafile import DataFileWriter
from ingestion.loaders.iceberg.encoding import writer_options
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.partitions import Key, split
from ingestion.loaders.iceberg.runs import Pile, SortedRuns
from ingestion.loaders.iceberg.shelf import Held, Shelf

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

__all__ = ["StreamWriter", "remove"]

_THREADS = 2
_ROW_GROUP_BYTES = 64 << 20  # of Arrow data
_SPLIT_BYTES = 24 << 20  # of Arrow data sorted into partitions at a time: that makes copies
_HELD_BYTES = 80 << 20  # of rows that wait for more of their partition


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
        self._shelf = Shelf()
        self._runs = SortedRuns()
        self._files: list[DataFile] = []
        self._paths: list[str] = []
        self._unclosed: set[DataFileWriter] = set()  # on the shelf, being written, or left behind by a failure
        self._options: dict[int, dict[str, Any]] = {}  # Parquet's, by generation, from its first rows
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
        if self._pending_bytes >= (_ROW_GROUP_BYTES if fit.spec.is_unpartitioned() else _SPLIT_BYTES):
            self._submit()

    def finish(self) -> "list[DataFile]":
        """Write what is left, close all files and describe them."""
        if self._pending:
            self._submit()
        self._drain(0)
        while waiting := self._shelf.take(0):
            self._each(self._flush, waiting)
        self._each(self._close, self._shelf.take_files())
        self._each(self._merge, self._runs.take())
        self._runs.close()
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
        self._runs.close()
        for file in self._unclosed:
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

    def _each(self, work: Callable[[Any], None], items: list[Any]) -> None:
        def some() -> None:
            while True:
                try:
                    item = items.pop()
                except IndexError:  # the other thread may have taken the last
                    return
                work(item)

        self._tasks = {self._pool.submit(some) for _ in range(_THREADS)}
        self._drain(0)

    def _work(self, chunk: list[tuple[Fit, pa.RecordBatch]]) -> None:
        fit = chunk[0][0]
        rows = pa.concat_tables(_fitted(chunk))
        chunk.clear()
        if fit.spec.is_unpartitioned():
            self._write(fit, (), rows)
            return
        for key, part in split(rows, fit.schema, fit.spec):
            self._shelf.hold(fit, key, part)
        del rows
        while waiting := self._shelf.take(_HELD_BYTES):
            while waiting:
                self._flush(waiting.pop())

    def _flush(self, held: Held) -> None:
        self._write(held.fit, held.key, pa.concat_tables(held.rows))

    def _write(self, fit: Fit, key: Key, rows: pa.Table) -> None:
        if self._stopped or not rows.num_rows:
            return
        if fit.order is not None:
            full = self._runs.add(fit, key, rows)
            if full is not None:
                self._merge(full)
            return
        file, surplus = self._shelf.take_file(fit, key)
        for other in surplus:
            self._close(other)
        if file is None:
            file = self._open(fit, key, rows)
        file.write(rows)
        if file.size >= self._target_file_size:
            self._close(file)
        else:
            self._shelf.put_file(file)

    def _merge(self, pile: Pile) -> None:
        """Files that are sorted as a whole: each is a part of all rows in order."""
        file = None
        for rows in _grouped(self._runs.rows(pile)):
            if self._stopped:
                return
            if file is None:
                file = self._open(pile.fit, pile.key, rows)
            file.write(rows)
            if file.size >= self._target_file_size:
                self._close(file)
                file = None
        if file is not None:
            self._close(file)

    def _open(self, fit: Fit, key: Key, rows: pa.Table) -> "DataFileWriter":
        table = self._table
        assert table is not None  # noqa: S101 - set by the first write
        with self._lock:
            name = f"{self._load_id}-{len(self._paths):05d}.parquet"
            path = fit.new_path(key, name)
            self._paths.append(path)
            options = self._options.setdefault(fit.generation, {})
            if not options:
                options |= writer_options(rows)
        file = DataFileWriter(fit, key, path, table, options)
        with self._lock:
            self._unclosed.add(file)
        return file

    def _close(self, file: "DataFileWriter") -> None:
        described = file.close()
        with self._lock:
            self._unclosed.remove(file)
            self._files.append(described)


def _fitted(chunk: list[tuple[Fit, pa.RecordBatch]]) -> Iterable[pa.Table]:
    """Neighbours of one schema together: small batches by the thousand cost little so."""
    start = 0
    for stop in range(1, len(chunk) + 1):
        if stop == len(chunk) or chunk[stop][0] is not chunk[start][0]:
            yield chunk[start][0].apply(records for _, records in chunk[start:stop])
            start = stop


def _grouped(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, enough for a row group at a time."""
    waiting: list[pa.Table] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(item.nbytes for item in waiting) >= _ROW_GROUP_BYTES // 2:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def remove(io: "FileIO", paths: Iterable[str]) -> None:
    """Delete files that nothing refers to; one that is gone or cannot be deleted is left to upkeep."""
    for path in paths:
        with suppress(OSError):
            io.delete(path)
