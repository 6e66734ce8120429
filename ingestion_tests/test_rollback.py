"""Taking runs back: the table and the cursor are what they were, or the reason why that cannot be."""

import threading

import pyarrow as pa
import pytest

from ingestion.errors import ConfigError, Superseded
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.plugins import Load
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty


@pytest.fixture
def loader(project):
    return IcebergLoader(table="t")


def run(loader, run_id, batches, job="a", since=None):
    """Land *batches* as the run *run_id* of a job."""
    state = loader.state(job) if since is None else since
    return loader.load(Load(job, run_id, f"load-{job}-{run_id}", state, "hash"), iter(batches))


def three_runs(loader):
    for number in (1, 2, 3):
        run(loader, f"r{number}", [batch({"n": [number]}, cursor=number, bad=number)])


def rows(project):
    return sorted(project.table("default.t")["n"].to_pylist())


def quarantined(project):
    return sorted(project.table("default.t__quarantine")["run_id"].to_pylist())


def foreign_append(project):
    project.iceberg("default.t").append(pa.table({"n": [99]}))


def test_history_lists_the_loads_newest_first(loader):
    three_runs(loader)
    run(IcebergLoader(table="t", write_mode="overwrite"), "o", [batch({"n": [8, 9]}, cursor={"x": 1})], job="b")
    loads = loader.history("a")
    assert [(item.job, item.run_id, item.mode, item.rows, item.files, item.cursor) for item in loads] == [
        ("b", "o", "overwrite", 2, 1, {"x": 1}),
        ("a", "r3", "append", 1, 1, 3),
        ("a", "r2", "append", 1, 1, 2),
        ("a", "r1", "append", 1, 1, 1),
    ]
    assert loads[0].at >= loads[1].at
    assert loads[1].load_id == "load-a-r3"


def test_history_shows_a_ledger_by_its_size_and_leaves_out_commits_of_others(project, loader):
    run(loader, "r1", [batch({"n": [1]}, cursor=pa.table({"path": ["x", "y"]}))])
    foreign_append(project)
    assert [(item.run_id, item.cursor) for item in loader.history("a")] == [("r1", {"entries": 2})]


def test_a_table_that_does_not_exist_has_no_history(loader):
    with pytest.raises(ConfigError, match=r"default\.t does not exist yet; run its job first"):
        loader.history("a")


def test_a_run_and_the_later_ones_of_its_job_are_taken_back_with_cursor_and_quarantine(project, loader):
    three_runs(loader)
    before = loader.history("a")
    done = loader.rollback("a", "r2")
    assert list(done.undone) == before[:2]
    assert done.snapshot == before[2].snapshot
    assert rows(project) == [1]
    assert loader.state("a").cursor == 1
    assert loader.state("a").load_id == "load-a-r1"
    assert loader.history("a") == before[2:]
    assert quarantined(project) == ["r1"]


@pytest.mark.parametrize("taken_back", ["r1", "r2", "r3"])
def test_after_a_rollback_the_same_runs_make_the_table_what_it_would_have_been(project, loader, taken_back):
    three_runs(loader)
    loader.rollback("a", taken_back)
    first = (loader.state("a").cursor or 0) + 1
    assert f"r{first}" == taken_back
    for number in range(first, 4):
        again = [batch({"n": [number]}, cursor=number, bad=number)]
        loader.load(Load("a", f"r{number}", f"again-{number}", loader.state("a"), "hash"), iter(again))
    assert rows(project) == [1, 2, 3]
    assert loader.state("a").cursor == 3
    assert quarantined(project) == ["r1", "r2", "r2", "r3", "r3", "r3"]


def test_the_run_that_created_the_table_leaves_it_empty_and_forgets_the_cursor(project, loader):
    three_runs(loader)
    loader.rollback("a", "r1")
    assert rows(project) == []
    assert agreed_rows(project.iceberg("default.t")) == []
    assert loader.history("a") == []
    assert loader.state("a").cursor is None
    assert loader.state("a").schema == pa.schema([("n", pa.int64())])
    foreign_append(project)
    table = project.iceberg("default.t")
    assert not [key for key in table.properties if key.startswith("ingestion.cursor.")]
    head = table.current_snapshot().snapshot_id
    others = [item.snapshot_id for item in table.snapshots() if item.snapshot_id != head]
    table.maintenance.expire_snapshots().by_ids(others).commit()
    assert loader.state("a").cursor is None


def test_the_table_property_follows_the_rollback(project, loader):
    three_runs(loader)
    loader.rollback("a", "r3")
    assert '"cursor":2' in project.iceberg("default.t").properties["ingestion.cursor.a"]
    run(loader, "s1", [batch({"n": [7]}, cursor=7)], job="b")
    loader.rollback("b", "s1")
    assert "ingestion.cursor.b" not in project.iceberg("default.t").properties
    assert loader.state("a").cursor == 2


def test_overwritten_rows_come_back(project):
    loader = IcebergLoader(table="t", write_mode="overwrite")
    run(loader, "r1", [batch({"n": [1, 2]}, cursor=1)])
    run(loader, "r2", [batch({"n": [3], "x": ["new"]}, cursor=2)])
    loader.rollback("a", "r2")
    assert rows(project) == [1, 2]
    assert project.table("default.t").column_names == ["n", "x"]
    run(loader, "r3", [batch({"n": [3], "x": ["new"]}, cursor=2)])
    assert rows(project) == [3]


def test_a_rollback_that_would_lose_another_jobs_rows_is_refused_and_names_it(project, loader):
    three_runs(loader)
    run(loader, "s1", [batch({"n": [10]}, cursor=1)], job="b")
    with pytest.raises(ConfigError, match=r"run r2 cannot be taken back, .* run s1 of job b \(20.* UTC\)"):
        loader.rollback("a", "r2")
    assert rows(project) == [1, 2, 3, 10]
    loader.rollback("b", "s1")
    loader.rollback("a", "r2")
    assert rows(project) == [1]


def test_a_rollback_that_would_lose_a_foreign_commit_is_refused_and_names_it(project, loader):
    three_runs(loader)
    foreign_append(project)
    head = project.iceberg("default.t").current_snapshot().snapshot_id
    with pytest.raises(ConfigError, match=rf"lost too: snapshot {head} of another writer \(append, 20"):
        loader.rollback("a", "r3")
    assert rows(project) == [1, 2, 3, 99]


def test_a_rollback_to_a_snapshot_that_has_expired_is_refused(project, loader):
    three_runs(loader)
    table = project.iceberg("default.t")
    table.maintenance.expire_snapshots().by_id(table.snapshots()[0].snapshot_id).commit()
    with pytest.raises(ConfigError, match=r"snapshot before it has expired.*loader\.maintenance\.keep_snapshots"):
        loader.rollback("a", "r2")
    loader.rollback("a", "r3")
    assert rows(project) == [1, 2]


@pytest.mark.parametrize(
    ("job", "run_id", "message"),
    [
        ("a", "r9", r"no run r9 of job a; its newest runs: r3 \(20.*\), r2 \(.*\), r1 \("),
        ("b", "r2", "run r2 is one of job a"),
        ("b", "r9", "no run r9 of job b; none of job b"),
    ],
)
def test_a_run_that_the_table_does_not_know_is_refused(loader, job, run_id, message):
    three_runs(loader)
    with pytest.raises(ConfigError, match=message):
        loader.rollback(job, run_id)


def test_a_run_that_was_taken_back_before_is_refused_with_that_reason(loader):
    three_runs(loader)
    loader.rollback("a", "r3")
    with pytest.raises(ConfigError, match="run r3 is not in its rows any more"):
        loader.rollback("a", "r3")


def test_a_rollback_of_a_table_that_does_not_exist_is_refused(loader):
    with pytest.raises(ConfigError, match="does not exist; run its job first"):
        loader.rollback("a", "r1")


def test_a_run_in_flight_gives_way_to_a_rollback(project, loader):
    three_runs(loader)

    def stream():
        yield batch({"n": [4]}, cursor=4)
        loader.rollback("a", "r3")

    with pytest.raises(Superseded, match="rolled back"):
        run(loader, "r4", stream())
    assert rows(project) == [1, 2]


@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "called_conflict", "conflict"])
@pytest.mark.parametrize("run_id", ["r1", "r2"])
def test_a_rollback_happens_once_whatever_the_catalog_answers(project, loader, fault, run_id):
    three_runs(loader)
    done = faulty(project.path, fault).rollback("a", run_id)
    assert [item.run_id for item in done.undone] == ["r3", "r2", "r1"][: 4 - int(run_id[1])]
    assert rows(project) == ([] if run_id == "r1" else [1])


def test_a_load_of_another_job_that_lands_meanwhile_is_not_lost(project, loader):
    three_runs(loader)
    FaultyCatalog.hooks = {"before": lambda: run(loader, "s1", [batch({"n": [10]}, cursor=1)], job="b")}
    try:
        with pytest.raises(ConfigError, match="run s1 of job b"):
            faulty(project.path, "before").rollback("a", "r3")
    finally:
        FaultyCatalog.hooks = {}
    assert rows(project) == [1, 2, 3, 10]


def test_a_load_of_the_same_job_that_lands_meanwhile_is_undone_too(project, loader):
    three_runs(loader)
    FaultyCatalog.hooks = {"before": lambda: run(loader, "r4", [batch({"n": [4]}, cursor=4)])}
    try:
        done = faulty(project.path, "before").rollback("a", "r3")
    finally:
        FaultyCatalog.hooks = {}
    assert [item.run_id for item in done.undone] == ["r4", "r3"]
    assert rows(project) == [1, 2]


def test_two_rollbacks_of_one_run_at_once_undo_it_once(project, loader):
    three_runs(loader)
    barrier, ends = threading.Barrier(2), []

    def back():
        barrier.wait()
        try:
            ends.append([item.run_id for item in loader.rollback("a", "r3").undone])
        except ConfigError as error:
            ends.append(str(error).rpartition("; ")[2])

    threads = [threading.Thread(target=back) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["r3"] in ends
    assert all(end in (["r3"], "it was taken back before") for end in ends)
    assert rows(project) == [1, 2]


def test_quarantined_rows_that_a_rollback_left_behind_go_with_the_next_landing(project, loader):
    three_runs(loader)
    table = project.iceberg("default.t")
    table.manage_snapshots().rollback_to_snapshot(table.snapshots()[1].snapshot_id).commit()
    assert quarantined(project) == ["r1", "r2", "r2", "r3", "r3", "r3"]
    run(loader, "r4", [batch({"n": [3]}, cursor=3)])
    assert quarantined(project) == ["r1", "r2", "r2"]
