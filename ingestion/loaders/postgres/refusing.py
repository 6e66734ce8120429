"""Rows with a value that the server would not take, whatever the column."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import quarantine
from ingestion.loaders.postgres.values import unfit
from ingestion.plugins import Batch

__all__ = ["without_refused"]


def without_refused(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Pass *batches* on; a row with a text or time that PostgreSQL cannot hold is rejected."""
    for batch in batches:
        for name in batch.records.schema.names:
            batch = _without(batch, name)  # noqa: PLW2901 - each column takes what the one before it left
        yield batch


def _without(batch: Batch, name: str) -> Batch:
    refused, reason = unfit(pa.chunked_array([batch.records[name]]))
    if refused is None:
        return batch
    refused = pc.fill_null(refused.combine_chunks(), fill_value=False)
    rows = pc.indices_nonzero(refused)
    rejected = quarantine.reject(
        batch.records, rows, batch.origin, stage="load", rule="postgres", reasons=reason, columns=name
    )
    kept = pc.invert(refused)
    return batch._replace(
        records=batch.records.filter(kept),
        origin=batch.origin.take(pc.indices_nonzero(kept)),
        rejected=quarantine.concat([batch.rejected, rejected]),
    )
