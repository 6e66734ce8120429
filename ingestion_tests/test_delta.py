"""The Delta loader: its options, types, columns, partitions, errors, and what its log remembers of each job."""

import json
import os
import subprocess
import sys
import uuid
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.schema import ArrayType, MapType, PrimitiveType, StructType
from pydantic import ValidationError

from ingestion.errors import ConfigError, DataError, Superseded, TransientError
from ingestion.loaders import LoaderFactory
from ingestion.loaders.delta import DeltaLoader
from ingestion.plugins import Load, Part, State
from ingestion.testing import check_loader
from ingestion_tests.proxies import proxied
from ingestion_tests.targets import at_once, batch, land


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def loader(lake):
    return DeltaLoader(location=str(lake), database="d", table="t")


def with_options(loader, **options):
    return DeltaLoader(location=loader.location, database="d", table="t", **options)


def opened(loader, suffix=""):
    return DeltaTable(f"{loader.location}/d/t{suffix}")


def rows(loader):
    return sorted(loader.to_table().to_pylist(), key=lambda row: [str(value) for value in row.values()])


def log_files(loader):
    return sorted(path.name for path in Path(loader.location, "d/t/_delta_log").glob("*.json"))


def data_files(loader):
    return sorted(path.name for path in Path(loader.location, "d").rglob("*.parquet") if "_ingestion" not in str(path))


def test_it_keeps_the_contract_of_loaders(loader):
    check_loader(loader, lambda: opened(loader).to_pyarrow_table())


def test_it_has_two_names():
    assert LoaderFactory.get("delta") is LoaderFactory.get("delta_lake") is DeltaLoader


def test_importing_its_options_loads_no_driver():
    code = "import sys, ingestion.loaders.delta; print('deltalake' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_without_the_driver_the_error_says_what_to_install(loader, monkeypatch):
    Path(loader.location, "d/t").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ConfigError, match=r"pip install 'ingestion\[delta\]'"):
        loader.state("a")


def test_a_load_is_one_version_of_the_table(loader):
    land(loader, [batch({"n": [1]}, cursor=1), batch({"n": [2], "new": ["x"]}, cursor=2)])
    land(loader, [batch({"n": [3], "other": [0.5]}, cursor=3)])
    land(with_options(loader, write_mode="overwrite"), [batch({"n": [4]}, cursor=4)])
    assert len(log_files(loader)) == 3
    assert rows(loader) == [{"n": 4, "new": None, "other": None}]


def test_other_readers_see_rows_columns_and_statistics(loader):
    import polars as pl

    land(loader, [batch({"n": [3, 1, 2], "s": ["c", "a", None]})])
    found = pa.table(opened(loader).get_add_actions(flatten=True)).to_pylist()[0]
    bounds = [found[name] for name in ("num_records", "min.n", "max.n", "min.s", "max.s", "null_count.s")]
    assert bounds == [3, 1, 3, "a", "c", 1]
    assert pl.scan_delta(opened(loader)).filter(pl.col("n") > 1).collect()["n"].to_list() == [3, 2]
    assert loader.scan().collect().height == loader.first_rows(5).num_rows == 3
    assert loader.first_rows(2).num_rows == 2


# types

STAMP = datetime(2024, 2, 29, 12, 30, 15, 123456)  # noqa: DTZ001 - without a zone


@pytest.mark.parametrize(
    ("values", "stored", "read"),
    [
        (pa.array([1], pa.uint8()), pa.int32(), 1),
        (pa.array([1], pa.int16()), pa.int32(), 1),
        (pa.array([2**32 - 1], pa.uint32()), pa.int64(), 2**32 - 1),
        (pa.array([2**64 - 1], pa.uint64()), pa.decimal128(20, 0), Decimal(2**64 - 1)),
        (pa.array(["a"]).dictionary_encode(), pa.string(), "a"),
        (pa.array([time(1, 2, 3)], pa.time64("us")), pa.string(), "01:02:03.000000"),
        (pa.array([b"0123456789abcdef"], pa.uuid()), pa.string(), "30313233-3435-3637-3839-616263646566"),
        (pa.array([b"abcd"], pa.binary(4)), pa.binary(), b"abcd"),
        (pa.array([STAMP], pa.timestamp("ns")), pa.timestamp("us"), STAMP),
        (pa.array([STAMP], pa.timestamp("ms", "Europe/Berlin")), pa.timestamp("us", "UTC"), None),
        (pa.array([date(2024, 2, 29)], pa.date64()), pa.date32(), date(2024, 2, 29)),
        (pa.array([Decimal("1.50")], pa.decimal128(38, 2)), pa.decimal128(38, 2), Decimal("1.50")),
        (pa.array([[1, None]], pa.list_(pa.int8())), pa.list_(pa.int32()), [1, None]),
        (pa.array([{"x": 1}]), pa.struct([("x", pa.int64())]), {"x": 1}),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), pa.map_(pa.string(), pa.int64()), [("k", 1)]),
    ],
    ids=lambda item: str(item.type) if isinstance(item, pa.Array) else "",
)
def test_types_are_stored_as_delta_has_them(loader, values, stored, read):
    for _ in range(2):
        land(loader, [batch({"v": values, "n": [1]})])
    found = opened(loader).to_pyarrow_table()["v"]
    assert loader.state("a").schema.field("v").type == stored
    if read is not None:
        assert found.to_pylist() == [read] * 2


@pytest.mark.parametrize(
    "values",
    [pa.array([1], pa.duration("s")), pa.array([1], pa.decimal256(50)), pa.array([{}], pa.struct([]))],
    ids=str,
)
def test_a_type_that_delta_lacks_is_refused_before_anything_is_written(loader, values):
    with pytest.raises(DataError, match="Delta table cannot hold"):
        land(loader, [batch({"v": values})])
    assert not data_files(loader)


def test_times_without_a_zone_come_to_a_table_that_had_none(loader):
    land(loader, [batch({"n": [1]})])
    land(loader, [batch({"n": [2], "at": pa.array([STAMP])})])
    assert rows(loader) == [{"n": 1, "at": None}, {"n": 2, "at": STAMP}]


def test_a_column_of_nulls_waits_for_a_type(loader):
    land(loader, [batch({"n": [1], "v": pa.nulls(1)}), batch({"n": [2], "v": [0.5]})])
    land(loader, [batch({"n": [3], "v": pa.nulls(1)})])
    assert rows(loader) == [{"n": 1, "v": None}, {"n": 2, "v": 0.5}, {"n": 3, "v": None}]


def test_a_column_without_type_or_rows_waits_for_a_load_that_has_some(loader):
    land(loader, [batch({"n": pa.array([], pa.int64()), "v": pa.nulls(0)}, cursor=1)])
    assert loader.state("a").schema.names == ["n"]
    land(loader, [batch({"n": [1], "v": [0.5]})])
    assert rows(loader) == [{"n": 1, "v": 0.5}]


def test_columns_without_a_type_make_no_table_but_for_what_was_rejected(loader):
    assert land(loader, [batch({"v": pa.nulls(0)}, cursor=1)]).snapshot is None
    assert land(loader, [batch({"v": pa.nulls(0)}, cursor=1, bad=1)]).quarantined == 1
    assert loader.state("a").schema == pa.schema([("v", pa.string())])


# columns


def test_widening_within_one_load_loses_no_value_and_leaves_no_file(loader):
    stream = [batch({"n": pa.array([1], pa.int32())}), batch({"n": [1 << 40]}), batch({"n": pa.array([3], pa.int32())})]
    land(loader, stream)
    assert [row["n"] for row in rows(loader)] == [1, 1 << 40, 3]
    assert len(data_files(loader)) == len(opened(loader).file_uris())


def test_widening_writes_the_table_anew_in_the_same_version_and_says_so(loader):
    land(loader, [batch({"n": pa.array([1], pa.int32()), "s": [{"x": 1}]})])
    result = land(loader, [batch({"n": [1 << 40], "s": [{"x": 2, "y": "b"}]})])
    assert any("written again" in note for note in result.notes)
    assert rows(loader) == [{"n": 1, "s": {"x": 1, "y": None}}, {"n": 1 << 40, "s": {"x": 2, "y": "b"}}]
    assert len(log_files(loader)) == 2


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"N": [1]}, "differ only in case"),
        ({"": [1], "n": [1]}, "without a name"),
        ({"n": ["text"]}, "'n' is long, the data brings string"),
        ({"n": pa.array([2**63], pa.uint64())}, "does not fit"),
    ],
)
def test_columns_that_do_not_fit_are_refused_and_nothing_is_left(loader, columns, said):
    land(loader, [batch({"n": [1]})])
    before = data_files(loader)
    with pytest.raises(DataError, match=said):
        land(loader, [batch({"n": [2]}), batch(columns)])
    assert rows(loader) == [{"n": 1}]
    assert data_files(loader) == before


def test_a_column_is_not_renamed_without_column_mapping(loader):
    with pytest.raises(ValidationError, match=r"'old' cannot become 'new'.*column mapping"):
        with_options(loader, rename_from={"new": "old"})
    assert with_options(loader, rename_from={}).rename_from == {}


@pytest.mark.parametrize("name", ["_change_type", "_commit_version", "_COMMIT_TIMESTAMP"])
def test_columns_of_the_change_data_feed_are_refused(loader, name):
    land(loader, [batch({"n": [1]})])
    with pytest.raises(DataError, match=f"{name}' is the name of a column of Delta's change data feed"):
        land(loader, [batch({"n": [2], name: ["insert"]})])
    leaving_out = with_options(loader, write_mode="merge", merge_keys="n", delete_column=name)
    land(leaving_out, [batch({"n": [1, 2], name: [True, None]})])
    assert rows(loader) == [{"n": 2}]


# partitions


def test_partitions_are_kept_apart_and_read_by_others(lake, loader):
    day = pa.array([date(2024, 1, 1), date(2024, 1, 2), None], pa.date32())
    land(
        with_options(loader, partition_by=["day", "s"]),
        [batch({"n": [1, 2, 3], "day": day, "s": ["a b/ü%", "x=y", ""]})],
    )
    table = opened(loader)
    assert table.metadata().partition_columns == ["day", "s"]
    found = table.to_pyarrow_table(filters=[("day", "=", date(2024, 1, 1))]).to_pylist()
    assert [(row["n"], row["s"]) for row in found] == [(1, "a b/ü%")]
    assert {(row["n"], row["s"]) for row in rows(loader)} == {(1, "a b/ü%"), (2, "x=y"), (3, None)}


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a b/ü%", "x=y", None]),
        pa.array([2**62, -(2**63), None]),
        pa.array([0.1, float("-inf"), None], pa.float32()),
        pa.array([True, False, None]),
        pa.array([date(1, 1, 1), date(9999, 12, 31), None]),
        pa.array([STAMP, datetime(1901, 1, 1), None], pa.timestamp("us")),  # noqa: DTZ001 - without a zone
        pa.array([STAMP, None, None], pa.timestamp("us", "UTC")),
        pa.array([Decimal("1e-7"), Decimal(1), None], pa.decimal128(20, 10)),
    ],
    ids=lambda values: str(values.type),
)
def test_a_lazy_frame_has_the_values_of_partitions(loader, values):
    land(with_options(loader, partition_by=["p"]), [batch({"n": [1, 2, 3], "p": values})])
    assert loader.scan().sort("n").collect()["p"].to_list() == values.to_pylist()
    assert loader.to_table().sort_by("n")["p"].to_pylist() == values.to_pylist()


def test_a_lazy_frame_of_one_part_has_its_rows(loader):
    land(with_options(loader, partition_by=["p"]), [batch({"n": [1, 2, 3], "p": ["a", "b", "b"]})])
    assert sorted(loader.scan((Part("p", ("b",)),)).collect()["n"].to_list()) == [2, 3]


def test_tables_that_others_partitioned_are_merged_into(lake, loader):
    given = pa.table({"k": [1, 2, 3], "p": ["a b/ü%", "x=y", None], "v": ["o"] * 3})
    write_deltalake(f"{lake}/d/t", given, partition_by=["p"])
    merging = with_options(loader, write_mode="merge", merge_keys=["k"])
    land(merging, [batch({"k": [1, 3, 4], "p": ["a b/ü%", None, "x=y"], "v": ["new"] * 3})])
    expected = [(1, "a b/ü%", "new"), (2, "x=y", "o"), (3, None, "new"), (4, "x=y", "new")]
    assert [(row["k"], row["p"], row["v"]) for row in rows(loader)] == expected


def test_another_partitioning_than_the_tables_is_refused(loader):
    land(with_options(loader, partition_by=["p"]), [batch({"n": [1], "p": ["a"]})])
    with pytest.raises(ConfigError, match="is partitioned by p"):
        land(with_options(loader, partition_by=["n"]), [batch({"n": [2], "p": ["a"]})])
    land(loader, [batch({"n": [2], "p": ["b"]})])
    assert rows(loader) == [{"n": 1, "p": "a"}, {"n": 2, "p": "b"}]


def test_only_columns_make_partitions():
    assert DeltaLoader(partition_by=[{"column": "p", "transform": "identity"}]).partition_by == ["p"]
    with pytest.raises(ValidationError, match="not by day"):
        DeltaLoader(partition_by=[{"column": "p", "transform": "day"}])


def test_only_an_overwrite_replaces_partitions_and_the_table_says_which(loader):
    with pytest.raises(ValidationError, match="overwrite_scope is about write_mode overwrite"):
        DeltaLoader(overwrite_scope="partitions", partition_by=["p"])
    scoped = with_options(loader, write_mode="overwrite", overwrite_scope="partitions")
    with pytest.raises(ConfigError, match="no partitions to replace"):
        land(scoped, [batch({"n": [1], "p": ["a"]})])
    land(with_options(loader, partition_by=["p"]), [batch({"n": [1, 2], "p": ["a", "b"]})])
    land(scoped, [batch({"n": [3], "p": ["a"]})])
    assert rows(loader) == [{"n": 2, "p": "b"}, {"n": 3, "p": "a"}]


FAR = 500_000_000_000_000_000  # microseconds, in the year 17814


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        (pa.array([b"a"]), ConfigError, "plain values other than bytes"),
        (pa.array([[1]]), ConfigError, "plain values other than bytes"),
        (pa.array([FAR], pa.timestamp("us")), DataError, "beyond the year 9999"),
    ],
    ids=["bytes", "list", "far"],
)
def test_values_that_cannot_name_a_partition_are_refused(loader, values, error, said):
    with pytest.raises(error, match=said):
        land(with_options(loader, partition_by=["p"]), [batch({"n": [1], "p": values})])
    assert not data_files(loader)


@pytest.mark.parametrize("values", [pa.array([FAR], pa.timestamp("us", "UTC")), pa.array([10_000_000], pa.date32())])
def test_times_beyond_the_year_9999_are_loaded_and_have_no_bounds(loader, values):
    land(loader, [batch({"n": [1], "at": values})])
    assert loader.to_table()["at"].combine_chunks().cast(values.type) == values
    found = pa.table(opened(loader).get_add_actions(flatten=True)).to_pylist()[0]
    assert (found["min.n"], found["min.at"], found["max.at"]) == (1, None, None)


def test_a_part_of_the_table_is_replaced_by_one_row_per_key(loader):
    land(loader, [batch({"n": [1, 2, 3], "day": ["a", "a", "b"]})])
    for mode in ("overwrite", "merge"):
        keyed = with_options(loader, write_mode=mode, merge_keys=["n"], order_by=["at"], delete_column="gone")
        load = Load("p", "r", uuid.uuid4().hex, State(), replaces=(Part("day", ("a",)),), alone=True)
        columns = {"n": [8, 8, 9], "at": [1, 2, 1], "day": ["a"] * 3, "gone": [None, False, True]}
        result = keyed.load(load, iter([batch(columns)]))
        assert result.removed == {"older row of the same key": 1}
        assert [(row["n"], row["at"]) for row in rows(loader)] == [(3, None), (8, 2)]


def test_a_part_of_the_table_is_replaced(loader):
    land(loader, [batch({"n": [1, 2, 3], "day": ["a", "a", "b"]})])
    part = Part("day", ("a",))
    load = Load("p", "r", uuid.uuid4().hex, State(), replaces=(part,), alone=True)
    loader.load(load, iter([batch({"n": [9], "day": ["a"]})]))
    assert [(row["n"], row["day"]) for row in rows(loader)] == [(3, "b"), (9, "a")]


def test_loads_that_stand_alone_all_land(loader):
    def run(number):
        load = Load("p", "r", uuid.uuid4().hex, State(), alone=True)
        return lambda: loader.load(load, iter([batch({"n": [number]})]))

    assert at_once(*map(run, range(4))) == ["ok"] * 4
    assert [row["n"] for row in rows(loader)] == [0, 1, 2, 3]


# the state of jobs


def test_the_cursor_outlives_the_log(loader):
    ledger = pa.table({"path": ["a", "b"]})
    land(loader, [batch({"n": [1]}, cursor=ledger)])
    for number in range(3):
        land(loader, [batch({"n": [number]})], job="b")
    opened(loader).create_checkpoint()
    for name in log_files(loader)[:-1]:
        Path(loader.location, "d/t/_delta_log", name).unlink()
    assert loader.state("a").cursor.equals(ledger)


def test_a_restore_by_another_tool_takes_the_cursor_back(loader):
    for number in range(3):
        land(loader, [batch({"n": [number]}, cursor=number)])
    land(loader, [batch({"n": [9]}, cursor="x")], job="b")
    opened(loader).restore(0)
    assert (loader.state("a").cursor, loader.state("b").cursor) == (0, None)
    land(loader, [batch({"n": [7]}, cursor=7)])
    assert [row["n"] for row in rows(loader)] == [0, 7]
    assert (loader.state("a").cursor, loader.state("b").cursor) == (7, None)
    opened(loader).restore(2)
    assert loader.state("a").cursor == 2
    opened(loader).restore(int(opened(loader).version()) - 1)
    assert loader.state("a").cursor == 7


def test_a_restore_while_a_run_reads_makes_it_give_way(loader):
    land(loader, [batch({"n": [1]}, cursor=1)])
    land(loader, [batch({"n": [2]}, cursor=2)])

    def stream():
        yield batch({"n": [3]}, cursor=3)
        opened(loader).restore(0)

    with pytest.raises(Superseded):
        land(loader, stream())
    assert [row["n"] for row in rows(loader)] == [1]


def test_a_lost_state_file_is_an_error_that_names_it(loader):
    land(loader, [batch({"n": [1]}, cursor=1)])
    for path in Path(loader.location, "d/t/_ingestion/a").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"_ingestion/a/.*is gone"):
        loader.state("a")


def test_vacuum_leaves_the_state_of_jobs(loader):
    land(loader, [batch({"n": [1]}, cursor=1)])
    Path(loader.location, "d/t/stray.parquet").write_bytes(b"x")
    removed = opened(loader).vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    assert removed == ["stray.parquet"]
    assert loader.state("a").cursor == 1


def test_a_jobs_name_may_hold_anything(loader):
    land(loader, [batch({"n": [1]}, cursor=1)], job="../ä b/c.d")
    assert loader.state("../ä b/c.d").cursor == 1
    assert not list(Path(loader.location, "d").glob("*b*"))


# other writers


def test_a_foreign_append_between_plan_and_commit_is_kept(loader):
    land(loader, [batch({"k": [1]}, cursor=1)])
    merging = with_options(loader, write_mode="merge", merge_keys=["k"])

    def stream():
        yield batch({"k": [1, 2]}, cursor=2)
        write_deltalake(opened(loader), pa.table({"k": [3]}), mode="append")

    land(merging, stream())
    assert [row["k"] for row in rows(loader)] == [1, 2, 3]


def test_a_column_that_became_text_meanwhile_is_an_error_that_says_so(loader):
    land(loader, [batch({"n": [1]}, cursor=1)])

    def stream():
        yield batch({"n": [2], "v": [5]}, cursor=2)
        opened(loader).alter.add_columns([json_field("v", "string")])

    with pytest.raises(TransientError, match="columns changed while the run was under way"):
        land(loader, stream())
    assert len(data_files(loader)) == 1


def json_field(name, kind):
    from deltalake import Field

    return Field.from_json(json.dumps({"name": name, "type": kind, "nullable": True, "metadata": {}}))


@pytest.mark.parametrize(
    ("properties", "constraint", "said"),
    [
        ({}, {"positive": "n > 0"}, "check constraints"),
        ({"delta.appendOnly": "true"}, {}, "delta.appendOnly"),
        ({"delta.enableChangeDataFeed": "true"}, {}, "delta.enableChangeDataFeed"),
    ],
)
def test_a_table_that_a_load_could_not_keep_whole_is_refused(lake, loader, properties, constraint, said):
    write_deltalake(f"{lake}/d/t", pa.table({"n": [1]}), configuration=properties)
    if constraint:
        opened(loader).alter.add_constraint(constraint)
    with pytest.raises(ConfigError, match=said):
        land(with_options(loader, write_mode="overwrite"), [batch({"n": [2]})])
    assert rows(loader) == [{"n": 1}]


@pytest.mark.parametrize("key", ["delta.appendOnly", "delta.enableChangeDataFeed"])
def test_no_file_of_a_table_that_keeps_its_files_is_replaced(lake, loader, key):
    start = pa.table({"n": pa.array([1], pa.int32()), "day": ["a"]})
    write_deltalake(f"{lake}/d/t", start, configuration={key: "true"})
    land(loader, [batch({"n": pa.array([2], pa.int32()), "day": ["a"]})])
    with pytest.raises(ConfigError, match=f"{key}.* wider has all files written again"):
        land(loader, [batch({"n": [1 << 40], "day": ["a"]})])
    load = Load("p", "r", uuid.uuid4().hex, State(), replaces=(Part("day", ("a",)),), alone=True)
    with pytest.raises(ConfigError, match=f"{key}.* a part of it would be replaced"):
        loader.load(load, iter([batch({"n": pa.array([3], pa.int32()), "day": ["a"]})]))
    assert [row["n"] for row in rows(loader)] == [1, 2]
    assert len(data_files(loader)) == 2


def test_a_table_of_a_newer_protocol_is_refused(lake, loader):
    land(loader, [batch({"n": [1]})])
    log = lake / "d/t/_delta_log" / f"{1:020d}.json"
    features = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["hover"], "writerFeatures": ["hover"]}
    log.write_text(json.dumps({"protocol": features}))
    with pytest.raises(ConfigError, match="hover"):
        land(loader, [batch({"n": [2]})])


def test_a_folder_of_other_files_does_not_become_a_table(lake, loader):
    (lake / "d/t").mkdir(parents=True)
    (lake / "d/t/part.parquet").write_bytes(b"x")
    with pytest.raises(ConfigError, match="holds files"):
        land(loader, [batch({"n": [1]})])
    assert not (lake / "d/t/_delta_log").exists()


def test_a_place_that_cannot_be_written_is_named(lake):
    lake.write_text("a file")
    loader = DeltaLoader(location=str(lake), table="t")
    with pytest.raises((ConfigError, TransientError), match=r"table default\.t"):
        land(loader, [batch({"n": [1]})])


def test_a_bucket_that_does_not_exist_is_named(s3_server):
    options = dict(s3_server.storage_options)
    loader = DeltaLoader(location="s3://no-such-bucket/lake", table="t", storage_options=options)
    with pytest.raises(ConfigError, match=r"table default\.t: there is no such place") as caught:
        land(loader, [batch({"n": [1]})])
    assert options["aws_secret_access_key"] not in str(caught.value)


def test_a_store_that_does_not_answer_is_transient(s3_server):
    options = {**s3_server.storage_options, "aws_endpoint_url": "http://127.0.0.1:9", "max_retries": 0}
    loader = DeltaLoader(location="s3://bucket/lake", table="t", storage_options=options)
    with pytest.raises(TransientError, match="check that the storage is reachable"):
        loader.state("a")


def test_what_reading_meets_names_the_table_and_the_cure(loader, monkeypatch):
    from ingestion.loaders.delta import history

    def denied(*_):
        raise OSError("AccessDenied")

    land(loader, [batch({"n": [1]})])
    monkeypatch.setattr(history, "commits", denied)
    with pytest.raises(ConfigError, match=r"table d\.t: no permission"):
        loader.history("a")
    for name in data_files(loader):
        Path(loader.location, "d/t", name).unlink()
    with pytest.raises(TransientError, match=r"table d\.t: "):
        loader.to_table()


@pytest.mark.parametrize(("fault", "said"), [("denied_403", "permission"), ("denied_401", "credentials")])
def test_a_store_that_denies_access_is_an_error_of_the_configuration(s3_server, fault, said):
    with proxied(s3_server.endpoint, fault, at=-1) as proxy:
        options = {**s3_server.storage_options, "aws_endpoint_url": proxy.url, "max_retries": 0}
        loader = DeltaLoader(location="s3://bucket/lake", table="t", storage_options=options)
        with pytest.raises(ConfigError, match=said):
            loader.state("a")


def test_the_files_of_a_store_may_be_reached_by_the_driver_alone(s3_server, s3_bucket):
    options = {**s3_server.storage_options, "aws_unsigned_payload": "true"}
    loader = DeltaLoader(location=f"s3://{s3_bucket}/lake", table="t", storage_options=options)
    assert loader.place("a").files.type_name.startswith("py::")
    ledger = pa.table({"path": ["a"]})
    land(loader, [batch({"n": [1]}, cursor=ledger)])
    merging = DeltaLoader(**{**loader.model_dump(), "write_mode": "merge", "merge_keys": ["n"]})
    land(merging, [batch({"n": [1, 2], "v": ["a", "b"]})])
    assert [row["v"] for row in rows(loader)] == ["a", "b"]
    assert loader.state("a").cursor.equals(ledger)


def test_names_that_are_no_folders_are_refused():
    for name in ("../x", "_delta_log", "a/b"):
        with pytest.raises(ValidationError, match="cannot name a folder"):
            DeltaLoader(table=name)


def test_table_properties_are_set_and_changed(loader):
    land(with_options(loader, table_properties={"delta.checkpointInterval": 5}), [batch({"n": [1]})])
    land(with_options(loader, table_properties={"delta.checkpointInterval": 7}), [batch({"n": [2]})])
    assert opened(loader).metadata().configuration == {"delta.checkpointInterval": "7"}


# rollback and upkeep


def test_a_rollback_that_would_lose_what_others_did_is_refused(loader):
    land(loader, [batch({"n": [1]}, cursor=1)], run_id="r1")
    land(loader, [batch({"n": [2]}, cursor=2)], job="b", run_id="r2")
    with pytest.raises(ConfigError, match="job b has loaded"):
        loader.rollback("a", "r1")
    write_deltalake(opened(loader), pa.table({"n": [3]}), mode="append")
    with pytest.raises(ConfigError, match="another program"):
        loader.rollback("b", "r2")
    assert [row["n"] for row in rows(loader)] == [1, 2, 3]


def test_a_rollback_of_a_run_that_is_not_there_says_which_are(loader):
    with pytest.raises(ConfigError, match="does not exist yet"):
        loader.rollback("a", "r0")
    for number in range(8):
        land(loader, [batch({"n": [number]}, cursor=number)], run_id=f"r{number}")
    land(loader, [batch({"n": [8]}, cursor=8)], job="b", run_id="other")
    with pytest.raises(ConfigError, match=r"remembers no run r9 of job a; its newest runs: r7 \(\d{4}-.*, r3 \([^,]*$"):
        loader.rollback("a", "r9")
    with pytest.raises(ConfigError, match="run other is one of job b"):
        loader.rollback("a", "other")
    with pytest.raises(ConfigError, match="run r7 is one of job a"):
        loader.rollback("c", "r7")
    with pytest.raises(ConfigError, match="no run r9 of job c; none of job c"):
        loader.rollback("c", "r9")


@pytest.mark.parametrize("first", ["r0", "r1"])
def test_a_rollback_of_a_run_that_was_taken_back_says_so(loader, first):
    for number in range(3):
        land(loader, [batch({"n": [number]}, cursor=number)], run_id=f"r{number}")
    loader.rollback("a", first)
    with pytest.raises(ConfigError, match="run r2 is not in its rows any more; it was taken back before"):
        loader.rollback("a", "r2")
    with pytest.raises(ConfigError, match="remembers no run r9"):
        loader.rollback("a", "r9")


@pytest.mark.parametrize("options", [{}, {"write_mode": "merge", "merge_keys": ["n"]}], ids=["append", "merge"])
@pytest.mark.parametrize("taken_back", [1, 2, 3])
def test_loads_that_brought_a_column_of_times_are_taken_back(loader, options, taken_back):
    given = with_options(loader, **options)
    columns = [{}, {"v": [1]}, {"v": [2], "at": pa.array([STAMP])}, {"v": [3], "at": pa.array([STAMP])}]
    for number, more in enumerate(columns):
        land(given, [batch({"n": [number], **more}, cursor=number)], run_id=f"r{number}")
    given.rollback("a", f"r{taken_back}")
    assert [row["n"] for row in rows(loader)] == list(range(taken_back))
    assert loader.state("a").cursor == taken_back - 1
    assert loader.state("a").schema.names == [["n"], ["n", "v"], ["n", "v", "at"]][taken_back - 1]


def test_the_first_load_is_taken_back_too(loader):
    land(loader, [batch({"n": [1]}, cursor=1)], run_id="r1")
    loader.rollback("a", "r1")
    assert (rows(loader), loader.state("a").cursor, loader.history("a")) == ([], None, [])
    land(loader, [batch({"n": [1]}, cursor=1)], run_id="r2")
    assert [(item.run_id, item.rows, item.cursor) for item in loader.history("a")] == [("r2", 1, 1)]


def test_a_rollback_to_files_that_were_vacuumed_away_is_refused(loader):
    land(loader, [batch({"n": [1]}, cursor=1)], run_id="r1")
    land(with_options(loader, write_mode="overwrite"), [batch({"n": [2]}, cursor=2)], run_id="r2")
    opened(loader).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(ConfigError, match="vacuumed away"):
        loader.rollback("a", "r2")
    assert (rows(loader), loader.state("a").cursor) == ([{"n": 2}], 2)


def test_upkeep_joins_small_files_and_says_only_what_it_did(loader):
    for number in range(25):
        land(loader, [batch({"n": [number]}, cursor=number)])
    done = loader.upkeep("a")
    assert (done["files_joined"], done["checkpoints_written"]) == (25, 1)
    assert len(opened(loader).file_uris()) == 1
    assert [row["n"] for row in loader.to_table().sort_by("n").to_pylist()] == list(range(25))
    assert loader.upkeep("a") == {}
    assert loader.state("a").cursor == 24
    land(loader, [batch({"n": [25]}, cursor=25)])
    assert len(loader.history("a")) == 26


def test_upkeep_forgets_states_that_nothing_leads_to_and_no_other(loader):
    folder = Path(loader.location, "d/t")
    land(loader, [batch({"n": [1]}, cursor=1)])
    land(loader, [batch({"n": [2]}, cursor=pa.table({"path": ["a"]}))])
    land(loader, [batch({"n": [3]}, cursor=3)], job="b")
    opened(loader).create_checkpoint()
    land(loader, [batch({"n": [4]}, cursor=4)], job="b")
    land(loader, [batch({"n": [5]}, cursor=5)])
    now = opened(loader).transaction_version("ingestion:a")
    for number in (now + 1, now - 1, now + (1 << 40)):  # of runs that were killed before they committed
        (folder / f"_ingestion/a/{number}.json").write_text("{}")
    states = set(folder.glob("_ingestion/*/*"))
    old = datetime.now(timezone.utc).timestamp() - 40 * 86400
    for path in states:
        os.utime(path, (old, old))
    for version in (0, 1):
        (folder / f"_delta_log/{version:020d}.json").unlink()
    done = loader.upkeep("a")
    left = set(folder.glob("_ingestion/*/*"))
    assert done["state_files_removed"] == len(states - left) == 4  # three of them, and the first load's
    assert (loader.state("a").cursor, loader.state("b").cursor) == (5, 4)
    opened(loader).restore(2)
    assert (loader.state("a").cursor.num_rows, loader.state("b").cursor) == (1, 3)


@pytest.mark.parametrize(
    ("interval", "age", "stays"),
    [("interval 1 hours", 2, True), ("interval 1 hours", 9, False), ("interval 2 weeks", 9, True)],
)
def test_upkeep_leaves_files_for_as_long_as_a_run_may_take(loader, interval, age, stays):
    land(with_options(loader, table_properties={"delta.deletedFileRetentionDuration": interval}), [batch({"n": [1]})])
    stray = Path(loader.location, "d/t/stray.parquet")
    stray.write_bytes(b"x")
    then = datetime.now(timezone.utc).timestamp() - age * 86400
    os.utime(stray, (then, then))
    loader.upkeep("a")
    assert stray.exists() == stays


def test_the_log_tells_of_each_load(loader):
    land(loader, [batch({"n": [1, 2]}, cursor={"at": 2})], run_id="r1")
    found = loader.history("a")[0]
    assert (found.job, found.run_id, found.mode, found.rows, found.files) == ("a", "r1", "append", 2, 1)
    assert (found.snapshot, found.cursor) == ("0", {"at": 2})
    assert abs((datetime.now(timezone.utc) - found.at).total_seconds()) < 60


@pytest.mark.parametrize("columns", [{"n": [2], "a": [None]}, {"n": [2]}], ids=["null", "lacking"])
@pytest.mark.parametrize("mode", ["append", "overwrite", "merge"])
def test_a_required_column_is_never_left_empty(loader, mode, columns):
    """The driver writes such files without a word, and other engines then fail on them."""
    required = Field("n", "long", nullable=False), Field("a", "string", nullable=False)
    DeltaTable.create(f"{loader.location}/d/t", DeltaSchema(required))
    job = with_options(loader, write_mode=mode, **({"merge_keys": "n"} if mode == "merge" else {}))
    land(job, [batch({"n": [1], "a": ["x"]})])
    with pytest.raises(DataError, match="column 'a' is required and the data"):
        land(job, [batch({"n": [3], "a": ["y"]}), batch({name: pa.array(v) for name, v in columns.items()})])
    assert [(row["n"], row["a"]) for row in rows(job)] == [(1, "x")]
    assert len(data_files(loader)) == 1


INNER = {
    "struct": (
        StructType([Field("x", "long", nullable=False), Field("y", "long")]),
        {"x": 1, "y": None},
        {"y": 1},
        "s.x",
    ),
    "list": (ArrayType(PrimitiveType("long"), contains_null=False), [1], [1, None], "s.element"),
    "map": (
        MapType(PrimitiveType("string"), PrimitiveType("long"), value_contains_null=False),
        {"a": 1},
        {"a": None},
        "s.value",
    ),
}


@pytest.mark.parametrize("mode", ["append", "merge"])
@pytest.mark.parametrize("within", INNER)
def test_what_is_required_within_a_column_is_never_left_empty(loader, mode, within):
    kind, whole, hollow, path = INNER[within]
    DeltaTable.create(f"{loader.location}/d/t", DeltaSchema([Field("k", "long"), Field("s", kind)]))
    keyed = with_options(loader, write_mode=mode, merge_keys=["k"] if mode == "merge" else [])
    dtype = keyed.state("a").schema.field("s").type
    land(keyed, [batch({"k": [1, 2], "s": pa.array([whole, None], dtype)})])
    with pytest.raises(DataError, match=f"column '{path}' is required and the data"):
        land(keyed, [batch({"k": [3], "s": pa.array([hollow], dtype)})])
    assert loader.to_table().sort_by("k")["s"].to_pylist() == [
        list(whole.items()) if path == "s.value" else whole,
        None,
    ]


def test_a_row_that_deletes_need_not_fill_a_required_column(loader):
    required = Field("n", "long", nullable=False), Field("a", "string", nullable=False)
    DeltaTable.create(f"{loader.location}/d/t", DeltaSchema(required))
    job = with_options(loader, write_mode="merge", merge_keys="n", delete_column="gone")
    land(job, [batch({"n": [1, 2], "a": ["x", "y"], "gone": [False, False]})])
    land(job, [batch({"n": [1, 2], "a": [None, "z"], "gone": [True, False]})])
    assert [(row["n"], row["a"]) for row in rows(job)] == [(2, "z")]
