"""Whatever happens around a load, a table of PostgreSQL is as it was or as it should be."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pyarrow as pa
import pytest

from ingestion.errors import OutcomeUnknown, Superseded, TransientError
from ingestion.loaders.postgres import session
from ingestion_tests.postgres_support import Database, batch, land
from ingestion_tests.proxies import tunnelled


@pytest.fixture
def database(postgres_server):
    return Database(postgres_server.fresh_database())


def numbers(database):
    return sorted(row[0] for row in database.ask('SELECT n FROM "default".t'))


def test_many_jobs_that_load_for_the_first_time_at_once_all_land(database):
    """Schema, loads table, target and quarantine are made once, whoever comes first."""
    together = threading.Barrier(6)

    def first(number):
        loader = database.loader()
        together.wait()
        return land(loader, [batch({"n": [number], f"own{number % 2}": [1.5]}, bad=1, cursor=number)], job=f"j{number}")

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(first, range(6)))
    assert numbers(database) == list(range(6))
    assert [database.loader().state(f"j{number}").cursor for number in range(6)] == list(range(6))
    assert database.table("default.t__quarantine").num_rows == 6
    assert {result.quarantined for result in results} == {1}
    assert database.ask("SELECT count(*) FROM pg_class WHERE relname LIKE '\\_ingestion\\_%' AND relkind = 'r'") == [
        (1,)
    ]


def test_of_two_runs_of_one_job_at_once_one_lands(database):
    loader = database.loader()
    before = loader.state("a")
    together = threading.Barrier(2)

    def meeting():
        yield batch({"n": [1]})
        together.wait()

    def one(_):
        try:
            return land(database.loader(), meeting(), since=before).rows
        except Superseded as error:
            return type(error)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, range(2)), key=str) == [1, Superseded]
    assert numbers(database) == [1]


def test_merges_with_the_same_keys_at_once_all_land(database):
    loader = database.loader(write_mode="merge", merge_keys="n")
    land(loader, [batch({"n": list(range(50)), "v": [0] * 50})])

    def one(number):
        rows = {"n": list(range(50))[:: (-1) ** number], "v": [number + 1] * 50}
        return land(database.loader(write_mode="merge", merge_keys="n"), [batch(rows)], job=f"j{number}").changes

    with ThreadPoolExecutor(4) as pool:
        assert [changes["updated"] for changes in pool.map(one, range(4))] == [50] * 4
    assert len(set(database.ask('SELECT v FROM "default".t'))) == 1


def test_a_load_that_needs_new_columns_stops_nobody_while_it_reads(database):
    land(database.loader(), [batch({"n": [1]})])

    def slow():
        yield batch({"n": [2]})
        yield batch({"n": [3], "new": [1]})
        with psycopg.connect(database.url, autocommit=True) as other:
            other.execute("SET lock_timeout = '2s'")
            assert other.execute('SELECT count(*) FROM "default".t').fetchone() == (1,)
            other.execute('INSERT INTO "default".t VALUES (9)')

    land(database.loader(), slow())
    assert numbers(database) == [1, 2, 3, 9]


def test_a_load_whose_rows_are_in_the_table_lands_before_one_that_waits_to_change_it(database):
    land(database.loader(), [batch({"n": [1]})])
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    def copied():
        yield batch({"n": pa.array([2] * 2_500_000)})  # more than one piece, so that it is sent at once
        yield batch({"n": pa.array([2] * 2_500_000)})
        changing = pool.submit(land, database.loader(), [batch({"n": [3], "new": [1]})], "b")
        futures.append(changing)
        while database.ask(waiting) == [(0,)]:
            assert not changing.done()
            time.sleep(0.05)

    futures = []
    with ThreadPoolExecutor(1) as pool:
        assert land(database.loader(), copied()).rows == 5_000_000
        assert futures[0].result().added == ("new",)
    assert database.ask('SELECT count(*), count(new) FROM "default".t') == [(5_000_002, 1)]


def test_a_table_that_stays_locked_is_a_transient_error(database, monkeypatch):
    monkeypatch.setattr(session, "_LOCK_WAIT", "300ms")
    land(database.loader(), [batch({"n": [1]})])
    before = database.loader().state("a")
    with psycopg.connect(database.url) as other:
        other.execute('LOCK TABLE "default".t IN ACCESS EXCLUSIVE MODE')
        with pytest.raises(TransientError, match="another session holds the table"):
            land(database.loader(), [batch({"n": [2], "new": [1]})], since=before)
    assert numbers(database) == [1]


def _killed(options, ready):
    def slow():
        for _ in range(3):
            yield batch({"n": pa.array(range(500_000)), "t": pa.repeat(pa.scalar("text" * 5), 500_000)})
        ready.set()
        time.sleep(60)

    from ingestion.loaders.postgres import PostgresLoader

    land(PostgresLoader(**options), slow())


@pytest.mark.parametrize("there", [False, True], ids=["new table", "table there"])
def test_a_process_killed_in_the_midst_of_copying_leaves_nothing(database, there):
    loader = database.loader()
    if there:
        land(loader, [batch({"n": [1]}, cursor=1)])
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_killed, args=(loader.as_written(), ready))
    process.start()
    assert ready.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    land(loader, [batch({"n": [2]}, cursor=2)])
    assert numbers(database) == ([1, 2] if there else [2])
    assert loader.state("a").cursor == 2
    assert len(loader.history("a")) == 1 + there


def test_a_commit_whose_answer_is_lost_is_looked_up(database):
    land(database.loader(), [batch({"n": [1]})])
    port = database.loader().port
    with tunnelled(port, b"COMMIT\x00", at=1) as through:
        result = land(database.loader(port=through), [batch({"n": [2]}, cursor=2)])
    assert (result.rows, numbers(database)) == (1, [1, 2])
    assert database.loader().state("a").cursor == 2


def test_a_server_that_is_gone_after_the_commit_leaves_the_outcome_open(database, postgres_server):
    loader = database.loader()
    land(loader, [batch({"n": [1]})])
    before = loader.state("a")
    with tunnelled(loader.port, b"COMMIT\x00", at=1) as through:

        def closing():
            yield batch({"n": [2]})
            postgres_server.execute(f"ALTER DATABASE {loader.dbname} ALLOW_CONNECTIONS false")

        with pytest.raises(OutcomeUnknown, match="the next run finds out"):
            land(database.loader(port=through), closing(), since=before)
