"""What was read of files' footers, the latest of them in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["Footer", "Footers", "Group"]

_COLUMN_BYTES = 1 << 10  # that a column of a row group takes, as measured
_MOST_BYTES = 64 << 20


class Group(NamedTuple):
    """A row group: its number, the position of its first row in the file, and how many it has."""

    number: int
    first: int
    rows: int


class Footer(NamedTuple):
    """What a file says of itself."""

    metadata: pq.FileMetaData
    held: pa.Schema  # its own columns, with field ids
    groups: list[Group]

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return _COLUMN_BYTES * int(self.metadata.num_columns) * (1 + int(self.metadata.num_row_groups))


class Footers:
    """Footers by path; those that nobody asked for in a long time are read again. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Footer] = OrderedDict()
        self._bytes = 0

    def get(self, path: str, read: Callable[[], Footer]) -> Footer:
        """The footer of the file at *path*, by *read* where it is not known."""
        with self._lock:
            found = self._held.get(path)
            if found is not None:
                self._held.move_to_end(path)
                return found
        footer = read()
        with self._lock:
            if path not in self._held:
                self._held[path] = footer
                self._bytes += footer.size
            while self._bytes > _MOST_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].size
        return footer
