"""The table that merges start from, the rows that they bring, and what the table must hold afterwards."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import gen_events
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

FIRST_CHANGE = 10_000  # changed rows are drawn from blocks that no table reaches


def base(rows: int) -> Iterator[pa.RecordBatch]:
    """The table's rows: ids from 1 on, in order."""
    for table in gen_events.blocks(rows):
        yield from table.to_batches()


def write_changes(path: Path, rows: int, count: int, new: int) -> None:
    """Write *count* rows in random order, as Parquet and as CSV: *new* of them have ids that the table lacks."""
    random = np.random.default_rng([gen_events.SEED, rows, count])
    known = random.choice(rows, count - new, replace=False) + 1
    ids = np.concatenate([known, np.arange(rows + 1, rows + new + 1)])
    random.shuffle(ids)
    blocks = (gen_events.block(FIRST_CHANGE + number) for number in range(-(-count // gen_events.BLOCK)))
    table = pa.concat_tables(blocks).slice(0, count).set_column(0, gen_events.SCHEMA.field("id"), pa.array(ids))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    pyarrow.csv.write_csv(table, path.with_suffix(".csv"))


def expected(rows: int, changes: Path) -> dict[str, int]:
    """The checksums of the table once the changes are in it; remembered in a file beside them."""
    remembered = changes.with_suffix(".checks.json")
    if not remembered.exists():
        table = pq.read_table(changes, columns=["id", "amount"])
        amounts = np.concatenate([batch["amount"].to_numpy() for batch in base(rows)])
        ids = table["id"].to_numpy()
        amounts = np.concatenate([amounts, np.zeros(max(int(ids.max()) - rows, 0))])
        amounts[ids - 1] = table["amount"].to_numpy()
        merged = pa.record_batch({"id": np.arange(1, len(amounts) + 1), "amount": amounts})
        remembered.write_text(json.dumps(sums([merged])))
    totals: dict[str, int] = json.loads(remembered.read_text())
    return totals


def sums(batches: Iterable[pa.RecordBatch]) -> dict[str, int]:
    """Rows, their ids, the changed values, and which value belongs to which id."""
    totals = {"rows": 0, "id": 0, "amount": 0, "amount_of_id": 0}
    for batch in batches:
        ids = pc.cast(batch["id"], pa.int64())
        hundredths = pc.cast(pc.round(pc.multiply(batch["amount"], 100.0)), pa.int64())
        totals["rows"] += batch.num_rows
        found = (ids, hundredths, pc.multiply(pc.bit_wise_and(ids, 0xFFFF), hundredths))
        for name, values in zip(("id", "amount", "amount_of_id"), found, strict=True):
            totals[name] += pc.sum(values).as_py() or 0
    return totals
