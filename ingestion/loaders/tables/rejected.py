"""Rejected rows as a quarantine holds them."""

from datetime import datetime

import pyarrow as pa

from ingestion.plugins import Load

__all__ = ["stamped"]


def stamped(rejected: pa.RecordBatch, load: Load, at: datetime) -> pa.RecordBatch:
    """*rejected*, of schema REJECTED, with which load of which job rejected the rows, and when."""
    texts = {"load_id": load.load_id, "run_id": load.run_id, "job": load.job, "config_hash": load.config_hash}
    stamps = {name: pa.scalar(value, pa.string()) for name, value in texts.items()}
    stamps["quarantined_at"] = pa.scalar(at, pa.timestamp("us", "UTC"))
    for name, value in stamps.items():
        rejected = rejected.append_column(name, pa.repeat(value, rejected.num_rows))
    return rejected
