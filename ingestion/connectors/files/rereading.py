"""The rows at some places of files that were read before."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.files.ledger import Seen
from ingestion.connectors.files.stored import digest
from ingestion.plugins import Batch, Restart
from ingestion.secrets import redact

__all__ = ["as_loaded", "located", "only", "trouble"]


def located(sources: Sequence[str], listed: Sequence[Seen]) -> dict[str, Seen | None]:
    """The listed file of each of *sources*, which is its path or, for a member of an archive, begins with it.

    What is not listed is not looked for anywhere: the name of a source may come from data. Sources are named without
    secrets; of two files that have one name then, it is neither.
    """
    files: dict[str, Seen | None] = {}
    for seen in listed:
        path = redact(seen.file.path)
        files[path] = None if path in files else seen
    return {
        source: next((files[path] for path in _paths(source) if path in files), None)
        for source in dict.fromkeys(sources)
    }


def _paths(source: str) -> Iterator[str]:
    yield source
    end = len(source)
    while (end := source.rfind("!", 0, end)) > 0:
        yield source[:end]


def trouble(source: str, seen: Seen | None) -> str | None:
    """Why *source* cannot be read again as it was; None where it can, as far as the ledger knows."""
    if seen is None:
        return f"{source} is gone, or source.source_path and its patterns do not cover it any more"
    if seen.hash is None or seen.unchanged or digest(seen.file.path) == seen.hash:
        return None
    return f"{seen.file.path} has other content than when it was loaded"


def as_loaded(batch: Batch, seen: Seen | None) -> Batch:
    """The batch of a file that `trouble` knows nothing of, with the time of when it was loaded."""
    origin = batch.origin
    if seen is None or seen.hash is None or origin.modified_at != seen.file.modified_at:
        return batch  # it was written after it was listed
    return batch._replace(
        origin=replace(origin, modified_at=seen.file._replace(modified_us=seen.modified_us).modified_at)
    )


def only(items: Generator[Batch | Restart, None, None], places: Mapping[str, pa.Array]) -> Iterator[Batch | Restart]:
    """The batches of *items* with nothing but the rows at *places*; ends once none is to come any more."""
    ends = _ends(places)
    for item in items:
        if isinstance(item, Restart):
            ends = _ends(places)
            yield item
            continue
        yield _standing(item, places.get(item.origin.source, pa.array([], pa.int64())))
        if _last(item) >= ends.get(item.origin.source, _last(item) + 1):
            del ends[item.origin.source]
        if not ends:
            return


def _ends(places: Mapping[str, pa.Array]) -> dict[str, int]:
    return {source: pc.max(positions).as_py() for source, positions in places.items() if len(positions)}


def _last(batch: Batch) -> int:
    """The position up to which a batch brings its text; 0 where it has no rows."""
    count = batch.records.num_rows
    here = batch.origin.at(pa.array([count - 1], pa.int64()))[0].as_py() if count else 0
    bad = pc.max(batch.rejected["position"]).as_py() if batch.rejected is not None else None
    return max(here or 0, bad or 0)


def _standing(batch: Batch, positions: pa.Array) -> Batch:
    here = batch.origin.at(pa.array(range(batch.records.num_rows), pa.int64()))
    rows = pc.cast(pc.indices_nonzero(pc.is_in(here, positions)), pa.int64())
    rejected = batch.rejected
    if rejected is not None:
        rejected = rejected.filter(pc.is_in(rejected["position"], positions))
    return Batch(batch.records.take(rows), batch.origin.take(rows), rejected or None, bytes_read=batch.bytes_read)
