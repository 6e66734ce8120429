"""A merge: each row of the load takes the place of the table's row with the same key, or is new."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.keyed.choice import frame_of
from ingestion.loaders.delta.datafile import DataFile
from ingestion.loaders.delta.files import RowGroup, row_groups
from ingestion.loaders.delta.match import Counts, Match
from ingestion.loaders.delta.place import Place
from ingestion.loaders.delta.rewrite import WorkingSet
from ingestion.loaders.delta.writer import TableWriter
from ingestion.loaders.tables.options import DELETED_AT

if TYPE_CHECKING:
    from ingestion.loaders.delta import DeltaLoader

__all__ = ["Merge"]

_KEYS_AT_ONCE = 64 << 20  # bytes of the table's keys that are compared with a load's in one go

Passes = Callable[[], Iterator[pa.Table]]


class Merge:
    """What one merge does to the files of a table, and how many rows it touched."""

    def __init__(self, options: "DeltaLoader", place: Place, files: WorkingSet, passes: Passes, at: datetime) -> None:
        self.staying = 0  # rows of the load that do not delete
        self.older = 0
        self.inserted = 0
        self.missing = 0
        self._counts = Counts()
        self._options = options
        self._place = place
        self._files = files
        self._passes = passes
        self._at = at  # when missing rows were found so

    @property
    def changes(self) -> Mapping[str, int]:
        """As the result of the load has them."""
        counts = self._counts
        return {
            "inserted": self.inserted,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "deleted": counts.deleted,
            "missing": self.missing,
        }

    def run(self, writer: Callable[[], TableWriter], *, settles_missing: bool) -> None:
        """Do it; new rows go to what *writer* gives, and with *settles_missing* delete_missing is heeded."""
        fresh: TableWriter | None = None
        soft = self._options.delete_missing == "soft"
        for rows in self._passes():
            match = Match(rows, self._options.merge_keys, self._options.order_by, self._counts, soft=soft)
            candidates = [file for file in self._files.files if match.candidate(file)]
            self._files.look(candidates, match.survey)
            self._files.edit(match.settle(candidates), match.edit)
            self.staying += match.staying
            self.older += match.older
            self.inserted += match.inserted
            news = match.unplaced()
            if news.num_rows:
                fresh = fresh or writer()
                fresh.write(news)
        if settles_missing:
            self._without_missing()
        if fresh is not None:
            self._files.insert(fresh.finish())

    def _without_missing(self) -> None:
        """Take out, or mark, the rows whose keys the load does not have."""
        mark = None
        if self._options.delete_missing == "soft":
            mark = pa.scalar(self._at, pa.timestamp("us", "UTC"))
        for files in self._together():
            missing = self._missing_rows(files)
            self._files.edit(files, lambda group, missing=missing: self._marked(group, missing, mark))  # type: ignore[misc]  # bound now

    def _together(self) -> Iterator[list[DataFile]]:
        """Files whose keys fit into memory together; their sizes on disk are a good guess at most of them."""
        files: list[DataFile] = []
        size = 0
        for file in self._files.files:
            files.append(file)
            size += file.rows * 32 * len(self._options.merge_keys)
            if size >= _KEYS_AT_ONCE:
                yield files
                files, size = [], 0
        if files:
            yield files

    def _missing_rows(self, files: Sequence[DataFile]) -> dict[tuple[str, int], pl.Series]:
        keys = {
            (file.path, group.number): frame_of(group.read(self._options.merge_keys), self._options.merge_keys)
            for file in files
            for group in row_groups(self._place, file, self._files.columns)
        }
        missing = {place: pl.ones(frame.height, pl.UInt8, eager=True).cast(pl.Boolean) for place, frame in keys.items()}
        for rows in self._passes():
            match = Match(rows, self._options.merge_keys, (), Counts())
            for place, frame in keys.items():
                missing[place] = missing[place] & ~match.hits(frame)
        return missing

    def _marked(
        self, group: RowGroup, missing: Mapping[tuple[str, int], pl.Series], mark: pa.Scalar | None
    ) -> pa.Table | None:
        gone = missing[group.file.path, group.number]
        if mark is not None and gone.any():
            gone = gone & pl.Series(pl.from_arrow(group.read([DELETED_AT]).column(0))).is_null()
        count = int(gone.sum())
        if not count:
            return None
        with self._counts.lock:
            self.missing += count
        rows = group.read()
        if mark is None:
            return rows.filter((~gone).to_arrow())
        place = rows.column_names.index(DELETED_AT)
        return rows.set_column(place, DELETED_AT, pc.if_else(gone.to_arrow(), mark, rows.column(DELETED_AT)))
