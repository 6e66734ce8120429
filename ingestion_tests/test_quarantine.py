"""Rejected rows keep what was read, whatever its type."""

import datetime as dt
import json
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import DataError
from ingestion.plugins import REJECTED, Origin
from ingestion.quarantine import as_payload, concat, from_payload, reject

VALUES = [
    (pa.array(["a", ""]), ["a", ""]),
    (pa.array([1.5, 2.5]), [1.5, 2.5]),
    (pa.array([float("nan"), float("-inf")]), ["nan", "-inf"]),
    (pa.array([b"\xff\x00", b""]), ["/wA=", ""]),
    (pa.array([b"ab", b"cd"], pa.binary(2)), ["YWI=", "Y2Q="]),
    (pa.array([Decimal("1.50"), Decimal(-1)], pa.decimal128(38, 2)), ["1.50", "-1.00"]),
    (pa.array([Decimal(10**40), Decimal(1)], pa.decimal256(60, 0)), [str(10**40), "1"]),
    (pa.array([dt.date(2024, 1, 2), dt.date(1, 1, 1)]), ["2024-01-02", "0001-01-01"]),
    (pa.array([0, 1], pa.timestamp("us", "UTC")), ["1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00.000001+00:00"]),
    (pa.array([2**63 - 1, -(2**63)]), [2**63 - 1, -(2**63)]),
    (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    (pa.array([[1], []]), [[1], []]),
    (pa.array([{"a": 1}, {"a": None}]), [{"a": 1}, {"a": None}]),
    (pa.nulls(2), [None, None]),
    (pa.array([b"\xff", b""], pa.binary_view()), ["/w==", ""]),
    (pa.array([b"\xff", b""]).dictionary_encode(), ["/w==", ""]),
    (pa.array([UUID(int=1).bytes, UUID(int=2).bytes], pa.uuid()), [str(UUID(int=1)), str(UUID(int=2))]),
    (pa.array([{"a": b"\xff"}, {"a": None}]), [{"a": "/w=="}, {"a": None}]),
    (pa.array([[b"\xff", None], []]), [["/w==", None], []]),
    (pa.array([[b"a"], [b"b"]], pa.list_(pa.binary(), 1)), [["YQ=="], ["Yg=="]]),
    (
        pa.array([[{"a": [b"\xff"]}], [None]], pa.list_view(pa.struct({"a": pa.list_(pa.binary())}))),
        [[{"a": ["/w=="]}], [None]],
    ),
    (
        pa.array([[("a", b"\xff")], []], pa.map_(pa.string(), pa.binary())),
        [[{"key": "a", "value": "/w=="}], []],
    ),
    (pa.array([[float("nan")], [float("inf"), 1.5]]), [["nan"], ["inf", "1.5"]]),
    (pa.array([(1, 2, 3)] * 2, pa.month_day_nano_interval()), [str(pa.MonthDayNano([1, 2, 3]))] * 2),
]


@pytest.mark.parametrize(("column", "expected"), VALUES, ids=[str(column.type) for column, _ in VALUES])
def test_a_payload_holds_every_type_and_its_nulls(column, expected):
    records = pa.record_batch({"v": pa.concat_arrays([column, pa.nulls(1, column.type)])})
    assert [json.loads(row)["v"] for row in as_payload(records).to_pylist()] == [*expected, None]
    assert [json.loads(row)["v"] for row in as_payload(records.slice(1)).to_pylist()] == [expected[1], None]


READ_BACK = [
    *(column for column, _ in VALUES if not pa.types.is_interval(column.type)),
    pa.array([0, 86_399_999_999], pa.time64("us")),
    pa.array([1, 2], pa.time64("ns")),
    pa.array([1, 2], pa.time32("s")),
    pa.array([90_061_500_000, -1], pa.duration("us")),
    pa.array([0, -(2**63) + 1], pa.duration("ns")),
    pa.array([86_400_000, 0], pa.date64()),
    pa.array([1, -1], pa.timestamp("ns", "Europe/Stockholm")),
    pa.array([1, -1], pa.timestamp("ms")),
    pa.array([1, -1], pa.timestamp("s")),
    pa.array([0.1, 1e300, -0.0, 5e-324, 2.0**53 + 2]),
    pa.array([0.1, 3e38], pa.float32()),
    pa.array([2**64 - 1, 0], pa.uint64()),
    pa.array([True, False]),
    pa.array(['é"\n\x00', " null "], pa.large_string()),
    pa.array([[[1.5, None], None], []], pa.large_list(pa.list_(pa.float64()))),
    pa.array([[("a", [1]), ("b", None)], []], pa.map_(pa.string(), pa.list_(pa.int32()))),
]


def _shown(values: pa.Array) -> str:
    """By which NaN is NaN, and nanoseconds count."""
    dtype = values.type
    if pa.types.is_nested(dtype):  # what stands below a null is shown, too
        return repr(values.to_pylist())
    return (pc.cast(values, dtype.value_type) if pa.types.is_dictionary(dtype) else values).to_string(window=9)


@pytest.mark.parametrize("column", READ_BACK, ids=[str(column.type) for column in READ_BACK])
def test_a_payload_becomes_the_row_that_it_was(column):
    records = pa.record_batch({"v": pa.concat_arrays([column, pa.nulls(1, column.type)])})
    for part in (records, records.slice(1), records.slice(2), records.slice(0, 0)):
        back = from_payload(as_payload(part), part.schema)
        back.validate(full=True)
        assert back.schema == part.schema
        assert _shown(back["v"]) == _shown(part["v"])


def test_rows_of_one_schema_are_read_back_together_whatever_their_payloads_batch():
    floats = [pa.record_batch({"v": [1.5]}), pa.record_batch({"v": [float("inf"), 2.5]})]
    texts = pa.concat_arrays([as_payload(part) for part in floats])
    assert from_payload(texts, floats[0].schema).to_pydict() == {"v": [1.5, float("inf"), 2.5]}


def test_a_payload_of_another_kind_is_refused_by_name():
    for text in ("1;2;3", '{"v": "x"}', "[1]"):
        with pytest.raises(DataError, match="cannot be read back"):
            from_payload(pa.array([text]), pa.schema({"v": pa.int64()}))


_LEAVES = st.sampled_from(
    [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.binary(), pa.date32(), pa.timestamp("us", "UTC")]
)
_NESTED = st.recursive(
    _LEAVES,
    lambda inner: (
        inner.map(pa.list_)
        | st.lists(inner, min_size=1, max_size=3).map(
            lambda types: pa.struct([(f"f{place}", dtype) for place, dtype in enumerate(types)])
        )
    ),
    max_leaves=4,
)


def _value(dtype: pa.DataType) -> st.SearchStrategy:
    if pa.types.is_list(dtype):
        found = st.lists(_value(dtype.value_type), max_size=3)
    elif pa.types.is_struct(dtype):
        found = st.fixed_dictionaries({field.name: _value(field.type) for field in dtype})
    else:
        found = {
            pa.int64(): st.integers(-(2**63), 2**63 - 1),
            pa.float64(): st.floats(),
            pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
            pa.bool_(): st.booleans(),
            pa.binary(): st.binary(),
            pa.date32(): st.dates(),
            pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.timezone.utc)),
        }[dtype]
    return st.none() | found


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_whatever_was_read_survives_the_quarantine(data):
    dtype = data.draw(_NESTED)
    values = pa.array(data.draw(st.lists(_value(dtype), min_size=1, max_size=4)), dtype)
    records = pa.record_batch({"v": values, "é": values})
    assert repr(from_payload(as_payload(records), records.schema).to_pylist()) == repr(records.to_pylist())


def test_rows_without_columns_have_empty_payloads():
    assert as_payload(pa.record_batch({"a": pa.array([1, 2])}).select([])).to_pylist() in ([], ["{}", "{}"])


def test_a_rejected_row_says_where_it_stood():
    records = pa.record_batch({"a": ["x", "y", "z"]})
    rejected = reject(
        records,
        pa.array([0, 2]),
        Origin("f.csv", 10),
        stage="read",
        rule="type",
        reasons="bad",
        values=pa.array(["x", "z"]),
    )
    assert rejected.schema == REJECTED
    assert rejected.select(["value", "position", "payload", "column"]).to_pylist() == [
        {"value": "x", "position": 10, "payload": '{"a":"x"}', "column": None},
        {"value": "z", "position": 12, "payload": '{"a":"z"}', "column": None},
    ]
    assert concat([None, rejected, rejected.slice(0, 0), rejected]).num_rows == 4
    assert concat([None, rejected.slice(0, 0)]) is None
