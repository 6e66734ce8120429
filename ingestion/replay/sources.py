"""The rows of a replay as they were read: from their source once more, or from their payloads."""

from collections.abc import Generator, Iterable, Iterator

import polars as pl
import pyarrow as pa

from ingestion.config import JobConfig
from ingestion.errors import DataError
from ingestion.plugins import AsRead, Batch, Cursor, Origin, Restart
from ingestion.quarantine import from_payload
from ingestion.replay.fitting import common_types, fitted
from ingestion.replay.plan import CODE, PLACE, Plan, Unreplayable, keyed

__all__ = ["rows_as_read"]

_NOTHING = "nothing stands at its place that is a row today"
_SPOILT = "its payload cannot be read back"  # what is wrong with it may quote a value that is masked today
_WRITTEN = "its source was written since"
_TOGETHER = 1 << 14  # rows of which the payloads are read at once
_TIME = pl.Datetime("us", "UTC")
_FOUND = pl.Schema({"source": CODE, "position": pl.Int64(), "modified_at": _TIME})


def rows_as_read(
    job: JobConfig, plan: Plan, cursor: Cursor, known: pa.Schema | None
) -> Generator[Batch | Restart, None, None]:
    """The rows of *plan*, types being those that *job* wants so that rows fit *known*.

    Raises Unreplayable once all that is read again was read, if it is not what was quarantined.
    """
    wanted = job.transformer.wants(known)
    if plan.places:
        yield from _read_again(job, plan, cursor, wanted)
    if not plan.rows["reread"].all():
        yield from _recovered(job.loader.quarantined(job.id), plan, wanted)


def _read_again(job: JobConfig, plan: Plan, cursor: Cursor, wanted: pa.Schema | None) -> Iterator[Batch | Restart]:
    found: list[pl.DataFrame] = []
    for item in job.source.reread(plan.places, cursor, wanted):
        if isinstance(item, Restart):
            found.clear()
        else:
            found.append(_places(item))
        yield item
    again = plan.rows.filter("reread")
    places = pl.concat([pl.DataFrame(schema=_FOUND), *found]).unique(PLACE)
    missing = again.join(places, on=PLACE, how="anti")
    if len(missing):
        raise Unreplayable(missing, _NOTHING)
    written = again.join(places, on=PLACE).filter(pl.col("modified_at") > pl.col("quarantined_at"))
    if len(written):
        raise Unreplayable(written, _WRITTEN)


def _places(batch: Batch) -> pl.DataFrame:
    positions = [batch.origin.at(pa.array(range(batch.records.num_rows), pa.int64()))]
    if batch.rejected is not None:
        positions.append(batch.rejected["position"])
    places = pl.DataFrame({"position": pl.concat([pl.Series(pl.from_arrow(part)) for part in positions])})
    stamp = pl.lit(batch.origin.modified_at, _TIME)
    return places.select(source=pl.lit(batch.origin.source, CODE), position="position", modified_at=stamp)


def _recovered(batches: Iterable[pa.RecordBatch], plan: Plan, wanted: pa.Schema | None) -> Iterator[Batch]:
    types = common_types(plan.schemas)
    types |= {column.name: column.type for column in wanted or () if column.name in types}
    carriers = plan.carriers
    for batch in batches:
        rows = batch.filter(carriers.has(batch["id"]))
        for start in range(0, rows.num_rows, _TOGETHER):
            few = pl.DataFrame(rows.slice(start, _TOGETHER))
            for part in few.partition_by("source", "payload_schema", maintain_order=True):
                yield fitted(_as_read(part), types)


def _as_read(rows: pl.DataFrame) -> Batch:
    """Rows of one source whose payloads have one schema."""
    schema = pa.ipc.read_schema(pa.py_buffer(rows["payload_schema"][0]))
    try:
        records = from_payload(pa.array(rows["payload"].to_arrow(), pa.string()), schema)
    except DataError as error:
        raise Unreplayable(keyed(rows), _SPOILT, spoilt=True) from error
    positions = pa.array(rows["position"].to_arrow(), pa.int64())
    return Batch(records, Origin(rows["source"][0], positions=positions, read=AsRead(records)))
