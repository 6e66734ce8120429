"""The rejected rows of a job's loads, read from the table beside its own."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.history import LOAD, in_summary, known_since, lineage
from ingestion.loaders.iceberg.merge.live import LiveFile, live_files
from ingestion.loaders.iceberg.merge.reading import Columns, FileReader
from ingestion.loaders.iceberg.quarantine import beside
from ingestion.loaders.tables.rejected import QUARANTINED
from ingestion.loaders.tables.replayed import Known, live

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

__all__ = ["known", "quarantined", "stored"]


def quarantined(
    catalog: "Catalog", target: tuple[str, ...], job: str, names: Sequence[str] = tuple(QUARANTINED.names)
) -> Iterator[pa.RecordBatch]:
    """These columns of the rows of *job* that count, a row group of a file at a time."""
    # In this order: of a load that lands in between, neither rows nor marks are known to have landed.
    found = find_table(catalog, target)
    table = find_table(catalog, beside(target))
    if found is not None and table is not None:
        yield from live(partial(stored, table), job, known(found.metadata), names)


def known(metadata: "TableMetadata") -> Known:
    """What the history of a target tells."""
    loads = {load_id for load_id in (in_summary(item, LOAD) for item in lineage(metadata)) if load_id is not None}
    return Known(loads, datetime.fromtimestamp(known_since(metadata) / 1000, timezone.utc))


def stored(table: "Table", names: Sequence[str], having: str | None) -> Iterator[pa.RecordBatch]:
    """All rows of a quarantine, as `Read` tells."""
    columns = Columns(table.metadata)
    ids = {item.name: item.field_id for item in columns.schema.fields}
    if having is not None and having not in ids:
        return
    for item in live_files(table).values():
        if having is None or _has(item, ids[having]):
            yield from _rows_of(FileReader(item, table.io, columns), [name for name in names if name in ids])


def _has(item: LiveFile, field_id: int) -> bool:
    """Whether the file may have values in that column."""
    values, nulls = item.file.value_counts or {}, item.file.null_value_counts or {}
    # A file from before there was the column knows nothing of it.
    return bool(values.get(field_id)) and values[field_id] != nulls.get(field_id) if values else True


def _rows_of(reader: FileReader, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for group in reader.groups:
        rows = reader.read([group], names)
        dead = reader.dead[(reader.dead >= group.first) & (reader.dead < group.first + group.rows)]
        if len(dead):
            stays = np.ones(group.rows, np.bool_)
            stays[dead - group.first] = False
            rows = rows.filter(pa.array(stays))
        yield from rows.to_batches()
