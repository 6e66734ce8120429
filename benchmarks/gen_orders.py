"""Write the transformer's CSV: dates in three notations, numbers with decimal commas, the same rows on every machine.

Every block of 250,000 rows is drawn from a generator of its own, so a longer file begins with a shorter one.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

SEED = 20251102
BLOCK = 250_000
COLUMNS = ("id", "ordered", "shipped", "seen", "price", "amount", "rate", "quantity", "customer", "note")
_START = np.datetime64("2019-01-01T00:00", "m")
_FIVE_YEARS = 5 * 365 * 1440  # minutes
_NOTES = ["", "fragil", "Geschenk", "zurück", "Straße; Hof", "dringend"]


def block(number: int) -> pa.Table:
    """Rows ``number * BLOCK + 1`` and on as numbers and dates; prices in hundredths, rates in thousandths."""
    random = np.random.default_rng([SEED, number])
    seen = _START + random.integers(0, _FIVE_YEARS, BLOCK).astype("timedelta64[m]")
    shipped = seen.astype("datetime64[D]") + random.integers(0, 30, BLOCK).astype("timedelta64[D]")
    return pa.table(
        {
            "id": np.arange(number * BLOCK + 1, (number + 1) * BLOCK + 1),
            "ordered": pa.array(seen.astype("datetime64[D]")),
            "shipped": pa.array(shipped),
            "seen": pa.array(seen.astype("datetime64[s]")),
            "price": random.integers(1, 100_000, BLOCK),
            "amount": random.integers(100_000, 100_000_000, BLOCK),
            "rate": random.integers(0, 1000, BLOCK),
            "quantity": random.integers(1, 100, BLOCK),
            "customer": random.integers(1, 500_000, BLOCK),
            "note": pa.array(_NOTES).take(pa.array(random.integers(0, len(_NOTES), BLOCK))),
        }
    )


def as_written(rows: pa.Table) -> pa.Table:
    """The rows as the file has them."""
    return (
        rows.set_column(1, "ordered", pc.strftime(rows["ordered"], "%d.%m.%Y"))
        .set_column(2, "shipped", pc.strftime(rows["shipped"], "%Y%m%d"))
        .set_column(3, "seen", pc.strftime(rows["seen"], "%d/%m/%Y %H:%M"))
        .set_column(4, "price", _with_comma(rows["price"], 2))
        .set_column(5, "amount", _with_comma(rows["amount"], 2, grouped=True))
        .set_column(6, "rate", _with_comma(rows["rate"], 3))
        .set_column(8, "customer", pc.binary_join_element_wise("c", pc.cast(rows["customer"], pa.string()), "-"))
    )


def _with_comma(values: pa.ChunkedArray, digits: int, *, grouped: bool = False) -> pa.ChunkedArray:
    """12345 as 123,45, or in groups: 1.234,56."""
    text = pc.utf8_lpad(pc.cast(values, pa.string()), digits + 1, "0")
    text = pc.replace_substring_regex(text, rf"(\d{{{digits}}})$", r",\1")
    return pc.replace_substring_regex(text, r"(\d)(\d{3},)", r"\1.\2") if grouped else text


def blocks(rows: int) -> Iterator[pa.Table]:
    """Blocks that hold *rows* rows together."""
    for start in range(0, rows, BLOCK):
        yield block(start // BLOCK).slice(0, rows - start)


def write(path: Path, rows: int) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=";", quoting_style="needed")
    with partial.open("wb") as file:
        file.write((";".join(COLUMNS) + "\n").encode())
        for table in blocks(rows):
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(as_written(table), sink, options)
            file.write(sink.getvalue())
    partial.replace(path)


def expected(rows: int, beside: Path) -> dict[str, int]:
    """Exact sums of *rows* generated rows, as a transformed table has them; remembered in a file beside the data."""
    remembered = beside.with_suffix(".checks.json")
    if not remembered.exists():
        totals: dict[str, int] = {}
        for table in blocks(rows):
            sums = {
                "rows": table.num_rows,
                **{name: _days(table[name]) for name in ("ordered", "shipped")},
                "seen": pc.sum(pc.cast(table["seen"], pa.int64())).as_py(),
                **{name: pc.sum(table[name]).as_py() for name in ("id", "price", "amount", "rate", "quantity")},
                "total": pc.sum(pc.multiply(table["price"], table["quantity"])).as_py(),
            }
            totals = {name: totals.get(name, 0) + value for name, value in sums.items()}
        remembered.write_text(json.dumps(totals))
    known: dict[str, int] = json.loads(remembered.read_text())
    return known


def of_files(paths: list[str]) -> dict[str, int]:
    """The same sums of the Parquet files of a transformed table."""
    return _sums(pyarrow.dataset.dataset(paths, format="parquet").to_batches())


def _sums(batches: Iterable[pa.RecordBatch]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for batch in batches:
        sums = {
            "rows": batch.num_rows,
            **{name: _days(batch[name]) for name in ("ordered", "shipped")},
            "seen": pc.sum(pc.cast(pc.cast(batch["seen"], pa.timestamp("s")), pa.int64())).as_py(),
            **{name: pc.sum(batch[name]).as_py() for name in ("id", "quantity")},
            **{name: _scaled(batch[name], 100) for name in ("price", "amount", "total")},
            "rate": _scaled(batch["rate"], 1000),
        }
        totals = {name: totals.get(name, 0) + (value or 0) for name, value in sums.items()}
    return totals


def _days(values: pa.Array) -> int:
    return int(pc.sum(pc.cast(pc.cast(values, pa.date32()), pa.int32())).as_py() or 0)


def _scaled(values: pa.Array, by: int) -> int:
    return int(pc.sum(pc.cast(pc.round(pc.multiply(values, float(by))), pa.int64())).as_py() or 0)
