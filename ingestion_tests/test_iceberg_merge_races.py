"""Merges that others get in the way of: the table is as if they had come one after the other."""

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table

from ingestion.errors import DataError, IngestionError, Superseded, TransientError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.commit import change
from ingestion.loaders.iceberg.merge import plan as plans
from ingestion.loaders.iceberg.merge import strategy as merge_strategy
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty, land

STRATEGIES = ["auto", "copy_on_write", "merge_on_read"]
FAULTS = ["lost_request", "lost_reply", "called_conflict", "conflict", "late"]


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return request.param


@pytest.fixture(autouse=True)
def _nothing_is_cheap(monkeypatch):
    monkeypatch.setattr(merge_strategy, "_CHEAP", 0)


@pytest.fixture
def full_plans(monkeypatch):
    """How often a whole plan was made."""
    made = []
    whole = plans.Planner.plan

    def counted(self: plans.Planner, *arguments: Any, **options: Any) -> plans.Plan:
        made.append(1)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(plans.Planner, "plan", counted)
    return made


def merging(**options: Any) -> IcebergLoader:
    return IcebergLoader(table="t", **{"write_mode": "merge", "merge_keys": "id"} | options)


def start(project: Any, count: int = 100) -> None:
    for first in (0, count // 2):
        ids = list(range(first, first + count // 2))
        land(IcebergLoader(table="t"), [batch({"id": ids, "v": [0] * len(ids)})], job="start")
    FaultyCatalog.hooks.clear()


def values(project: Any) -> dict[int, int]:
    rows = agreed_rows(project.iceberg("default.t"))
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["v"] for row in rows}


def leftovers(project: Any) -> set[str]:
    """Files of data and deletes, manifests and manifest lists that no snapshot refers to."""
    warehouse = project.path / "metadata" / "warehouse" / "default" / "t"
    table = project.iceberg("default.t")
    named = set()
    for snapshot in table.snapshots():
        named.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
            named |= {manifest.manifest_path, *(entry.data_file.file_path for entry in entries)}
    return {str(path) for kind in ("data/**/*.parquet", "metadata/*.avro") for path in warehouse.glob(kind)} - named


@pytest.mark.parametrize("fault", FAULTS)
def test_a_merge_lands_once_whatever_the_catalog_answers(project, strategy, fault):
    start(project)
    loader = faulty(project.path, fault, write_mode="merge", merge_keys="id", merge_strategy=strategy)
    result = land(loader, [batch({"id": [1, 60, 200], "v": [1, 1, 1]}, cursor=1)])
    assert values(project) == {number: int(number in {1, 60, 200}) for number in [*range(100), 200]}
    assert str(project.iceberg("default.t").current_snapshot().snapshot_id) == result.snapshot
    assert len(project.iceberg("default.t").snapshots()) == 3
    assert leftovers(project) == set()


@pytest.mark.parametrize("others", STRATEGIES)
def test_a_merge_that_another_one_overtakes_plans_again(project, strategy, others, full_plans):
    start(project)

    def overtake() -> None:
        land(merging(merge_strategy=others), [batch({"id": [1, 2, 201], "v": [2, 2, 2]})], job="b")

    FaultyCatalog.hooks["before"] = overtake
    loader = faulty(project.path, "before", write_mode="merge", merge_keys="id", merge_strategy=strategy)
    result = land(loader, [batch({"id": [1, 3, 200, 201], "v": [1, 1, 1, 1]})])
    expected = dict.fromkeys([*range(100), 200, 201], 0) | {1: 1, 2: 2, 3: 1, 200: 1, 201: 1}
    assert values(project) == expected
    assert result.changes == {"inserted": 1, "updated": 3, "unchanged": 0, "deleted": 0}
    assert len(full_plans) == 3
    assert leftovers(project) == set()


def test_a_merge_that_rows_with_other_keys_overtake_keeps_its_plan(project, strategy, full_plans):
    start(project)
    FaultyCatalog.hooks["before"] = lambda: land(IcebergLoader(table="t"), [batch({"id": [300], "v": [3]})], job="b")
    loader = faulty(project.path, "before", write_mode="merge", merge_keys="id", merge_strategy=strategy)
    land(loader, [batch({"id": [1, 200], "v": [1, 1]})])
    assert values(project) == dict.fromkeys(range(100), 0) | {1: 1, 200: 1, 300: 3}
    assert len(full_plans) == 1
    assert leftovers(project) == set()


def test_a_merge_that_a_row_with_one_of_its_keys_overtakes_replaces_that_one(project, strategy):
    start(project)
    FaultyCatalog.hooks["before"] = lambda: land(IcebergLoader(table="t"), [batch({"id": [200], "v": [3]})], job="b")
    loader = faulty(project.path, "before", write_mode="merge", merge_keys="id", merge_strategy=strategy)
    result = land(loader, [batch({"id": [1, 200], "v": [1, 1]})])
    assert values(project) == dict.fromkeys(range(100), 0) | {1: 1, 200: 1}
    assert (result.changes["updated"], result.table_rows) == (2, 101)


def test_rows_that_come_while_a_full_load_is_merged_are_missing_from_it_too(project, strategy):
    start(project)
    FaultyCatalog.hooks["before"] = lambda: land(IcebergLoader(table="t"), [batch({"id": [300], "v": [3]})], job="b")
    options = {"write_mode": "merge", "merge_keys": "id", "delete_missing": "hard"}
    loader = faulty(project.path, "before", merge_strategy=strategy, **options)
    result = land(loader, [batch({"id": [1, 2], "v": [1, 0]})])
    assert values(project) == {1: 1, 2: 0}
    assert result.changes["missing"] == 99


def test_columns_that_another_one_adds_meanwhile_do_not_mix_with_ours(project, strategy):
    start(project)
    FaultyCatalog.hooks["before"] = lambda: land(merging(), [batch({"id": [1], "v": [0], "theirs": ["x"]})], job="b")
    loader = faulty(project.path, "before", write_mode="merge", merge_keys="id", merge_strategy=strategy)
    land(loader, [batch({"id": [2], "v": [1], "ours": [7]})])
    rows = {row["id"]: (row["v"], row["theirs"], row["ours"]) for row in agreed_rows(project.iceberg("default.t"))}
    assert rows == dict.fromkeys(range(100), (0, None, None)) | {1: (0, "x", None), 2: (1, None, 7)}
    assert leftovers(project) == set()


def _drop_v(project: Any) -> None:
    with project.iceberg("default.t").update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("v")
    land(IcebergLoader(table="t"), [batch({"id": [200]})], job="b")


def _replace(project: Any) -> None:
    project.iceberg("default.t").catalog.drop_table("default.t")
    land(IcebergLoader(table="t"), [batch({"x": ["q"], "id": [1]})], job="b")


def _load(columns: dict[str, Any], **options: Any) -> Any:
    return lambda _: land(IcebergLoader(table="t", **options), [batch(columns)], job="b")


OTHERS = {
    "add a column": (
        _load({"id": [200], "v": [2], "w": ["keep"]}),
        ["id", "v", "w"],
        {1: (9, None), 2: (0, None), 200: (2, "keep"), 300: (9, None)},
    ),
    "rename a column": (
        _load({"id": [200], "w": [2]}, rename_from={"w": "v"}),
        ["id", "v", "w"],
        {1: (9, None), 2: (None, 0), 200: (None, 2), 300: (9, None)},
    ),
    "drop a column": (_drop_v, ["id", "v"], {1: (9,), 2: (None,), 200: (None,), 300: (9,)}),
    "widen a column": (
        _load({"id": [200], "v": [2**40]}),
        ["id", "v"],
        {1: (9,), 2: (0,), 200: (2**40,), 300: (9,)},
    ),
    "partition it otherwise": (
        _load({"id": [200], "v": [2]}, partition_by=["v"]),
        ["id", "v"],
        {1: (9,), 2: (0,), 200: (2,), 300: (9,)},
    ),
    "replace the table": (_replace, ["id", "v", "x"], {1: (9, None), 300: (9, None)}),
}


@pytest.mark.parametrize("moment", ["while the rows come", "before the commit"])
@pytest.mark.parametrize("others", OTHERS)
def test_a_merge_works_on_the_columns_that_it_is_committed_upon(project, strategy, moment, others):
    overtake, names, expected = OTHERS[others]
    land(IcebergLoader(table="t"), [batch({"id": pa.array([1, 2]), "v": pa.array([0, 0], pa.int32())})], job="start")
    late = moment == "before the commit"
    FaultyCatalog.hooks["before"] = lambda: overtake(project) if late else None

    def rows() -> Any:
        yield batch({"id": pa.array([1]), "v": pa.array([9], pa.int32())})
        if not late:
            overtake(project)
        yield batch({"id": pa.array([300]), "v": pa.array([9], pa.int32())})

    loader = faulty(project.path, "before", write_mode="merge", merge_keys="id", merge_strategy=strategy)
    land(loader, rows(), job="a")
    table = project.iceberg("default.t")
    found = table.scan().to_arrow().select(names).to_pylist()
    assert {row["id"]: tuple(row[name] for name in names[1:]) for row in found} == expected
    assert len(found) == len(expected)
    land(IcebergLoader(table="t"), [batch({"id": [400], "later": [1]})], job="c")
    assert project.iceberg("default.t").scan(row_filter="later is not null").to_arrow()["id"].to_pylist() == [400]
    assert others == "replace the table" or leftovers(project) == set()  # a table that is dropped leaves its files


def test_rows_that_a_full_load_does_not_bring_keep_columns_that_came_meanwhile(project, strategy):
    start(project, 4)

    def rows() -> Any:
        yield batch({"id": [1], "v": [9]})
        land(IcebergLoader(table="t"), [batch({"id": [10], "v": [5], "w": ["keep"]})], job="b")

    land(merging(merge_strategy=strategy, delete_missing="soft"), rows())
    found = {row["id"]: row for row in project.iceberg("default.t").scan().to_arrow().to_pylist()}
    assert (found[10]["w"], found[1]["_deleted_at"]) == ("keep", None)
    assert all(found[number]["_deleted_at"] is not None for number in (0, 2, 3, 10))


def test_a_contract_is_not_passed_by_where_another_job_renames_its_columns(project):
    start(project, 4)
    rename = IcebergLoader(table="t", rename_from={"w": "v"})
    FaultyCatalog.hooks["before"] = lambda: land(rename, [batch({"id": [10], "w": [5]})], job="b")
    options = {"write_mode": "merge", "merge_keys": "id", "schema_contract": {"columns": "freeze"}}
    with pytest.raises(TransientError, match="run again"):
        land(faulty(project.path, "before", **options), [batch({"id": [1], "v": [9]})])
    assert project.iceberg("default.t").schema().column_names == ["id", "w"]
    assert leftovers(project) == set()


def test_a_merge_that_fails_once_it_has_planned_again_leaves_nothing(project, strategy):
    start(project)

    def overtake_and_damage() -> None:
        land(merging(merge_strategy="copy_on_write"), [batch({"id": [1], "v": [2]})], job="b")
        for task in project.iceberg("default.t").scan().plan_files():
            Path(task.file.file_path.removeprefix("file://")).unlink()

    FaultyCatalog.hooks["before"] = overtake_and_damage
    with pytest.raises(IngestionError):
        land(
            faulty(project.path, "before", write_mode="merge", merge_keys="id", merge_strategy=strategy),
            [batch({"id": [1, 60], "v": [1, 1]})],
        )
    assert leftovers(project) == set()


def test_a_merge_that_its_own_job_overtakes_gives_way(project, strategy):
    start(project)
    loader = merging(merge_strategy=strategy)
    state = loader.state("a")
    land(loader, [batch({"id": [1], "v": [1]})])
    with pytest.raises(Superseded):
        land(loader, [batch({"id": [1], "v": [2]})], since=state)
    assert values(project)[1] == 1
    assert leftovers(project) == set()


def test_merges_of_several_jobs_at_once_all_land(project):
    start(project)
    jobs = [("a", "copy_on_write", 1), ("b", "merge_on_read", 2), ("c", "auto", 3)]
    ended = []

    def run(job: str, strategy: str, v: int) -> None:
        for step in range(5):
            ids = list(range(30 * (v - 1) + step, 30 * v, 5))
            land(
                merging(merge_strategy=strategy),
                [batch({"id": [*ids, 1000 * v + step], "v": [v] * (len(ids) + 1)})],
                job,
            )
        ended.append(job)

    threads = [threading.Thread(target=run, args=arguments) for arguments in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["a", "b", "c"]
    expected = {number: number // 30 + 1 if number < 90 else 0 for number in range(100)}
    assert values(project) == expected | {1000 * v + step: v for v in (1, 2, 3) for step in range(5)}
    assert leftovers(project) == set()


def test_a_merge_gets_through_beside_constant_appends(project, strategy):
    start(project)
    done = threading.Event()

    def append() -> None:
        number = 1000
        while not done.is_set():
            land(IcebergLoader(table="t"), [batch({"id": [number], "v": [9]})], job="b")
            number += 1

    thread = threading.Thread(target=append)
    thread.start()
    try:
        for step in range(3):
            land(merging(merge_strategy=strategy), [batch({"id": [1, 60, 500 + step], "v": [step + 1] * 3})])
    finally:
        done.set()
        thread.join()
    found = values(project)
    assert (found[1], found[60], [found[500 + step] for step in range(3)]) == (3, 3, [1, 2, 3])
    assert len([number for number in found if number < 100]) == 100


def _die(path: str, fault: str, strategy: str) -> None:
    loader = faulty(path, fault, write_mode="merge", merge_keys="id", merge_strategy=strategy)
    land(loader, [batch({"id": [1, 60, 200], "v": [1, 1, 1]}, cursor=1)])


@pytest.mark.parametrize("moment", [pytest.param("kill_before", marks=pytest.mark.soak), "kill_inside", "kill_after"])
def test_a_merge_that_is_killed_leaves_the_table_whole_and_can_run_again(project, strategy, moment):
    start(project)
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(str(project.path), moment, strategy))
    process.start()
    process.join()
    assert process.exitcode == -9
    before = dict.fromkeys(range(100), 0)
    after = before | {1: 1, 60: 1, 200: 1}
    loader = merging(merge_strategy=strategy)
    landed = loader.state("a").cursor == 1
    assert landed == (moment == "kill_after")
    assert values(project) == (after if landed else before)
    land(loader, [batch({"id": [1, 60, 200], "v": [1, 1, 1]}, cursor=1)])
    assert values(project) == after


def with_equality_deletes(table: Table) -> None:
    """Say that a delete file of ours is one by equality, as other engines write them."""
    transaction = table.transaction()
    ((deletes,),) = [
        [entry.data_file for entry in manifest.fetch_manifest_entry(table.io)]
        for manifest in table.current_snapshot().manifests(table.io)
        if manifest.content.value == 1
    ]
    deletes._data[0] = DataFileContent.EQUALITY_DELETES
    change(transaction, {}, [], removed=[deletes.file_path], deletes=[deletes])
    transaction.commit_transaction()


def test_rows_that_another_engine_deleted_by_equality_are_refused_with_the_cure(project):
    land(IcebergLoader(table="t"), [batch({"id": [1, 2, 3, 4, 5], "v": [0] * 5})])
    loader = merging(merge_strategy="merge_on_read")
    land(loader, [batch({"id": [1], "v": [1]})])
    with_equality_deletes(project.iceberg("default.t"))
    with pytest.raises(DataError, match=r"equality delete files.*rewrite_data_files"):
        land(loader, [batch({"id": [2], "v": [1]})])
    assert land(IcebergLoader(table="t"), [batch({"id": [9], "v": [9]})], job="b").rows == 1
