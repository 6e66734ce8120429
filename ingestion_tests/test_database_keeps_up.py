"""Runs after runs of an incremental job end with what the source has: beside writers, after kills and rollbacks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ingestion.config import load_job
from ingestion.pipeline import run
from ingestion_tests.incremental_sources import TYPES, Source, Writers, ago, read

LAG = 2
KINDS = ("sqlite", "postgresql", "mysql")
ONE_WRITER = pytest.param("sqlite", marks=pytest.mark.soak)  # at a time: its commits are in order


@pytest.fixture(params=KINDS)
def source(request, tmp_path):
    if request.param == "sqlite":
        return Source("sqlite", str(tmp_path / "source.sqlite"))
    server = {"postgresql": "postgres_url", "mysql": "mysql_url"}[request.param]
    return Source(request.param, request.getfixturevalue(server))


def job(project, source, write_mode="append", **incremental):
    """The job orders, which loads t into default.orders."""
    loader = {"write_mode": write_mode} | ({"merge_keys": ["id"]} if write_mode == "merge" else {})
    given = {**source.options, "table": "t", "incremental": incremental}
    project.job("orders", {"source": given, "transformer": {"type": "base"}, "loader": loader})


def loaded(project):
    rows = project.table("default.orders").select(["id", "v"]).to_pylist()
    return sorted((row["id"], row["v"]) for row in rows)


@pytest.mark.parametrize("source", [ONE_WRITER, "postgresql", "mysql"], indirect=True)
def test_ten_runs_beside_writers_that_commit_out_of_order_miss_nothing(project, source):
    source.table(f"id int primary key, at {TYPES[source.kind][0]}, v int")
    source.insert((-1, ago(100), 0))
    job(project, source, "merge", cursor_column="at", safety_lag=LAG)
    hold = (0.02,) if source.kind == "sqlite" else (0.01, 0.15, 0.6)
    held = []
    with Writers(source, hold) as writers:
        for number in range(10):
            report = run(load_job("orders"), f"r{number}")
            held.append(report.told["held back by safety_lag"])
    time.sleep(LAG + 1.1)  # windows end at whole seconds
    report = run(load_job("orders"), "last")
    assert report.told["held back by safety_lag"] == 0
    assert writers.longest < LAG, "the machine was too slow for what safety_lag asks of writers"
    rows = sorted(tuple(row) for row in source.execute("SELECT id, v FROM t"))
    assert len(rows) > 20
    assert loaded(project) == rows
    assert max(held) > 0


EVERY_MOMENT = ["reading", "before@0", "inside@0", "after@0"] * 3


@pytest.mark.parametrize(
    ("source", "cursor_column", "safety_lag", "moments"),
    [
        ("postgresql", "at", 0, ["inside@0"]),
        ("mysql", "at", 0.1, ["reading"]),
        *(
            pytest.param(kind, *cursor, EVERY_MOMENT, marks=pytest.mark.soak)
            for kind in KINDS
            for cursor in (("at", 0), ("at", 0.1), ("id", 0))
        ),
    ],
    indirect=["source"],
)
def test_after_a_kill_the_next_run_completes_the_table(project, source, cursor_column, safety_lag, moments):
    source.table(f"id int primary key, at {TYPES[source.kind][0]}, v int")
    job(project, source, cursor_column=cursor_column, **({"safety_lag": safety_lag} if cursor_column == "at" else {}))
    of_all = ago(5000)  # which the key alone tells apart

    def insert(turn):
        moment = ago(0) if safety_lag else of_all
        source.insert(*((number, moment, number) for number in range(turn * 100, turn * 100 + 100)))
        time.sleep(1 + safety_lag if safety_lag else 0)  # windows end at whole seconds

    insert(0)
    run(load_job("orders"), "first")
    for turn, when in enumerate(moments, 1):
        insert(turn)
        assert killed(when)
        run(load_job("orders"), f"r{turn}")
        assert loaded(project) == [(number, number) for number in range(turn * 100 + 100)], when


def killed(moment):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "ingestion_tests.dying_run", "iceberg", moment]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr
    return done.returncode != 0


def test_a_run_that_is_taken_back_is_read_again_by_the_next(project, source):
    source.table("id int primary key, v int")
    source.insert((1, 1))
    job(project, source, cursor_column="id")
    run(load_job("orders"), "a")
    source.insert((2, 2), (3, 3))
    run(load_job("orders"), "b")
    assert run(load_job("orders"), "c").rows_read == 0
    load_job("orders").loader.rollback("orders", "b")
    assert loaded(project) == [(1, 1)]
    assert run(load_job("orders"), "d").rows_read == 2
    assert loaded(project) == [(1, 1), (2, 2), (3, 3)]


def test_a_backfill_by_parameters_of_a_run_leaves_the_position_of_the_job(project, source):
    source.table("id int primary key, v int")
    source.insert(*((number, number) for number in range(1, 6)))
    job(project, source, "merge", cursor_column="id", initial_value=3)
    assert run(load_job("orders"), "live").rows_read == 3
    before = load_job("orders").loader.state("orders").cursor
    overrides = {"source": {"incremental": {"initial_value": 1, "end_value": 3}}}
    assert run(load_job("orders").merged(overrides), "backfill").rows_read == 2
    assert load_job("orders").loader.state("orders").cursor == before
    assert run(load_job("orders"), "again").rows_read == 0
    assert loaded(project) == [(number, number) for number in range(1, 6)]


# Any history of a table, its cursor a number that grows with every change but stands still at times.

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(1, 3)),
        st.tuples(st.just("update"), st.integers(0, 9)),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        st.just(("tick", 1)),
        st.just(("run", 1)),
        st.just(("run", 1)),
    ),
    min_size=8,
    max_size=24,
)


class History:
    """A table, and what runs that append have read of it."""

    def __init__(self, source, key, **incremental):
        self.source, self.incremental = source, incremental
        self.keyed = bool(key)
        source.table(f"id integer {key}, n integer, v integer")
        self.tick, self.ids, self.version, self.cursor = 0, 0, 0, None
        self.read = []

    def act(self, action, number):
        if action == "insert":
            for _ in range(number):
                self.ids, self.version = self.ids + 1, self.version + 1
                self.source.insert((self.ids, self.tick, self.version))
        elif action == "update":  # among rows of equal cursor, a key lower than the last one's is not new
            self.tick, self.version = self.tick + self.keyed, self.version + 1
            self.source.execute(f"UPDATE t SET n = {self.tick}, v = {self.version} WHERE id = {number}")
        elif action == "delete":
            self.source.execute(f"DELETE FROM t WHERE id = {number}")
        elif action == "tick":
            self.tick += 1
        else:
            found = read(self.source, self.cursor, cursor_column="n", **self.incremental)
            self.cursor = found.cursor
            self.read += [(row["id"], row["n"], row["v"]) for row in found.rows]


@pytest.mark.parametrize("key", ["primary key", ""])
@given(ACTIONS)
@examples(max_examples=15)
def test_whatever_happens_to_a_table_runs_read_every_change_once(tmp_path_factory, key, actions):
    source = Source("sqlite", str(tmp_path_factory.mktemp("history") / "source.sqlite"))
    history = History(source, key)
    for action, number in [*actions, ("tick", 1), ("insert", 1), ("run", 1)]:
        history.act(action, number)
    rows = source.execute("SELECT id, n, v FROM t")
    there = {tuple(row) for row in rows} - ({(history.ids, history.tick, history.version)} if not key else set())
    assert len(history.read) == len(set(history.read))
    assert there <= set(history.read)
