"""The rejected rows of a job's loads, read from the table beside its own."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.delta.columns import columns_of
from ingestion.loaders.delta.files import read
from ingestion.loaders.delta.history import known
from ingestion.loaders.delta.quarantine import beside
from ingestion.loaders.tables.rejected import QUARANTINED
from ingestion.loaders.tables.replayed import live

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ingestion.loaders.delta.place import Place

__all__ = ["quarantined", "stored"]


def quarantined(
    place: "Place", name: str, job: str, names: Sequence[str] = tuple(QUARANTINED.names)
) -> Iterator[pa.RecordBatch]:
    """These columns of the rows of *job* that count."""
    # In this order: of a load that lands in between, neither rows nor marks are known to have landed.
    target = place.open()
    landed = known(place, target) if target is not None else None
    table = beside(place).open()
    if landed is not None and table is not None:
        yield from live(partial(stored, table, f"table {name}__quarantine"), job, landed, names)


def stored(table: "DeltaTable", what: str, names: Sequence[str], having: str | None) -> Iterator[pa.RecordBatch]:
    """All rows of a quarantine, as `Read` tells."""
    there = columns_of(table)
    if having is None or having in there.names:
        columns = pa.schema([there.field(name) for name in names if name in there.names])
        yield from read(table, columns, what, f"{having} IS NOT NULL" if having is not None else None)
