"""Rows and cursor land once, together or not at all: races, lost replies, rollbacks, expiry, kills."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import TruncateTransform

from ingestion.errors import DataError, OutcomeUnknown, Superseded, TransientError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg import commit as commits
from ingestion.plugins import Load, State
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty, land, numbers


@pytest.fixture
def loader(project):
    return IcebergLoader(table="t")


def rows(project, name="default.t"):
    return sorted(project.table(name)["n"].to_pylist())


def drop(project):
    path = project.path / "metadata"
    with SqlCatalog("default", uri=f"sqlite:///{path / 'catalog.db'}", warehouse=str(path / "warehouse")) as catalog:
        catalog.drop_table("default.t")


def orphans(project):
    """Data files, manifests and manifest lists that no snapshot refers to."""
    warehouse = project.path / "metadata" / "warehouse"
    named = set()
    for name in ("default.t", "default.t__quarantine"):
        table = project.iceberg(name)
        for snapshot in table.snapshots():
            named.add(snapshot.manifest_list)
            for manifest in snapshot.manifests(table.io):
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
                named |= {manifest.manifest_path, *(entry.data_file.file_path for entry in entries)}
    return {str(path) for kind in ("data/*.parquet", "metadata/*.avro") for path in warehouse.rglob(kind)} - named


def assert_whole(project, loader, stop, quarantined):
    """The tables equal those of an undisturbed run."""
    assert rows(project) == list(range(stop))
    assert loader.scan().collect().height == stop
    assert loader.state("a").cursor == stop
    table = project.table("default.t__quarantine")
    assert table.num_rows == quarantined
    assert len(set(table["load_id"].to_pylist())) == 1


# what a catalog may answer


@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "called_conflict", "conflict", "late"])
@pytest.mark.parametrize("at", [0, 1], ids=["quarantine", "data"])
def test_rows_land_once_whatever_the_catalog_answers(project, loader, fault, at):
    result = land(faulty(project.path, fault, at), numbers(0, 500))
    assert_whole(project, loader, 500, quarantined=5)
    assert str(project.iceberg("default.t").current_snapshot().snapshot_id) == result.snapshot
    assert orphans(project) == set()
    land(faulty(project.path, fault, at), numbers(500, 1000))
    assert rows(project) == list(range(1000))
    assert len(project.iceberg("default.t").snapshots()) == 2


def test_an_outcome_that_stays_unknown_deletes_nothing(project, loader, monkeypatch):
    monkeypatch.setattr(commits, "_TRIES", 3)  # sixty take a quarter of a minute
    gone = faulty(project.path, "gone", 0)
    with pytest.raises(OutcomeUnknown, match="unknown whether load l1 landed"):
        land(gone, [batch({"n": [1]}, cursor=1)], load_id="l1")
    assert rows(project) == [1]
    assert loader.state("a").load_id == "l1"


def test_a_reply_that_is_lost_at_the_last_try_is_looked_up_too(project, loader, monkeypatch):
    monkeypatch.setattr(commits, "_TRIES", 1)
    land(faulty(project.path, "lost_reply", 0), [batch({"n": [1]}, cursor=1)], load_id="l1")
    assert rows(project) == [1]
    assert loader.state("a").load_id == "l1"


def test_a_catalog_that_never_answers_is_transient_and_leaves_no_files(project, loader, monkeypatch):
    monkeypatch.setattr(commits, "_TRIES", 3)  # sixty take a quarter of a minute
    land(loader, [batch({"n": [0]})])
    before = set((project.path / "metadata").rglob("*"))
    with pytest.raises(TransientError, match="timed out"):
        land(faulty(project.path, "conflict", at=9, silent_after=1), [batch({"n": [1]})], since=loader.state("a"))
    assert set((project.path / "metadata").rglob("*")) == before


# races


def test_a_run_that_another_one_overtook_gives_way(project, loader):
    state = loader.state("a")
    land(loader, numbers(0, 100))
    with pytest.raises(Superseded, match="another run of job a has committed"):
        land(loader, numbers(0, 100), since=state)
    assert_whole(project, loader, 100, quarantined=1)
    assert orphans(project) == set()


def race(loaders):
    """Run these (loader, job, batches, state) at once, and collect how each ended."""
    barrier, ends = threading.Barrier(len(loaders)), []

    def run(loader, job, batches, state):
        barrier.wait()
        try:
            land(loader, batches, job, since=state)
            ends.append((job, "landed"))
        except Superseded:
            ends.append((job, "Superseded"))
        except TransientError as error:
            ends.append((job, str(error)))

    threads = [threading.Thread(target=run, args=arguments) for arguments in loaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(ends)


def one_round(project, loader, faults, number):
    """Two runs of job a, one of b, one of c; each job adds rows of its own thousand."""
    makers = [faulty(project.path, fault, 0) if fault else loader for fault in faults]
    first = number * 10
    jobs = [("a", 0), ("a", 0), ("b", 100_000), ("c", 200_000)]
    ends = race(
        [
            (maker, job, [batch({"n": list(range(base + first, base + first + 10))}, cursor=number)], loader.state(job))
            for maker, (job, base) in zip(makers, jobs, strict=True)
        ]
    )
    assert ends == [("a", "Superseded"), ("a", "landed"), ("b", "landed"), ("c", "landed")]
    assert [loader.state(job).cursor for job in "abc"] == [number] * 3
    expected = [base + item for base in (0, 100_000, 200_000) for item in range(first + 10)]
    assert rows(project) == expected


FAULTS = ["lost_request", "lost_reply", "called_conflict", "late", None]


def test_of_two_runs_of_one_job_one_lands_and_other_jobs_are_not_disturbed(project, loader):
    for number in range(4):
        one_round(project, loader, [None] * 4, number)


def test_races_through_a_faulty_catalog_land_once(project, loader):
    for number in range(4):
        one_round(project, loader, [FAULTS[(number + place) % 5] for place in range(4)], number)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_races_land_once(project, loader):
    for _ in range(10):
        for number in range(20):
            one_round(project, loader, [FAULTS[(number * 7 + place * 3) % 5] for place in range(4)], number)
        drop(project)


def test_jobs_that_create_one_table_at_once_both_land(project, loader):
    for number in range(3):
        table = IcebergLoader(table=f"t{number}")
        ends = race(
            [
                (table, "a", [batch({"n": [1], "x": [1.5]}, cursor=1)], State()),
                (table, "b", [batch({"y": ["b"], "n": [2]}, cursor=1)], State()),
            ]
        )
        assert ends == [("a", "landed"), ("b", "landed")]
        found = sorted(project.table(f"default.t{number}").to_pylist(), key=lambda row: row["n"])
        assert found == [{"n": 1, "x": 1.5, "y": None}, {"n": 2, "x": None, "y": "b"}]


def test_jobs_that_add_columns_at_once_do_not_read_each_others_values(project, loader):
    land(loader, [batch({"n": [0]})], job="z")
    ids = loader.state("a")
    for number in range(3):
        new = [f"a{number}", f"b{number}"]
        ends = race(
            [
                (loader, "a", [batch({"n": [1], new[0]: [number + 0.5]}, cursor=number)], loader.state("a")),
                (loader, "b", [batch({"n": [2], new[1]: [-number - 0.5]}, cursor=number)], loader.state("b")),
            ]
        )
        assert ends == [("a", "landed"), ("b", "landed")]
        table = project.table("default.t")
        assert [value for value in table[new[0]].to_pylist() if value is not None] == [number + 0.5]
        assert [value for value in table[new[1]].to_pylist() if value is not None] == [-number - 0.5]
    assert ids.load_id is None
    on_disk = {str(path) for path in (project.path / "metadata" / "warehouse").rglob("data/*.parquet")}
    assert on_disk == {file["file_path"] for file in project.iceberg("default.t").inspect.files().to_pylist()}


def meanwhile(project, action, then):
    """A stream during which *action* happens to the table."""
    yield then
    action(project.iceberg("default.t"))


def test_a_column_that_took_the_planned_id_makes_the_files_be_written_again(project, loader):
    land(loader, [batch({"n": [0]})])

    def taken(table):
        with table.update_schema() as update:
            from pyiceberg.types import DoubleType

            update.add_column("other", DoubleType())

    land(loader, meanwhile(project, taken, batch({"n": [1], "mine": [7.5]})))
    assert project.table("default.t").sort_by("n").to_pylist() == [
        {"n": 0, "other": None, "mine": None},
        {"n": 1, "other": None, "mine": 7.5},
    ]


def test_a_column_that_became_text_meanwhile_is_an_error_that_says_so(project, loader):
    land(loader, [batch({"n": [0]})])

    def taken(table):
        with table.update_schema() as update:
            from pyiceberg.types import StringType

            update.add_column("mine", StringType())

    with pytest.raises(DataError, match="column 'mine' is string, the data brings double"):
        land(loader, meanwhile(project, taken, batch({"n": [1], "mine": [7.5]})))
    assert rows(project) == [0]


def test_rows_follow_a_partitioning_that_changed_meanwhile(project):
    by_name = IcebergLoader(table="t", partition_by=["s"])
    land(by_name, [batch({"n": [0], "s": ["abc"]})])

    def changed(table):
        with table.update_spec() as update:
            update.remove_field("s")
            update.add_field("s", TruncateTransform(1), "s_trunc")

    land(IcebergLoader(table="t"), meanwhile(project, changed, batch({"n": [1, 2], "s": ["abc", "abd"]})))
    table = project.iceberg("default.t")
    assert table.scan(row_filter="s = 'abc'").to_arrow()["n"].to_pylist() in ([0, 1], [1, 0])
    assert table.scan(row_filter="s = 'abd'").to_arrow()["n"].to_pylist() == [2]


def test_a_table_that_was_dropped_and_made_anew_meanwhile_gets_nothing_doubled(project, loader):
    land(loader, [batch({"n": [0]}, cursor=0)])

    def replaced(_):
        loader.state("a")
        from pyiceberg.catalog.sql import SqlCatalog

        path = project.path / "metadata"
        with SqlCatalog(
            "default", uri=f"sqlite:///{path / 'catalog.db'}", warehouse=str(path / "warehouse")
        ) as catalog:
            catalog.drop_table("default.t")
        land(loader, [batch({"n": [5]})], job="b")

    with pytest.raises(Superseded):
        land(loader, meanwhile(project, replaced, batch({"n": [1]}, cursor=1)))
    assert rows(project) == [5]


# the cursor follows the table


def test_rolling_the_table_back_rolls_the_cursor_back(project, loader):
    land(loader, numbers(0, 100))
    first = project.iceberg("default.t").current_snapshot().snapshot_id
    land(loader, numbers(100, 200))
    land(loader, [batch({"n": [10_000]}, cursor="b")], job="b")
    project.iceberg("default.t").manage_snapshots().rollback_to_snapshot(first).commit()
    assert loader.state("a").cursor == 100
    assert loader.state("b").cursor is None
    land(loader, numbers(100, 300))
    assert rows(project) == list(range(300))


def ledgers(project):
    """What is left of cursor files, by how many entries they hold."""
    return sorted(pq.read_metadata(path).num_rows for path in (project.path / "metadata").rglob("_cursors/*/*"))


def test_the_ledger_of_a_superseded_run_goes_and_that_of_the_landed_one_stays(project, loader):
    def ledger(*paths):
        return pa.table({"path": pa.array(paths, pa.string())})

    state = loader.state("a")
    land(loader, [batch({"n": [1]}, cursor=ledger("1"))])
    for late in (ledger("1"), ledger("1", "2")):  # the same one, too: it is another run's file
        with pytest.raises(Superseded):
            land(loader, [batch({"n": [1]}, cursor=late)], since=state)
    assert ledgers(project) == [1]
    assert loader.state("a").cursor == ledger("1")


@pytest.mark.parametrize("fault", ["lost_reply", "late"])
def test_the_ledger_of_a_run_whose_answer_was_lost_stays(project, loader, fault):
    ledger = pa.table({"path": ["1"]})
    land(faulty(project.path, fault), [batch({"n": [1]}, cursor=ledger)])
    assert loader.state("a").cursor == ledger


def test_a_rollback_while_a_run_reads_makes_it_give_way(project, loader):
    land(loader, numbers(0, 100))
    first = project.iceberg("default.t").current_snapshot().snapshot_id
    land(loader, numbers(100, 200))

    def back(table):
        table.manage_snapshots().rollback_to_snapshot(first).commit()

    with pytest.raises(Superseded, match="rolled back"):
        land(loader, meanwhile(project, back, batch({"n": [200]}, cursor=201)))
    assert rows(project) == list(range(100))


def expire_all_but_current(table):
    head = table.current_snapshot().snapshot_id
    for snapshot in table.snapshots():
        if snapshot.snapshot_id != head:
            table.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()


def foreign_append(project):
    table = project.iceberg("default.t")
    table.append(pa.table({"n": [99_999]}))


def test_the_cursor_outlives_foreign_commits_and_expiry(project, loader):
    land(loader, numbers(0, 100))
    land(loader, [batch({"n": [10_000]}, cursor="b")], job="b")
    foreign_append(project)
    expire_all_but_current(project.iceberg("default.t"))
    assert [loader.state(job).cursor for job in "ab"] == [100, "b"]
    land(loader, numbers(100, 200))
    assert [loader.state(job).cursor for job in "ab"] == [200, "b"]


def test_after_rollback_foreign_commit_and_expiry_the_cursor_is_that_of_the_rows(project, loader):
    land(loader, numbers(0, 100))
    first = project.iceberg("default.t").current_snapshot().snapshot_id
    land(loader, numbers(100, 200))
    project.iceberg("default.t").manage_snapshots().rollback_to_snapshot(first).commit()
    foreign_append(project)
    expire_all_but_current(project.iceberg("default.t"))
    assert loader.state("a").cursor == 100


# kills

KILLED = """
import os, signal, sys, threading
from ingestion_tests.iceberg_support import batch, faulty, land, numbers
moment, path, stop = sys.argv[1], sys.argv[2], int(sys.argv[3])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def reading():
    for number, item in enumerate(numbers(start, stop)):
        if number == 3:
            die()
        yield item
def writing():
    wide = {"n": list(range(start, stop)), "text": [os.urandom(2000).hex() for _ in range(start, stop)]}
    for item in range(100):
        yield batch(wide, bad=1)
        if item == 40:
            threading.Timer(0.05, die).start()
loader = faulty(path, "lost_request", at=99, target_file_size="1 MiB")
start = loader.state("a").cursor or 0
if moment == "reading":
    land(loader, reading())
elif moment == "writing":
    land(loader, writing())
    die()
else:
    fault, _, at = moment.partition("@")
    land(faulty(path, fault, int(at)), numbers(start, stop))
"""

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
MOMENTS = [
    "reading",
    "writing",
    "kill_before@0",  # before the quarantine's commit
    "kill_inside@0",
    "kill_after@0",  # the quarantine landed, the data did not
    "kill_before@1",  # everything is written, nothing of the data committed
    "kill_inside@1",  # the new metadata file is there, the catalog does not know it
    "kill_after@1",  # committed, the bookkeeping not done
]
LEAST = ["writing", "kill_after@0", "kill_inside@1", "kill_after@1"]


def killed(project, moment, stop):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(project.path), str(stop)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    "moment", [pytest.param(one, marks=() if one in LEAST else pytest.mark.soak) for one in MOMENTS]
)
def test_after_a_kill_the_next_run_makes_the_table_what_it_would_have_been(project, loader, moment):
    killed(project, moment, 1000)
    state = loader.state("a")
    assert state.cursor == (1000 if moment == "kill_after@1" else None)
    land(loader, numbers(state.cursor or 0, 1000))
    assert_whole(project, loader, 1000, quarantined=10)
    killed(project, moment, 2000)
    state = loader.state("a")
    land(loader, numbers(state.cursor, 2000))
    assert rows(project) == list(range(2000))
    assert project.table("default.t__quarantine").num_rows == 20
    assert loader.state("a").cursor == 2000


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kills_at_any_time_lose_and_double_nothing(project, loader):
    script = KILLED.replace("start = ", "threading.Timer(float(sys.argv[4]), die).start()\nstart = ")
    for number in range(1, 101):
        before = loader.state("a").cursor or 0
        delay = str(0.2 + (number % 25) * 0.02)
        subprocess.run(
            [sys.executable, "-c", script, "lost_request@99", str(project.path), str(before + 1000), delay],
            env=ENVIRONMENT,
            check=False,
        )
        cursor = loader.state("a").cursor or 0
        assert cursor in (before, before + 1000)
        if cursor:
            assert rows(project) == list(range(cursor))


def in_another_process(path, start, results):
    os.environ.update(METADATA_PATH=f"{path}/metadata", JOB_CONFIG_PATH=f"{path}/config/jobs")
    loader = IcebergLoader(table="t")
    state = loader.state("a")
    start.wait()
    try:
        loader.load(Load("a", "run", uuid.uuid4().hex, state), numbers(0, 1000))
        results.put("landed")
    except Superseded:
        results.put("Superseded")
    except TransientError as error:
        results.put(str(error))


def test_two_processes_of_one_job_land_its_rows_once(project, loader):
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=in_another_process, args=(project.path, start, results)) for _ in range(2)]
    for process in processes:
        process.start()
    ends = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert ends == ["Superseded", "landed"]
    assert_whole(project, loader, 1000, quarantined=10)


def test_quarantined_rows_of_a_superseded_run_are_taken_back(project, loader):
    state = loader.state("a")
    land(loader, numbers(0, 200))
    with pytest.raises(Superseded):
        land(loader, numbers(0, 200), since=state)
    assert project.table("default.t__quarantine").num_rows == 2
    land(loader, numbers(200, 300), job="a")
    assert project.table("default.t__quarantine").num_rows == 3


def test_quarantined_rows_of_a_run_that_began_after_a_landing_survive_its_bookkeeping(project):
    """The next run has appended its quarantined rows, not yet its data, when the one before tidies up."""
    waiting, tidied = threading.Event(), threading.Event()
    next_run = threading.Thread(target=lambda: land(faulty(project.path, "before", 1), numbers(100, 200)))

    def before():
        waiting.set()
        tidied.wait(30)

    def after():
        next_run.start()
        waiting.wait(30)

    FaultyCatalog.hooks = {"before": before, "after": after}
    land(faulty(project.path, "after", 1), numbers(0, 100))
    tidied.set()
    next_run.join()
    assert rows(project) == list(range(200))
    assert project.table("default.t__quarantine").num_rows == 2


def test_a_load_that_has_landed_is_a_success_whatever_ails_its_bookkeeping(project, caplog):
    killed(project, "kill_after@0", 1000)

    def breaks():
        raise RuntimeError("a bug of the driver")

    def found():  # the look at what became of the commit, and no later one
        FaultyCatalog.hooks = {"load": breaks}

    FaultyCatalog.hooks = {"after": lambda: FaultyCatalog.hooks.update(load=found)}
    try:
        result = land(faulty(project.path, "after", 1), numbers(0, 1000))
    finally:
        FaultyCatalog.hooks = {}
    assert result.rows == 1000
    assert rows(project) == list(range(1000))
    assert "a bug of the driver" in caplog.text
    assert project.table("default.t__quarantine").num_rows == 20


def test_quarantined_rows_of_an_expired_landing_stay_although_an_older_snapshot_is_kept(project, loader):
    for number in range(3):
        land(loader, [batch({"n": [number]}, cursor=number, bad=number)], load_id=f"l{number}")
    table = project.iceberg("default.t")
    first, second, _ = table.snapshots()
    table.manage_snapshots().create_tag(first.snapshot_id, "kept").commit()
    table.maintenance.expire_snapshots().by_id(second.snapshot_id).commit()
    land(loader, [batch({"n": [3]}, cursor=3)], load_id="l3")
    assert sorted(project.table("default.t__quarantine")["load_id"].to_pylist()) == ["l1", "l2", "l2"]


def test_quarantined_rows_of_another_jobs_run_under_way_are_left_alone(project, loader):
    killed(project, "kill_after@0", 1000)
    land(loader, [batch({"n": [5]}, bad=1, cursor=1)], job="b")
    assert project.table("default.t__quarantine").num_rows == 11
    time.sleep(0.01)
    land(loader, numbers(0, 100))
    assert project.table("default.t__quarantine").num_rows == 2
