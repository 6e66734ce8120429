"""The rows of a quarantine by the places where they stood."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.replay.fitting import loses_spelling

__all__ = ["CODE", "KEY", "PLACE", "Quarantined", "keyed", "listed"]

PLACE = ("source", "position")
CODE = pl.Categorical()
"""The type of texts that come again and again: a row takes four bytes for each."""

KEY = ("load_id", "number")
"""What the id of a row is made of."""

_INDEX = ("id", "load_id", "stage", *PLACE, "part", "quarantined_at", "payload_schema", "source_modified_at")
_ROWS = {
    "load_id": CODE,
    "number": pl.Int64(),  # within the load; null = the row has no id
    "source": CODE,
    "position": pl.Int64(),
    "part": pl.Int64(),
    "quarantined_at": pl.Datetime("us", "UTC"),
    "source_modified_at": pl.Datetime("us", "UTC"),
    "more": pl.UInt32(),  # further lines that it takes up
    "unread": pl.Boolean(),  # what stands at its place was no row, or may be another one today
    "readable": pl.Boolean(),  # there is a payload from which the row as read can be had
}


class Quarantined(NamedTuple):
    """The rows of a quarantine without what they hold."""

    rows: pl.DataFrame  # sorted, so that neither memory nor time is spent to find those at one place
    schemas: Collection[pa.Schema]  # of the payloads


def keyed(rows: pl.DataFrame) -> pl.DataFrame:
    """Quarantined rows with what their ids are made of."""
    number = pl.col("id").str.strip_prefix(pl.col("load_id") + "-").cast(pl.Int64, strict=False)
    return rows.with_columns(pl.col("load_id").cast(CODE), number.alias("number"))


def listed(batches: Iterable[pa.RecordBatch], wanted: pa.Schema | None) -> Quarantined:
    """The rows of a quarantine by their places, those at one place in the order of their loads.

    Payloads in which a column is no text that is *wanted* as such lack its spelling: they are not to be trusted.
    """
    frames, schemas = [pl.DataFrame(schema=_ROWS)], dict[bytes, pa.Schema]()
    for batch in batches:
        frame = keyed(pl.DataFrame(batch.select(_INDEX)))
        for schema in frame["payload_schema"].drop_nulls().unique(maintain_order=True):
            schemas[schema] = schemas.get(schema) or pa.ipc.read_schema(pa.py_buffer(schema))
        bent = [schema for schema, columns in schemas.items() if loses_spelling(columns, wanted)]
        frame = frame.with_columns(
            unread=(pl.col("stage") == "read") | pl.col("payload_schema").is_in(bent).fill_null(value=False),
            readable=pl.col("payload_schema").is_not_null(),
            more=pl.Series(pl.from_arrow(pc.count_substring(batch["payload"], "\n"))),
        )
        frame = frame.select(pl.col(name).cast(dtype) for name, dtype in _ROWS.items())
        frames.append(frame.select(pl.all().gather(pl.int_range(pl.len()))))  # a copy: else the whole batch stays
    order = ("source", "position", "quarantined_at", "load_id", "part")
    rows = pl.concat(frames).sort(pl.col(order).to_physical(), maintain_order=True)
    return Quarantined(rows, schemas.values())
