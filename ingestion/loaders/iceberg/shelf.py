"""What lies between two writes: rows that wait for more of their partition, and files open for more."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import pyarrow as pa

from ingestion.loaders.iceberg.datafile import DataFileWriter
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.partitions import Key

__all__ = ["Held", "Shelf"]

_MAX_OPEN = 64  # files; of many partitions the least recently used one is closed


@dataclass
class Held:
    """Rows of one partition."""

    fit: Fit
    key: Key
    rows: list[pa.Table] = field(default_factory=list)
    size: int = 0


class Shelf:
    """Shared by the writing threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[int, Key], Held] = {}
        self._size = 0
        self._open: OrderedDict[int, DataFileWriter] = OrderedDict()

    def hold(self, fit: Fit, key: Key, rows: pa.Table) -> None:
        """Keep rows until there are more of their partition, or too many of all."""
        size = rows.nbytes
        with self._lock:
            held = self._held.setdefault((fit.generation, key), Held(fit, key))
            held.rows.append(rows)
            held.size += size
            self._size += size

    def take(self, limit: int) -> list[Held]:
        """Once more than *limit* bytes are held: the largest partitions, lightest first, to leave half of that."""
        with self._lock:
            if self._size <= limit:
                return []
            taken = []
            for place, held in sorted(self._held.items(), key=lambda item: -item[1].size):
                if self._size <= limit // 2:
                    break
                taken.append(self._held.pop(place))
                self._size -= held.size
            return taken[::-1]

    def take_file(self, fit: Fit, key: Key) -> tuple[DataFileWriter | None, list[DataFileWriter]]:
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

    def put_file(self, file: DataFileWriter) -> None:
        """Leave a file open for more rows of its partition."""
        with self._lock:
            self._open[id(file)] = file

    def take_files(self) -> list[DataFileWriter]:
        """All open files."""
        with self._lock:
            files = list(self._open.values())
            self._open.clear()
            return files
