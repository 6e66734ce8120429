"""Partitions: replaced one by one, and laid out anew while the table is in use."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from pyiceberg.transforms import parse_transform

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty, land

DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=number) for number in range(60)]
UTC = pa.timestamp("us", "UTC")


def appending(**options: Any) -> IcebergLoader:
    return IcebergLoader(table="t", **options)


def replacing(**options: Any) -> IcebergLoader:
    return IcebergLoader(table="t", write_mode="overwrite", overwrite_scope="partitions", **options)


def pairs(project):
    return [(row["p"], row["n"]) for row in agreed_rows(project.iceberg("default.t"))]


def test_exactly_the_partitions_of_the_new_rows_are_replaced_in_one_snapshot(project):
    land(appending(partition_by=["p"]), [batch({"p": ["a", "a", "b", None], "n": [1, 2, 3, 4]})])
    land(appending(), [batch({"p": ["a", "c"], "n": [5, 6]})])
    result = land(replacing(), [batch({"p": ["a", None], "n": [7, 8]}, cursor=1)])
    assert pairs(project) == [(None, 8), ("a", 7), ("b", 3), ("c", 6)]
    table = project.iceberg("default.t")
    assert [snapshot.summary.operation.value for snapshot in table.snapshots()] == ["append", "append", "overwrite"]
    assert table.current_snapshot().summary["total-records"] == "4"
    assert (result.rows, result.table_rows) == (2, 4)
    assert replacing().state("a").cursor == 1


def test_a_load_without_rows_replaces_no_partition(project):
    land(appending(partition_by=["p"]), [batch({"p": ["a"], "n": [1]})])
    assert land(replacing(), [batch({"p": pa.array([], pa.string()), "n": pa.array([], pa.int64())})]).snapshot is None
    land(replacing(), [batch({"p": pa.array([], pa.string()), "n": pa.array([], pa.int64())}, cursor=1)])
    assert pairs(project) == [("a", 1)]


@pytest.mark.parametrize("there", [True, False])
def test_partitions_of_a_table_without_any_cannot_be_replaced(project, there):
    if there:
        land(appending(), [batch({"p": ["a"], "n": [1]})])
    with pytest.raises(ConfigError, match=r"overwrite_scope: table default.t is not partitioned"):
        land(replacing(), [batch({"p": ["a"], "n": [2]})])
    with pytest.raises(ConfigError, match="is not partitioned"):
        land(replacing(partition_by=[]), [batch({"p": ["a"], "n": [2]})])


def test_the_scope_belongs_to_overwriting():
    with pytest.raises(ValidationError, match="overwrite_scope is about write_mode overwrite"):
        IcebergLoader(overwrite_scope="partitions")
    assert not replacing().replaces_all
    assert IcebergLoader(write_mode="overwrite").replaces_all


KINDS = {
    "float": ("identity", pa.array([0.0, -0.0, float("nan"), 1.5, None]), pa.array([float("nan"), 0.0])),
    "decimal": ("identity", pa.array([Decimal("1.50"), Decimal("2.50"), None]), pa.array([Decimal("2.50")])),
    "boolean": ("identity", pa.array([True, False, None]), pa.array([False])),
    "bytes": ("identity", pa.array([b"a", b"b", None], pa.binary()), pa.array([b"a"], pa.binary())),
    "text": ("identity", pa.array(["ünï/1 x", "b", None]), pa.array(["ünï/1 x", None])),
    "start": ("truncate[2]", pa.array(["abc", "abd", "xyz", None]), pa.array(["abz"])),
    "bucket": ("bucket[3]", pa.array([*range(30), None]), pa.array([4])),
    "month": ("month", pa.array([*DAYS, None]), pa.array([dt.date(2024, 2, 29)])),
    "year": ("year", pa.array([DAYS[0], dt.date(1969, 12, 31), None]), pa.array([dt.date(1969, 1, 1)])),
    "hour": ("hour", pa.array([-1, 0, 3_600_000_000, None], UTC), pa.array([5], UTC)),
    "day": ("day", pa.array([-1, 0, 86_400_000_000, None], pa.timestamp("us")), pa.array([-7], pa.timestamp("us"))),
}


@pytest.mark.parametrize("before", ["same spec", "none", "another"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_partition_is_replaced_whatever_the_spec_of_its_files(project, kind, before):
    transform, old, new = KINDS[kind]
    spec = [{"column": "p", "transform": transform}]
    first = {"same spec": spec, "none": [], "another": ["n"]}[before]
    land(appending(partition_by=first), [batch({"n": [number % 3 for number in range(len(old))], "p": old})])
    land(replacing(partition_by=spec), [batch({"n": [7] * len(new), "p": new})])
    table = project.iceberg("default.t")
    rows = table.scan().to_arrow()
    part = parse_transform(transform).pyarrow_transform(table.schema().find_type("p"))
    touched = list(map(str, part(new.cast(rows["p"].type)).to_pylist()))
    pairs = zip(old.to_pylist(), part(old.cast(rows["p"].type)).to_pylist(), strict=True)
    stays = [str(value) for value, key in pairs if str(key).replace("-0.0", "0.0") not in touched]
    assert sorted(map(str, rows.filter(pc.not_equal(rows["n"], 7))["p"].to_pylist())) == sorted(stays)
    assert rows.num_rows == len(stays) + len(new)


def test_rows_of_files_of_an_older_spec_go_from_touched_partitions_alone(project):
    land(appending(), [batch({"p": DAYS, "n": list(range(60))})])
    land(appending(partition_by=[{"column": "p", "transform": "month"}]), [batch({"p": DAYS[:2], "n": [100, 101]})])
    result = land(replacing(), [batch({"p": [dt.date(2024, 1, 20)], "n": [-1]})])
    kept = [(day, number) for number, day in enumerate(DAYS) if day.month == 2]
    assert pairs(project) == sorted([*kept, (dt.date(2024, 1, 20), -1)])
    table = project.iceberg("default.t")
    assert {row["spec_id"] for row in table.inspect.files().to_pylist()} == {1}
    assert (result.rows, table.current_snapshot().summary["total-records"]) == (1, str(len(kept) + 1))
    land(replacing(), [batch({"p": [dt.date(2025, 1, 20)], "n": [-2]})])
    assert len(pairs(project)) == len(kept) + 2


def test_files_of_an_older_spec_without_rows_in_touched_partitions_stay_as_they_are(project):
    land(appending(), [batch({"p": ["a", "c"], "n": [1, 2]})])
    (before,) = project.iceberg("default.t").inspect.files()["file_path"].to_pylist()
    for value in ("b", "z"):  # within the bounds of the file, and beyond
        land(replacing(partition_by=["p"]), [batch({"p": [value], "n": [3]})])
    assert before in project.iceberg("default.t").inspect.files()["file_path"].to_pylist()
    assert pairs(project) == [("a", 1), ("b", 3), ("c", 2), ("z", 3)]


def test_what_another_job_commits_meanwhile_is_replaced_where_it_falls_into_the_same_partitions(project):
    land(appending(partition_by=["p"]), [batch({"p": ["a", "b"], "n": [1, 2]})])

    def meanwhile():
        land(appending(), [batch({"p": ["a", "b"], "n": [3, 4]})], job="other")

    FaultyCatalog.hooks["before"] = meanwhile
    loader = faulty(project.path, "before", write_mode="overwrite", overwrite_scope="partitions")
    land(loader, [batch({"p": ["a"], "n": [5]})])
    assert pairs(project) == [("a", 5), ("b", 2), ("b", 4)]


def test_the_rows_that_stay_of_older_files_are_written_anew_when_the_table_moves(project):
    land(appending(), [batch({"p": ["a", "b"], "n": [1, 2]})])

    def meanwhile():
        land(appending(), [batch({"p": ["a", "b"], "n": [3, 4]})], job="other")

    FaultyCatalog.hooks["before"] = meanwhile
    loader = faulty(project.path, "before", write_mode="overwrite", overwrite_scope="partitions", partition_by=["p"])
    land(loader, [batch({"p": ["a"], "n": [5]})])
    assert pairs(project) == [("a", 5), ("b", 2), ("b", 4)]
    table = project.iceberg("default.t")
    on_disk = {path.name for path in (project.path / "metadata" / "warehouse").rglob("*.parquet")}
    known = {row["file_path"].rpartition("/")[2] for row in table.inspect.all_files().to_pylist()}
    assert on_disk == known


def test_delete_files_of_replaced_partitions_go_with_them(project):
    land(appending(partition_by=["p"]), [batch({"p": ["a", "a", "b", "b"], "n": [1, 2, 3, 4]})])
    merging = IcebergLoader(
        table="t", write_mode="merge", merge_keys=["p", "n"], delete_column="gone", merge_strategy="merge_on_read"
    )
    land(merging, [batch({"p": ["a", "b"], "n": [1, 3], "gone": [True, True]})])
    assert project.iceberg("default.t").inspect.delete_files().num_rows == 2
    land(replacing(), [batch({"p": ["a"], "n": [5]})])
    assert pairs(project) == [("a", 5), ("b", 4)]
    assert project.iceberg("default.t").inspect.delete_files().num_rows == 1
    land(replacing(partition_by=["n"]), [batch({"p": ["c"], "n": [4]})])
    assert pairs(project) == [("a", 5), ("c", 4)]
    assert project.iceberg("default.t").inspect.delete_files().num_rows == 0


def spec_of(project):
    table = project.iceberg("default.t")
    return [(table.schema().find_column_name(item.source_id), str(item.transform)) for item in table.spec().fields]


def test_another_partitioning_changes_the_table_with_the_data_and_says_so(project):
    land(appending(), [batch({"day": DAYS, "n": list(range(60))})])
    by_month = [{"column": "day", "transform": "month"}]
    result = land(appending(partition_by=by_month), [batch({"day": DAYS, "n": list(range(60, 120))})])
    assert result.notes == ("table default.t is partitioned by month of day from now on",)
    assert spec_of(project) == [("day", "month")]
    assert len(project.iceberg("default.t").snapshots()) == 2
    assert land(appending(partition_by=by_month), [batch({"day": DAYS[:1], "n": [120]})]).notes == ()
    assert land(appending(), [batch({"day": DAYS[:1], "n": [121]})]).notes == ()
    assert spec_of(project) == [("day", "month")]
    result = land(appending(partition_by=[]), [batch({"day": DAYS[:1], "n": [122]})])
    assert result.notes == ("table default.t is partitioned by nothing from now on",)
    assert [row["n"] for row in sorted(agreed_rows(project.iceberg("default.t")), key=lambda row: row["n"])] == list(
        range(123)
    )
    (found,) = (
        project.iceberg("default.t")
        .scan(row_filter="day = '2024-02-29'")
        .to_arrow()
        .group_by("day")
        .aggregate([("n", "count")])
        .to_pylist()
    )
    assert found == {"day": dt.date(2024, 2, 29), "n_count": 2}


LAYOUTS = [
    [{"column": "id", "transform": "bucket[4]"}],
    [{"column": "id", "transform": "bucket[8]"}],
    ["text"],
    [{"column": "text", "transform": "truncate[1]"}],
    [{"column": "at", "transform": "day"}, {"column": "at", "transform": "hour"}, "text"],
    [],
    [{"column": "id", "transform": "bucket[4]"}],
    [{"column": "at", "transform": "year"}, {"column": "id", "transform": "truncate[10]"}],
]


def some(number):
    times = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=9 * item) for item in range(30)]  # noqa: DTZ001 - a type of its own
    return {"id": list(range(number * 30, number * 30 + 30)), "text": ["a", "bc", None] * 10, "at": times}


def test_a_table_of_many_layouts_reads_as_one(project):
    for number, layout in enumerate(LAYOUTS):
        land(appending(partition_by=layout), [batch(some(number))])
    table = project.iceberg("default.t")
    assert len(agreed_rows(table)) == 30 * len(LAYOUTS)
    assert len(table.specs()) == len(LAYOUTS) - 1  # one that was there before is taken again
    assert table.spec().spec_id == len(LAYOUTS) - 2
    fields = {field.field_id: field.name for spec in table.specs().values() for field in spec.fields}
    assert len(set(fields.values())) == len(fields)
    for condition, count in [("text = 'bc'", 10), ("text is null", 10), ("at < '2024-01-02T00:00:00'", 3)]:
        assert table.scan(row_filter=condition).to_arrow().num_rows == count * len(LAYOUTS)
    for number in range(0, 30 * len(LAYOUTS), 7):
        assert table.scan(row_filter=f"id = {number}").to_arrow().num_rows == 1
    land(IcebergLoader(table="t", write_mode="overwrite"), [batch(some(0))])
    assert len(agreed_rows(project.iceberg("default.t"))) == 30


@pytest.mark.parametrize("strategy", ["copy_on_write", "merge_on_read"])
def test_rows_are_merged_into_files_of_every_layout(project, strategy):
    for number, layout in enumerate(LAYOUTS):
        land(appending(partition_by=layout), [batch(some(number))])
    merging = IcebergLoader(
        table="t", write_mode="merge", merge_keys=["id"], merge_strategy=strategy, partition_by=["text"]
    )
    total = 30 * len(LAYOUTS)
    news = {"id": list(range(0, total + 10, 5)), "text": ["new"] * (total // 5 + 2)}
    result = land(merging, [batch(news)])
    assert result.changes == {"inserted": 2, "updated": total // 5, "unchanged": 0, "deleted": 0}
    rows = agreed_rows(project.iceberg("default.t"))
    assert sorted(row["id"] for row in rows) == [*range(total), total, total + 5]
    assert sorted(row["id"] for row in rows if row["text"] == "new") == news["id"]
    assert spec_of(project) == [("text", "identity")]


def test_files_written_for_a_layout_that_another_job_has_changed_are_written_anew(project):
    land(appending(partition_by=["text"]), [batch(some(0))])

    def meanwhile():
        land(appending(partition_by=[{"column": "text", "transform": "truncate[1]"}]), [batch(some(1))], job="other")

    FaultyCatalog.hooks["before"] = meanwhile
    land(faulty(project.path, "before"), [batch(some(2))])
    table = project.iceberg("default.t")
    assert len(agreed_rows(table)) == 90
    assert table.scan(row_filter="text = 'bc'").to_arrow().num_rows == 30
    assert {row["spec_id"] for row in table.inspect.files().to_pylist()} == {0, 1}


def test_of_two_jobs_that_change_the_layout_at_once_both_land(project):
    land(appending(), [batch(some(0))])

    def meanwhile():
        land(appending(partition_by=["text"]), [batch(some(1))], job="other")

    FaultyCatalog.hooks["before"] = meanwhile
    land(faulty(project.path, "before", partition_by=[{"column": "id", "transform": "bucket[2]"}]), [batch(some(2))])
    table = project.iceberg("default.t")
    assert len(agreed_rows(table)) == 90
    assert table.scan(row_filter="text = 'bc'").to_arrow().num_rows == 30
    assert table.scan(row_filter="id = 61").to_arrow().num_rows == 1
    assert spec_of(project) == [("id", "bucket[2]")]


def test_a_column_that_comes_later_can_partition_the_table(project):
    land(appending(), [batch({"a": [1]})])
    with pytest.raises(ConfigError, match="gets no column 'b'"):
        land(appending(partition_by=["b"]), [batch({"a": [2]})])
    land(appending(partition_by=["b"]), [batch({"a": [2], "b": ["x"]})])
    assert spec_of(project) == [("b", "identity")]
    assert agreed_rows(project.iceberg("default.t")) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_a_table_of_format_version_1_is_laid_out_anew_too(project):
    first = appending(table_properties={"format-version": "1"}, partition_by=["text"])
    land(first, [batch(some(0))])
    for number, layout in enumerate([[{"column": "id", "transform": "bucket[4]"}], ["text"], []], 1):
        land(appending(partition_by=layout), [batch(some(number))])
    land(
        appending(partition_by=["text"], write_mode="overwrite", overwrite_scope="partitions"),
        [batch({"id": [-1], "text": ["a"]})],
    )
    table = project.iceberg("default.t")
    assert table.metadata.format_version == 1
    assert [[str(field.transform) for field in spec.fields] for spec in table.specs().values()] == [
        ["identity"], ["void", "bucket[4]"], ["identity", "void"], ["void", "void"],
    ]  # fmt: skip
    found = table.scan().to_arrow().to_pylist()
    assert sorted(row["id"] for row in found) == [-1, *(item for item in range(120) if item % 3)]


def test_a_catalog_of_icebergs_own_takes_every_change_of_layout(project, rest_catalog):
    def job(**options):
        return IcebergLoader(table="t", database=database, catalog=rest_catalog.properties, **options)

    database = f"n{uuid.uuid4().hex[:8]}"
    for number, layout in enumerate(LAYOUTS):
        land(job(partition_by=layout, sort_by=["id"] if number % 2 else []), [batch(some(number))])
    table = job()._opened_table()
    assert len(table.specs()) == len(LAYOUTS) - 1
    assert [table.scan(row_filter=f"id = {number}").count() for number in range(0, 240, 7)] == [1] * 35
    changing = job(
        write_mode="overwrite", overwrite_scope="partitions", partition_by=["text"], rename_from={"when": "at"}
    )
    land(changing, [batch({"id": [1000], "text": ["a"], "more": [1.5]})])
    table = job()._opened_table()
    assert table.scan().count() == 161
    assert table.schema().column_names == ["id", "text", "when", "more"]
    assert not table.sort_order().is_unsorted
    land(job(sort_by=[]), [batch({"id": [1001]})])
    assert job()._opened_table().sort_order().is_unsorted


@pytest.mark.parametrize("options", [{}, {"partition_by": ["id"]}], ids=["as it is", "another"])
def test_a_layout_that_a_tool_changes_without_a_commit_of_rows_is_noticed(project, options):
    land(appending(partition_by=["text"]), [batch(some(0))])

    def meanwhile():
        with project.iceberg("default.t").update_spec() as update:
            update.remove_field("text").add_field("text", "truncate[1]", "start")

    FaultyCatalog.hooks["before"] = meanwhile
    land(faulty(project.path, "before", **options), [batch(some(2))])
    table = project.iceberg("default.t")
    assert table.scan(row_filter="text = 'bc'").count() == 20
    assert spec_of(project) == ([("id", "identity")] if options else [("text", "truncate[1]")])
