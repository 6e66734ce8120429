"""What one load will do to the table as one snapshot has it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import DataError
from ingestion.loaders.iceberg.merge.gone import Gone, note
from ingestion.loaders.iceberg.merge.judging import Judge, Verdict
from ingestion.loaders.iceberg.merge.keys import Keys
from ingestion.loaders.iceberg.merge.live import Survey, survey, survey_since
from ingestion.loaders.iceberg.merge.pruning import Pruning
from ingestion.loaders.iceberg.merge.reading import Columns, FileReader
from ingestion.loaders.iceberg.merge.search import Hits, in_short, none_of_the_pass, search
from ingestion.loaders.iceberg.merge.source import Mask, Pass
from ingestion.loaders.iceberg.merge.strategy import Strategy, cheap
from ingestion.loaders.tables.options import DELETED_AT

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["Plan", "Planner"]


@dataclass
class Plan:
    """Which rows go, which are written, and upon which snapshot that was decided."""

    head: int | None
    survey: Survey
    columns: Columns | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    missing: list[Hits] = field(default_factory=list)  # rows that the load did not bring; they stand for themselves

    back: list[Hits] = field(default_factory=list)  # rows that were missing before, and are newer than the load's
    staying: int = 0  # rows of the load that do not delete

    gone: dict[str, Gone] = field(default_factory=dict)  # by the paths of files that lose rows

    def take(self, verdict: Verdict) -> None:
        """Note what becomes of the rows of one more pass."""
        note(self.gone, verdict.gone)
        self.verdicts.append(replace(verdict, gone=(), kept=()))
        if len(self.verdicts) > 1:  # then no row takes the very place of another
            for gone in self.gone.values():
                gone.pack()

    @property
    def changes(self) -> dict[str, int]:
        """Rows by what was done to them."""
        names = ("inserted", "updated", "unchanged", "deleted")
        counts = {name: sum(getattr(verdict, name) for verdict in self.verdicts) for name in names}
        counts["updated"] += sum(len(hits.positions) for hits in self.back)
        return counts | {"missing": sum(len(hits.positions) for hits in self.missing)}

    @property
    def lost(self) -> int:
        """Rows of the load that are older than the table's."""
        return sum(verdict.lost for verdict in self.verdicts)

    @property
    def idle(self) -> bool:
        """Whether no row changes."""
        return not any(count for name, count in self.changes.items() if name != "unchanged")


@dataclass(frozen=True)
class Planner:
    """Makes plans for one load."""

    options: "IcebergLoader"
    passes: Callable[[], Iterator[Pass]]

    def plan(self, table: "Table | None", planned: "TableMetadata", *, settles_missing: bool) -> Plan:
        """Decide what the load does to *table* as it is now, *planned* being what it will be.

        With *settles_missing* rows that the load does not bring go as delete_missing says.
        """
        columns = Columns(planned)
        self._check_keys(columns)
        if table is None or table.current_snapshot() is None:
            return self._first(survey(table))
        plan = Plan(table.metadata.current_snapshot_id, survey(table), columns)
        readers = [FileReader(item, table.io, columns) for item in plan.survey.files.values()]
        brought: dict[str, Mask] = {}
        for given in self.passes():
            hits = list(self._search(columns, given, readers))
            self._note(brought, hits)
            thorough = _thorough(self.options.merge_strategy, hits)
            plan.staying += int((~given.deletes).sum())
            verdict = self._judge(columns).judge(given, hits, thorough=thorough)
            plan.take(verdict)
            if self.options.delete_missing == "soft":
                plan.back += _marked(verdict.kept)
            del given, hits, verdict  # the next pass is made while nothing holds this one
        if settles_missing:
            plan.missing = list(self._missing(readers, brought))
        note(plan.gone, (*plan.missing, *plan.back))
        return plan

    def still_holds(self, plan: Plan, table: "Table | None") -> Plan | None:
        """*plan* upon a later state that only has more files, none of them with a key of the load; None otherwise."""
        if table is None or plan.columns is None or self.options.delete_missing != "none":
            return None
        now = survey_since(table, plan.survey)
        if now is None:
            return None
        files, columns = plan.survey.files, plan.columns
        added = [FileReader(item, table.io, columns) for name, item in now.files.items() if name not in files]
        for given in self.passes():
            if any(True for _ in self._search(columns, given, added)):
                return None
        return replace(plan, head=table.metadata.current_snapshot_id, survey=now)

    def _check_keys(self, columns: Columns) -> None:
        for name in self.options.merge_keys:
            if name in columns.arrow.names and t.is_nested(columns.arrow.field(name).type):
                raise DataError(
                    f"column {name!r} is of type {columns.arrow.field(name).type}, which cannot be among "
                    f"loader.merge_keys; name columns with single values"
                )

    def _first(self, nothing: Survey) -> Plan:
        """Every row that does not delete is new."""
        plan = Plan(None, nothing)
        for given in self.passes():
            write = ~given.deletes
            plan.staying += int(write.sum())
            plan.verdicts.append(Verdict(write, [], [], int(write.sum()), 0, 0, 0, 0))
        return plan

    def _search(self, columns: Columns, given: Pass, readers: Sequence[FileReader]) -> Iterator[Hits]:
        keys = given.rows.select(self.options.merge_keys)
        pruning = Pruning(columns, keys)
        return search(Keys(keys.columns), self.options.merge_keys, pruning, readers)

    def _judge(self, columns: Columns) -> Judge:
        return Judge(columns.arrow.names, self.options.merge_keys, self.options.order_by)

    def _note(self, brought: dict[str, Mask], hits: Sequence[Hits]) -> None:
        """Remember which rows of the table the load has a row for."""
        if self.options.delete_missing != "none":
            for item in hits:
                live = item.reader.live
                brought.setdefault(live.path, np.zeros(live.rows, np.bool_))[item.positions] = True

    def _missing(self, readers: Sequence[FileReader], brought: dict[str, Mask]) -> Iterator[Hits]:
        for reader in readers:
            absent = ~brought.get(reader.live.path, np.zeros(reader.live.rows, np.bool_))
            absent[reader.dead] = False
            if self.options.delete_missing == "soft":
                _leave_marked(reader, absent)
            positions = np.flatnonzero(absent)
            if len(positions):
                yield Hits(reader, in_short(positions, reader), none_of_the_pass(len(positions)))


def _thorough(strategy: Strategy, hits: Sequence[Hits]) -> bool:
    """Whether rewriting is likely, which reads all columns anyway."""
    return strategy == "copy_on_write" or (strategy == "auto" and cheap(hits))


def _leave_marked(reader: FileReader, absent: Mask) -> None:
    """Take out of *absent* the rows that were found missing before."""
    for group in reader.groups:
        marked = pc.is_valid(reader.read([group], [DELETED_AT]).column(0)).to_numpy()
        absent[group.first : group.first + group.rows] &= ~np.asarray(marked)


def _marked(hits: Sequence[Hits]) -> Iterator[Hits]:
    """Those that were found missing before; no row of a pass stands for them."""
    for item in hits:
        marked = np.zeros(len(item.positions), np.bool_)
        for part, rows in item.reader.at(item.positions, [DELETED_AT]):
            marked[part] = pc.is_valid(rows.column(0)).to_numpy()
        if marked.any():
            yield Hits(item.reader, item.positions[marked], none_of_the_pass(int(marked.sum())))


def deleted(rows: pa.Table, at: pa.Scalar) -> pa.Table:
    """*rows* with *at* as the time when they were found missing; null = they are there."""
    place = rows.schema.get_field_index(DELETED_AT)
    return rows.set_column(place, DELETED_AT, pa.repeat(at, rows.num_rows))
