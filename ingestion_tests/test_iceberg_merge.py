"""Merges into Iceberg tables against a plain model of them, read back by three engines."""
# ruff: noqa: DTZ001 - times without a zone are a type of their own here

import datetime as dt
import pickle
import random
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.errors import DataError
from ingestion.keyed import keyed
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.commit import change
from ingestion.loaders.iceberg.merge import footers, plan, search
from ingestion.loaders.iceberg.merge import strategy as merge_strategy
from ingestion.loaders.iceberg.merge.deletes import write_deletes
from ingestion.loaders.iceberg.merge.live import live_files
from ingestion.plugins import Batch, Load, Origin, Part
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.iceberg_support import batch, land

STRATEGIES = ["auto", "copy_on_write", "merge_on_read"]
SCHEMA = pa.schema({"id": pa.int64(), "at": pa.int64(), "name": pa.string(), "gone": pa.bool_()})


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return request.param


@dataclass
class Model:
    """What the table should hold: rows by key."""

    keys: tuple[str, ...] = ("id",)
    order_by: str | None = None
    rows: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    def merge(self, rows: list[dict[str, Any]]) -> None:
        """Rows with distinct keys."""
        for row in rows:
            key = tuple(row[name] for name in self.keys)
            old = self.rows.get(key)
            if old is not None and self.order_by and _less(row[self.order_by], old[self.order_by]):
                continue
            if row.get("gone"):
                self.rows.pop(key, None)
            else:
                self.rows[key] = {name: value for name, value in row.items() if name != "gone"}

    @property
    def table(self) -> list[dict[str, Any]]:
        return _sorted(list(self.rows.values()))


def _less(one: Any, two: Any) -> bool:
    return two is not None and (one is None or one < two)


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row.values()])


def rows_of(project: Any) -> list[dict[str, Any]]:
    return _sorted(agreed_rows(project.iceberg("default.t")))


def rows_batch(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA, cursor: Any = None, source: str = "f") -> Batch:
    return Batch(pa.RecordBatch.from_pylist(rows, schema=schema), Origin(source), None, {}, cursor)


def merging(**options: Any) -> IcebergLoader:
    return IcebergLoader(**{"table": "t", "write_mode": "merge", "merge_keys": "id"} | options)


def appending(**options: Any) -> IcebergLoader:
    return IcebergLoader(table="t", **options)


def snapshot_of(project: Any) -> Any:
    return project.iceberg("default.t").current_snapshot()


def some_rows(random_: random.Random, count: int, ids: int) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "at": random_.choice([None, 1, 2, 3]),
            "name": random_.choice([None, "", "a", "ü"]),
            "gone": random_.choice([None, False, False, True]),
        }
        for number in random_.sample(range(ids), count)
    ]


def small_files(monkeypatch: Any) -> None:
    """Let a few rows be as many as a big table has: no rewriting for being cheap, and several row groups."""
    monkeypatch.setattr(merge_strategy, "_CHEAP", 0)


SOAKED = [pytest.param(seed, order_by, marks=pytest.mark.soak) for seed in range(2, 40) for order_by in (None, "at")]


@pytest.mark.parametrize(("seed", "order_by"), [(0, None), (1, "at"), *SOAKED])
def test_any_sequence_of_merges_equals_the_model(project, strategy, order_by, seed, monkeypatch):
    if strategy == "auto":
        small_files(monkeypatch)
    if seed % 2:
        monkeypatch.setattr(keyed, "LIMIT", 256)
    random_ = random.Random(seed)
    model = Model(order_by=order_by)
    loader = merging(merge_strategy=strategy, delete_column="gone", order_by=order_by or [])
    for step in range(6):
        rows = some_rows(random_, random_.choice([1, 5, 30]), 40)
        given = [rows_batch(rows[start : start + 7], cursor=step) for start in range(0, len(rows), 7)]
        result = land(loader, given)
        model.merge(rows)
        assert rows_of(project) == model.table
        assert result.table_rows == len(model.rows)
        assert result.rows + sum(result.removed.values()) == len(rows)
        assert loader.state("a").cursor == step


KEYS = {
    "int": (pa.int32(), list(range(30))),
    "string": (pa.string(), [f"key {number} ü" * 3 for number in range(30)]),
    "decimal": (pa.decimal128(20, 2), [Decimal(number) / 4 for number in range(30)]),
    "date": (pa.date32(), [dt.date(2020, 1, 1) + dt.timedelta(days=number) for number in range(-15, 15)]),
    "timestamp": (pa.timestamp("us"), [dt.datetime(1969, 12, 31) + dt.timedelta(hours=number) for number in range(30)]),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        [dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(seconds=number) for number in range(30)],
    ),
    "time": (pa.time64("us"), [dt.time(number % 24, 30) for number in range(24)]),
    "uuid": (pa.uuid(), [uuid.UUID(int=number << 60) for number in range(30)]),
    "binary": (pa.binary(), [bytes([number, 255, 0]) for number in range(30)]),
    "fixed": (pa.binary(2), [bytes([number, 200]) for number in range(30)]),
    "bool": (pa.bool_(), [False, True]),
    "double": (pa.float64(), [number / 8 for number in range(-10, 10)]),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), [f"k{number}" for number in range(30)]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_type_are_found(project, strategy, kind):
    dtype, values = KEYS[kind]
    values_of = pa.schema({"id": dtype, "v": pa.int64()})

    def given(chosen: list[Any], v: int) -> Batch:
        columns = [pa.array(chosen, dtype), pa.array([v] * len(chosen))]
        return Batch(pa.RecordBatch.from_arrays(columns, schema=values_of), Origin("f"))

    land(appending(), [given(values, 0)])
    chosen = values[len(values) // 2 :: 3]
    result = land(merging(merge_strategy=strategy), [given(chosen, 1)])
    assert result.changes == {"inserted": 0, "updated": len(chosen), "unchanged": 0, "deleted": 0}
    table = project.table("default.t").to_pydict()
    assert dict(zip(table["id"], table["v"], strict=True)) == {value: int(value in chosen) for value in values}
    assert len(table["id"]) == len(values)


def test_zeros_of_either_sign_are_one_key_and_so_is_every_nan(project, strategy):
    land(appending(), [batch({"id": [0.0, float("nan"), 1.0], "v": [1, 2, 3]})])
    result = land(merging(merge_strategy=strategy), [batch({"id": [-0.0, float("nan")], "v": [4, 5]})])
    assert result.changes["updated"] == 2
    assert sorted(project.table("default.t")["v"].to_pylist()) == [3, 4, 5]


def test_a_nested_column_cannot_be_a_key(project):
    land(appending(), [batch({"id": [[1], [2]]})])
    with pytest.raises(DataError, match=r"cannot be among loader\.merge_keys"):
        land(merging(), [batch({"id": [[1]]})])


def test_composite_keys_match_only_as_a_whole(project, strategy):
    keys = {"a": [1, 1, 2, 2, None], "b": ["x", "y", "x", "y", "x"], "c": [True] * 5}
    land(appending(), [batch({**keys, "v": [0] * 5})])
    loader = merging(merge_keys=["a", "b", "c"], merge_strategy=strategy)
    result = land(loader, [batch({"a": [1, 2, 3], "b": ["y", "x", "x"], "c": [True, False, True], "v": [1, 2, 3]})])
    assert result.changes == {"inserted": 2, "updated": 1, "unchanged": 0, "deleted": 0}
    rows = {(row["a"], row["b"], row["c"]): row["v"] for row in rows_of(project)}
    assert rows == {
        (1, "x", True): 0,
        (1, "y", True): 1,
        (2, "x", True): 0,
        (2, "y", True): 0,
        (None, "x", True): 0,
        (2, "x", False): 2,
        (3, "x", True): 3,
    }


@pytest.mark.parametrize(
    "partition", ["place", {"column": "id", "transform": "bucket[3]"}, {"column": "day", "transform": "day"}]
)
def test_rows_move_to_the_partition_that_their_values_say(project, strategy, partition):
    def given(ids: list[int], place: str, day: int) -> Batch:
        count = len(ids)
        return batch({"id": ids, "place": [place] * count, "day": [dt.datetime(2024, 1, day)] * count})

    options = {"partition_by": [partition]}
    land(appending(**options), [given(list(range(10)), "a", 1), given(list(range(10, 20)), "b", 2)])
    result = land(merging(merge_strategy=strategy, **options), [given([3, 15, 30], "c", 3)])
    assert (result.changes["updated"], result.changes["inserted"], result.table_rows) == (2, 1, 21)
    rows = {row["id"]: row["place"] for row in rows_of(project)}
    assert rows == {
        number: "c" if number in {3, 15, 30} else "a" if number < 10 else "b" for number in [*range(20), 30]
    }


def test_only_files_of_the_keys_partitions_are_touched(project, strategy):
    options = {"partition_by": ["id"]}
    land(appending(**options), [batch({"id": [1, 1, 2], "v": [1, 2, 3]})])
    before = {file["file_path"] for file in project.iceberg("default.t").inspect.data_files().to_pylist()}
    land(merging(merge_strategy=strategy, **options), [batch({"id": [1], "v": [9]})])
    after = {file["file_path"] for file in project.iceberg("default.t").inspect.data_files().to_pylist()}
    assert len(before & after) == (2 if strategy == "merge_on_read" else 1)
    assert [(row["id"], row["v"]) for row in rows_of(project)] == [(1, 9), (2, 3)]


def test_rows_of_an_older_partitioning_are_found(project, strategy):
    land(appending(), [batch({"id": [1, 2], "p": ["a", "b"]})])
    land(appending(partition_by=["p"]), [batch({"id": [3, 4], "p": ["a", "b"]})])
    land(merging(merge_strategy=strategy, partition_by=["p"]), [batch({"id": [1, 3, 5], "p": ["z", "z", "z"]})])
    assert [(row["id"], row["p"]) for row in rows_of(project)] == [(1, "z"), (2, "b"), (3, "z"), (4, "b"), (5, "z")]


def test_keys_are_found_by_field_id_in_renamed_and_widened_columns(project, strategy):
    land(appending(), [batch({"old": pa.array([1, 2, 3], pa.int32()), "v": ["a", "b", "c"]})])
    loader = merging(rename_from={"id": "old"}, merge_strategy=strategy)
    result = land(loader, [batch({"id": [2, 1 << 40], "v": ["x", "y"], "more": [1.5, 2.5]})])
    assert (result.changes["updated"], result.changes["inserted"]) == (1, 1)
    assert {row["id"]: (row["v"], row["more"]) for row in rows_of(project)} == {
        1: ("a", None),
        2: ("x", 1.5),
        3: ("c", None),
        1 << 40: ("y", 2.5),
    }


def nested(number: int, *, note: bool = False) -> dict[str, Any]:
    """One row in which everything can be null or empty."""
    inner = {"n": number, "note": "x"} if note else {"n": number}
    return {
        "id": number,
        "list": [None, [], [inner, None]][number % 3],
        "map": [None, [], [("k", inner)]][number % 3],
        "struct": [None, {"x": None, "y": [number]}][number % 2],
    }


def nested_type(*, note: bool = False) -> pa.Schema:
    inner = pa.struct({"n": pa.int64(), "note": pa.string()} if note else {"n": pa.int64()})
    return pa.schema(
        {
            "id": pa.int64(),
            "list": pa.list_(inner),
            "map": pa.map_(pa.string(), inner),
            "struct": pa.struct({"x": pa.float64(), "y": pa.list_(pa.int64())}),
        }
    )


def test_nested_values_survive_a_rewrite_of_their_file_with_new_parts(project, strategy):
    land(appending(), [rows_batch([nested(number) for number in range(12)], nested_type())])
    changed = rows_batch([nested(20, note=True) | {"id": 5}], nested_type(note=True))
    land(merging(merge_strategy=strategy), [changed])
    # pyiceberg itself reads a null list of structs as an empty one, whoever has written it.
    rows = {row["id"]: row for row in merging().scan().collect().to_arrow().to_pylist()}
    expected = pa.Table.from_pylist(
        [nested(number) for number in range(12) if number != 5] + [nested(20, note=True) | {"id": 5}],
        schema=nested_type(note=True),
    )
    assert rows == {row["id"]: row for row in expected.to_pylist()}


def test_rows_that_say_nothing_new_are_left_alone(project, strategy):
    values = {
        "id": [1, 2, 3],
        "f": [float("nan"), None, 0.5],
        "l": [[1, None], None, []],
        "s": [{"a": None}, None, {"a": 1}],
        "d": [Decimal("1.50"), None, Decimal(2)],
    }
    land(appending(), [batch(values, cursor=1)])
    before = project.iceberg("default.t").inspect.files().to_pylist()
    loader = merging(merge_strategy=strategy)
    again = land(loader, [batch(values, cursor=2)])
    assert again.changes == {"inserted": 0, "updated": 0, "unchanged": 3, "deleted": 0}
    assert (again.rows, again.files, again.table_rows) == (3, 0, 3)
    assert project.iceberg("default.t").inspect.files().to_pylist() == before
    assert loader.state("a").cursor == 2
    assert land(loader, [batch(values, cursor=2)]).snapshot is None


def test_the_run_that_wrote_a_row_does_not_make_it_a_new_one(project, strategy):
    def given(run: str, second: int) -> Batch:
        return batch(
            {
                "id": [1],
                "v": ["a" if second else "b"],
                "_ingestion_run_id": [run],
                "_ingested_at": [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)],
            }
        )

    land(appending(), [given("one", 1)])
    loader = merging(merge_strategy=strategy)
    assert land(loader, [given("two", 1)]).changes["unchanged"] == 1
    assert land(loader, [given("three", 0)]).changes["updated"] == 1
    assert project.table("default.t")["_ingestion_run_id"].to_pylist() == ["three"]


def test_unchanged_rows_are_looked_for_where_a_sample_has_many(project, monkeypatch):
    small_files(monkeypatch)
    land(appending(), [batch({"id": list(range(100)), "v": [0] * 100})])
    loader = merging(merge_strategy="merge_on_read")
    few = land(loader, [batch({"id": list(range(10)), "v": [0, 0, 0, *[1] * 7]})])
    assert (few.changes["updated"], few.changes["unchanged"]) == (10, 0)
    many = land(loader, [batch({"id": list(range(10, 20)), "v": [0] * 7 + [1] * 3})])
    assert (many.changes["updated"], many.changes["unchanged"]) == (3, 7)


def test_an_older_row_loses_to_the_tables_and_is_counted(project, strategy):
    land(appending(), [batch({"id": [1, 2, 3, 4], "at": [5, 5, None, 5], "v": [0, 0, 0, 0]})])
    loader = merging(order_by="at", merge_strategy=strategy)
    result = land(loader, [batch({"id": [1, 2, 3, 4], "at": [4, 5, None, None], "v": [1, 1, 1, 1]})])
    assert (result.rows, result.removed) == (2, {"older row of the same key": 2})
    assert {row["id"]: row["v"] for row in rows_of(project)} == {1: 0, 2: 1, 3: 1, 4: 0}


def test_a_late_delete_loses_to_a_newer_row(project, strategy):
    land(appending(), [batch({"id": [1, 2], "at": [5, 5]})])
    loader = merging(order_by="at", delete_column="gone", merge_strategy=strategy)
    result = land(loader, [batch({"id": [1, 2, 3], "at": [4, 6, 1], "gone": [1, 2, -1]})])
    assert (result.changes["deleted"], result.removed) == (1, {"older row of the same key": 1})
    assert [row["id"] for row in rows_of(project)] == [1]
    assert "gone" not in project.table("default.t").column_names


def test_the_same_key_in_two_files_of_one_load_means_the_later_row(project, strategy):
    land(appending(), [batch({"id": [1], "v": [0]})])
    given = [
        rows_batch([{"id": 1, "v": v}], pa.schema({"id": pa.int64(), "v": pa.int64()}), source=str(v)) for v in (1, 2)
    ]
    result = land(merging(merge_strategy=strategy), given)
    assert (result.rows, result.removed) == (1, {"older row of the same key": 1})
    assert rows_of(project) == [{"id": 1, "v": 2}]


@pytest.mark.parametrize("missing", ["hard", "soft"])
def test_rows_that_a_full_load_no_longer_brings_go(project, strategy, missing):
    land(appending(), [batch({"id": [1, 2], "v": [1, 2]}), batch({"id": [3, 4], "v": [3, 4]})])
    loader = merging(delete_missing=missing, merge_strategy=strategy)
    result = land(loader, [batch({"id": [1, 3, 5], "v": [1, 9, 5]})])
    assert (result.changes["missing"], result.changes["updated"], result.changes["inserted"]) == (2, 1, 1)
    rows = {row["id"]: row for row in rows_of(project)}
    there = {number for number, row in rows.items() if row.get("_deleted_at") is None}
    assert there == {1, 3, 5}
    assert set(rows) == ({1, 3, 5} if missing == "hard" else {1, 2, 3, 4, 5})
    again = land(loader, [batch({"id": [1, 3, 5], "v": [1, 9, 5]}, cursor=1)])
    assert (again.changes["missing"], again.changes["unchanged"], again.files) == (0, 3, 0)
    back = land(loader, [batch({"id": [1, 2, 3, 5], "v": [1, 2, 9, 5]})])
    rows = {row["id"]: row for row in rows_of(project)}
    assert rows[2].get("_deleted_at") is None
    assert back.changes["missing"] == 0


def test_a_row_missing_before_keeps_its_time(project, strategy):
    loader = merging(delete_missing="soft", merge_strategy=strategy)
    for ids in ([1, 2, 3], [1, 3], [1]):
        land(loader, [batch({"id": ids})])
        times = {row["id"]: row["_deleted_at"] for row in rows_of(project)}
        if len(ids) == 2:
            first = times[2]
    assert first is not None
    assert times[2] == first < times[3]
    assert times[1] is None


@pytest.mark.parametrize("missing", ["hard", "soft"])
def test_a_full_load_without_rows_empties_nothing_unless_allowed(project, missing):
    land(appending(), [batch({"id": [1, 2]})])
    empty = batch({"id": pa.array([], pa.int64())})
    with pytest.raises(DataError, match=f"delete_missing: {missing} would empty"):
        land(merging(delete_missing=missing), [empty])
    assert len(rows_of(project)) == 2
    assert land(merging(delete_missing=missing, allow_empty=True), [empty]).changes["missing"] == 2


def test_the_first_merge_makes_the_table(project, strategy):
    loader = merging(delete_column="gone", merge_strategy=strategy)
    result = land(loader, [rows_batch([{"id": 1, "gone": True}, {"id": 2, "gone": False}, {"id": 3}], cursor=1)])
    assert (result.rows, result.changes["inserted"], result.changes["deleted"]) == (3, 2, 0)
    assert [row["id"] for row in rows_of(project)] == [2, 3]
    assert snapshot_of(project).summary.operation.value == "append"


def test_a_merge_without_rows_keeps_its_cursor(project, strategy):
    land(appending(), [batch({"id": [1]}, cursor=1)])
    loader = merging(merge_strategy=strategy)
    assert land(loader, [batch({"id": pa.array([], pa.int64())}, cursor=2)]).snapshot is not None
    assert loader.state("a").cursor == 2
    assert land(loader, [batch({"id": pa.array([], pa.int64())}, cursor=2)]).snapshot is None
    assert len(rows_of(project)) == 1


def test_overwriting_with_keys_leaves_one_row_of_each(project):
    land(appending(), [batch({"id": [7], "v": [7]})])
    loader = IcebergLoader(table="t", write_mode="overwrite", merge_keys="id", order_by="v", delete_column="gone")
    result = land(loader, [batch({"id": [1, 1, 2, 3], "v": [2, 1, 1, 1], "gone": [False, False, False, True]})])
    assert (result.rows, result.removed, result.table_rows) == (3, {"older row of the same key": 1}, 2)
    assert [(row["id"], row["v"]) for row in rows_of(project)] == [(1, 2), (2, 1)]


def test_overwriting_takes_delete_files_out_of_the_counts(project):
    land(appending(), [batch({"id": [1, 2, 3]})])
    land(merging(merge_strategy="merge_on_read", delete_column="gone"), [batch({"id": [1], "gone": [True]})])
    assert snapshot_of(project).summary["total-position-deletes"] == "1"
    result = land(IcebergLoader(table="t", write_mode="overwrite"), [batch({"id": [9]})])
    summary = snapshot_of(project).summary
    assert (summary["total-position-deletes"], summary["total-delete-files"], result.table_rows) == ("0", "0", 1)
    assert [row["id"] for row in rows_of(project)] == [9]


def test_a_data_file_never_has_more_than_one_delete_file(project):
    land(appending(), [batch({"id": list(range(100)), "v": [0] * 100})])
    loader = merging(merge_strategy="merge_on_read")
    for step in range(4):
        land(loader, [batch({"id": [step, step + 50], "v": [1, 1]})])
        summary = snapshot_of(project).summary
        assert (summary["total-delete-files"], summary["total-position-deletes"]) == ("1", str(2 * step + 2))
    assert sum(row["v"] for row in rows_of(project)) == 8


def test_a_file_with_many_dead_rows_is_rewritten_and_others_are_not(project, monkeypatch):
    small_files(monkeypatch)
    for start in (0, 100):
        land(appending(), [batch({"id": list(range(start, start + 100)), "v": [0] * 100})])
    loader = merging()
    land(loader, [batch({"id": [*range(20), 100], "v": [1] * 21})])
    assert snapshot_of(project).summary["total-delete-files"] == "2"
    land(loader, [batch({"id": [*range(20, 30), 101], "v": [1] * 11})])
    summary = snapshot_of(project).summary
    assert (summary["total-delete-files"], summary["total-position-deletes"]) == ("1", "2")
    assert sum(row["v"] for row in rows_of(project)) == 32


def test_a_key_that_the_table_has_twice_is_replaced_once(project, strategy):
    land(appending(), [batch({"id": [1, 1, 2], "v": [0, 5, 0]})])
    result = land(merging(merge_strategy=strategy), [batch({"id": [1], "v": [5]})])
    assert (result.changes["updated"], result.table_rows) == (1, 2)
    assert [(row["id"], row["v"]) for row in rows_of(project)] == [(1, 5), (2, 0)]


def test_rewritten_rows_stay_in_their_order(project):
    land(appending(), [batch({"id": [1, 2, 3, 4], "v": [0, 0, 0, 0]})])
    land(merging(merge_strategy="copy_on_write"), [batch({"id": [3, 9, 1], "v": [1, 1, 1]})])
    assert project.table("default.t")["id"].to_pylist() == [1, 2, 3, 4, 9]


def test_row_groups_are_told_apart_by_their_statistics(project, strategy):
    """The file is written by hand with many row groups, as one of another engine."""
    land(appending(), [batch({"id": list(range(1000)), "v": ["a"] * 1000})])
    (path,) = (project.path / "metadata" / "warehouse").rglob("*.parquet")
    rows = pq.read_table(path)
    size = path.stat().st_size
    pq.write_table(rows, path, row_group_size=64, compression="none", use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 16
    del size
    ids = [0, 63, 64, 500, 999]
    land(merging(merge_strategy=strategy), [batch({"id": ids, "v": ["b"] * 5})])
    table = project.table("default.t").to_pydict()
    assert sorted(number for number, v in zip(table["id"], table["v"], strict=True) if v == "b") == ids
    assert len(table["id"]) == 1000


def shared_deletes(project: Any, gone: dict[str, list[int]]) -> None:
    """One delete file about several data files, as other engines write them."""
    table = project.iceberg("default.t")
    names = sorted(gone)
    files = {item.path: item.file for item in live_files(table).values()}
    path = f"{table.location()}/data/shared-deletes.parquet"
    deletes = write_deletes(table.io, path, files[names[0]], np.array(gone[names[0]]))
    rows = [(name, position) for name in names for position in gone[name]]
    columns = pq.read_schema(path)
    pq.write_table(pa.table([*map(pa.array, zip(*rows, strict=True))], schema=columns), path)
    deletes._data[4], deletes._data[5] = len(rows), Path(path).stat().st_size
    deletes.upper_bounds[2147483546] = names[-1].encode()
    transaction = table.transaction()
    change(transaction, {}, [], deletes=[deletes])
    transaction.commit_transaction()


def test_rows_that_a_delete_file_about_several_files_names_stay_gone(project, strategy):
    for start in (0, 10):
        land(appending(), [batch({"id": list(range(start, start + 10)), "v": [0] * 10})])
    shared_deletes(project, {name: [0, 5] for name in live_files(project.iceberg("default.t"))})
    assert [row["id"] for row in rows_of(project) if row["id"] % 5 == 0] == []
    loader = merging(merge_strategy=strategy)
    for step in (1, 2):
        result = land(loader, [batch({"id": [1, 5, 12, 99], "v": [step] * 4})])
        assert result.changes["inserted"] == (2 if step == 1 else 0)
    rows = {row["id"]: row["v"] for row in rows_of(project)}
    assert rows == {number: 0 for number in range(20) if number % 5} | {1: 2, 5: 2, 12: 2, 99: 2}


def test_a_file_without_its_partitions_column_has_the_partitions_value(project, strategy):
    """Files of tables that came from Hive leave that column out."""
    options = {"partition_by": ["day"]}
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]
    land(appending(**options), [batch({"id": [1, 2, 3], "day": [days[0], days[0], days[1]], "v": [0, 0, 0]})])
    for path in (project.path / "metadata" / "warehouse").rglob("data/**/*.parquet"):
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns(["day"]), path)
    loader = merging(merge_keys=["id", "day"], merge_strategy=strategy, **options)
    result = land(loader, [batch({"id": [1, 3], "day": [days[0], days[0]], "v": [1, 1]})])
    assert (result.changes["updated"], result.changes["inserted"]) == (1, 1)
    rows = {(row["id"], row["day"]): row["v"] for row in project.table("default.t").to_pylist()}
    assert rows == {(1, days[0]): 1, (2, days[0]): 0, (3, days[1]): 0, (3, days[0]): 1}


def test_many_keys_are_found_among_many(project, strategy, monkeypatch):
    """More rows and files than one look-up takes."""
    monkeypatch.setattr(search, "_ROWS_AT_ONCE", 700)
    texts = [f"{number * 7919 % 10_007:08}" for number in range(9_000)]
    for start in range(0, 9_000, 3_000):
        part = texts[start : start + 3_000]
        land(appending(), [batch({"id": part, "v": [0] * len(part)})])
    chosen = texts[::9]
    result = land(merging(merge_strategy=strategy), [batch({"id": [*chosen, "new"], "v": [1] * 1001})])
    assert (result.changes["updated"], result.changes["inserted"]) == (1000, 1)
    table = project.table("default.t").to_pydict()
    found = {number for number, v in zip(table["id"], table["v"], strict=True) if v}
    assert found == {*chosen, "new"}
    assert len(table["id"]) == 9_001


def test_a_load_of_one_part_replaces_that_part_whatever_the_mode(project):
    land(appending(), [batch({"id": [1, 2, 3], "p": ["a", "a", "b"]})])
    loader = merging(order_by="id")
    load = Load("a", "r", "l1", loader.state("a"), replaces=(Part("p", ("a",)),))
    loader.load(load, iter([batch({"id": [7, 7], "p": ["a", "a"]})]))
    assert [(row["id"], row["p"]) for row in rows_of(project)] == [(3, "b"), (7, "a")]


UUIDS = [uuid.UUID(int=number).bytes for number in (1, 2**127, 2**128 - 1)]
SPECIAL_KEYS = {
    "double": pa.array([1.5, float("nan"), -0.0, float("inf")], pa.float64()),
    "float": pa.array([1.5, float("nan"), -0.0], pa.float32()),
    "uuid": pa.array(UUIDS, pa.uuid()),
}


@pytest.mark.parametrize(
    ("kind", "transform"),
    [("double", "identity"), ("float", "identity"), ("uuid", "identity"), ("uuid", "bucket[4]")],
)
@pytest.mark.parametrize("mode", ["merge", "overwrite"])
def test_keys_that_are_special_are_found_in_the_partitions_made_of_them(project, kind, transform, mode):
    keys = SPECIAL_KEYS[kind]
    options = {"merge_keys": "id"} if mode == "merge" else {"overwrite_scope": "partitions"}
    loader = IcebergLoader(
        table="t", write_mode=mode, partition_by=[{"column": "id", "transform": transform}], **options
    )
    for value in (1, 2, 2):
        columns = [keys, pa.array([value] * len(keys))]
        result = land(loader, [batch(pa.RecordBatch.from_arrays(columns, names=["id", "v"]))])
    assert result.changes.get("unchanged") in (None, len(keys))
    assert project.iceberg("default.t").scan().to_arrow()["v"].to_pylist() == [2] * len(keys)


def test_what_a_merge_remembers_of_rows_found_in_several_passes_is_a_bit_for_each(project, monkeypatch):
    count = 40_000
    monkeypatch.setattr(keyed, "LIMIT", 200_000)
    made = []
    whole = plan.Planner.plan
    monkeypatch.setattr(plan.Planner, "plan", lambda *args, **options: made.append(whole(*args, **options)) or made[-1])
    rows = {"id": np.arange(count), "v": np.zeros(count)}
    land(IcebergLoader(table="t"), [batch(rows)])
    loader = IcebergLoader(table="t", write_mode="merge", merge_keys="id", merge_strategy="merge_on_read")
    result = land(loader, [batch({"id": rows["id"], "v": rows["v"] + 1})], job="b")
    assert result.changes["updated"] == count
    assert len(made[0].verdicts) > 1
    assert sum(len(pickle.dumps([item._bits, item._exact])) for item in made[0].gone.values()) < count
    assert set(project.iceberg("default.t").scan().to_arrow()["v"].to_pylist()) == {1.0}


def test_footers_of_many_files_are_read_again_rather_than_all_kept(project, monkeypatch):
    monkeypatch.setattr(footers, "_MOST_BYTES", 10_000)
    for number in range(20):
        land(IcebergLoader(table="t"), [batch({"id": [number, number + 100], "v": [0, 0]})])
    held = []
    get = footers.Footers.get
    monkeypatch.setattr(footers.Footers, "get", lambda self, *args: (get(self, *args), held.append(len(self._held)))[0])
    loader = IcebergLoader(table="t", write_mode="merge", merge_keys="id")
    result = land(loader, [batch({"id": list(range(20)), "v": [1] * 20})], job="b")
    assert result.changes["updated"] == 20
    assert max(held) <= 3
    assert sum(project.iceberg("default.t").scan().to_arrow()["v"].to_pylist()) == 20
