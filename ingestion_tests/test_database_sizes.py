"""How much memory rows take while they are read: batches put together and cut by their bytes, and wide rows."""

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.connectors.databases.sizes import cut, gathered
from ingestion_tests.sqlite_reads import made, read


def _batch(lengths: list[int], start: int = 0) -> pa.RecordBatch:
    texts = pa.array(["x" * length for length in lengths], pa.binary())
    return pa.RecordBatch.from_arrays([pa.array(range(start, start + len(lengths)), pa.int64()), texts], ["n", "t"])


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 500))
def test_rows_are_cut_by_their_own_bytes(lengths, most):
    records = _batch(lengths)
    parts = list(cut(records, most))
    assert pa.Table.from_batches(parts, records.schema).to_pylist() == records.to_pylist()
    assert all(part.num_rows <= 1 or sum(map(len, part["t"].to_pylist())) <= most for part in parts)


def test_a_wide_row_among_narrow_ones_stands_alone():
    assert [part.num_rows for part in cut(_batch([10, 10, 5_000, 10, 10]), 1_000)] == [2, 1, 2]
    nested = pa.RecordBatch.from_pydict({"v": pa.array([[1, 2]] * 100, pa.list_(pa.int64()))})
    assert {part.num_rows for part in cut(nested, nested.nbytes // 10)} == {10}


@given(st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=9), max_size=30))
def test_what_is_put_together_is_all_there_and_of_bounded_size(lengths):
    starts = [sum(map(len, lengths[:index])) for index in range(len(lengths))]
    small = [_batch(*pair) for pair in zip(lengths, starts, strict=True)]
    whole = list(gathered(iter(small), 20, 2_000))
    assert [n for batch in whole for n in batch["n"].to_pylist()] == list(range(sum(map(len, lengths))))
    assert all(batch.num_rows < 20 + 9 for batch in whole)
    assert len(whole) <= len(small)


def test_small_batches_come_together():
    assert [batch.num_rows for batch in gathered((_batch([5] * 10) for _ in range(25)), 100, 1 << 20)] == [100, 100, 50]
    assert [batch.num_rows for batch in gathered((_batch([100] * 10) for _ in range(5)), 100, 2_500)] == [20, 20, 10]


# SQLite, whose driver takes as many rows at a time as it is told


_READING = """
import sys
from ingestion_tests.sqlite_reads import Portable, SqliteConnector

def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) >> 10

path, options = sys.argv[1], eval(sys.argv[2])
found = SqliteConnector(database=path, **options)
list(SqliteConnector(database=path, query="SELECT 1 AS n").read(None, None))
before = peak()
print(sum(batch.records.num_rows for batch in found.read(None, None)), peak() - before)
"""


def _peak(path: Any, **options: Any) -> tuple[int, int]:
    """How many rows are read, and how many megabytes more than nothing that takes a process of its own."""
    command = [sys.executable, "-c", _READING, str(path), repr(options)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    rows, megabytes = map(int, ended.stdout.split())
    return rows, megabytes


_ROWS = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {}) INSERT INTO t SELECT i, {} FROM c"


def test_long_rows_are_held_a_few_at_a_time_even_after_short_ones(tmp_path):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",
                _ROWS.format(3_120, "printf('%.*c', CASE WHEN i <= 3000 THEN 10 ELSE 1000000 END, 'x')"))  # fmt: skip
    rows, megabytes = _peak(path, table="t", max_batch_bytes=4 << 20)
    assert rows == 3_120
    assert megabytes < 80


@pytest.mark.soak
@pytest.mark.parametrize("relation", [{"table": "t"}, {"query": "SELECT * FROM t"}], ids=["table", "query"])
def test_a_gigabyte_of_long_rows_takes_less_than_600_mb(tmp_path, relation):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",
                _ROWS.format(1_000, "printf('%.*c', 1000000, 'x')"))  # fmt: skip
    rows, megabytes = _peak(path, **relation)
    assert rows == 1_000
    assert megabytes < 500


@pytest.mark.parametrize("sql", [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, rowid TEXT, _rowid_ TEXT, oid TEXT)",  # no way to ask for a row's number
    "CREATE TABLE t (id INTEGER PRIMARY KEY, rowid TEXT, s TEXT, u TEXT)",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, r TEXT, s TEXT, u TEXT) WITHOUT ROWID",
    "CREATE TABLE t (id INTEGER, r BLOB, s REAL, u TEXT)",
])  # fmt: skip
@pytest.mark.parametrize("last", [-(2**63), -5, 3, 2**63 - 1])
def test_all_rows_are_read_however_they_are_numbered(tmp_path, sql, last):
    path = made(tmp_path / "x.db", sql, "INSERT INTO t VALUES (1, 'a', NULL, 'b'), (2, NULL, NULL, NULL)",
                f"INSERT INTO t VALUES ({last}, 'a', NULL, 'b')")  # fmt: skip
    assert sorted(read(path, table="t").column("id")) == sorted((1, 2, last))
