"""Write the benchmark's CSV: ten mixed columns, the same bytes on every machine for the same number of rows.

    python benchmarks/gen_events.py FILE --rows 5000000

Every block of 250,000 rows is drawn from a generator of its own, so a longer file begins with a shorter one.
"""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

SEED = 20240607
BLOCK = 250_000
SHA256 = {
    50_000: "0624a302185045e561304f85f50e9f40c3bd4969363b2ffdae63158a27e01a68",
    5_000_000: "7d78cec53a528a1e136524c6b56df36aa53c41e28e5f38c742d2992e3424d37e",
}
"""Of the whole file, by rows."""

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "user_id": pa.int32(),
        "event_time": pa.timestamp("ms"),
        "event_date": pa.date32(),
        "amount": pa.float64(),
        "score": pa.float64(),
        "is_active": pa.bool_(),
        "category": pa.string(),
        "email": pa.string(),
        "note": pa.string(),
    }
)

_CATEGORIES = [
    *("books", "garden", "toys", "music", "games", "food", "tools", "shoes", "sport", "health"),
    *("beauty", "auto", "baby", "pets", "office", "art", "travel", "film", "home & kitchen", "café, tea"),
]
_WORDS = [
    *("ok", "late", "returned", "gift", 'see "order"', "paid, twice", "naïve"),
    *("Straße", "fragile", "none left", "call back", "urgent", "日本", "n/a-ish"),
]
_NOTES = [f"{one} {two}" for one in _WORDS for two in _WORDS]
_START = np.datetime64("2023-01-01T00:00:00.000", "ms")
_TWO_YEARS = 2 * 365 * 86_400_000  # milliseconds


def block(number: int) -> pa.Table:
    """Rows ``number * BLOCK + 1`` and on; the order of the draws is part of the data."""
    random = np.random.default_rng([SEED, number, 0])
    time = _START + random.integers(0, _TWO_YEARS, BLOCK).astype("timedelta64[ms]")
    amount = random.integers(0, 1_000_000, BLOCK) / 100.0
    score = random.normal(50, 15, BLOCK)
    no_score = random.random(BLOCK) < 0.05
    no_note = random.random(BLOCK) < 0.10
    user = random.integers(1, 200_000, BLOCK).astype(np.int32)
    first, second = (random.integers(0, len(_WORDS), BLOCK) for _ in range(2))
    active = random.random(BLOCK) < 0.7
    category = random.integers(0, len(_CATEGORIES), BLOCK)
    columns = [
        pa.array(np.arange(number * BLOCK + 1, (number + 1) * BLOCK + 1)),
        pa.array(user),
        pa.array(time),
        pa.array(time.astype("datetime64[D]")),
        pa.array(amount),
        pa.array(score, mask=no_score),
        pa.array(active),
        pa.array(_CATEGORIES).take(pa.array(category)),
        pa.array([f"user{one}@example.org" for one in user.tolist()]),
        pa.array(_NOTES).take(pa.array(first * len(_WORDS) + second, mask=no_note)),
    ]
    return pa.table(columns, schema=SCHEMA)


def blocks(rows: int) -> Iterator[pa.Table]:
    """Blocks that hold *rows* rows together."""
    for start in range(0, rows, BLOCK):
        yield block(start // BLOCK).slice(0, rows - start)


def write(path: Path, rows: int) -> str:
    """Write the file, whole or not at all; its SHA-256. Raises ValueError where that is known and differs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    digest = hashlib.sha256()
    with partial.open("wb") as file:
        head = (",".join(SCHEMA.names) + "\n").encode()
        file.write(head)
        digest.update(head)
        for table in blocks(rows):
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(table, sink, options)
            text = sink.getvalue()
            file.write(text)
            digest.update(text)
    if SHA256.get(rows, digest.hexdigest()) != digest.hexdigest():
        raise ValueError(
            f"{partial}: not the bytes that belong to {rows} rows; numpy or pyarrow draws or writes differently"
        )
    partial.replace(path)
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=5_000_000)
    arguments = parser.parse_args()
    digest = write(arguments.file, arguments.rows)
    print(f"{arguments.file}: {arguments.file.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
