"""Checksums of the benchmark's rows, the same in whatever order and layout they are stored."""

import json
from collections.abc import Iterable
from pathlib import Path

import gen_events
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset


def checks(batches: Iterable[pa.RecordBatch]) -> dict[str, int]:
    """Exact sums over all rows: numbers in their smallest unit, texts by their length."""
    totals: dict[str, int] = {}
    for batch in batches:
        for name, value in _of(batch).items():
            totals[name] = totals.get(name, 0) + (value or 0)
    return totals


def _of(batch: pa.RecordBatch) -> dict[str, int]:
    column = {name: batch.column(name) for name in gen_events.SCHEMA.names}
    time = pc.cast(pc.cast(column["event_time"], pa.timestamp("ms")), pa.int64())
    ids = pc.cast(column["id"], pa.int64())
    hundredths = pc.cast(pc.round(pc.multiply(column["amount"], 100.0)), pa.int64())
    scores = pc.cast(pc.round(pc.multiply(column["score"], 1000.0)), pa.int64())
    sums = {
        "id": ids,
        "user_id": pc.cast(column["user_id"], pa.int64()),
        "event_time": time,
        "event_date": pc.cast(pc.cast(column["event_date"], pa.int32()), pa.int64()),
        "amount": hundredths,
        "score": scores,
        "is_active": pc.cast(column["is_active"], pa.int64()),
        "category": pc.binary_length(column["category"]),
        "email": pc.binary_length(column["email"]),
        "note": pc.binary_length(column["note"]),
        # Values of one row belong together:
        "time_of_user": pc.multiply(pc.cast(column["user_id"], pa.int64()), pc.bit_wise_and(time, 0xFFFFF)),
        "amount_of_id": pc.multiply(pc.bit_wise_and(ids, 0xFFFF), hundredths),
    }
    counts = {"rows": batch.num_rows, "no_score": column["score"].null_count, "no_note": column["note"].null_count}
    return counts | {name: pc.sum(values).as_py() for name, values in sums.items()}


def expected(rows: int, beside: Path) -> dict[str, int]:
    """The checksums of *rows* generated rows; remembered in a file beside the data."""
    remembered = beside.with_suffix(".checks.json")
    if not remembered.exists():
        batches = (batch for table in gen_events.blocks(rows) for batch in table.to_batches())
        remembered.write_text(json.dumps(checks(batches)))
    totals: dict[str, int] = json.loads(remembered.read_text())
    return totals


def of_files(paths: list[str]) -> dict[str, int]:
    """The checksums of Parquet files."""
    return checks(pyarrow.dataset.dataset(paths, format="parquet").to_batches(columns=gen_events.SCHEMA.names))
