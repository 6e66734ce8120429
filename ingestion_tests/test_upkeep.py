"""Upkeep of Iceberg tables: fewer files, fewer snapshots, no rubbish, and the same rows and cursors throughout."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import ManifestFile

from ingestion.errors import DataError, IngestionError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.catalog import opened
from ingestion.loaders.iceberg.upkeep import UpkeepOptions, manifests
from ingestion.loaders.iceberg.upkeep.expiry import Expiry
from ingestion.plugins import Load
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty, land

AT_ONCE = {"maintenance": {"min_age_hours": 0, "keep_snapshots": 3, "orphans_older_than_hours": 1}}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def loader(project):
    return IcebergLoader(table="t", **AT_ONCE)


def load(loader, start, stop, job="a", **columns):
    for number in range(start, stop):
        land(loader, [batch({"n": [number], **{name: [value] for name, value in columns.items()}}, number + 1)], job)


def rows(table):
    return sorted(table.scan().to_arrow()["n"].to_pylist())


def every_state(project, name="default.t"):
    """The rows of each snapshot that is left, oldest first."""
    table = project.iceberg(name)
    return [sorted(table.scan(snapshot_id=item.snapshot_id).to_arrow()["n"].to_pylist()) for item in table.snapshots()]


def data_files(project):
    return project.iceberg("default.t").inspect.data_files().num_rows


def on_disk(project, folder="default/t"):
    return sorted(path for path in (project.path / "metadata/warehouse" / folder).rglob("*") if path.is_file())


def aged(project, hours=2.0, folder=""):
    """All files of the warehouse as if they were written so long ago."""
    then = time.time() - hours * 3600
    for path in on_disk(project, folder):
        os.utime(path, (then, then))


def needed(project, name="default.t"):
    table = project.iceberg(name)
    paths = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.snapshots():
        paths.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            entries = manifest.fetch_manifest_entry(table.io)
            paths |= {manifest.manifest_path, *(entry.data_file.file_path for entry in entries)}
    return {path.removeprefix("file://") for path in paths}


# compaction


def test_small_files_become_one_and_rows_cursors_and_older_snapshots_stay(project, loader):
    load(loader, 0, 6)
    load(loader, 100, 101, job="b")
    loader = IcebergLoader(table="t")
    before, cursors = every_state(project), [loader.state(job) for job in "ab"]
    done = loader.upkeep("a")
    assert done == {"files_compacted": 7, "files_written": 1}
    assert data_files(project) == 1
    assert every_state(project) == [*before, before[-1]]
    assert [loader.state(job) for job in "ab"] == cursors
    head = project.iceberg("default.t").current_snapshot()
    assert head.summary.operation.value == "replace"
    assert head.summary["total-records"] == "7"
    assert head.summary["total-data-files"] == "1"
    assert loader.upkeep("a") == {}
    assert loader.scan().collect().height == 7


def test_files_of_a_partition_are_compacted_among_themselves(project):
    loader = IcebergLoader(table="t", partition_by=["s"])
    for number in range(5):
        land(loader, [batch({"n": [number, number], "s": ["x", "y"]}, number)])
    load(loader, 5, 6, s="z")
    assert loader.upkeep("a") == {"files_compacted": 10, "files_written": 2}
    files = project.iceberg("default.t").inspect.data_files().to_pylist()
    assert sorted((file["partition"]["s"], file["record_count"]) for file in files) == [("x", 5), ("y", 5), ("z", 1)]
    assert rows(project.iceberg("default.t")) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_files_of_an_older_partitioning_and_older_columns_are_written_as_new_ones_are(project):
    loader = IcebergLoader(table="t")
    load(loader, 0, 6, s="x")
    load(loader, 6, 7, s="y", more=1.5)
    load(IcebergLoader(table="t", partition_by=["s"]), 7, 8, s="y")
    before = project.table("default.t").sort_by("n")
    loader.upkeep("a")
    table = project.iceberg("default.t")
    assert {file["spec_id"] for file in table.inspect.data_files().to_pylist()} == {table.spec().spec_id}
    assert project.table("default.t").sort_by("n") == before
    assert rows(table) == list(range(8))
    assert sorted(table.scan(row_filter="s = 'y'").to_arrow()["n"].to_pylist()) == [6, 7]


def test_a_few_small_files_are_left_alone(project, loader):
    load(IcebergLoader(table="t"), 0, 4)
    assert IcebergLoader(table="t").upkeep("a") == {}
    assert data_files(project) == 4


def test_full_files_are_left_alone(project):
    loader = IcebergLoader(table="t", target_file_size="1 MiB")
    for number in range(6):
        land(loader, [batch({"n": [number] * 600, "text": [os.urandom(1500).hex() for _ in range(600)]}, number)])
    before = set(on_disk(project))
    assert loader.upkeep("a") == {}
    assert set(on_disk(project)) == before


def test_compaction_can_be_left_to_others(project):
    load(IcebergLoader(table="t"), 0, 6)
    assert IcebergLoader(table="t", maintenance={"compact": False}).upkeep("a") == {}
    assert IcebergLoader(table="t", maintenance={"enabled": False}).upkeep("a") == {}
    assert data_files(project) == 6


def test_a_load_that_lands_while_files_are_compacted_stays(project, loader):
    load(loader, 0, 6)
    FaultyCatalog.hooks = {"before": lambda: load(loader, 100, 101, job="b")}
    try:
        faulty(project.path, "before").upkeep("a")
    finally:
        FaultyCatalog.hooks = {}
    assert rows(project.iceberg("default.t")) == [*range(6), 100]
    assert [loader.state(job).cursor for job in "ab"] == [6, 101]
    assert data_files(project) == 2


def test_columns_that_are_renamed_while_files_are_compacted_keep_their_values(project):
    load(IcebergLoader(table="t"), 0, 6, v=7)
    renaming = IcebergLoader(table="t", rename_from={"w": "v"})
    FaultyCatalog.hooks["before"] = lambda: land(renaming, [batch({"n": [100], "w": [8]})], job="b")
    done = faulty(project.path, "before").upkeep("a")
    table = project.iceberg("default.t")
    assert table.schema().column_names == ["n", "w"]
    assert {row["n"]: row["w"] for row in agreed_rows(table)} == dict.fromkeys(range(6), 7) | {100: 8}
    assert done["files_compacted"] == 7


def test_files_that_an_overwrite_replaces_meanwhile_do_not_come_back(project, loader):
    load(loader, 0, 6)
    anew = IcebergLoader(table="t", write_mode="overwrite")
    FaultyCatalog.hooks = {"before": lambda: load(anew, 50, 51)}
    try:
        faulty(project.path, "before").upkeep("a")
    finally:
        FaultyCatalog.hooks = {}
    assert rows(project.iceberg("default.t")) == [50]
    assert data_files(project) == 1


@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "called_conflict", "conflict", "late"])
def test_whatever_the_catalog_answers_a_compaction_lands_once(project, loader, fault):
    load(loader, 0, 6)
    faulty(project.path, fault).upkeep("a")
    assert rows(project.iceberg("default.t")) == list(range(6))
    assert data_files(project) == 1
    assert Counter(item.summary["ingestion.upkeep"] for item in project.iceberg("default.t").snapshots()) == {
        None: 6,
        "compaction": 1,
    }


def test_a_data_file_that_lost_rows_is_told_and_left(project, loader):
    load(loader, 0, 6)
    table = project.iceberg("default.t")
    path = table.inspect.data_files()["file_path"][0].as_py()
    import pyarrow.parquet as pq

    whole = pq.read_table(path)
    pq.write_table(whole.slice(0, 0), path)
    with pytest.raises(DataError, match="holds 0 rows and its table says 1"):
        loader.upkeep("a")
    assert data_files(project) == 6


# merges


def merging(**options):
    keyed = {"write_mode": "merge", "merge_keys": ["n"], "merge_strategy": "merge_on_read"}
    return IcebergLoader(table="t", **{**keyed, **options})


def worn(project):
    """A table of 1000 rows in one file, a hundred of them marked as deleted by two merges."""
    land(IcebergLoader(table="t"), [batch({"n": list(range(1000)), "x": [0] * 1000}, 1)])
    for number in (1, 2):
        changed = list(range(number * 100, number * 100 + 50))
        land(merging(), [batch({"n": changed, "x": [number] * 50}, number + 1)])


def values(project):
    return Counter(project.table("default.t")["x"].to_pylist())


def delete_files(project):
    return project.iceberg("default.t").inspect.delete_files().num_rows


def test_a_file_with_many_deleted_rows_is_written_anew_and_its_delete_files_go(project):
    worn(project)
    before = project.table("default.t").sort_by("n")
    assert delete_files(project) > 0
    states = every_state(project)
    assert IcebergLoader(table="t").upkeep("a")["delete_files_removed"] > 0
    assert delete_files(project) == 0
    assert project.table("default.t").sort_by("n") == before
    assert every_state(project) == [*states, states[-1]]
    summary = project.iceberg("default.t").current_snapshot().summary
    assert summary["total-records"] == "1000"
    assert summary["total-position-deletes"] == summary["total-delete-files"] == "0"
    assert IcebergLoader(table="t").upkeep("a") == {}
    found = agreed_rows(project.iceberg("default.t"))
    assert sorted(found, key=lambda row: row["n"]) == before.to_pylist()


@pytest.mark.parametrize("strategy", ["copy_on_write", "merge_on_read"])
def test_a_merge_that_lands_while_its_files_are_compacted_wins(project, strategy):
    worn(project)

    def merge():
        land(merging(merge_strategy=strategy), [batch({"n": [100, 500], "x": [9, 9]}, 9)])

    FaultyCatalog.hooks = {"before": merge}
    try:
        faulty(project.path, "before").upkeep("a")
    finally:
        FaultyCatalog.hooks = {}
    assert values(project) == {0: 899, 1: 49, 2: 50, 9: 2}
    assert rows(project.iceberg("default.t")) == list(range(1000))
    assert IcebergLoader(table="t").state("a").cursor == 9


@pytest.mark.parametrize("strategy", ["copy_on_write", "merge_on_read"])
def test_a_compaction_that_lands_while_a_merge_is_planned_changes_nothing_of_it(project, strategy):
    worn(project)
    FaultyCatalog.hooks = {"before": lambda: IcebergLoader(table="t").upkeep("a")}
    try:
        merge = faulty(project.path, "before", write_mode="merge", merge_keys=["n"], merge_strategy=strategy)
        land(merge, [batch({"n": [100, 500], "x": [9, 9]}, 9)])
    finally:
        FaultyCatalog.hooks = {}
    assert values(project) == {0: 899, 1: 49, 2: 50, 9: 2}
    assert rows(project.iceberg("default.t")) == list(range(1000))


# a run can still be taken back


def test_a_run_before_a_compaction_can_be_taken_back(project):
    loader = IcebergLoader(table="t")
    load(loader, 0, 6)
    run = loader.history("a")[0].run_id
    land(loader, [batch({"n": [6]}, 7)], load_id="last")
    loader.upkeep("a")
    load_ids = [item.load_id for item in loader.history("a")]
    assert load_ids[0] == "last"
    assert len(load_ids) == 7
    loader.rollback("a", run)
    assert loader.state("a").cursor is None  # all runs of these loads have one id
    assert rows(project.iceberg("default.t")) == []


# manifests


def test_many_small_manifests_are_merged_and_the_cursors_carried_forward(project):
    loader = IcebergLoader(table="t", maintenance={"compact": False})
    load(loader, 0, 31)
    before = every_state(project)
    assert loader.upkeep("a") == {"manifests_merged": 31}
    table = project.iceberg("default.t")
    assert len(table.current_snapshot().manifests(table.io)) == 1
    assert every_state(project) == [*before, before[-1]]
    assert loader.state("a").cursor == 31
    assert loader.upkeep("a") == {}


# snapshots


def test_data_files_that_a_merged_manifest_lists_outlive_the_snapshots_that_brought_them(project):
    once = {"compact": False, "keep_snapshots": 1, "min_age_hours": 0}
    loader = IcebergLoader(table="t", maintenance=once)
    load(loader, 0, 31)
    done = loader.upkeep("a")
    assert done == {"manifests_merged": 31, "snapshots_expired": 31, "files_deleted": 62}  # lists and manifests
    assert every_state(project) == [[*range(31)]]


def test_expiry_alone_keeps_all_from_the_present_to_the_cursors(project, loader):
    load(loader, 0, 2)
    for number in range(2, 5):
        project.iceberg("default.t").append(pa.table({"n": [number]}))
    with opened({}) as catalog:
        done = Expiry(catalog, ("default", "t"), UpkeepOptions(keep_snapshots=1, min_age_hours=0)).run()
    assert done["snapshots_expired"] == 1
    assert every_state(project) == [[*range(2)], [*range(3)], [*range(4)], [*range(5)]]
    assert loader.state("a").cursor == 2


def test_old_snapshots_expire_with_the_files_that_only_they_needed(project, loader):
    load(loader, 0, 8)
    load(loader, 100, 101, job="b")
    done = loader.upkeep("a")
    assert done["snapshots_expired"] == 7
    table = project.iceberg("default.t")
    assert len(table.snapshots()) == 3
    assert every_state(project) == [[*range(8)], [*range(8), 100], [*range(8), 100]]
    assert [loader.state(job).cursor for job in "ab"] == [8, 101]
    assert {str(path) for path in on_disk(project)} - needed(project) == set()
    load(loader, 8, 9)
    assert loader.state("a").cursor == 9


def test_files_that_an_overwrite_left_go_with_its_snapshots(project):
    loader = IcebergLoader(table="t", write_mode="overwrite", **AT_ONCE)
    load(loader, 0, 5)
    done = loader.upkeep("a")
    assert done == {"snapshots_expired": 2, "files_deleted": 2 + 2 + 2 + 1}  # lists, data, manifests; 2 hold removals
    assert every_state(project) == [[2], [3], [4]]


def test_young_and_named_snapshots_stay(project, loader):
    load(loader, 0, 6)
    table = project.iceberg("default.t")
    table.manage_snapshots().create_tag(table.snapshots()[0].snapshot_id, "month-end").commit()
    table.manage_snapshots().create_branch(table.snapshots()[1].snapshot_id, "audit").commit()
    careful = IcebergLoader(table="t", maintenance={"keep_snapshots": 1, "min_age_hours": 24, "compact": False})
    assert careful.upkeep("a") == {}
    hasty = IcebergLoader(table="t", maintenance={"keep_snapshots": 1, "min_age_hours": 0, "compact": False})
    assert hasty.upkeep("a")["snapshots_expired"] == 3
    assert every_state(project) == [[0], [0, 1], [*range(6)]]
    assert set(project.iceberg("default.t").refs()) == {"main", "month-end", "audit"}


def test_the_snapshot_with_the_cursors_stays_however_many_of_other_writers_follow(project, loader):
    load(loader, 0, 1)
    for number in range(1, 8):
        project.iceberg("default.t").append(pa.table({"n": [number]}))
    loader = IcebergLoader(table="t", maintenance={**AT_ONCE["maintenance"], "compact": False})
    loader.upkeep("a")
    table = project.iceberg("default.t")
    assert len(table.snapshots()) == 3
    assert loader.state("a").cursor == 1
    with table.transaction() as transaction:
        transaction.remove_properties("ingestion.cursor.a")
    for entry in table.metadata.metadata_log:
        Path(entry.metadata_file.removeprefix("file://")).unlink()
    assert loader.state("a").cursor == 1
    assert rows(project.iceberg("default.t")) == [*range(8)]


@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "called_conflict", "conflict"])
def test_whatever_the_catalog_answers_snapshots_expire_once(project, fault):
    load(IcebergLoader(table="t"), 0, 6)
    done = faulty(project.path, fault, maintenance={**AT_ONCE["maintenance"], "compact": False}).upkeep("a")
    assert done["snapshots_expired"] == 3
    assert {str(path) for path in on_disk(project) if path.suffix != ".json"} - needed(project) == set()
    assert len(every_state(project)) == 3


def test_a_table_whose_files_belong_to_others_keeps_them_all(project):
    loader = IcebergLoader(table="t", table_properties={"gc.enabled": False}, **AT_ONCE)
    load(loader, 0, 6)
    assert set(loader.upkeep("a")) == {"files_compacted", "files_written"}


# orphans


def test_old_files_that_nothing_refers_to_are_removed_and_what_is_not_ours_stays(project, loader):
    load(loader, 0, 2)
    folder = project.path / "metadata/warehouse/default/t"
    orphans = [folder / "data/left-by-a-killed-run.parquet", folder / "metadata/x-m0.avro"]
    others = [folder / "data/_SUCCESS", folder / "README.md"]
    nested = [folder / "inner/metadata/1.metadata.json", folder / "inner/data/f.parquet"]
    for path in (*orphans, *others, *nested):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert loader.upkeep("a") == {}
    aged(project)
    (folder / "data/of-a-run-under-way.parquet").touch()
    assert loader.upkeep("a") == {"orphans_deleted": 2}
    assert [path.exists() for path in orphans] == [False, False]
    assert all(path.exists() for path in (*others, *nested, folder / "data/of-a-run-under-way.parquet"))
    assert rows(project.iceberg("default.t")) == [0, 1]


def test_ledgers_of_expired_snapshots_go_and_live_ones_stay(project, loader):
    for number in range(6):
        ledger = pa.table({"path": [str(item) for item in range(number + 1)]})
        land(loader, [batch({"n": [number]}, cursor=ledger)])
    assert "ledgers_deleted" not in loader.upkeep("a")
    aged(project)
    assert loader.upkeep("a")["ledgers_deleted"] == 4  # the newest three snapshots are a compaction and two loads
    assert loader.state("a").cursor.num_rows == 6
    newest = loader.history("a")[0].run_id
    assert newest == "run-of-a"


def test_the_quarantine_is_looked_after_too_and_no_row_of_it_is_lost(project, loader):
    for number in range(6):
        land(loader, [batch({"n": [number]}, number, bad=2)])
    before = sorted(row["id"] for rows in loader.quarantined("a") for row in rows.to_pylist())
    assert loader.upkeep("a")["snapshots_expired"] == 4 + 4
    assert project.iceberg("default.t__quarantine").inspect.data_files().num_rows == 1
    assert sorted(row["id"] for rows in loader.quarantined("a") for row in rows.to_pylist()) == before
    assert len(before) == 12


def test_quarantined_rows_of_a_run_go_with_it_after_their_files_were_joined_and_their_snapshots_expired(project):
    loader = IcebergLoader(table="t")
    for number in range(8):
        load = Load("a", f"run-{number}", f"load-{number}", loader.state("a"))
        loader.load(load, iter([batch({"n": [number]}, number, bad=2)]))
    loader.upkeep("a")
    quarantine = project.iceberg("default.t__quarantine")
    newest = quarantine.current_snapshot().snapshot_id
    older = [item.snapshot_id for item in quarantine.snapshots() if item.snapshot_id != newest]
    quarantine.maintenance.expire_snapshots().by_ids(older).commit()
    assert quarantine.inspect.data_files().num_rows == 1
    loader.rollback("a", "run-6")
    assert sorted(project.table("default.t__quarantine")["run_id"].to_pylist()) == sorted(
        [f"run-{number}" for number in range(6)] * 2
    )
    assert sum(rows.num_rows for rows in loader.quarantined("a")) == 12


def test_a_table_that_does_not_exist_needs_nothing(loader):
    assert loader.upkeep("a") == {}


# kills

KILLED = """
import sys
from ingestion_tests.iceberg_support import faulty
from ingestion_tests.test_upkeep import AT_ONCE
moment, at = sys.argv[1].split("@")
if moment == "deleting":
    import os, signal
    from ingestion.loaders.iceberg.upkeep import expiry
    def some(io, paths):
        io.delete(sorted(paths)[0])
        os.kill(os.getpid(), signal.SIGKILL)
    expiry.delete = some
    moment = "lost_request"
faulty(sys.argv[2], moment, int(at), **AT_ONCE).upkeep("a")
"""
MOMENTS = [
    *(f"kill_{when}@{at}" for when in ("before", "inside", "after") for at in (0, 1)),  # 0 compaction, 1 expiry
    "deleting@99",
]
LEAST = ["kill_inside@0", "kill_after@0", "kill_after@1", "deleting@99"]


@pytest.mark.parametrize(
    "moment", [pytest.param(one, marks=() if one in LEAST else pytest.mark.soak) for one in MOMENTS]
)
def test_after_a_kill_the_table_reads_and_the_next_upkeep_finishes_the_work(project, loader, moment):
    load(loader, 0, 6)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(project.path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert all(state in [[*range(stop)] for stop in range(1, 7)] for state in every_state(project))
    assert rows(project.iceberg("default.t")) == [*range(6)]
    assert loader.state("a").cursor == 6
    aged(project)
    loader.upkeep("a")
    aged(project)
    loader.upkeep("a")
    assert rows(project.iceberg("default.t")) == [*range(6)]
    assert len(every_state(project)) == 3
    assert data_files(project) == 1
    assert {str(path) for path in on_disk(project)} - needed(project) == set()


# options


def test_a_snapshot_that_stays_is_the_least():
    with pytest.raises(ValueError, match="keep_snapshots"):
        UpkeepOptions(keep_snapshots=0)


def test_a_table_with_columns_that_differ_only_in_case_is_looked_after_too(project, loader):
    foreign = pa.schema([("a", pa.int64()), ("A", pa.int64())])
    loader.state("a")
    with opened({}) as catalog:
        catalog.create_namespace_if_not_exists("default")
        table = catalog.create_table("default.t", foreign)
        for number in range(6):
            table.append(pa.table({"a": [number], "A": [-number]}, foreign))
        done = loader.upkeep("a")
        assert (done["files_compacted"], done["files_written"]) == (6, 1)
        rows = catalog.load_table("default.t").scan().to_arrow().sort_by("a").to_pylist()
    assert rows == [{"a": number, "A": -number} for number in range(6)]


def test_a_step_that_fails_keeps_no_other_from_its_work(project, loader):
    load(loader, 0, 6)
    path = Path(project.iceberg("default.t").inspect.data_files()["file_path"][0].as_py().removeprefix("file://"))
    path.unlink()
    with pytest.raises(IngestionError):
        loader.upkeep("a")
    assert len(project.iceberg("default.t").snapshots()) == 3


def test_a_file_that_lost_rows_is_told_though_others_of_its_rows_are_deleted(project):
    land(IcebergLoader(table="t"), [batch({"n": list(range(100))})])
    merge = {"write_mode": "merge", "merge_keys": "n", "merge_strategy": "merge_on_read", "delete_column": "gone"}
    land(IcebergLoader(table="t", **merge), [batch({"n": list(range(20)), "gone": [True] * 20})], job="b")
    task = next(iter(project.iceberg("default.t").scan().plan_files()))
    path = task.file.file_path.removeprefix("file://")
    whole = pq.read_table(path)
    pq.write_table(whole.slice(0, 90), path)
    with pytest.raises(DataError, match="holds 70 rows and its table says 80"):
        IcebergLoader(table="t").upkeep("a")


def test_merging_manifests_reads_none_that_stay(project, monkeypatch):
    monkeypatch.setattr(manifests, "_MANY", 3)
    read = []
    fetch = ManifestFile.fetch_manifest_entry
    monkeypatch.setattr(
        ManifestFile,
        "fetch_manifest_entry",
        lambda self, *args, **options: (read.append(self), fetch(self, *args, **options))[1],
    )
    wide = {f"column_{number}": [number] for number in range(60)}
    land(IcebergLoader(table="t"), [batch({"n": [0], **wide})])
    load(IcebergLoader(table="t"), 1, 5)
    table = project.iceberg("default.t")
    sizes = {item.manifest_path: item.manifest_length for item in table.current_snapshot().manifests(table.io)}
    monkeypatch.setattr(manifests, "_SMALL", max(sizes.values()))
    large = {path for path, size in sizes.items() if size == max(sizes.values())}
    assert len(large) == 1
    read.clear()
    with opened({}) as catalog:
        manifests.merge_manifests(catalog, ("default", "t"), table, 100)
    assert not large & {item.manifest_path for item in read}
