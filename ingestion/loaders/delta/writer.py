"""Rows become files while more rows are on their way: some wait for others of their partition, threads write."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import polars as pl
import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.delta.datafile import DataFile, FileWriter
from ingestion.loaders.delta.partitions import check_folder, folder_of
from ingestion.loaders.delta.place import Place

__all__ = ["TableWriter"]

_TOGETHER = 64 << 20  # bytes of Arrow data that make a row group
_HELD = 128 << 20  # bytes of all partitions that wait
_THREADS = 2
_OPEN_FILES = 64

Key = tuple[Any, ...]


@dataclass
class _Waiting:
    rows: list[pa.Table] = field(default_factory=list)
    size: int = 0


class TableWriter:
    """Writes rows of one schema into files of one table; `finish` gives the files."""

    def __init__(self, place: Place, prefix: str, partition_by: Sequence[str], target_size: int) -> None:
        self.paths: list[str] = []
        self._place = place
        self._prefix = prefix
        self._partition_by = list(partition_by)
        self._target_size = target_size
        self._numbers = count()
        self._waiting: dict[Key, _Waiting] = {}
        self._size = 0
        self._open: OrderedDict[FileWriter, Key] = OrderedDict()
        self._lock = threading.Lock()
        self._done: list[DataFile] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="delta-writer")
        self._tasks: set[Future[None]] = set()

    def write(self, rows: pa.Table) -> None:
        """Take rows; returns once there is room for more. Raises what went wrong with earlier ones."""
        for key, part in self._parts(rows):
            held = self._waiting.setdefault(key, _Waiting())
            held.rows.append(part)
            held.size += part.nbytes
            self._size += part.nbytes
            if held.size >= _TOGETHER:
                self._send(key)
        while self._size > _HELD:
            self._send(max(self._waiting, key=lambda key: self._waiting[key].size))

    def finish(self) -> list[DataFile]:
        """Have all rows in closed files."""
        for key in list(self._waiting):
            self._send(key)
        self._collect(wait_for_all=True)
        self._pool.shutdown()
        for file in list(self._open):
            self._close(file)
        return self._done

    def stop(self) -> None:
        """Write no more; the files stay."""
        self._pool.shutdown(cancel_futures=True)
        for file in list(self._open):
            file.abort()
        self._open.clear()

    def _parts(self, rows: pa.Table) -> list[tuple[Key, pa.Table]]:
        if not rows.num_rows:
            return []
        if not self._partition_by:
            return [((), rows)]
        frame = pl.DataFrame({name: pl.from_arrow(rows.column(name)) for name in self._partition_by})
        places = frame.with_row_index("\0row").group_by(self._partition_by, maintain_order=True).agg("\0row")
        rest = rows.drop_columns(self._partition_by)
        try:
            return [(tuple(found[:-1]), rest.take(pa.array(found[-1]))) for found in places.iter_rows()]
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{self._place.uri}: a time in {', '.join(self._partition_by)} is beyond the year 9999, which cannot "
                f"name a partition ({error}); correct the data, or reject such rows in the transformer"
            ) from error

    def _send(self, key: Key) -> None:
        held = self._waiting.pop(key)
        self._size -= held.size
        self._collect(wait_for_all=False)
        self._tasks.add(self._pool.submit(self._put, key, held.rows))

    def _collect(self, *, wait_for_all: bool) -> None:
        """Raise what a task raised, and keep no more of them under way than there are threads."""
        while self._tasks and (wait_for_all or len(self._tasks) >= _THREADS):
            done, self._tasks = wait(self._tasks, return_when=FIRST_COMPLETED)
            for task in done:
                task.result()

    def _put(self, key: Key, tables: list[pa.Table]) -> None:
        rows = pa.concat_tables(tables)
        file = self._file(key, rows)
        # A failure is met here and not with an open file: what is not in `_open` is closed by its garbage collection.
        file.write(rows)
        if file.size >= self._target_size:
            self._close(file)
            return
        with self._lock:
            self._open[file] = key
            surplus = [self._open.popitem(last=False)[0] for _ in range(len(self._open) - _OPEN_FILES)]
        for old in surplus:
            self._close(old)

    def _file(self, key: Key, rows: pa.Table) -> FileWriter:
        partition: Mapping[str, Any] = dict(zip(self._partition_by, key, strict=True))
        folder = folder_of(partition)
        check_folder(folder, self._place.uri)
        with self._lock:
            found = next((file for file, of in self._open.items() if of == key), None)
            if found is not None:
                del self._open[found]
                return found
            path = f"{folder}{self._prefix}-{next(self._numbers):05d}.zstd.parquet"
            self.paths.append(path)
        return FileWriter(self._place, path, rows, partition)

    def _close(self, file: FileWriter) -> None:
        done = file.finish()
        with self._lock:
            self._open.pop(file, None)
            self._done.append(done)
