"""What becomes of each row of a pass: it is new, it replaces, it deletes, it loses, or it says nothing new."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ingestion.loaders.iceberg.merge.comparing import differ, loses
from ingestion.loaders.iceberg.merge.search import Hits
from ingestion.loaders.iceberg.merge.source import Mask, Pass
from ingestion.plugins import INGESTED_AT, RUN_ID

__all__ = ["Judge", "Verdict"]

_ENOUGH = 0.5  # of the rows looked at: where fewer are unchanged, to find them costs more than to write them


@dataclass(frozen=True)
class Verdict:
    """Of one pass."""

    write: Mask  # the rows that the table gets
    gone: Sequence[Hits]  # the rows of the table that go
    kept: Sequence[Hits]  # those that are newer than the pass's
    inserted: int
    updated: int
    unchanged: int
    deleted: int  # rows of the table
    lost: int  # rows of the pass that are older than the table's


class Judge:
    """Compares rows of passes with those that the table has."""

    def __init__(self, columns: Sequence[str], keys: Sequence[str], order_by: Sequence[str]) -> None:
        self._compared = [name for name in columns if name not in {*keys, RUN_ID, INGESTED_AT}]
        self._order_by = list(order_by)

    def judge(self, given: Pass, hits: Sequence[Hits], *, thorough: bool) -> Verdict:
        """Decide; unless *thorough*, unchanged rows are only looked for where a sample has many of them."""
        lost = self._lost(given, hits) if self._order_by else np.zeros(len(given.deletes), np.bool_)
        left = [item.where(~lost[item.rows]) for item in hits]
        met = np.zeros(len(given.deletes), np.bool_)
        for item in left:
            met[item.rows] = True
        changed = self._changed(given, left, thorough=thorough)
        write = ~given.deletes & ~lost & (~met | changed)
        gone = [item.where(write[item.rows] | given.deletes[item.rows]) for item in left]
        return Verdict(
            write,
            [item for item in gone if len(item.positions)],
            [item.where(lost[item.rows]) for item in hits] if lost.any() else [],
            inserted=int((write & ~met).sum()),
            updated=int((write & met).sum()),
            unchanged=int((met & ~changed).sum()),
            deleted=sum(int(given.deletes[item.rows].sum()) for item in left),
            lost=int(lost.sum()),
        )

    def _lost(self, given: Pass, hits: Sequence[Hits]) -> Mask:
        lost = np.zeros(len(given.deletes), np.bool_)
        for item in hits:
            for part, theirs in item.reader.at(item.positions, self._order_by):
                rows = item.rows[part]
                lost[rows[loses(given.take(rows, self._order_by), theirs)]] = True
        return lost

    def _changed(self, given: Pass, hits: Sequence[Hits], *, thorough: bool) -> Mask:
        """Rows that differ from the table's, or that the table has more than once."""
        times = np.zeros(len(given.deletes), np.int32)
        for item in hits:
            np.add.at(times, item.rows, 1)
        changed = given.deletes | (times > 1)
        sampled = thorough
        for item in hits:
            updates = item.where(~given.deletes[item.rows])
            for part, theirs in updates.reader.at(updates.positions, self._compared):
                rows = updates.rows[part]
                differing = differ(given.take(rows, self._compared), theirs)
                changed[rows[differing]] = True
                if not sampled and differing.mean() > _ENOUGH:
                    return np.ones(len(changed), np.bool_)
                sampled = True
        return changed
