"""Keys are known again, however many there are, in a fixed amount of memory."""

import decimal
import resource
from datetime import date, datetime, time, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.keyed.digests import Digests, digests, is_keyable
from ingestion.keyed.runs import SortedRuns
from ingestion.keyed.seen import SeenKeys
from ingestion.keyed.slots import Slots

TINY = 4096  # 64 slots in memory


def fresh_of(batches, limit=TINY):
    with SeenKeys(limit) as seen:
        return [mask for batch in batches for mask in seen.fresh(batch).to_pylist()]


def test_only_the_first_row_of_a_key_is_fresh():
    batches = [pa.record_batch({"a": [1, 2, 1], "b": ["x", "x", "x"]}), pa.record_batch({"a": [2, 1], "b": ["x", "y"]})]
    assert fresh_of(batches) == [True, True, False, False, True]


def test_null_is_a_key_like_any_other():
    batch = pa.record_batch({"a": pa.array([None, 0, None]), "b": pa.nulls(3)})
    assert fresh_of([batch]) == [True, True, False]
    assert fresh_of([pa.record_batch({"a": pa.array([None, "", None, ""])})]) == [True, True, False, False]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.none() | st.integers(0, 60), st.none() | st.sampled_from(["", "a", "b\0", "å"])), max_size=400
    ),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_keys_are_told_apart_as_python_does(rows, cuts):
    schema = pa.schema([("a", pa.int32()), ("b", pa.string())])
    edges = [0, *sorted(cuts), len(rows)]
    batches = [
        pa.RecordBatch.from_pylist([dict(zip("ab", row, strict=True)) for row in rows[start:end]], schema)
        for start, end in pairwise(edges)
    ]
    seen: set[object] = set()
    expected = [not (row in seen or seen.add(row)) for row in rows]
    assert fresh_of(batches) == expected


@pytest.mark.parametrize("values", [
    [True, False, None],
    [1.5, -0.5, float("inf"), None],
    [date(2024, 1, 1), date(2024, 1, 2), None],
    [datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 1, 1, 0, 0, 1, tzinfo=timezone.utc)],
    [time(1), time(2)],
    [timedelta(1), timedelta(2)],
    [decimal.Decimal("1.10"), decimal.Decimal("-1.10"), decimal.Decimal(2**64) + 1, decimal.Decimal(1), None],
    [b"", b"a", None],
    pa.array([decimal.Decimal(1), decimal.Decimal(-1)], pa.decimal256(50, 2)),
    pa.array([0, 2**64 - 1, 2**63], pa.uint64()),
    pa.array([1, 2], pa.int8()),
    pa.array([1.5, 2.5], pa.float16()),
    pa.array([b"ab", b"cd"], pa.binary(2)),
    pa.array([b"a" * 16, b"b" * 16], pa.uuid()),
    pa.array(["a", "b", None], pa.string_view()),
    pa.array(["a", "b", None]).dictionary_encode(),
    pa.array([1, 2], pa.date32()),
])  # fmt: skip
def test_every_type_of_single_values_makes_keys(values):
    array = values if isinstance(values, pa.Array) else pa.array(values)
    batch = pa.record_batch({"k": array})
    assert fresh_of([batch, batch, batch.slice(1)]) == [True] * len(array) + [False] * (2 * len(array) - 1)


def test_zero_is_zero_and_what_is_no_number_is_the_same_as_ever():
    batch = pa.record_batch({"k": pa.array([0.0, -0.0, float("nan"), -float("nan")])})
    assert fresh_of([batch]) == [True, False, True, False]


@pytest.mark.parametrize(
    "dtype", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int64())]
)
def test_lists_and_structs_are_no_keys(dtype):
    assert not is_keyable(dtype)
    assert is_keyable(pa.int64())


def test_neighbours_are_spread_over_all_bits():
    keys = digests(pa.record_batch({"k": range(100_000)}))
    for words in keys:
        assert len(np.unique(words)) == 100_000
        for shift in (0, 20, 48):
            assert len(np.unique((words >> np.uint64(shift)) & np.uint64(0xFFFF))) > 50_000


def test_many_keys_take_no_more_memory_than_is_granted_and_leave_no_file():
    before = open_files()
    limit = 12 << 20
    with SeenKeys(limit) as seen:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first = sum(seen.fresh(block(start)).true_count for start in range(0, 2_000_000, 50_000))
        again = sum(seen.fresh(block(start)).true_count for start in range(0, 2_000_000, 50_000))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) << 10
        assert open_files() != before  # it did go to disk
    assert (first, again) == (2_000_000, 0)
    assert grown < 3 * limit
    assert open_files() == before


def open_files():
    return set(Path("/proc/self/fd").iterdir())


def block(start):
    return pa.record_batch({"k": np.arange(start, start + 50_000)})


def words(*pairs):
    low, high = zip(*pairs, strict=True)
    return Digests(np.array(low, np.uint64), np.array(high, np.uint64))


def test_keys_that_share_half_of_their_bits_are_told_apart():
    last = 2**64 - 1  # its slot is the last one: the way to a free one leads on from the first
    held = [(5, 1), (5, 2), (5, 3), (last, 1), (last, 2), (9, 1)]
    slots = Slots(4)
    assert slots.add(words(*held, (5, 2), (last, 2))).tolist() == [True] * 6 + [False] * 2
    assert slots.add(words((5, 4), (last, 1), (9, 1))).tolist() == [True, False, False]
    assert sorted(zip(*(half.tolist() for half in slots.held()), strict=True)) == sorted([*held, (5, 4)])
    runs = SortedRuns(64)
    runs.add(words(*held))
    assert runs.has(words((5, 3), (5, 1), (5, 2), (last, 2), (9, 1))).all()
    assert not runs.has(words((5, 4), (last, 3), (9, 2), (1, 1))).any()
    runs.close()


def test_slots_double_and_keep_what_they_hold():
    slots = Slots(16)
    keys = digests(pa.record_batch({"k": range(30_000)}))
    assert slots.add(keys).all()
    assert not slots.add(keys).any()
    assert slots.room == int(2**16 * 0.6) - 30_000
