"""What a replay makes of rows as they were read: their types of today, and of divided ones the parts that lack."""

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.plugins import AsRead, Batch, Origin
from ingestion.quarantine import concat, reject
from ingestion.replay.fitting import common_types, fitted
from ingestion.replay.parts import Parts

ROOT = Path(__file__).parent.parent
NOON = dt.datetime(2024, 1, 2, 12, tzinfo=dt.timezone.utc)
WANTED = {"source": pl.String, "position": pl.Int64, "part": pl.Int64}


def batch(columns: dict[str, Any]) -> Batch:
    records = pa.record_batch(columns)
    return Batch(records, Origin("s", 1, read=AsRead(records)))


# types


@pytest.mark.parametrize(
    ("given_values", "dtype", "expected"),
    [
        (["1", " 2 ", None], pa.int64(), [1, 2, None]),
        ([1, 2, None], pa.int32(), [1, 2, None]),
        ([1, 2, None], pa.string(), ["1", "2", None]),
        ([1.5, 2.0, None], pa.string(), ["1.5", "2", None]),
        ([1.0, 2.0, None], pa.int64(), [1, 2, None]),
        ([True, False, None], pa.string(), ["true", "false", None]),
        ([dt.date(2024, 1, 2)], pa.string(), ["2024-01-02"]),
        (["2024-01-02"], pa.date32(), [dt.date(2024, 1, 2)]),
        ([NOON], pa.timestamp("us", "UTC"), [NOON]),
        ([[1]], pa.string(), [[1]]),
        ([None, None], pa.int64(), [None, None]),
    ],
    ids=str,
)
def test_values_get_the_type_that_is_wanted(given_values: list[Any], dtype: pa.DataType, expected: list[Any]) -> None:
    result = fitted(batch({"v": given_values}), {"v": dtype})
    assert result.records["v"].to_pylist() == expected
    assert result.rejected is None


def test_values_that_do_not_fit_reject_their_rows_once_each() -> None:
    result = fitted(batch({"a": ["1", "x", "y"], "b": ["1", "2", "z"]}), {"a": pa.int64(), "b": pa.int64()})
    assert result.records.to_pylist() == [{"a": 1, "b": 1}]
    assert result.rejected is not None
    told = result.rejected.select(["position", "column", "value", "stage", "rule", "payload"]).to_pylist()
    assert [tuple(row.values()) for row in told] == [
        (2, "a", "x", "read", "type", '{"a":"x","b":"2"}'),
        (3, "a", "y", "read", "type", '{"a":"y","b":"z"}'),
    ]
    assert result.rejected["reason"][0].as_py() == "'x' is not a whole number of at most 64 bits"


def test_columns_that_a_row_lacks_are_null_and_others_go_by_what_is_common() -> None:
    one, two = (
        pa.schema({"a": pa.int64(), "b": pa.null()}),
        pa.schema({"a": pa.string(), "b": pa.date32(), "c": pa.bool_()}),
    )
    types = common_types([one, two])
    assert types == {"a": pa.string(), "b": pa.date32(), "c": pa.bool_()}
    result = fitted(batch({"a": [1], "b": pa.nulls(1)}), types)
    assert result.records.to_pylist() == [{"a": "1", "b": None, "c": None}]
    assert result.records.schema.types == list(types.values())


# parts

PLACES = st.integers(1, 4)
PART = st.integers(1, 3)
KEYS = st.sets(st.tuples(PLACES, PART), max_size=8)


def divided(keys: list[tuple[int, int | None]]) -> tuple[pa.RecordBatch, Origin]:
    positions, parts = ([key[place] for key in keys] for place in (0, 1))
    records = pa.record_batch({"v": [f"{position}/{part}" for position, part in keys]})
    return records, Origin("s", positions=pa.array(positions, pa.int64()), parts=pa.array(parts, pa.int64()))


@given(wanted=KEYS, whole=st.sets(PLACES, max_size=2), good=KEYS, bad=KEYS, failed=st.sets(PLACES, max_size=3))
@settings(deadline=None, max_examples=200)
def test_parts_that_are_there_already_are_counted_and_no_other_is_lost(
    wanted: set[Any], whole: set[int], good: set[Any], bad: set[Any], failed: set[int]
) -> None:
    listed = [*sorted(wanted), *((position, None) for position in sorted(whole))]
    frame = pl.DataFrame([("s", *key) for key in listed], schema=WANTED, orient="row")
    records, origin = divided(sorted(good))
    told = [divided(sorted(bad)), divided([(position, None) for position in sorted(failed)])]
    rejected = concat(
        [
            reject(rows, pa.array(range(rows.num_rows), pa.int64()), where, stage="transform", rule="r", reasons="x")
            for rows, where in told
        ]
    )
    before = records.num_rows + (rejected.num_rows if rejected else 0)
    result = Parts(frame).of(Batch(records, origin, rejected, {"filtered": 2}))
    after = result.records.num_rows + (result.rejected.num_rows if result.rejected else 0)
    assert before + 2 == after + sum(result.removed.values())
    limited = {position for position, _ in wanted} - whole
    kept = [key for key in sorted(good) if key[0] not in limited or key in wanted]
    assert result.records["v"].to_pylist() == [f"{position}/{part}" for position, part in kept]
    assert result.origin.at(pa.array(range(len(kept)), pa.int64())).to_pylist() == [key[0] for key in kept]
    again = result.rejected.select(["position", "part"]).to_pylist() if result.rejected else []
    expected = [key for key in sorted(bad) if key[0] not in limited or key in wanted]
    for position in sorted(failed):
        expected += sorted(key for key in wanted if key[0] == position) if position in limited else [(position, None)]
    assert sorted((row["position"], row["part"] or 0) for row in again) == sorted(
        (position, part or 0) for position, part in expected
    )


# memory

_MANY = """
import resource
import uuid
from datetime import datetime, timezone
import pyarrow as pa
from ingestion.replay.listing import listed
from ingestion.replay.parts import Parts
from ingestion.replay.plan import Doubts, planned

SOURCE = "/data/shop/2024/01/31/orders-2024-01-31T00:00:00.csv"
SCHEMA = pa.schema({"a": pa.string()}).serialize().to_pybytes()
LOAD = uuid.uuid4().hex
TIME = pa.scalar(datetime.now(timezone.utc), pa.timestamp("us", "UTC"))

def batches(count):
    for start in range(0, count, 20_000):
        ids = pa.array([f"{LOAD}-{start + number + 1}" for number in range(20_000)])
        texts = {"load_id": LOAD, "stage": "transform", "source": SOURCE, "payload_schema": SCHEMA, "payload": "{}"}
        same = {name: pa.repeat(text, 20_000) for name, text in texts.items()}
        same["source_modified_at"] = pa.repeat(TIME, 20_000)
        places = pa.array(range(start, start + 20_000), pa.int64())
        parts = pa.nulls(20_000, pa.int64())
        times = pa.repeat(TIME, 20_000)
        yield pa.record_batch({"id": ids, **same, "position": places, "part": parts, "quarantined_at": times})

def peak(count):
    plan = planned(listed(batches(count), None), None, {}, Doubts())
    Parts(plan.rows)
    assert len(plan.ids) == count and plan.carriers.has(plan.ids[-1:])[0].as_py()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

before = peak(20_000)
print(peak(600_000) - before)
"""


def test_a_quarantined_row_costs_a_replay_few_bytes_until_it_is_its_turn() -> None:
    done = subprocess.run([sys.executable, "-c", _MANY], capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stderr
    assert int(done.stdout) < 280  # MiB; about 150, and 450 where ids are texts and batches are kept
