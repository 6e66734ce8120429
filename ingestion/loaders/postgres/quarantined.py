"""The rejected rows of a job's loads, read from the table beside its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.postgres.failures import translated
from ingestion.loaders.postgres.history import LOADS, History
from ingestion.loaders.postgres.session import opened, quoted
from ingestion.loaders.postgres.table import Found, find
from ingestion.loaders.tables.rejected import QUARANTINED, REPLAYS
from ingestion.loaders.tables.types import cast

if TYPE_CHECKING:
    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["SUFFIX", "counting", "quarantined"]

SUFFIX = "__quarantine"


def quarantined(options: "PostgresLoader", job: str) -> Iterator[pa.RecordBatch]:
    """The rows of *job* that count, as the server has them then; the connection closes with the iterator."""
    table = options.identifier(job)
    with opened(options, f"table {'.'.join(table)}{SUFFIX}") as session:
        there = find(session, *table) is not None and History(session, table).exists()
        found = find(session, table[0], f"{table[1]}{SUFFIX}") if there else None
        if found is None:
            return
        columns = [
            f"q.{quoted(name)}" if name in found.columns else f"NULL::text AS {name}" for name in QUARANTINED.names
        ]
        statement = f"SELECT {', '.join(columns)} {counting(table, found, job)}"
        with translated(session.what), session.stream(statement) as reader:
            for batch in reader:
                values = [
                    cast(pa.chunked_array([column]), item.type).combine_chunks()
                    for column, item in zip(batch.columns, QUARANTINED, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(values, schema=QUARANTINED)


def counting(table: tuple[str, str], found: Found, job: str) -> str:
    """From where and on what condition to select the rows q of *job* that count, from the quarantine of *table*."""
    name, loads = quoted(table[0], f"{table[1]}{SUFFIX}"), quoted(table[0], LOADS)
    landed = f"SELECT load_id FROM {loads} WHERE current AND table_name = {_text(table[1])} AND job = {_text(job)}"  # noqa: S608 - quoted
    start = f"FROM {name} q WHERE q.job = {_text(job)} AND q.load_id IN ({landed})"
    if REPLAYS not in found.columns:  # of a time before there were any
        return start
    marked = f"SELECT 1 FROM {name} m WHERE m.{REPLAYS} = q.id AND m.load_id IN ({landed})"  # noqa: S608 - quoted
    return f"{start} AND q.{REPLAYS} IS NULL AND NOT EXISTS ({marked})"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
