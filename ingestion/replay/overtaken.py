"""Rows that have changed at their source since they were rejected, so that a run finds them by itself."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from ingestion.config import JobConfig
from ingestion.plugins import Cursor
from ingestion.replay.listing import CODE, PLACE

__all__ = ["overtaken"]

_BY_RUNS = (
    "it has changed at its source since, so that a run of the job brings it anew; look for it in the table after the "
    "next one, and dismiss it"
)
_FORGOTTEN = (
    "the table's history does not tell any more how far the job had come when it was rejected, so that a later run may "
    "have brought it anew; look for it in the table, and dismiss it"
)


def overtaken(job: JobConfig, rows: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, str]]:
    """Those of *rows* that a replay may bring twice, with the reason, where the target would then have both."""
    if job.loader.merges or not job.source.reads_changes or not len(rows):
        return
    cursors = _cursors(job)
    for part in rows.partition_by("load_id"):
        load = str(part["load_id"][0])
        if load not in cursors:
            yield part, _FORGOTTEN
            continue
        found = _found(job, part, cursors[load])
        if len(both := part.join(found, on=PLACE, how="semi")):
            yield both, _BY_RUNS


def _cursors(job: JobConfig) -> dict[str, Cursor]:
    """How far the job had come with each of its loads, as far as that is known."""
    cursors: dict[str, Cursor] = {}
    cursor: Cursor = None
    never_moved = job.loader.state(job.id).cursor is None  # it reads ranges alone
    for landed in reversed(job.loader.history(job.id)):
        if landed.job == job.id:
            cursor = cursor if landed.cursor is None else landed.cursor  # some targets keep none that has not moved
            if cursor is not None or never_moved:
                cursors[landed.load_id] = cursor
    return cursors


def _found(job: JobConfig, rows: pl.DataFrame, cursor: Cursor) -> pl.DataFrame:
    sources = rows.partition_by("source")
    places = {part["source"][0]: pa.array(part["position"].to_arrow(), pa.int64()) for part in sources}
    found = job.source.overtaken(places, cursor)
    frames = [
        pl.DataFrame({"source": source, "position": pl.Series(pl.from_arrow(positions))})
        for source, positions in found.items()
    ]
    schema = pl.Schema({"source": CODE, "position": pl.Int64()})
    return pl.concat([pl.DataFrame(schema=schema), *(frame.cast(schema) for frame in frames)])
