"""Rejected rows keep what was read, whatever its type."""

import datetime as dt
import json
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest

from ingestion.plugins import REJECTED, Origin
from ingestion.quarantine import as_payload, concat, reject

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
