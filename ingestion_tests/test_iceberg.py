"""What lands in a table, and what is refused, by real catalogs and files."""
# ruff: noqa: DTZ001 - times without a zone are a type of their own here

import datetime as dt
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from pyiceberg.catalog import CatalogType

from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.loaders import LoaderFactory
from ingestion.loaders.iceberg import CATALOG_TYPES, IcebergLoader
from ingestion.loaders.iceberg.catalog import catalog_properties, opened, translated
from ingestion.loaders.iceberg.history import LOAD
from ingestion.loaders.iceberg.target import Target
from ingestion.plugins import Batch, Origin, State
from ingestion.testing import check_loader
from ingestion_tests.iceberg_support import batch, land


@pytest.fixture
def loader(project):
    return IcebergLoader(table="t")


def files_below(project):
    return sorted(path.name for path in (project.path / "metadata").rglob("*.parquet"))


def test_asking_where_nothing_is_yet_makes_nothing(project):
    assert IcebergLoader(table="t").state("a") == State()
    assert not (project.path / "metadata").exists()


def test_the_loader_keeps_the_contract_of_loaders(project):
    check_loader(IcebergLoader(table="t"), lambda: project.table("default.t"))


def test_rows_and_cursor_land_in_one_snapshot(project, loader):
    result = land(loader, [batch({"a": [1, 2]}), batch({"a": [3]}, cursor={"at": 3})])
    table = project.iceberg("default.t")
    assert (result.rows, result.files, result.table) == (3, 1, "default.t")
    assert [str(item.snapshot_id) for item in table.snapshots()] == [result.snapshot]
    assert project.table("default.t")["a"].to_pylist() == [1, 2, 3]
    assert loader.state("a").cursor == {"at": 3}
    assert loader.state("b").cursor is None


def test_the_table_is_named_after_the_job_where_no_name_is_given(project):
    assert land(IcebergLoader(database="one"), [batch({"a": [1]})], job="sales").table == "one.sales"
    with pytest.raises(ConfigError, match="table is not given"):
        IcebergLoader().scan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"database": "one.two"}, "hierarchical"),
        ({"table_properties": {"format-version": "3"}}, "version: 3"),
        ({"table_properties": {"format-version": "x"}}, "x"),
    ],
)
def test_a_table_that_cannot_be_created_is_a_config_error(project, options, message):
    with pytest.raises(ConfigError, match=rf"t cannot be created: .*{message}"):
        land(IcebergLoader(table="t", **options), [batch({"a": [1]})])


def test_a_run_with_nothing_to_say_commits_nothing(project, loader):
    assert land(loader, []).snapshot is None
    assert not (project.path / "metadata" / "warehouse").exists()
    land(loader, [batch({"a": [1]}, cursor=5)])
    assert land(loader, [batch({"a": pa.array([], pa.int64())}, cursor=5)]).snapshot is None
    assert len(project.iceberg("default.t").snapshots()) == 1


def test_a_new_cursor_without_rows_is_committed(loader):
    assert land(loader, [batch({"a": pa.array([], pa.int64())}, cursor=7)]).snapshot is not None
    assert loader.state("a").cursor == 7
    assert loader.to_table().num_rows == 0


def test_files_that_hold_fewer_rows_than_were_given_are_not_committed(project):
    options = IcebergLoader(table="t", target_file_size="1 MiB")
    with opened({}) as catalog:
        target = Target(catalog, ("default", "t"), options, "l1")
        target.write(batch({"a": [1, 2, 3]}).records)
        target.finish()
        target.rows += 1
        with pytest.raises(DataError, match=r"table default\.t: 4 rows were to be written and its files hold 3"):
            target.land(lambda _: None, lambda transaction: target.stage(transaction, {LOAD: "l1"}))
        target.abort()
    assert files_below(project) == []


def test_a_ledger_is_a_file_outside_the_table_and_comes_back_as_it_was(project, loader):
    ledger = pa.table(
        {
            "path": ["a", "b"],
            "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
            "hash": pa.array(["x", None], pa.string()),
        }
    )
    land(loader, [batch({"a": [1]}, cursor=ledger)])
    assert loader.state("a").cursor.equals(ledger)
    (file,) = (project.path / "metadata" / "warehouse" / "default" / "_cursors" / "default.t").iterdir()
    assert land(loader, [batch({"a": pa.array([], pa.int64())}, cursor=ledger)]).snapshot is None
    file.write_bytes(b"other")
    with pytest.raises(DataError, match="is not what was written"):
        loader.state("a")
    file.unlink()
    with pytest.raises(DataError, match="is gone"):
        loader.state("a")


def test_new_columns_come_with_the_rows_that_have_them(project, loader):
    land(loader, [batch({"a": [1]})])
    land(loader, [batch({"a": [2]}), batch({"b": ["x"], "a": [3]}), batch({"c": [1.5]})])
    assert project.table("default.t").sort_by("a").to_pylist() == [
        {"a": 1, "b": None, "c": None},
        {"a": 2, "b": None, "c": None},
        {"a": 3, "b": "x", "c": None},
        {"a": None, "b": None, "c": 1.5},
    ]
    assert len(project.iceberg("default.t").snapshots()) == 2


def test_a_load_tells_which_columns_are_new_and_which_are_missing(loader):
    first = land(loader, [batch({"a": [1], "b": [2]})])
    assert (first.added, first.absent) == ((), ())
    moved = land(loader, [batch({"a": [2], "c": [3]}), batch({"d": [4], "a": [5]})])
    assert (moved.added, moved.absent) == (("c", "d"), ("b",))
    assert land(loader, [batch({"a": [6], "b": pa.nulls(1), "c": [1], "d": [1]})]).absent == ()
    assert land(loader, [batch({"a": pa.array([], pa.int64())}, cursor=1)]).absent == ()


def test_a_column_of_nulls_waits_for_its_type_and_is_text_in_the_end(loader):
    land(loader, [batch({"a": [1], "x": pa.nulls(1), "y": pa.nulls(1)}), batch({"a": [2], "x": [7], "y": pa.nulls(1)})])
    assert loader.state("a").schema == pa.schema([("a", pa.int64()), ("x", pa.int64()), ("y", pa.string())])
    land(loader, [batch({"a": pa.nulls(1), "x": [8], "y": ["z"]})])
    assert loader.to_table()["x"].to_pylist().count(None) == 1


NOTHING = pa.array([], pa.null())


def test_a_column_of_an_empty_batch_whose_type_nobody_knows_waits_for_rows(project, loader):
    header = batch({"a": NOTHING, "b": NOTHING}, cursor=1)
    result = land(loader, [header])
    assert (result.snapshot, result.schema) == (None, None)
    assert loader.state("a") == State()
    land(loader, [batch({"a": pa.array([], pa.int64()), "b": NOTHING}, cursor=1)])
    assert loader.state("a").schema == pa.schema([("a", pa.int64())])
    land(loader, [header._replace(cursor=2)])
    assert loader.state("a").cursor == 2
    result = land(loader, [header, batch({"a": [1], "b": [1.5]})])
    assert (result.added, result.absent) == (("b",), ())
    assert loader.to_table().to_pylist() == [{"a": 1, "b": 1.5}]


def test_a_partitioned_table_waits_until_its_partition_column_has_a_type(project):
    loader = IcebergLoader(table="t", partition_by=[{"column": "day", "transform": "month"}])
    assert land(loader, [batch({"n": pa.array([], pa.int64()), "day": NOTHING}, cursor=1)]).snapshot is None
    land(loader, [batch({"n": [1], "day": [dt.date(2024, 1, 1)]})])
    assert project.table("default.t").num_rows == 1


def test_where_all_rows_are_bad_columns_without_a_type_are_text(project, loader):
    result = land(loader, [batch({"a": NOTHING, "b": NOTHING}, cursor=1, bad=2)])
    assert (result.rows, result.quarantined) == (0, 2)
    assert loader.state("a").schema == pa.schema([("a", pa.string()), ("b", pa.string())])
    assert loader.state("a").cursor == 1
    assert project.table("default.t__quarantine").num_rows == 2


def test_types_widen_and_never_narrow(loader):
    land(loader, [batch({"i": pa.array([1], pa.int32()), "f": pa.array([0.5], pa.float32()), "d": [Decimal("1.25")]})])
    land(loader, [batch({"i": [2**40], "f": [0.1], "d": [Decimal("12345.25")]})])
    assert loader.state("a").schema == pa.schema([("i", pa.int64()), ("f", pa.float64()), ("d", pa.decimal128(7, 2))])
    land(loader, [batch({"i": pa.array([3], pa.int8()), "f": [4], "d": [5]})])
    assert sorted(loader.to_table()["i"].to_pylist()) == [1, 3, 2**40]


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({"a": [1]}, {"a": ["x"]}, "column 'a' is long, the data brings string"),
        ({"a": [1]}, {"a": [1.5]}, "column 'a' is long, the data brings double"),
        ({"a": ["x"]}, {"a": [1]}, "column 'a' is string, the data brings long"),
        ({"a": [1.5]}, {"a": [2**53 + 1]}, "column 'a' is double and a value of the data does not fit"),
        ({"a": [Decimal("1.5")]}, {"a": [10**6]}, "a value of the data does not fit"),
        ({"a": pa.array([0], pa.timestamp("us"))}, {"a": pa.array([0], pa.timestamp("us", "UTC"))}, "timestamptz"),
        ({"a": [{"x": 1}]}, {"a": [{"x": "y"}]}, r"column 'a\.x' is long, the data brings string"),
        ({"a": [1]}, {"A": [1]}, "'a' and 'A' differ only in case"),
        ({"a": [1]}, {"": [1]}, "a column without a name"),
    ],
)
def test_data_that_does_not_fit_is_refused_and_leaves_nothing_behind(project, loader, first, then, message):
    land(loader, [batch(first)])
    before = files_below(project)
    with pytest.raises(DataError, match=message):
        land(loader, [batch(then, cursor=1)])
    assert files_below(project) == before
    assert loader.state("a").cursor is None


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (pa.array(["x", "y", "x"]).dictionary_encode(), pa.string(), ["x", "y", "x"]),
        (pa.array([1, 2], pa.int64()).dictionary_encode(), pa.int64(), [1, 2]),
        (pa.array(["x"], pa.large_string()), pa.string(), ["x"]),
        (pa.array(["x"], pa.string_view()), pa.string(), ["x"]),
        (pa.array([b"x"], pa.large_binary()), pa.binary(), [b"x"]),
        (pa.array([-1], pa.int8()), pa.int32(), [-1]),
        (pa.array([2**32 - 1], pa.uint32()), pa.int64(), [2**32 - 1]),
        (pa.array([2**64 - 1], pa.uint64()), pa.decimal128(20, 0), [Decimal(2**64 - 1)]),
        (pa.array([0.5], pa.float16()), pa.float32(), [0.5]),
        (pa.array([1], pa.timestamp("s")), pa.timestamp("us"), [dt.datetime(1970, 1, 1, 0, 0, 1)]),
        (pa.array([1000], pa.timestamp("ns")), pa.timestamp("us"), [dt.datetime(1970, 1, 1, 0, 0, 0, 1)]),
        (
            pa.array([0], pa.timestamp("ms", "Europe/Oslo")),
            pa.timestamp("us", "UTC"),
            [dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)],
        ),
        (pa.array([86_400_000], pa.date64()), pa.date32(), [dt.date(1970, 1, 2)]),
        (pa.array([61], pa.time32("s")), pa.time64("us"), [dt.time(0, 1, 1)]),
        (pa.array([Decimal("1.5")], pa.decimal256(38, 2)), pa.decimal128(38, 2), [Decimal("1.50")]),
        (pa.array([True, None]), pa.bool_(), [True, None]),
        (pa.array([b"ab"], pa.binary(2)), pa.binary(2), [b"ab"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_every_arrow_type_lands_as_its_iceberg_type(loader, given, dtype, expected):
    land(loader, [batch({"a": given})])
    assert loader.state("a").schema.field("a").type == dtype
    assert loader.to_table()["a"].to_pylist() == expected
    assert loader.scan().collect()["a"].to_list() == expected


def test_nested_values_land_and_grow(loader):
    land(loader, [batch({"a": [{"x": 1, "l": [1, 2]}]})])
    land(loader, [batch({"a": [{"x": 2, "l": [], "new": "y"}]})])
    assert sorted((row["a"]["x"], row["a"]["new"]) for row in loader.to_table().to_pylist()) == [(1, None), (2, "y")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pa.array([1], pa.timestamp("ns")), "does not fit"),
        (pa.array([1], pa.duration("s")), "duration.*cannot hold"),
        (pa.array([{}], pa.struct([])), "struct.*cannot hold"),
        (pa.array([Decimal(1)], pa.decimal256(50, 0)), "at most 38 digits"),
    ],
)
def test_a_type_without_an_iceberg_type_is_refused(loader, given, message):
    with pytest.raises(DataError, match=message):
        land(loader, [batch({"a": given})])


def test_names_may_hold_anything(loader):
    columns = {"a.b": [1], "with space": ["x"], "héllo/日本": [1.5], "1st": [True], "x-y": [None]}
    land(loader, [batch(columns)])
    assert loader.to_table().to_pylist() == [{key: value[0] for key, value in columns.items()}]
    assert loader.scan().collect().to_dicts() == [{key: value[0] for key, value in columns.items()}]


def test_a_dictionary_that_changes_between_batches_reads_back_as_text(loader):
    batches = [batch({"a": pa.array(values).dictionary_encode()}) for values in (["x", "y"], ["z"], ["y", None])]
    land(loader, [*batches, batch({"a": ["plain"]})])
    assert loader.scan().collect()["a"].to_list() == ["x", "y", "z", "y", None, "plain"]


def test_statistics_of_the_commit_are_those_of_the_rows(project, loader):
    land(loader, [batch({"a": [3, None, 1], "s": ["b", "a", None]})])
    (file,) = project.iceberg("default.t").inspect.files().to_pylist()
    metrics = file["readable_metrics"]
    assert (metrics["a"]["lower_bound"], metrics["a"]["upper_bound"], metrics["a"]["null_value_count"]) == (1, 3, 1)
    assert (metrics["s"]["lower_bound"], metrics["s"]["upper_bound"]) == ("a", "b")
    assert file["record_count"] == 3
    assert file["file_size_in_bytes"] == Path(file["file_path"]).stat().st_size


def test_dates_that_python_has_none_for_land_in_a_column_without_bounds(project):
    far = {"day": pa.array([9_999_999, 1], pa.date32()), "at": pa.array([-(10**18), 1], pa.timestamp("us", "UTC"))}
    columns = {"n": [1, 2], **far, "in": pa.array([{"at": 10**18}, None], pa.struct({"at": pa.timestamp("us")}))}
    loader = IcebergLoader(table="t", write_mode="merge", merge_keys=["n"])
    assert land(loader, [batch(columns)]).rows == 2
    (file,) = project.iceberg("default.t").inspect.files().to_pylist()
    fields = {field.name: field.field_id for field in project.iceberg("default.t").schema().fields}
    assert dict(file["lower_bounds"]).keys() == {fields["n"]}
    assert dict(file["null_value_counts"])[fields["day"]] == 0
    columns["n"] = [2, 3]
    assert land(loader, [batch(columns)]).changes["inserted"] == 1
    numbers = project.table("default.t").sort_by("n").column("day").cast(pa.int32())
    assert numbers.to_pylist() == [9_999_999, 9_999_999, 1]


def test_overwrite_replaces_everything_in_one_snapshot(project, loader):
    land(loader, [batch({"a": [1, 2]}, cursor=2)])
    land(loader, [batch({"a": [3]}, cursor=3)], job="b")
    replacing = IcebergLoader(table="t", write_mode="replace")
    land(replacing, [batch({"a": [9]})])
    assert project.table("default.t")["a"].to_pylist() == [9]
    snapshots = project.iceberg("default.t").snapshots()
    assert len(snapshots) == 3
    assert snapshots[-1].summary.operation.value == "overwrite"
    assert snapshots[-1].summary["total-records"] == "1"
    assert loader.state("b").cursor == 3


def test_overwrite_with_no_rows_is_refused_unless_allowed(project, loader):
    land(loader, [batch({"a": [1]})])
    empty = batch({"a": pa.array([], pa.int64())})
    with pytest.raises(DataError, match="allow_empty"):
        land(IcebergLoader(table="t", write_mode="overwrite"), [empty])
    assert project.table("default.t").num_rows == 1
    land(IcebergLoader(table="t", write_mode="overwrite", allow_empty=True), [empty])
    assert project.table("default.t").num_rows == 0


def test_rejected_rows_land_in_the_quarantine_under_the_load_id(project, loader):
    result = land(loader, [batch({"a": [1]}, bad=2)], load_id="l1")
    rows = project.table("default.t__quarantine").to_pylist()
    assert (result.rows, result.quarantined) == (1, 2)
    assert {(row["load_id"], row["run_id"], row["job"], row["reason"]) for row in rows} == {
        ("l1", "run-of-a", "a", "no number")
    }
    result = land(loader, [batch({"a": pa.array([], pa.int64())}, bad=1)])
    assert result.snapshot is not None
    assert project.table("default.t__quarantine").num_rows == 3


def test_an_error_of_the_source_leaves_neither_table_nor_files(project, loader):
    def breaks():
        yield batch({"a": list(range(1000))}, bad=1)
        raise DataError("moved header")

    with pytest.raises(DataError, match="moved header"):
        land(loader, breaks())
    assert loader.state("a") == State()
    assert files_below(project) == []


def test_an_interruption_leaves_no_files(project):
    loader = IcebergLoader(table="t", target_file_size="1 MiB")
    text = pa.array(os.urandom(1000).hex() for _ in range(40_000))

    def interrupted():
        yield batch({"a": text})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        land(loader, interrupted())
    assert files_below(project) == []


def test_files_are_rolled_at_their_target_size(project):
    loader = IcebergLoader(table="t", target_file_size="4 MiB")
    chunks = [pa.array(os.urandom(500).hex() for _ in range(20_000)) for _ in range(2)]
    result = land(loader, (batch({"a": chunks[number % 2]}) for number in range(16)))
    assert result.files > 1
    assert result.bytes_written == sum(
        file["file_size_in_bytes"] for file in project.iceberg("default.t").inspect.files().to_pylist()
    )
    assert project.table("default.t").num_rows == 320_000


DAYS = [dt.datetime(2023, 12, 31, 23, 59) + dt.timedelta(hours=7 * number) for number in range(300)]
ROWS = {
    "ts": pa.array([*DAYS, None], pa.timestamp("us")),
    "day": pa.array([*(item.date() for item in DAYS), None], pa.date32()),
    "name": pa.array([*(f"ünï/{number % 7} x" for number in range(300)), None]),
    "n": pa.array([*range(-150, 150), None], pa.int64()),
    "price": pa.array([*(Decimal(number) / 4 for number in range(300)), None], pa.decimal128(10, 2)),
}


@pytest.mark.parametrize(
    "partition_by",
    [
        ["name"],
        ["day"],
        [{"column": "ts", "transform": "year"}],
        [{"column": "ts", "transform": "month"}],
        [{"column": "ts", "transform": "day"}],
        [{"column": "ts", "transform": "hour"}],
        [{"column": "day", "transform": "month"}],
        [{"column": "n", "transform": "bucket[4]"}],
        [{"column": "name", "transform": "bucket[3]"}],
        [{"column": "name", "transform": "truncate[5]"}],
        [{"column": "n", "transform": "truncate[50]"}],
        [{"column": "price", "transform": "truncate[100]"}],
        [
            {"column": "ts", "transform": "day"},
            {"column": "ts", "transform": "hour"},
            {"column": "n", "transform": "bucket[2]"},
        ],
    ],
    ids=lambda value: "+".join(
        item if isinstance(item, str) else f"{item['transform']}({item['column']})" for item in value
    ),
)
def test_partitioned_rows_are_found_by_every_filter(project, partition_by):
    loader = IcebergLoader(table="t", partition_by=partition_by)
    half = {name: values.slice(0, 150) for name, values in ROWS.items()}
    rest = {name: values.slice(150) for name, values in ROWS.items()}
    land(loader, [batch(half), batch(rest)])
    everything = pa.table(ROWS)
    table = project.iceberg("default.t")
    assert not table.spec().is_unpartitioned()
    assert table.scan().to_arrow().sort_by("n").equals(everything.sort_by("n").cast(table.scan().to_arrow().schema))
    tests = {
        "ts >= '2024-01-15T00:00:00' and ts < '2024-02-02T03:00:00'": pc.and_(
            pc.greater_equal(everything["ts"], dt.datetime(2024, 1, 15)),
            pc.less(everything["ts"], dt.datetime(2024, 2, 2, 3)),
        ),
        "day = '2024-01-20'": pc.equal(everything["day"], dt.date(2024, 1, 20)),
        "name = 'ünï/3 x'": pc.equal(everything["name"], "ünï/3 x"),
        "n < -100": pc.less(everything["n"], -100),
        "n = 7": pc.equal(everything["n"], 7),
        "n is null": pc.is_null(everything["n"]),
        "price > 70": pc.greater(everything["price"], Decimal(70)),
    }
    for condition, expected in tests.items():
        found = sorted(table.scan(row_filter=condition).to_arrow()["n"].to_pylist(), key=str)
        assert found == sorted(everything.filter(expected)["n"].to_pylist(), key=str), condition
    assert loader.scan().filter(pl.col("n") == 7).collect().height == 1


def test_more_partitions_than_open_files_lose_nothing(project):
    loader = IcebergLoader(table="t", partition_by=["n"])
    result = land(loader, (batch({"n": list(range(150)), "b": [number] * 150}) for number in range(3)))
    assert result.files == 150
    assert loader.scan().group_by("n").len().collect()["len"].to_list() == [3] * 150


def test_a_partitioning_that_cannot_be_is_refused(project):
    with pytest.raises(ConfigError, match=r"gets no column 'b'; its columns: a"):
        land(IcebergLoader(table="u", partition_by=["b"]), [batch({"a": [1]})])
    with pytest.raises(ConfigError, match="day does not work on 'a', a long"):
        land(IcebergLoader(table="u", partition_by=[{"column": "a", "transform": "day"}]), [batch({"a": [1]})])
    with pytest.raises(ConfigError, match="given twice"):
        land(IcebergLoader(table="u", partition_by=["a", "a"]), [batch({"a": [1]})])


def test_table_properties_are_set_by_the_next_commit(project):
    land(IcebergLoader(table="t", table_properties={"comment": "x", "n": 1}), [batch({"a": [1]})])
    land(IcebergLoader(table="t", table_properties={"comment": "y", "flag": True}), [batch({"a": [1]})])
    properties = project.iceberg("default.t").properties
    assert (properties["comment"], properties["n"], properties["flag"]) == ("y", "1", "true")


def test_downstream_reads_give_the_table_in_each_form(loader):
    land(loader, [batch({"a": [1, 2, 3]})])
    assert loader.scan().collect().height == 3
    assert loader.to_table().num_rows == 3
    assert loader.reader().read_all().num_rows == 3
    assert loader.first_rows(2).num_rows == 2
    with pytest.raises(ConfigError, match=r"default.other does not exist yet"):
        IcebergLoader(table="other").scan()


def test_a_table_without_rows_can_be_read(loader):
    land(loader, [batch({"a": pa.array([], pa.int64())}, cursor=1)])
    assert loader.scan().collect().height == 0
    assert loader.first_rows(5).num_rows == 0


STREAMED = """
import sys
import pyarrow as pa
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.catalog import catalog_properties, translated
from ingestion_tests.iceberg_support import batch, land
block = pa.array(range(1_000_000), pa.int64())
def stream(count):
    for _ in range(count):
        yield batch({name: pa.concat_arrays([block, block.slice(0, 0)]) for name in ("n", "m")})
loader = IcebergLoader(table="t")
assert land(loader, stream(int(sys.argv[1]))).rows == int(sys.argv[1]) * 1_000_000
print(pa.default_memory_pool().max_memory() >> 20)
"""


def test_memory_stays_far_below_the_input(project):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", STREAMED, "60"]  # million rows: 915 MiB; what is under way varies by a fifth
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert int(done.stdout) < 350


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_file_size": "512 MX"}, "unknown unit 'MX'"),
        ({"target_file_size": 10}, "greater than or equal"),
        ({"partition_by": [{"column": "a", "transform": "weekly"}]}, "unknown transform 'weekly'"),
        ({"partition_by": [{"column": "a", "transform": "bucket[0]"}]}, "unknown transform"),
        ({"write_mode": "merge"}, "needs merge_keys"),
        ({"table": "a/b"}, "cannot name a table"),
        ({"table": ".."}, "cannot name a table"),
        ({"table_properties": {"write.metadata.delete-after-commit.enabled": True}}, "deletes the history"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        IcebergLoader(**options)


def test_options_are_kept_as_they_are_written():
    config = {
        "type": "iceberg",
        "target_file_size": "64 MiB",
        "partition_by": ["a"],
        "catalog": {"type": "rest", "credential": "${C}"},
    }
    loader = LoaderFactory.create(config)
    assert loader.target_file_size == 64 << 20
    assert loader.catalog.model_extra == {"credential": "${C}"}
    assert LoaderFactory.create(loader.as_written()).as_written() == loader.as_written()
    json.dumps(IcebergLoader.model_json_schema())


def test_a_catalog_that_does_not_answer_is_transient_and_tells_no_password(project):
    loader = IcebergLoader(table="t", catalog={"type": "rest", "uri": "http://me:hunter2@127.0.0.1:9"})
    with pytest.raises(TransientError, match="catalog 'default'") as error:
        loader.state("a")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("default", {"type": "sql", "uri": "sqlite:///{m}/catalog.db", "warehouse": "{m}/warehouse"})),
        ({"name": "x", "warehouse": "w"}, ("x", {"type": "sql", "uri": "sqlite:///{m}/catalog.db", "warehouse": "{p}/w"})),
        ({"type": "rest", "uri": "http://h", "warehouse": "prod", "s3.path-style-access": True},
         ("default", {"type": "rest", "uri": "http://h", "warehouse": "prod", "s3.path-style-access": "true"})),
        ({"uri": "http://h"}, ("default", {"uri": "http://h"})),
        ({"uri": "sqlite:////x.db"}, ("default", {"uri": "sqlite:////x.db", "warehouse": "{m}/warehouse"})),
    ],
)  # fmt: skip
def test_a_job_says_as_much_of_its_catalog_as_it_likes(project, given, expected):
    def filled(text):
        return text.format(m=project.path / "metadata", p=project.path)

    name, options = expected
    assert catalog_properties(given) == (name, {key: filled(value) for key, value in options.items()})


def test_the_settings_name_the_catalog_of_jobs_that_name_none(project, monkeypatch):
    monkeypatch.setenv("ICEBERG_CATALOG_TYPE", "rest")
    monkeypatch.setenv("ICEBERG_CATALOG_URI", "http://h")
    monkeypatch.setenv("ICEBERG_CATALOG_PROPERTIES", '{"warehouse": "prod"}')
    assert catalog_properties({}) == ("default", {"type": "rest", "uri": "http://h", "warehouse": "prod"})


def test_an_unknown_type_of_catalog_is_refused_before_any_run():
    with pytest.raises(ValidationError, match=r"unknown catalog type 'nosuch'; known types: bigquery, .*, rest, sql"):
        IcebergLoader(table="t", catalog={"type": "nosuch"})
    for given in ({"type": "${KIND}"}, {"type": "REST"}, {"type": "nosuch", "py-catalog-impl": "a.B"}, {}):
        assert IcebergLoader(table="t", catalog=given).catalog.type == given.get("type")
    assert set(CATALOG_TYPES) == {kind.value for kind in CatalogType}


def test_an_unknown_type_in_the_settings_is_a_config_error(project, monkeypatch):
    monkeypatch.setenv("ICEBERG_CATALOG_TYPE", "nosuch")
    with pytest.raises(ConfigError, match=r"unknown catalog type 'nosuch', not one of rest, .*ICEBERG_"):
        IcebergLoader(table="t").state("a")


@pytest.mark.parametrize(
    ("kind", "module", "said"),
    [
        ("glue", "glue", r"type glue needs pip install 'ingestion\[aws\]'"),
        ("hive", "hive", r"pip install 'pyiceberg\[hive\]'"),
    ],
)
def test_a_catalog_without_its_driver_says_what_to_install(project, monkeypatch, kind, module, said):
    monkeypatch.setitem(sys.modules, f"pyiceberg.catalog.{module}", None)
    with pytest.raises(ConfigError, match=f"its driver is not installed; .*{said}"):
        IcebergLoader(table="t", catalog={"type": kind, "uri": "thrift://127.0.0.1:1"}).state("a")


@pytest.mark.parametrize("catalog", [{"type": "sql", "uri": "what is this"}, {"type": "rest"}])
def test_a_catalog_that_cannot_be_is_a_config_error(project, catalog):
    with pytest.raises(ConfigError, match=r"catalog 'default'.*check loader\.catalog"):
        IcebergLoader(table="t", catalog=catalog).state("a")


def test_an_unknown_catalog_type_is_told_the_known_ones(project, monkeypatch):
    monkeypatch.setenv("ICEBERG_CATALOG_TYPE", "rst")
    with pytest.raises(ConfigError, match=r"unknown catalog type 'rst', not one of rest, hive, .*sql.*; check loader"):
        IcebergLoader(table="t").state("a")


def test_a_rest_catalog_that_does_not_answer_is_named_by_its_address(project):
    catalog = {"type": "rest", "uri": "http://eva:hunter2@127.0.0.1:1"}
    with pytest.raises(TransientError) as error:
        IcebergLoader(table="t", catalog=catalog).state("a")
    assert str(error.value) == (
        "catalog 'default': http://127.0.0.1:1/v1/config does not answer; "
        "check that the catalog is up and reachable, then run again"
    )


def test_a_catalog_without_its_driver_is_a_config_error(project):
    with pytest.raises(ConfigError, match="catalog 'default'"):
        IcebergLoader(table="t", catalog={"type": "sql", "uri": "nosuchdb://x"}).state("a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_transient_and_says_so(project, loader):
    with (
        pytest.raises(TransientError, match="no space left"),
        translated("table t"),
        Path("/dev/full").open("wb", 0) as file,
    ):
        file.write(b"x")


def full_descriptors():
    return sum(str(item.readlink()) == "/dev/full" for item in Path("/proc/self/fd").iterdir() if item.is_symlink())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("rows", [1, 200_000], ids=["at the end", "on the way"])
@pytest.mark.parametrize("columns", ["same", "changing"])
def test_a_full_disk_leaves_no_file_open(project, rows, columns):
    loader = IcebergLoader(table="t", partition_by=["p"])
    land(loader, [batch({"p": [0], "n": [0.5]})])
    data = project.path / "metadata" / "warehouse" / "default" / "t" / "data"
    for part in range(4):
        (data / f"p={part}").mkdir(exist_ok=True)
        for number in range(20):
            (data / f"p={part}" / f"full-{number:05d}.parquet").symlink_to("/dev/full")
    noise = pa.array(int.from_bytes(os.urandom(8), "big") / 2**64 for _ in range(rows))
    before = full_descriptors()  # of other tests
    parts = [{"p": pa.repeat(part, rows), "n": noise} for part in range(4)]
    more = [{**part, "late": noise} for part in parts] if columns == "changing" else parts
    with pytest.raises(TransientError, match="no space left") as error:
        land(loader, [batch(part) for part in [*parts, *more]], load_id="full")
    assert full_descriptors() <= before, error


def test_a_warehouse_that_must_not_be_written_is_a_config_error(project, loader):
    land(loader, [batch({"a": [1]})])
    blocked = project.path / "metadata" / "warehouse" / "default" / "t" / "data"
    for file in blocked.iterdir():
        file.rename(project.path / file.name)
    blocked.rmdir()
    blocked.write_text("in the way")
    with pytest.raises((ConfigError, TransientError), match=r"table default\.t"):
        land(loader, [batch({"a": [2]})])
    assert loader.state("a").load_id is not None


def test_a_batch_without_columns_brings_its_cursor(loader):
    land(loader, [batch({"a": [1]})])
    bare = Batch(pa.RecordBatch.from_pydict({}), Origin("f"), None, {}, 4)
    land(loader, [bare])
    assert loader.state("a").cursor == 4
