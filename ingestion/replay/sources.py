"""The rows of a replay as they were read: from their source once more, or from their payloads."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import polars as pl
import pyarrow as pa

from ingestion.config import JobConfig
from ingestion.errors import DataError
from ingestion.plugins import AsRead, Batch, Cursor, Origin, Restart
from ingestion.quarantine import from_payload
from ingestion.replay.fitting import common_types, fitted
from ingestion.replay.listing import CODE, PLACE, keyed
from ingestion.replay.order import Turn, Waiting
from ingestion.replay.overtaken import overtaken
from ingestion.replay.plan import TWINS, Plan, Unreplayable

__all__ = ["rows_as_read"]

_NOTHING = "nothing stands at its place that is a row today"
_SPOILT = "its payload cannot be read back"  # what is wrong with it may quote a value that is masked today
_WRITTEN = "its source was written since"
_TOGETHER = 1 << 14  # rows of which the payloads are read at once
_TIME = pl.Datetime("us", "UTC")
_SAME = ("source", "payload_schema", "source_modified_at")
_PAYLOADS = ["id", "load_id", "position", "payload", *_SAME]
_FIRST = (-1, 0)
_FOUND = pl.Schema({"source": CODE, "position": pl.Int64(), "modified_at": _TIME})
_TWICE = pl.struct(PLACE).is_duplicated()
_OTHER = pl.coalesce(  # a time from before it was kept is not known
    pl.col("modified_at") != pl.col("source_modified_at"), pl.col("modified_at") > pl.col("quarantined_at")
)
"""Whether a source is not what it was; where there is no time, nobody knows."""


def rows_as_read(
    job: JobConfig, plan: Plan, cursor: Cursor, known: pa.Schema | None
) -> Generator[Batch | Restart, None, None]:
    """The rows of *plan*, types being those that *job* wants so that rows fit *known*.

    Raises Unreplayable once all that is read again was read, if it is not what was quarantined.
    """
    wanted = job.transformer.wants(known)
    with closing(_Recovered(job.loader.quarantined(job.id), plan, wanted)) as recovered:
        if plan.places:
            yield from _read_again(job, plan, cursor, wanted, recovered)
        yield from recovered.until(None)


def _read_again(
    job: JobConfig, plan: Plan, cursor: Cursor, wanted: pa.Schema | None, recovered: "_Recovered"
) -> Iterator[Batch | Restart]:
    """The rows that are read at their sources, each source after those that were *recovered* of earlier loads."""
    found: list[pl.DataFrame] = []
    again = plan.rows.filter("reread")
    turn = plan.turns
    for item in job.source.reread(plan.places, cursor, wanted):
        if isinstance(item, Restart):
            found.clear()
            recovered.begin_anew()
        else:
            found.append(_places(item))
            yield from recovered.until(turn.get(item.origin.source, _FIRST))
        yield item
    places = pl.concat([pl.DataFrame(schema=_FOUND), *found])
    for rows, reason in (
        (again.join(places, on=PLACE, how="anti"), _NOTHING),
        (again.join(places.filter(_TWICE), on=PLACE, how="semi"), TWINS),
        (again.join(places.unique(PLACE), on=PLACE).filter(_OTHER), _WRITTEN),
    ):
        if len(rows):
            raise Unreplayable(rows, reason)
    for rows, reason in overtaken(job, again):  # last: rows that were not beyond a position then are not by now
        raise Unreplayable(rows, reason, "both")


def _places(batch: Batch) -> pl.DataFrame:
    positions = [batch.origin.at(pa.array(range(batch.records.num_rows), pa.int64()))]
    if batch.rejected is not None:
        positions.append(batch.rejected["position"])
    places = pl.DataFrame({"position": pl.concat([pl.Series(pl.from_arrow(part)) for part in positions])})
    stamp = pl.lit(batch.origin.modified_at, _TIME)
    return places.select(source=pl.lit(batch.origin.source, CODE), position="position", modified_at=stamp)


class _Recovered:
    """Rows that come from their payloads, in the order in which they were rejected."""

    def __init__(self, batches: Iterable[pa.RecordBatch], plan: Plan, wanted: pa.Schema | None) -> None:
        types = common_types(plan.schemas)
        self._types = types | {column.name: column.type for column in wanted or () if column.name in types}
        self._waiting = Waiting(plan.loads)
        if not plan.rows["reread"].all():
            carriers = plan.carriers
            for batch in batches:
                rows = batch.select(_PAYLOADS).filter(carriers.has(batch["id"]))
                for start in range(0, rows.num_rows, _TOGETHER):
                    self._waiting.add(keyed(pl.DataFrame(rows.slice(start, _TOGETHER))))
        self.begin_anew()

    def begin_anew(self) -> None:
        """Give all rows once more."""
        self._parts = (part for rows in self._waiting.rows() for part in _alike(rows))
        self._next = next(self._parts, None)

    def until(self, turn: Turn | None) -> Iterator[Batch]:
        """The rows that were not given yet and whose turn is before *turn*; None = all."""
        while self._next is not None and (turn is None or _turn(self._next) < turn):
            yield fitted(_as_read(self._next), self._types)
            self._next = next(self._parts, None)

    def close(self) -> None:
        """Give the space back."""
        self._waiting.close()


def _alike(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """*rows* in order, cut where they are of another source or schema than those before."""
    runs = rows.with_columns(pl.struct(_SAME).rle_id().alias("run"))
    return runs.partition_by("run", maintain_order=True)


def _turn(rows: pl.DataFrame) -> Turn:
    return rows["load"][0], rows["number"][0]


def _as_read(rows: pl.DataFrame) -> Batch:
    """Rows of one source whose payloads have one schema."""
    schema = pa.ipc.read_schema(pa.py_buffer(rows["payload_schema"][0]))
    try:
        records = from_payload(pa.array(rows["payload"].to_arrow(), pa.string()), schema)
    except DataError as error:
        raise Unreplayable(rows, _SPOILT, "payload") from error
    positions = pa.array(rows["position"].to_arrow(), pa.int64())
    written = rows["source_modified_at"][0]
    return Batch(records, Origin(rows["source"][0], 1, positions, written, read=AsRead(records)))
