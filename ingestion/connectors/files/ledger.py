"""Which files were loaded already: the cursor of every file source."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.files.listing import Found
from ingestion.errors import ConfigError
from ingestion.plugins import Cursor

__all__ = ["LEDGER", "Entry", "Ledger", "Seen"]

LEDGER = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("modified_at", pa.timestamp("us", "UTC")),
        pa.field("hash", pa.string()),  # xxh3_128 of the stored bytes
        pa.field("rows", pa.int64()),
    ]
)
"""One row per loaded file."""


class Entry(NamedTuple):
    """A loaded file, as the ledger keeps it."""

    file: Found
    hash: str
    rows: int


class Seen(NamedTuple):
    """What the ledger says of a listed file: nothing (no hash), or how it was when it was loaded."""

    file: Found
    size: int = 0
    hash: str | None = None
    rows: int = 0
    unchanged: bool = False
    modified_us: int = 0  # as of then, too


class Ledger:
    """Every file that was loaded before; immutable, and quick for a million of them.

    It keeps the paths of files below *base* from there on where *relative*, so that the folder may move; a file is
    found under either spelling.
    """

    def __init__(self, cursor: Cursor, base: str, *, relative: bool) -> None:
        if cursor is not None and not isinstance(cursor, pa.Table):
            raise ConfigError(
                "the stored cursor is not a ledger of files: another kind of source wrote it; use a new job id"
            )
        self.table = LEDGER.empty_table() if cursor is None else cursor.select(LEDGER.names).cast(LEDGER)
        self._base = base.rstrip("/") + "/"
        self._relative = relative

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def compare(self, files: Sequence[Found]) -> list[Seen]:
        """Each of *files*, in order, with what is known of it."""
        if not len(self) or not files:
            return [Seen(file) for file in files]
        wanted = self.table.filter(self._holds(files))
        stamps = pc.cast(wanted["modified_at"], pa.int64()).to_pylist()
        columns = (wanted[name].to_pylist() for name in ("path", "size", "hash", "rows"))
        known = {
            path: (size, stamp, digest, rows) for stamp, path, size, digest, rows in zip(stamps, *columns, strict=True)
        }
        return [
            _seen(file, next((known[path] for path in self._spellings(file) if path in known), None)) for file in files
        ]

    def updated(self, entries: Sequence[Entry]) -> pa.Table:
        """The ledger with *entries* added, in place of those of the same path."""
        added = pa.table(
            [
                pa.array([self._spellings(entry.file)[0] for entry in entries], pa.string()),
                pa.array([entry.file.size for entry in entries], pa.int64()),
                pa.array([entry.file.modified_us for entry in entries], pa.int64()).cast(pa.timestamp("us", "UTC")),
                pa.array([entry.hash for entry in entries], pa.string()),
                pa.array([entry.rows for entry in entries], pa.int64()),
            ],
            schema=LEDGER,
        )
        kept = self.table.filter(pc.invert(self._holds([entry.file for entry in entries])))
        return pa.concat_tables([kept, added]).combine_chunks()

    def _holds(self, files: Sequence[Found]) -> pa.ChunkedArray:
        """Which entries are those of *files*."""
        paths = [path for file in files for path in self._spellings(file)]
        return pc.is_in(self.table["path"], pa.array(paths, pa.string()))

    def _spellings(self, file: Found) -> list[str]:
        """How the ledger may name a file; the first is how it does from now on."""
        below = file.path.removeprefix(self._base)
        return list(dict.fromkeys((below, file.path) if self._relative else (file.path, below)))


def _seen(file: Found, known: tuple[int, int, str, int] | None) -> Seen:
    if known is None:
        return Seen(file)
    size, stamp, digest, rows = known
    return Seen(file, size, digest, rows, (size, stamp) == (file.size, file.modified_us), stamp)
