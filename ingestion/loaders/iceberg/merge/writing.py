"""A plan carried out: data files with what stays and what is new, and delete files for what goes elsewhere."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingestion.loaders.iceberg.merge.deletes import dead_rows, write_deletes
from ingestion.loaders.iceberg.merge.plan import Plan, deleted
from ingestion.loaders.iceberg.merge.reading import Group
from ingestion.loaders.iceberg.merge.search import Hits
from ingestion.loaders.iceberg.merge.source import Mask, Pass
from ingestion.loaders.iceberg.merge.strategy import Strategy, possible, rewritten
from ingestion.loaders.iceberg.types import cast

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

__all__ = ["Changes", "Writing"]

_SLICE = 1 << 16  # rows


@dataclass
class Changes:
    """The files that one commit adds and those that it takes out."""

    deletes: "list[DataFile]" = field(default_factory=list)  # delete files that are added
    removed: set[str] = field(default_factory=set)  # paths of data files and of delete files


@dataclass
class Writing:
    """Carries out one plan; *write* takes rows in the table's columns."""

    table: "Table"
    plan: Plan
    strategy: Strategy
    write: Callable[[pa.Table], None]
    new_path: Callable[[], str]  # for a delete file
    missing_at: pa.Scalar | None  # the time that missing rows are marked with; None = they go
    changes: Changes = field(default_factory=Changes)

    def run(self, passes: Iterator[Pass], only: Pass | None) -> Changes:
        """Write all files; *only* is the one pass where there is no other, whose rows go where they were."""
        touched = self.plan.gone.values()
        anew = rewritten(touched, possible(self.strategy, self.table.metadata.format_version))
        self._write_missing()
        left = self.plan.verdicts[0].write.copy() if only is not None else None
        for gone in touched:
            if gone.reader.live.path in anew:
                self._rewrite(gone.hits(), only, left)
            else:
                self._mark(gone.hits())
        for verdict in self.plan.verdicts:
            self._write_new(next(passes).rows, verdict.write if left is None else left)
        return self.changes

    def _write_new(self, rows: pa.Table, chosen: Mask) -> None:
        """Slice by slice: a pass is as large as memory allows, and not to be copied as a whole."""
        for start in range(0, rows.num_rows, _SLICE):
            mask = pa.array(chosen[start : start + _SLICE])
            self.write(rows.slice(start, _SLICE).filter(mask))

    def _write_missing(self) -> None:
        columns = self.plan.columns
        if columns is None or self.missing_at is None:
            return
        there = pa.scalar(None, self.missing_at.type)
        for found, at in ((self.plan.missing, self.missing_at), (self.plan.back, there)):
            for hits in found:
                for _, rows in hits.reader.at(hits.positions, columns.arrow.names):
                    self.write(deleted(rows, at))

    def _rewrite(self, hits: Hits, only: Pass | None, left: Mask | None) -> None:
        """The file without the rows that go, with those of the pass in their places that are *left* to be written."""
        columns = self.plan.columns
        assert columns is not None  # noqa: S101 - there is a table where rows were found
        reader = hits.reader
        for group in reader.groups:
            self.write(_merged(reader.read([group], columns.arrow.names), group, hits, only, left))
        self.changes.removed |= {reader.live.path, *(str(file.file_path) for file in reader.live.own)}

    def _mark(self, hits: Hits) -> None:
        """One delete file for the file, with all that others about it alone have said before."""
        live = hits.reader.live
        positions = np.union1d(hits.positions, dead_rows(live, self.table.io, own=True))
        self.changes.deletes.append(write_deletes(self.table.io, self.new_path(), live.file, positions))
        self.changes.removed |= {str(file.file_path) for file in live.own}


def _merged(rows: pa.Table, group: Group, hits: Hits, only: Pass | None, left: Mask | None) -> pa.Table:
    """The rows of a group that stay, in order, with the new ones in place of those that they replace."""
    start, stop = np.searchsorted(hits.positions, [group.first, group.first + group.rows])
    gone, ours = hits.positions[start:stop] - group.first, hits.rows[start:stop]
    stays = np.ones(group.rows, np.bool_)
    dead = hits.reader.dead
    stays[dead[slice(*np.searchsorted(dead, [group.first, group.first + group.rows]))] - group.first] = False
    stays[gone] = False
    if only is None or left is None:
        return rows.filter(pa.array(stays))
    order = np.arange(group.rows)
    new = (ours >= 0) & left[ours]
    new[np.setdiff1d(np.arange(len(ours)), np.unique(ours, return_index=True)[1])] = False  # once is enough
    order[gone[new]] = group.rows + np.arange(int(new.sum()))
    stays[gone[new]] = True
    left[ours[new]] = False
    added = only.take(ours[new], rows.column_names)
    added = pa.table(
        [cast(column, item.type) for column, item in zip(added.columns, rows.schema, strict=True)], schema=rows.schema
    )
    return pa.concat_tables([rows, added]).combine_chunks().take(pa.array(order[stays]))
