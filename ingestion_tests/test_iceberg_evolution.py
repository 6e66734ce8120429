"""Columns that come, widen, are renamed or become optional, in the commit of the data that needs it."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import ListType, LongType, MapType, NestedField, StringType, StructType

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.plugins import Load, Part
from ingestion_tests.iceberg_readers import agreed_rows, by_duckdb
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty, land


def loader(**options: Any) -> IcebergLoader:
    return IcebergLoader(table="t", **options)


def rows(project):
    return agreed_rows(project.iceberg("default.t"))


def created(project, *fields, identifiers=(), properties=None):
    """A table that another tool has made."""
    metadata = project.path / "metadata"
    metadata.mkdir(exist_ok=True)
    with SqlCatalog(
        "default", uri=f"sqlite:///{metadata}/catalog.db", warehouse=str(metadata / "warehouse")
    ) as catalog:
        catalog.create_namespace_if_not_exists("default")
        catalog.create_table(
            "default.t", Schema(*fields, identifier_field_ids=list(identifiers)), properties=properties or {}
        )


def test_fields_within_structs_lists_and_maps_are_added_and_widened(project):
    inner = pa.struct([("x", pa.int32())])
    wider = pa.struct([("y", pa.string()), ("x", pa.int64())])
    first = {
        "s": pa.array([{"x": 1}], inner),
        "l": pa.array([[{"x": 1}]], pa.list_(inner)),
        "m": pa.array([[("k", {"x": 1})]], pa.map_(pa.string(), inner)),
        "n": pa.array([[1]], pa.list_(pa.int32())),
    }
    then = {
        "s": pa.array([{"y": "b", "x": 2**40}, None], wider),
        "l": pa.array([[{"y": "b", "x": 2**40}, None], None], pa.list_(wider)),
        "m": pa.array([[("k", {"y": "b", "x": 2**40})], []], pa.map_(pa.string(), wider)),
        "n": pa.array([[2**40], None], pa.list_(pa.int64())),
    }
    land(loader(), [batch(first)])
    before = project.iceberg("default.t").schema()
    land(loader(), [batch(then), batch(first)])
    table = project.iceberg("default.t")
    assert len(table.snapshots()) == 2
    assert table.schema().find_field("l.element.x").field_id == before.find_field("l.element.x").field_id
    old, new = {"x": 1, "y": None}, {"x": 2**40, "y": "b"}
    found = by_duckdb(table)  # pyiceberg takes a null list of structs that got a field for an empty one
    rows = [
        {"s": new, "l": [new, None], "m": [("k", new)], "n": [2**40]},
        {"s": None, "l": None, "m": [], "n": None},
        *[{"s": old, "l": [old], "m": [("k", old)], "n": [1]}] * 2,
    ]
    assert sorted(map(str, found)) == sorted(map(str, [{name: row[name] for name in found[0]} for row in rows]))


def test_narrower_nested_data_begins_no_new_file_and_no_new_schema(project):
    wide, narrow = pa.struct([("x", pa.int64()), ("y", pa.string())]), pa.struct([("x", pa.int32())])
    land(loader(), [batch({"s": pa.array([{"x": 1, "y": "a"}], wide)})])
    each = [batch({"s": pa.array([{"x": 1}], kind)}) for kind in (narrow, wide)] * 10
    assert land(loader(), each).files == 1
    assert len(project.iceberg("default.t").metadata.schemas) == 1


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ([{"x": 1}], [{"x": [1]}], r"column 'a\.x' is long, the data brings list"),
        ([[1]], [["x"]], r"column 'a\.element' is long, the data brings string"),
        ([[{"x": [1]}]], [[{"x": [0.5]}]], r"'a\.element\.x\.element' is long, the data brings double"),
        ([{"x": 1}], [1], r"column 'a' is struct<x: int64>, the data brings long"),
        ([dt.date(2024, 1, 1)], [dt.datetime(2024, 1, 1)], "column 'a' is date, .*does not widen a date to a time"),  # noqa: DTZ001 - a type of its own
    ],
)
def test_types_that_do_not_go_together_are_named_with_their_place(project, first, then, message):
    land(loader(), [batch({"a": first})])
    with pytest.raises(DataError, match=message):
        land(loader(), [batch({"a": then})])
    assert rows(project) == [{"a": first[0]}]


def test_a_renamed_column_keeps_its_field_and_its_values(project):
    land(loader(), [batch({"id": [1], "naem": ["x"]})])
    before = project.iceberg("default.t").schema().find_field("naem").field_id
    job = loader(rename_from={"name": "naem"})
    assert job.state("a").schema.names == ["id", "name"]
    result = land(job, [batch({"id": [2], "name": ["y"], "more": [1]})])
    assert (result.added, result.absent) == (("more",), ())
    table = project.iceberg("default.t")
    assert table.schema().find_field("name").field_id == before
    assert len(table.snapshots()) == 2
    assert rows(project) == [{"id": 1, "name": "x", "more": None}, {"id": 2, "name": "y", "more": 1}]
    land(job, [batch({"id": [3], "name": ["z"]})])
    assert len(project.iceberg("default.t").metadata.schemas) == 3  # as created, renamed, with one more column
    assert project.iceberg("default.t").metadata.current_schema_id == 2


def test_a_partition_column_can_be_renamed(project):
    land(loader(partition_by=["old"]), [batch({"old": ["a", "b"]})])
    land(loader(partition_by=["new"], rename_from={"new": "old"}), [batch({"new": ["a"]})])
    table = project.iceberg("default.t")
    assert len(table.specs()) == 1
    assert table.scan(row_filter="new = 'a'").to_arrow().num_rows == 2


def test_a_rename_onto_a_column_that_is_there_is_refused(project):
    land(loader(), [batch({"a": [1], "b": [2]})])
    job = loader(rename_from={"b": "a"})
    for call in (lambda: job.state("a"), lambda: land(job, [batch({"b": [3]})], since=loader().state("a"))):
        with pytest.raises(ConfigError, match=r"rename_from: table default.t has both 'a' and 'b'"):
            call()
    assert rows(project) == [{"a": 1, "b": 2}]


def test_a_rename_and_a_new_column_of_another_job_at_once_both_land(project):
    land(loader(), [batch({"id": [1], "old": ["x"]})])
    FaultyCatalog.hooks["before"] = lambda: land(loader(), [batch({"id": [2], "extra": [5]})], job="other") and None
    land(faulty(project.path, "before", rename_from={"new": "old"}), [batch({"id": [3], "new": ["z"], "late": ["l"]})])
    assert rows(project) == [
        {"id": 1, "new": "x", "extra": None, "late": None},
        {"id": 2, "new": None, "extra": 5, "late": None},
        {"id": 3, "new": "z", "extra": None, "late": "l"},
    ]


REQUIRED = NestedField(1, "a", LongType(), required=True)


@pytest.mark.parametrize("columns", [{"a": [None, 1]}, {"b": ["x"]}], ids=["null", "absent"])
def test_a_required_column_that_the_data_lacks_becomes_optional_and_the_result_says_so(project, columns):
    created(project, REQUIRED, NestedField(2, "b", StringType()))
    land(loader(), [batch({"a": [7], "b": ["y"]})])
    assert project.iceberg("default.t").schema().find_field("a").required
    result = land(loader(), [batch({"a": [8], "b": ["z"]}), batch({**columns})])
    assert result.notes == ("column 'a' of table default.t is optional from now on",)
    assert project.iceberg("default.t").schema().find_field("a").optional
    expected = [7, 8, *columns.get("a", [None])]
    assert sorted((row["a"] for row in rows(project)), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("columns", [{"a": [None, 1]}, {"b": ["x"]}], ids=["null", "absent"])
@pytest.mark.parametrize("why", ["frozen", "identifier"])
def test_a_column_that_must_stay_required_is_not_made_optional(project, columns, why):
    created(project, REQUIRED, NestedField(2, "b", StringType()), identifiers=[1] if why == "identifier" else [])
    job = loader(schema_contract={"columns": "freeze"}) if why == "frozen" else loader()
    with pytest.raises(DataError, match="column 'a' is required and the data lacks it or has nulls in it"):
        land(job, [batch(columns)])
    assert rows(project) == []


def test_required_parts_of_columns_become_optional_too(project):
    point = StructType(NestedField(3, "x", LongType(), required=True), NestedField(4, "y", LongType()))
    created(
        project,
        NestedField(1, "s", point, required=True),
        NestedField(2, "l", ListType(5, LongType(), element_required=True)),
        NestedField(6, "m", MapType(7, StringType(), 8, LongType(), value_required=True)),
    )
    kinds = {"s": pa.struct([("x", pa.int64()), ("y", pa.int64())]), "l": pa.list_(pa.int64())}
    kinds["m"] = pa.map_(pa.string(), pa.int64())

    def given(**values):
        return batch({name: pa.array([values[name]], kind) for name, kind in kinds.items()})

    fine = {"s": {"x": 1, "y": None}, "l": [1], "m": [("k", 1)]}
    assert land(loader(), [given(**fine), given(**fine | {"l": None, "m": None})]).notes == ()
    for name, value, path in (("l", [None], "l.element"), ("m", [("k", None)], "m.value"), ("s", {"y": 1}, "s.x")):
        assert land(loader(), [given(**fine | {name: value})]).notes == (
            f"column {path!r} of table default.t is optional from now on",
        )
    found = project.iceberg("default.t").scan().to_arrow()
    assert found["s"].to_pylist().count({"x": None, "y": 1}) == 1
    assert found["l"].to_pylist().count([None]) == 1


def test_the_report_tells_of_columns_that_became_wider_or_are_called_otherwise(project):
    narrow = pa.struct([("x", pa.int32())])
    land(loader(), [batch({"id": [1], "n": pa.array([1], pa.int32()), "s": pa.array([{"x": 1}], narrow)})])
    job = loader(rename_from={"key": "id"})
    result = land(job, [batch({"key": [2], "n": [2], "s": [{"x": 2}], "new": [1]})])
    assert result.notes == (
        "column id is called key now",
        "column n became long, it was int",
        "column s.x became long, it was int",
    )
    assert land(job, [batch({"key": [3], "n": [2]})]).notes == ()
    assert project.table("default.t").num_rows == 3


def test_widening_a_required_column_leaves_it_required(project):
    from pyiceberg.types import IntegerType

    created(project, NestedField(1, "a", IntegerType(), required=True))
    land(loader(), [batch({"a": [2**40]})])
    field = project.iceberg("default.t").schema().find_field("a")
    assert (field.required, str(field.field_type)) == (True, "long")


@pytest.mark.parametrize("name", ["_file", "_pos", "_deleted", "_spec_id", "_partition", "_ROW_ID"])
def test_names_of_icebergs_own_columns_are_refused(project, name):
    with pytest.raises(DataError, match=f"{name!r} is the name of one of Iceberg's own columns"):
        land(loader(), [batch({"a": [1], name: [2]})])
    assert not (project.path / "metadata" / "warehouse").exists()


def test_a_table_of_a_newer_format_is_refused_before_anything_is_read(project):
    land(loader(), [batch({"a": [1]})])
    metadata = Path(project.iceberg("default.t").metadata_location)
    content = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**content, "format-version": 3, "next-row-id": 0}))
    before = sorted((project.path / "metadata").rglob("*"))

    def unread():
        yield pytest.fail("the source was read")

    with pytest.raises(ConfigError, match=r"table default.t is of Iceberg format version 3, .* up to version 2"):
        land(loader(), unread())
    assert sorted((project.path / "metadata").rglob("*")) == before


def test_all_kinds_of_change_land_in_one_commit(project):
    land(loader(), [batch({"id": pa.array([1], pa.int32()), "old": ["x"], "d": [Decimal("1.25")]})])
    job = loader(rename_from={"new": "old"}, partition_by=[{"column": "id", "transform": "bucket[2]"}], sort_by=["new"])
    land(job, [batch({"id": [2**40], "new": ["y"], "d": [Decimal("12345.25")], "s": [{"k": 1}]}, cursor=1)])
    table = project.iceberg("default.t")
    assert len(table.metadata.metadata_log) == 1
    found = table.scan().to_arrow().sort_by("id").to_pylist()
    assert found == [
        {"id": 1, "new": "x", "d": Decimal("1.25"), "s": None},
        {"id": 2**40, "new": "y", "d": Decimal("12345.25"), "s": {"k": 1}},
    ]
    assert job.state("a").cursor == 1


@pytest.mark.parametrize("strategy", ["auto", "copy_on_write"])
def test_a_merge_into_a_table_of_format_version_1_writes_no_delete_files(project, monkeypatch, strategy):
    monkeypatch.setattr("ingestion.loaders.iceberg.merge.strategy._CHEAP", -1)
    land(loader(table_properties={"format-version": "1"}), [batch({"a": list(range(10)), "b": ["x"] * 10})])
    land(loader(write_mode="merge", merge_keys=["a"], merge_strategy=strategy), [batch({"a": [2], "b": ["z"]})])
    found = project.iceberg("default.t").scan().to_arrow().sort_by("a")
    assert found["b"].to_pylist() == ["x", "x", "z", *["x"] * 7]


def test_a_merge_that_needs_delete_files_is_refused_where_the_format_has_none(project):
    land(loader(table_properties={"format-version": "1"}), [batch({"a": [1, 2], "b": ["x", "y"]})])
    job = loader(write_mode="merge", merge_keys=["a"], merge_strategy="merge_on_read")
    with pytest.raises(ConfigError, match="merge_on_read needs a table of Iceberg format version 2"):
        land(job, [batch({"a": [2], "b": ["z"]})])
    assert len(project.iceberg("default.t").snapshots()) == 1


@pytest.mark.parametrize("strategy", ["copy_on_write", "merge_on_read"])
def test_a_merge_changes_everything_about_the_table_with_its_rows(project, strategy):
    ids = pa.array(range(100), pa.int32())
    land(loader(), [batch({"a": ids, "old": [str(number) for number in range(100)]})])
    options: dict[str, Any] = {"write_mode": "merge", "merge_strategy": strategy, "sort_by": ["new"]}
    job = loader(
        **options,
        merge_keys=["a"],
        rename_from={"new": "old"},
        partition_by=[{"column": "a", "transform": "bucket[3]"}],
    )
    result = land(job, [batch({"a": [2**40, 5, 6], "new": ["x", "y", "a"], "more": [{"k": 1}, None, None]})])
    assert result.changes == {"inserted": 1, "updated": 2, "unchanged": 0, "deleted": 0}
    assert len(rows(project)) == 101
    job = loader(**options, merge_keys=["id"], rename_from={"id": "a"})  # the key is renamed too
    result = land(job, [batch({"id": [5, 200], "new": ["q", "w"]})])
    assert (result.changes["inserted"], result.changes["updated"]) == (1, 1)
    found = {row["id"]: (row["new"], row["more"]) for row in rows(project)}
    assert len(found) == 102
    assert [found[number] for number in (4, 5, 6, 200)] == [("4", None), ("q", None), ("a", None), ("w", None)]
    assert found[2**40] == ("x", {"k": 1})


def test_rows_that_lack_a_column_do_not_bring_it_back_once_another_job_has_renamed_it(project):
    land(loader(), [batch({"id": [1], "v": [1]})], job="start")
    renaming = loader(rename_from={"w": "v"})
    FaultyCatalog.hooks["before"] = lambda: land(renaming, [batch({"id": [3], "w": [3]})], job="b")
    land(faulty(project.path, "before"), [batch({"id": [2], "nothing": [None]})])
    assert project.iceberg("default.t").schema().column_names == ["id", "w", "nothing"]
    assert {row["id"]: row["w"] for row in rows(project)} == {1: 1, 2: None, 3: 3}
    assert land(renaming, [batch({"id": [4], "w": [4]})], job="b").rows == 1


def _add_and_drop_a_column(project):
    table = project.iceberg("default.t")
    with table.update_schema() as update:
        update.add_column("passing", LongType())
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("passing")


def replacing_partition(project):
    return {"write_mode": "overwrite", "overwrite_scope": "partitions", "partition_by": ["g"]}, ()


def replacing_part(project):
    return {}, (Part("g", ("a",)),)


@pytest.mark.parametrize("way", [replacing_partition, replacing_part])
@pytest.mark.parametrize("moment", ["while the rows come", "before the commit"])
def test_rows_that_stay_beside_replaced_ones_keep_columns_that_came_meanwhile(project, way, moment):
    land(loader(), [batch({"id": [1, 3], "g": ["a", "b"]})], job="start")

    def others() -> None:
        _add_and_drop_a_column(project)
        land(loader(), [batch({"id": [10, 11], "g": ["a", "b"], "w": ["gone", "keep"]})], job="b")

    late = moment == "before the commit"
    FaultyCatalog.hooks["before"] = others if late else int

    def brought():
        yield batch({"id": [7], "g": ["a"]})
        if not late:
            others()

    options, parts = way(project)
    into = faulty(project.path, "before", **options)
    into.load(Load("a", "run", "load-of-a", into.state("a"), "hash", replaces=parts), brought())
    assert {row["id"]: row["w"] for row in rows(project)} == {3: None, 7: None, 11: "keep"}


def test_a_null_elsewhere_in_the_map_column_of_a_larger_batch_makes_nothing_optional(project):
    value = NestedField(2, "m", MapType(3, StringType(), 4, LongType(), value_required=True))
    created(project, NestedField(1, "id", LongType()), value)
    maps = pa.map_(pa.string(), pa.int64())
    whole = pa.RecordBatch.from_pydict(
        {"id": [1, 2, 3], "m": pa.array([[("a", None)], [("b", 2)], [("c", None)]], maps)}
    )
    assert land(loader(), [batch(whole.slice(1, 1))]).notes == ()
    assert project.iceberg("default.t").scan().to_arrow()["m"].to_pylist() == [[("b", 2)]]
    assert land(loader(), [batch(whole.slice(2))]).notes != ()
