"""One row per key, whatever arrives and however little memory there is."""

import decimal
import errno
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timezone
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow as pa
import pytest

from ingestion.errors import DataError
from ingestion.keyed.keyed import KeyedRows
from ingestion.keyed.spool import Spool

SMALL = 4096  # bytes: everything but a handful of rows goes to disk


def as_it_is(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def kept(rows: KeyedRows, shape: Callable[[pa.RecordBatch], pa.Table] = as_it_is) -> list[dict[str, Any]]:
    return [row for table in rows.passes(shape) for row in table.to_pylist()]


def chosen(
    batches: Sequence[tuple[str, list[dict[str, Any]]]], order_by: Sequence[str] = (), limit: int = 1 << 20
) -> list[dict[str, Any]]:
    with KeyedRows(["id"], order_by, limit) as rows:
        schema = pa.Table.from_pylist([record for _, records in batches for record in records]).schema
        for source, records in batches:
            rows.add(pa.RecordBatch.from_pylist(records, schema), source)
        found = kept(rows)
        assert rows.rows == sum(len(records) for _, records in batches)
        assert rows.superseded == rows.rows - len(found)
        return found


def test_rows_without_a_second_of_their_key_come_back_in_order_of_arrival_and_are_not_copied() -> None:
    batch = pa.RecordBatch.from_pylist([{"id": 3}, {"id": 1}, {"id": 2}])
    with KeyedRows(["id"], []) as rows:
        rows.add(batch, "a")
        (table,) = rows.passes(as_it_is)
        assert rows.superseded == 0
    assert table.to_pylist() == [{"id": 3}, {"id": 1}, {"id": 2}]
    assert table.column(0).chunk(0).buffers()[1].address == batch.column(0).buffers()[1].address


def test_a_later_source_wins_and_the_row_stands_where_the_later_one_came() -> None:
    found = chosen([("a", [{"id": 1, "v": "old"}, {"id": 2, "v": "x"}]), ("b", [{"id": 1, "v": "new"}])])
    assert found == [{"id": 2, "v": "x"}, {"id": 1, "v": "new"}]


def test_equal_rows_of_one_source_are_one_row() -> None:
    row = {"id": 1, "list": [1.5, math.nan], "struct": {"x": None}, "amount": decimal.Decimal("1.10")}
    (found,) = chosen([("a", [row, row]), ("a", [row])])
    assert repr(found) == repr(row)


@pytest.mark.parametrize("order_by", [[], ["at"]], ids=["by arrival", "by a column"])
def test_keys_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch, order_by: list[str]) -> None:
    monkeypatch.setattr(
        pl.DataFrame, "hash_rows", lambda frame: pl.repeat(7, frame.height, dtype=pl.UInt64, eager=True)
    )
    first = [{"id": number, "at": 100 - number} for number in (1, 2, 3)]
    second = [{"id": number, "at": 100 - number} for number in (2, 3, 4)]
    assert chosen([("a", first), ("b", second)], order_by) == [first[0], *second]


def test_the_row_that_a_refusal_names_is_the_first_that_arrived() -> None:
    rows = [{"id": number, "v": 0} for number in (8, 5, 9, 1)]
    with pytest.raises(DataError, match="the key id=5 comes twice in a with different values in column 'v'"):
        chosen([("a", rows), ("b", [{"id": 8, "v": 1}]), ("a", [{"id": 5, "v": 1}, {"id": 9, "v": 1}])])


@pytest.mark.parametrize("limit", [SMALL, 1 << 20], ids=["on disk", "in memory"])
def test_two_rows_of_one_source_with_one_key_and_other_values_are_refused_with_the_key_and_the_cure(limit: int) -> None:
    many = [{"id": number, "v": {"x": [number]}} for number in range(1000)]
    twice = [*many, {"id": 77, "v": {"x": [None]}}]
    with pytest.raises(DataError, match=r"key id=77 comes twice in data/a\.csv .*'v'; set loader\.order_by .*dedup"):
        chosen([("data/a.csv", twice)], limit=limit)


def test_what_this_service_adds_to_a_row_does_not_make_rows_differ() -> None:
    records = [{"id": 1, "_ingested_at": at, "_ingestion_run_id": run} for at, run in ((1, "x"), (2, "y"))]
    assert chosen([("a", records)]) == records[1:]


@pytest.mark.parametrize(
    ("values", "winner"),
    [
        ([3, 5, 4], 1),
        ([None, 5, None], 1),
        ([5, 5, 4], 1),
        ([None, None], 1),
        ([date(2024, 1, 2), date(2024, 1, 1)], 0),
        (["b", "ab", "a"], 0),
        ([decimal.Decimal("1.10"), decimal.Decimal("1.09")], 0),
        ([True, False], 0),
    ],
)
def test_the_greatest_order_wins_nulls_are_the_least_and_of_equals_the_later(values: list[Any], winner: int) -> None:
    records = [{"id": 1, "at": value, "row": row} for row, value in enumerate(values)]
    assert [row["row"] for row in chosen([("a", records)], ["at"])] == [winner]
    assert [row["row"] for row in chosen([(str(one), [one]) for one in records], ["at"])] == [winner]


def test_several_order_columns_are_compared_one_after_the_other() -> None:
    records = [{"id": 1, "day": day, "hour": hour} for day, hour in [(1, 9), (2, None), (2, 3), (2, 1)]]
    assert chosen([("a", records)], ["day", "hour"]) == [{"id": 1, "day": 2, "hour": 3}]


KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int": (pa.int32(), [1, 2, -1]),
    "text": (pa.string(), ["a", "b", ""]),
    "repeated text": (pa.dictionary(pa.int8(), pa.string()), ["a", "b", ""]),
    "decimal": (pa.decimal128(38, 2), [decimal.Decimal("1.10"), decimal.Decimal("-1.10")]),
    "date": (pa.date32(), [date(2024, 1, 1), date(1024, 1, 1)]),
    "time": (pa.time64("us"), [time(1, 2, 3), time(1, 2, 4)]),
    "timestamp": (pa.timestamp("us", "UTC"), [datetime(2024, 1, day, tzinfo=timezone.utc) for day in (1, 2)]),
    "bytes": (pa.binary(), [b"\0", b"\0\0"]),
    "uuid": (pa.uuid(), [UUID(int=1).bytes, UUID(int=2).bytes]),
    "boolean": (pa.bool_(), [True, False]),
    "float": (pa.float64(), [math.nan, 1.0, 0.0]),
}


@pytest.mark.parametrize("limit", [64, 1 << 20], ids=["on disk", "in memory"])
@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_meet(kind: str, limit: int) -> None:
    dtype, values = KEYS[kind]
    again = [-0.0 if value == 0.0 else value for value in values] if kind == "float" else values
    with KeyedRows(["key"], [], limit) as rows:
        for source, keys in (("a", values), ("b", again)):
            storage = pa.array(keys, pa.binary(16)) if kind == "uuid" else pa.array(keys, dtype)
            column = pa.ExtensionArray.from_storage(dtype, storage) if kind == "uuid" else storage
            rows.add(pa.RecordBatch.from_arrays([column, pa.array([source] * len(keys))], ["key", "source"]), source)
        assert [row["source"] for row in kept(rows)] == ["b"] * len(values)


def test_batches_of_other_schemas_meet_in_the_shape_that_they_are_given() -> None:
    wanted = pa.schema([("id", pa.int64()), ("name", pa.string()), ("extra", pa.float64())])

    def shape(batch: pa.RecordBatch) -> pa.Table:
        columns = [
            batch.column(field.name).cast(field.type)
            if field.name in batch.schema.names
            else pa.nulls(batch.num_rows, field.type)
            for field in wanted
        ]
        return pa.Table.from_arrays(columns, schema=wanted)

    for limit in (1, 1 << 20):
        with KeyedRows(["id"], [], limit) as rows:
            for turn in range(20):  # schemas that alternate
                rows.add(pa.RecordBatch.from_pydict({"id": pa.array([turn, 99], pa.int32())}), f"a{turn}")
                rows.add(pa.RecordBatch.from_pydict({"id": [turn], "extra": pa.array([1.5], pa.float32())}), f"b{turn}")
            found = sorted(kept(rows, shape), key=lambda row: int(row["id"]))
        assert found == [
            *({"id": turn, "name": None, "extra": 1.5} for turn in range(20)),
            {"id": 99, "name": None, "extra": None},
        ]


def model(batches: list[tuple[str, list[dict[str, Any]]]], *, ranked: bool) -> list[dict[str, Any]]:
    left: dict[Any, dict[str, Any]] = {}
    for _, records in batches:
        for row in records:
            there = left.get((row["a"], row["b"]))
            if there is None or not ranked or row["at"] >= there["at"]:
                left.pop((row["a"], row["b"]), None)
                left[row["a"], row["b"]] = row
    return list(left.values())


@pytest.mark.parametrize("ranked", [False, True])
@pytest.mark.parametrize("limit", [600, SMALL, 40_000, 1 << 24])
@pytest.mark.parametrize("heavy", [0.0, 0.9], ids=["even", "skewed"])
def test_a_load_larger_than_memory_gives_what_a_dictionary_would(limit: int, heavy: float, *, ranked: bool) -> None:
    rng = random.Random(f"{limit} {heavy} {ranked}")
    batches = []
    for source in range(30):
        ids = [7 if rng.random() < heavy else rng.randrange(3000) for _ in range(rng.randrange(1, 300))]
        made = [
            {"a": number, "b": None if number is None else f"k{number % 5}", "at": rng.randrange(20), "text": "x" * 20}
            for number in (ids if ranked else dict.fromkeys(ids))
        ]
        batches.append((f"file {source}", made))
    with KeyedRows(["a", "b"], ["at"] if ranked else [], limit) as rows:
        for source, records in batches:
            rows.add(pa.RecordBatch.from_pylist(records), source)
        tables = list(rows.passes(as_it_is))
        found = [row for table in tables for row in table.to_pylist()]
        superseded = rows.superseded
        again = kept(rows)
    expected = model(batches, ranked=ranked)
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert again == found
    assert superseded == sum(len(records) for _, records in batches) - len(expected)
    place = {repr(row): number for number, row in enumerate(expected)}
    for table in tables:  # order of arrival within each
        numbers = [place[repr(row)] for row in table.to_pylist()]
        assert numbers == sorted(numbers)
    if limit == 1 << 24:
        assert len(tables) == 1


def test_dictionaries_come_back_from_the_disk_as_they_went() -> None:
    schema = pa.schema([("id", pa.int64()), ("run", pa.dictionary(pa.int8(), pa.string()))])
    with KeyedRows(["id"], [], SMALL) as rows:
        for start in range(0, 4000, 100):
            texts = pa.array([f"r{start % 300}"] * 100).dictionary_encode()
            run = pa.DictionaryArray.from_arrays(texts.indices.cast(pa.int8()), texts.dictionary)
            rows.add(pa.RecordBatch.from_arrays([pa.array(range(start, start + 100)), run], schema=schema), "a")
        tables = list(rows.passes(as_it_is))
    assert len(tables) > 1
    assert all(table.schema == schema for table in tables)
    found = {row["id"]: row["run"] for table in tables for row in table.to_pylist()}
    assert found == {number: f"r{number // 100 * 100 % 300}" for number in range(4000)}


def test_no_rows_make_no_pass() -> None:
    with KeyedRows(["id"], []) as rows:
        rows.add(pa.RecordBatch.from_pydict({"id": pa.array([], pa.int64())}), "a")
        assert kept(rows) == []
        assert (rows.rows, rows.superseded) == (0, 0)


def test_readers_of_rows_that_wait_do_not_disturb_each_other() -> None:
    spool = Spool()
    for number in range(6):  # schemas that change, so that there are several streams in the file
        spool.write(pa.RecordBatch.from_pydict({f"x{number // 2}": [number] * 10_000}))
    slow, quick = spool.read(), spool.read()
    first = next(slow)
    assert [batch.column(0)[0].as_py() for batch in quick] == [0, 1, 2, 3, 4, 5]
    assert [batch.column(0)[0].as_py() for batch in (first, *slow)] == [0, 1, 2, 3, 4, 5]
    spool.close()


def test_a_full_disk_is_an_oserror_that_says_so() -> None:
    spool = Spool()
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, spool._file.fileno())
    os.close(full)
    with pytest.raises(OSError, match="No space left") as raised:
        spool.write(pa.RecordBatch.from_pydict({"x": list(range(100_000))}))
    assert raised.value.errno == errno.ENOSPC
    spool.close()


_HUGE = """
import resource, sys
import pyarrow as pa
from ingestion.keyed.keyed import KeyedRows

def batch(number):
    ids = pa.array(range(number * 50_000, (number + 1) * 50_000))
    return pa.RecordBatch.from_arrays([ids] * 8, ["id", *"abcdefg"])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

with KeyedRows(["id"], [], 16 << 20) as warm:
    warm.add(batch(0), "a")
    list(warm.passes(lambda rows: pa.Table.from_batches([rows])))
before, rows = peak(), 0
with KeyedRows(["id"], [], 16 << 20) as keyed:
    for number in range(80):
        keyed.add(batch(number), f"file {number}")
    for table in keyed.passes(lambda rows: pa.Table.from_batches([rows])):
        rows += table.num_rows
print(rows, peak() - before)
"""


def test_a_quarter_of_a_gigabyte_of_rows_stays_within_its_bound() -> None:
    done = subprocess.run([sys.executable, "-c", _HUGE], capture_output=True, text=True, check=True)
    rows, megabytes = map(int, done.stdout.split())
    assert rows == 4_000_000
    assert megabytes < 160
