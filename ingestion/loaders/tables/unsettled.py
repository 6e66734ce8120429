"""What a quarantine holds of loads that never landed, and of rows that were brought anew: to be gone before history is.

Whether a load landed is told by the target's history alone. What it decides must be done before it is cut.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.loaders.tables.rejected import REPLAYS
from ingestion.loaders.tables.replayed import Known, Read, column

__all__ = ["CLOCKS_DIFFER", "REPLAYED", "Stray", "refuse_settled", "replayed_by", "strays"]

REPLAYED = "ingestion.replayed"
"""What a load says in the history of its target of how many rows it brought anew."""
CLOCKS_DIFFER = timedelta(minutes=1)  # at most, of those that load one table
_LONGEST = timedelta(hours=24)  # between a load's quarantine and its rows
_TOGETHER = 1 << 15  # ids that are taken out in one commit
_WHOSE = ("job", "load_id", "quarantined_at")


class Stray(NamedTuple):
    """A load with rows or marks in a quarantine of which the target's history knows nothing."""

    job: str
    load_id: str
    first: datetime  # of when its rows say that it began
    last: datetime

    def is_over(self, now: datetime, newest: Mapping[str, datetime]) -> bool:
        """Whether it cannot land any more, *newest* telling when a load of each job did that superseded others."""
        landed = newest.get(self.job)
        return now - self.last > _LONGEST or (landed is not None and landed - self.last > CLOCKS_DIFFER)


def strays(read: Read, known: Known) -> list[Stray]:
    """The loads that did not land; what may have, before history begins, is none of them unless it has marks."""
    found: dict[tuple[str, str], tuple[datetime, datetime, int]] = {}
    for rows in read((*_WHOSE, REPLAYS), None):
        names = [*_WHOSE, REPLAYS]
        table = pa.table([column(rows, name) for name in names], names)
        table = table.filter(
            pc.invert(pc.is_in(table["load_id"], value_set=pa.array(sorted(known.loads), pa.string())))
        )
        groups = table.group_by(["job", "load_id"]).aggregate(
            [("quarantined_at", "min"), ("quarantined_at", "max"), (REPLAYS, "count")]
        )
        for job, load_id, first, last, marks in zip(*(item.to_pylist() for item in groups.columns), strict=True):
            if None not in (job, load_id, first):
                before = found.get((job, load_id), (first, last, 0))
                found[job, load_id] = (min(first, before[0]), max(last, before[1]), marks + before[2])
    return [
        Stray(*whose, first, last) for whose, (first, last, marks) in found.items() if marks or first >= known.since
    ]


def replayed_by(read: Read, loads: Collection[str]) -> Iterator[list[str]]:
    """The ids of the rows that *loads* brought anew, some at a time."""
    wanted = pa.array(sorted(loads), pa.string())
    ids: list[str] = []
    for rows in read(("load_id", REPLAYS), REPLAYS) if loads else ():
        ids += pc.drop_null(
            column(rows, REPLAYS).filter(pc.is_in(column(rows, "load_id"), value_set=wanted))
        ).to_pylist()
        while len(ids) >= _TOGETHER:
            yield ids[:_TOGETHER]
            del ids[:_TOGETHER]
    if ids:
        yield ids


def refuse_settled(read: Read | None, replays: Collection[str], name: str) -> None:
    """Raise ConfigError where one of these loads cannot be taken back: the rows that it brought anew would be lost."""
    for load_id in replays:
        if read is None or next(replayed_by(read, [load_id]), None) is None:
            raise ConfigError(
                f"table {name}: that run cannot be taken back, because the rows that a replay since then (load "
                f"{load_id}) brought anew would be lost: upkeep has taken them out of {name}__quarantine, as the "
                f"replay is old; correct the rows by another run"
            )
