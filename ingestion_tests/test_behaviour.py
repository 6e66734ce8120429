"""What every loader does in every place, told once: modes, evolution, kills, races, lost replies, rollbacks."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ingestion.errors import ConfigError, Superseded
from ingestion_tests.targets import (
    DeltaTarget,
    IcebergTarget,
    PostgresTarget,
    at_once,
    batch,
    land,
    numbers,
    overlapping,
)

CATALOGS = ["sqlite", "postgres", "rest", "glue"]
EVERYWHERE = [
    *(f"iceberg-{kind}-{place}" for kind in CATALOGS for place in ("local", "s3")),
    "delta-local",
    "delta-s3",
    "postgres",
]
PAIRED = ["iceberg-sqlite-local", "delta-s3", "postgres"]
SERVED = [*PAIRED, "iceberg-rest-s3"]
"""Every loader, in a folder, a bucket and a server; catalogs have tests of their own."""


def somewhere(names=PAIRED, without=()):
    """The targets of `make test`, and behind `make soak` all the others."""
    soak = [pytest.param(name, marks=pytest.mark.soak) for name in EVERYWHERE if name not in names]
    kept = [item for item in (*names, *soak) if (item if isinstance(item, str) else item.values[0]) not in without]
    return pytest.mark.parametrize("target", kept, indirect=True)


@pytest.fixture
def target(request, project):
    """A place that nothing has landed in yet."""
    loader, *place = request.param.split("-")
    return {"iceberg": iceberg, "delta": delta, "postgres": postgres}[loader](request, *place)


def iceberg(request, kind, place):
    from ingestion_tests.test_catalogs import catalog_options

    catalog = catalog_options(request, kind, place)
    return IcebergTarget({"catalog": catalog, "database": f"n{uuid.uuid4().hex[:10]}"})


def delta(request, place):
    if place == "local":
        return DeltaTarget({"location": str(request.getfixturevalue("tmp_path") / "lake"), "database": "d"})
    server, bucket = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")
    return DeltaTarget(
        {"location": f"s3://{bucket}/lake", "database": "d", "storage_options": dict(server.storage_options)}
    )


def postgres(request):
    server = request.getfixturevalue("postgres_server")
    address = {"host": server.host, "port": server.port, "username": server.user, "password": server.password}
    return PostgresTarget({**address, "dbname": server.fresh_database().rpartition("/")[2], "database": "d"})


# write modes


@somewhere(SERVED)
def test_append_adds_rows_and_keeps_the_cursor(target):
    loader = target.loader()
    assert land(loader, numbers(0, 200)).rows == 200
    land(loader, numbers(200, 300))
    assert target.numbers() == list(range(300))
    assert loader.state("a").cursor == 300
    assert target.quarantined() == 3


@somewhere()
def test_overwrite_puts_the_rows_in_place_of_those_that_are_there(target):
    loader = target.loader(write_mode="overwrite")
    land(loader, numbers(0, 200))
    land(loader, numbers(500, 600))
    assert target.numbers() == list(range(500, 600))
    assert loader.state("a").cursor == 600


@somewhere(without=["postgres"])  # it has no partitions of ours
def test_overwrite_of_partitions_leaves_the_others_alone(target):
    loader = target.loader(write_mode="overwrite", overwrite_scope="partitions", partition_by=["p"])
    land(loader, [batch({"p": ["a", "a", "b"], "n": [1, 2, 3]}, cursor=1)])
    land(loader, [batch({"p": ["a", "c"], "n": [4, 5]}, cursor=2)])
    assert target.rows() == [{"p": "a", "n": 4}, {"p": "b", "n": 3}, {"p": "c", "n": 5}]
    assert loader.state("a").cursor == 2


def changes(rows, cursor=None, source="f.csv"):
    """Rows (key, region, value, time, gone) as a batch."""
    names = {"k": pa.int64(), "r": pa.string(), "v": pa.float64(), "at": pa.int64(), "gone": pa.bool_()}
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    arrays = {name: pa.array(list(values), kind) for (name, kind), values in zip(names.items(), columns, strict=True)}
    return batch(arrays, cursor, source=source)


@somewhere()
def test_merge_puts_each_row_in_place_of_the_one_with_its_keys(target):
    for number, strategy in enumerate(target.strategies):
        one = type(target)({**target.options, "database": f"{target.options['database']}{number}"})
        merged_step_by_step(one, strategy)


def merged_step_by_step(target, strategy):
    options = {"merge_keys": ["k", "r"], "order_by": "at", "delete_column": "gone"}
    loader = target.loader(write_mode="merge", **options, **strategy)
    first = land(loader, [changes([(k, "x", k / 2, 1, False) for k in range(50)], cursor=1)])
    assert (first.rows, first.changes.get("inserted")) == (50, 50)
    older, newer, gone, absent = (
        (1, "x", -1.0, 0, False),
        (2, "x", 9.0, 2, False),
        (3, "x", 0.0, 2, True),
        (99, "x", 0.0, 2, True),
    )
    same, other, twice = (4, "x", 2.0, 1, False), (2, "y", 7.0, 1, False), (50, "x", 1.0, 1, False)
    last = (50, "x", 2.0, 2, False)
    result = land(loader, [changes([older, newer, gone, absent, same, other, last, twice], cursor=2)])
    assert result.removed == {"older row of the same key": 2}
    assert {name: count for name, count in result.changes.items() if count and name != "unchanged"} in (
        {"inserted": 2, "updated": 1, "deleted": 1},
        {"inserted": 2, "updated": 2, "deleted": 1},  # whether row 4 is compared is the strategy's to decide
    )
    expected = {(k, "x"): (k / 2, 1) for k in range(50)} | {(2, "x"): (9.0, 2), (2, "y"): (7.0, 1), (50, "x"): (2.0, 2)}
    del expected[3, "x"]
    rows = [{"k": k, "r": r, "v": v, "at": at} for (k, r), (v, at) in expected.items()]
    assert target.rows() == sorted(rows, key=lambda row: [str(value) for value in row.values()])
    assert loader.state("a").cursor == 2


@somewhere()
def test_a_merge_that_changes_nothing_moves_the_cursor_alone(target):
    for number, strategy in enumerate(target.strategies):
        one = type(target)({**target.options, "database": f"{target.options['database']}{number}"})
        loader = one.loader(write_mode="merge", merge_keys=["k"], **strategy)
        rows = [(k, "x", k / 2, 1, None) for k in range(300)]
        land(loader, [changes(rows, cursor=1)])
        result = land(loader, [changes(rows, cursor=2)])
        assert result.changes.get("unchanged") == 300
        assert result.files == 0
        assert loader.state("a").cursor == 2
        assert len(one.rows()) == 300


@somewhere()
@pytest.mark.parametrize("missing", ["soft", "hard"])
def test_rows_that_a_full_load_no_longer_brings_go(target, missing):
    loader = target.loader(write_mode="merge", merge_keys=["n"], delete_missing=missing)
    land(loader, [batch({"n": [1, 2, 3]}, cursor=1)])
    result = land(loader, [batch({"n": [2, 4]}, cursor=2)])
    assert result.changes.get("missing") == 2
    rows = {row["n"]: row.get("_deleted_at") for row in target.table().to_pylist()}
    if missing == "hard":
        assert sorted(rows) == [2, 4]
    else:
        assert {n for n, at in rows.items() if at is None} == {2, 4}
        assert set(rows) == {1, 2, 3, 4}
        land(loader, [batch({"n": [1, 2, 3, 4]}, cursor=3)])
        assert target.table()["_deleted_at"].null_count == 4


# columns


@somewhere()
def test_columns_are_added_and_widened_with_the_rows_that_need_it(target):
    loader = target.loader()
    land(loader, [batch({"n": pa.array([1], pa.int32()), "x": pa.array([0.5], pa.float32())})])
    land(loader, [batch({"n": pa.array([1 << 40], pa.int64()), "x": pa.array([0.1]), "new": ["a"]})])
    land(loader, [batch({"n": pa.array([3], pa.int32())})])
    assert target.rows() == [
        {"n": 1, "x": 0.5, "new": None},
        {"n": 1 << 40, "x": 0.1, "new": "a"},
        {"n": 3, "x": None, "new": None},
    ]
    assert loader.state("a").schema.field("n").type == pa.int64()


@somewhere()
def test_a_renamed_column_keeps_its_values(target):
    land(target.loader(), [batch({"n": [1], "old": ["a"]}, cursor=1)])
    if not target.renames:
        with pytest.raises(ValidationError, match="old"):
            target.loader(rename_from={"name": "old"})
        return
    loader = target.loader(rename_from={"name": "old"})
    assert loader.state("a").schema.names == ["n", "name"]
    land(loader, [batch({"n": [2], "name": ["b"]}, cursor=2)])
    land(loader, [batch({"n": [3], "name": ["c"]}, cursor=3)])
    assert target.rows() == [{"n": n, "name": name} for n, name in zip([1, 2, 3], "abc", strict=True)]


# kills

MOMENTS = ["reading", "given", *(f"{when}@{number}" for number in (0, 1) for when in ("before", "inside", "after"))]


def killed(target, moment, stop, what="load", **options):
    """How the process ended that was to die at *moment*."""
    given = json.dumps({**target.options, **options})
    command = [sys.executable, "-m", "ingestion_tests.dying", target.kind, given, moment, str(stop), what]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr
    return done.returncode


def assert_next_run_completes(target, moments):
    """Kill a run at each of *moments*, each time with the next one behind it; nothing is lost or doubled."""
    loader = target.loader()
    for number, moment in enumerate(moments, 1):
        stop = number * 1000
        died = killed(target, moment, stop) != 0
        cursor = loader.state("a").cursor
        assert cursor in (stop, stop - 1000 or None), moment
        if moment in ("reading", "given", "before@0"):
            assert died, moment
            assert cursor != stop, moment
        if not died:
            assert cursor == stop, moment
        if cursor is not None:
            assert target.numbers() == list(range(cursor)), moment
        again(loader, numbers(cursor or 0, stop), stop)
        land(loader, numbers(stop, stop))
        assert target.numbers() == list(range(stop)), moment
        assert loader.state("a").cursor == stop
    assert target.quarantined() == 10 * len(moments)


@somewhere(SERVED, without=["iceberg-sqlite-local"])  # test_exactly_once kills there
def test_after_kills_around_the_commit_the_table_is_what_it_would_have_been(target):
    assert_next_run_completes(target, ["inside@1", "after@1"])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@somewhere(EVERYWHERE)
def test_after_kills_at_every_moment_the_table_is_what_it_would_have_been(target):
    assert_next_run_completes(target, MOMENTS * 3)


def again(loader, batches, stop):
    """Land what a killed run was to land, unless its last request lands meanwhile: servers outlive their clients."""
    try:
        land(loader, batches)
    except Superseded:
        assert loader.state("a").cursor == stop


def assert_next_merge_completes(target, moments):
    """Kill merges that change half as many rows as they add; what is there is always one whole load after another."""
    options = {"write_mode": "merge", "merge_keys": ["n"], **target.strategies[-1]}
    loader = target.loader(**options)
    expected = {}
    for number, moment in enumerate(moments, 1):
        start, stop = (number - 1) * 1000, number * 1000
        killed(target, moment, stop, **options)
        cursor = loader.state("a").cursor
        assert cursor in (stop, start or None), moment
        after = expected | dict.fromkeys(range(max(start - 500, 0), stop), stop)
        if cursor is not None:
            assert {row["n"]: row["v"] for row in target.rows()} == (after if cursor == stop else expected), moment
        if cursor != stop:
            again(loader, overlapping(start, stop), stop)
        expected = after
        assert len(target.rows()) == stop
        assert {row["n"]: row["v"] for row in target.rows()} == expected, moment


@somewhere(["iceberg-sqlite-local", "postgres"])
def test_after_kills_around_a_merge_the_table_is_what_it_would_have_been(target):
    assert_next_merge_completes(target, ["inside@0", "inside@1", "after@1" if target.kind == "postgres" else "after@0"])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@somewhere(EVERYWHERE)
def test_after_kills_of_merges_at_every_moment_the_table_is_what_it_would_have_been(target):
    assert_next_merge_completes(target, [moment for moment in MOMENTS if moment != "reading"] * 3)


# runs at once


@somewhere(SERVED)
def test_jobs_that_share_a_table_at_once_all_land_and_runs_of_one_job_land_once(target):
    loader = target.loader()
    for number in range(2):
        jobs = [("a", 0), ("a", 0), ("b", 1000), ("c", 2000)]
        states = [loader.state(job) for job, _ in jobs]

        def run(job, first, state, number=number):
            land(loader, [batch({"n": [first + number], f"of_{job}": [1]}, number, bad=1)], job, since=state)

        calls = [
            lambda job=job, first=first, state=state: run(job, first, state)
            for (job, first), state in zip(jobs, states, strict=True)
        ]
        ends = at_once(*calls)
        assert sorted(ends[:2]) == ["Superseded", "ok"]
        assert ends[2:] == ["ok", "ok"]
        assert target.numbers() == sorted(first + old for first in (0, 1000, 2000) for old in range(number + 1))
        assert [loader.state(job).cursor for job in "abc"] == [number] * 3
    assert target.quarantined() == 6


@somewhere()
def test_jobs_that_merge_into_one_table_at_once_all_land(target):
    for number, strategy in enumerate(target.strategies):
        one = type(target)({**target.options, "database": f"{target.options['database']}{number}"})
        loader = one.loader(write_mode="merge", merge_keys=["k"], **strategy)
        land(loader, [batch({"k": list(range(100)), "of": ["z"] * 100})], job="z")

        def run(job, first, loader=loader):
            keys = list(range(first, 120, 3))
            land(loader, [batch({"k": keys, "of": [job] * len(keys)}, cursor=1)], job)

        ends = at_once(*(lambda job=job, first=first: run(job, first) for first, job in enumerate("abc")))
        assert ends == ["ok"] * 3
        assert {row["k"]: row["of"] for row in one.rows()} == {k: "abc"[k % 3] for k in range(120)}
        assert len(one.rows()) == 120


@somewhere()
def test_a_run_that_was_overtaken_leaves_nothing_behind(target):
    loader = target.loader()
    state = loader.state("a")
    land(loader, numbers(0, 200))
    with pytest.raises(Superseded):
        land(loader, numbers(0, 200), since=state)
    assert target.numbers() == list(range(200))
    land(loader, numbers(200, 300))
    assert target.quarantined() == 3


# lost replies


@somewhere(without=["delta-local"])  # nobody answers there
def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_repeated(target):
    loader = target.loader()
    land(loader, [batch({"n": [0, 1]}, cursor=0)])
    for mode, first in (("append", 100), ("overwrite", 200), ("merge", 300), ("append", 400)):
        keys = {"merge_keys": ["n"]} if mode == "merge" else {}
        before = loader.state("a")
        with target.losing_a_reply() as lossy:
            result = land(
                lossy.loader(write_mode=mode, **keys), [batch({"n": [first, first + 1]}, cursor=first)], since=before
            )
        assert result.rows == 2
        assert loader.state("a").cursor == first
    assert target.numbers() == [200, 201, 300, 301, 400, 401]


# rollback


@somewhere()
def test_a_rollback_and_another_run_equal_a_straight_run(target):
    loader = target.loader()
    for number in range(3):
        land(loader, numbers(number * 100, number * 100 + 100, run_id=f"r{number}"), run_id=f"r{number}")
    undone = loader.rollback("a", "r1").undone
    assert [item.run_id for item in undone] == ["r2", "r1"]
    assert loader.state("a").cursor == 100
    assert target.numbers() == list(range(100))
    assert target.quarantined() == 1
    assert [item.run_id for item in loader.history("a")][-1:] == ["r0"]
    land(loader, numbers(100, 300, run_id="r3"), run_id="r3")
    assert target.numbers() == list(range(300))
    assert (target.quarantined(), loader.state("a").cursor) == (3, 300)


@somewhere()
def test_a_merge_is_taken_back_where_the_target_keeps_what_was_there(target):
    loader = target.loader(write_mode="merge", merge_keys=["n"])
    land(loader, [batch({"n": [1, 2], "v": ["a", "b"]}, cursor=1)], run_id="r1")
    land(loader, [batch({"n": [2, 3], "v": ["c", "d"]}, cursor=2)], run_id="r2")
    if not target.keeps_history:
        with pytest.raises(ConfigError, match="merge"):
            loader.rollback("a", "r2")
        return
    loader.rollback("a", "r2")
    assert target.rows() == [{"n": 1, "v": "a"}, {"n": 2, "v": "b"}]
    assert loader.state("a").cursor == 1
    land(loader, [batch({"n": [2, 3], "v": ["c", "d"]}, cursor=2)], run_id="r3")
    assert target.rows() == [{"n": 1, "v": "a"}, {"n": 2, "v": "c"}, {"n": 3, "v": "d"}]
