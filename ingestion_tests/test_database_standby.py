"""PostgreSQL servers of another kind: one that asks for no password, and a standby that follows it."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from ingestion.connectors import ConnectorFactory
from ingestion.plugins import Batch
from ingestion_tests.incremental_sources import Source, ago, read
from ingestion_tests.servers import PostgresServer, running_postgres, running_standby


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    with running_postgres(asks_for_password=False) as server:
        yield server


@pytest.fixture
def table(primary: PostgresServer) -> Source:
    primary.execute("DROP TABLE IF EXISTS t")
    found = Source("postgresql", primary.url("postgres"))
    found.table("id int primary key, at timestamptz")
    return found


@pytest.fixture
def standby(primary: PostgresServer, table: Source) -> Iterator[Source]:
    with running_standby(primary) as server:
        yield Source("postgresql", server.url("postgres"))


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def catch_up(standby: Source, table: Source) -> None:
    ((written,),) = table.execute("SELECT pg_current_wal_lsn()")
    wait_until(lambda: standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{written}'") == [(True,)])


def end(standby: Source) -> datetime:
    """Where a run ends that stays one second behind the clock."""
    window = read(standby, initial_value=ago(3600), safety_lag=1).told["window"]
    return datetime.fromisoformat(window.rpartition(" before ")[2])


@pytest.mark.parametrize("without", ["password", "address"])
def test_a_server_that_asks_for_no_password_is_read_by_the_fast_driver(
    primary: PostgresServer, table: Source, without: str
) -> None:
    table.insert((1, ago(0)), (2, ago(0)))
    url = f"postgresql://{primary.user}@{primary.host}:{primary.port}/postgres"
    address = {
        "password": {"connection_string": url},
        "address": {"host": primary.host, "port": primary.port, "username": primary.user, "database": "postgres"},
    }[without]
    connector = ConnectorFactory.create({"type": "postgresql", "table": "t", **address})
    batches = [batch for batch in connector.read(None, None) if isinstance(batch, Batch)]
    assert sum(batch.records.num_rows for batch in batches) == 2
    assert batches[0].told["read by"] == "DuckDB's postgres_scanner"


def test_rows_that_a_standby_has_not_come_to_are_read_when_it_has(standby: Source, table: Source) -> None:
    table.insert((1, ago(0)))
    catch_up(standby, table)
    standby.execute("SELECT pg_wal_replay_pause()")
    wait_until(lambda: standby.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
    table.insert((2, ago(0)))
    time.sleep(2)  # longer than the lag: by its own clock the run would read the first, and go past the second
    while_paused = read(standby, safety_lag="1s")
    standby.execute("SELECT pg_wal_replay_resume()")
    table.insert((3, ago(0)))
    catch_up(standby, table)
    after = read(standby, while_paused.cursor, safety_lag=0)
    assert while_paused.ids + after.ids == [1, 2, 3]


def test_a_standby_is_at_the_last_transaction_of_its_primary_or_at_its_last_checkpoint(
    standby: Source, table: Source
) -> None:
    ((begun,),) = standby.execute("SELECT checkpoint_time FROM pg_control_checkpoint()")
    assert standby.execute("SELECT pg_last_xact_replay_timestamp()") == [(None,)]
    time.sleep(1)  # where a run ends is told in whole seconds, as a checkpoint is
    assert end(standby) == begun - timedelta(seconds=1)
    table.insert((1, ago(0)))
    catch_up(standby, table)
    ((replayed,),) = standby.execute("SELECT pg_last_xact_replay_timestamp()")
    time.sleep(1)
    assert end(standby) == replayed.replace(microsecond=0) - timedelta(seconds=1)
    table.execute("CHECKPOINT")
    catch_up(standby, table)
    standby.execute("CHECKPOINT")
    ((begun,),) = standby.execute("SELECT checkpoint_time FROM pg_control_checkpoint()")
    assert begun > replayed
    time.sleep(1)
    assert end(standby) == begun - timedelta(seconds=1)
