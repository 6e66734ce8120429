"""How far a job has come, and what may change of its source until the next run."""

import pytest

from ingestion.errors import ConfigError, DataError
from ingestion_tests.incremental_sources import Source, ago, read

INDIA, UTC = {"source_timezone": "Asia/Kolkata"}, {"source_timezone": "UTC"}


@pytest.fixture
def sqlite(tmp_path):
    return Source("sqlite", str(tmp_path / "source.sqlite"))


@pytest.fixture
def postgres(postgres_url):
    return Source("postgresql", postgres_url)


def test_another_zone_of_the_same_times_is_refused(postgres):
    postgres.table("id int primary key, at timestamp")
    postgres.insert((1, ago(300)))
    first = read(postgres, **INDIA)
    with pytest.raises(ConfigError, match=r"at are taken to be in UTC, .* in Asia/Kolkata, .*source_timezone to that"):
        read(postgres, first.cursor, **UTC)
    assert read(postgres, first.cursor, source_timezone="Asia/Colombo").ids == []  # where clocks show the same


def test_another_zone_does_not_matter_where_the_newest_row_ends_a_run(postgres):
    postgres.table("id int primary key, at timestamp")
    postgres.insert((1, ago(300)))
    first = read(postgres, **INDIA, safety_lag=0)
    postgres.insert((2, ago(200)))
    assert read(postgres, first.cursor, **UTC, safety_lag=0).ids == [2]


def test_another_schema_or_kind_of_relation_is_refused(postgres):
    postgres.execute("CREATE SCHEMA a", "CREATE SCHEMA b", "CREATE TABLE a.t AS SELECT 1 AS id, 100 AS n")
    postgres.execute("CREATE TABLE b.t AS SELECT 2 AS id, 50 AS n")
    first = read(postgres, cursor_column="n", relation={"schema": "a"}, tie_breaker="id")
    query = {"table": None, "query": "SELECT * FROM b.t"}
    for relation, name in (({"schema": "b"}, r"b\.t"), (query, "a query")):
        with pytest.raises(ConfigError, match=rf"the source is {name}, but this job has loaded a\.t, n \(integer\)"):
            read(postgres, first.cursor, cursor_column="n", relation=relation, tie_breaker="id")


def test_another_query_and_another_place_are_told(tmp_path, sqlite):
    other = Source("sqlite", str(tmp_path / "other.sqlite"))
    for source in (sqlite, other):
        source.table("id int primary key")
        source.insert((1,))
    first = read(sqlite, cursor_column="id", relation=_query("SELECT id FROM t"))
    again = read(sqlite, first.cursor, cursor_column="id", relation=_query("SELECT  id\nFROM t"))
    new = read(sqlite, first.cursor, cursor_column="id", relation=_query("SELECT id FROM t WHERE id > 0"))
    assert again.told.keys() == first.told.keys()
    assert "another query" in new.told["position is of"]
    moved = read(other, first.cursor, cursor_column="id", relation=_query("SELECT id FROM t"))
    assert moved.told["position is from"].endswith("source.sqlite")


def _query(query):
    return {"table": None, "query": query, "primary_key": ["id"]}


def test_a_key_in_another_order_is_refused(postgres):
    postgres.table("a int, id int, n int, primary key (a, id)")
    postgres.insert((5, 1, 1))
    first = read(postgres, cursor_column="n")
    postgres.execute("ALTER TABLE t DROP CONSTRAINT t_pkey", "ALTER TABLE t ADD PRIMARY KEY (id, a)")
    with pytest.raises(ConfigError, match=r"told apart by id, a, but this job has loaded by .* and a, id; set"):
        read(postgres, first.cursor, cursor_column="n")
    postgres.insert((9, 0, 1))
    with pytest.raises(ConfigError, match="told apart by id, a"):
        read(postgres, first.cursor, cursor_column="n")


def test_whole_numbers_that_were_widened_to_decimals_go_on(postgres):
    postgres.table("id int primary key")
    postgres.insert((1,))
    first = read(postgres, cursor_column="id")
    postgres.execute("ALTER TABLE t ALTER id TYPE numeric(20)")
    postgres.insert((2,))
    assert read(postgres, first.cursor, cursor_column="id").ids == [2]


def test_a_cursor_that_has_become_unique_goes_on(postgres):
    postgres.table("id int primary key, n int")
    postgres.insert((1, 1))
    first = read(postgres, cursor_column="n")
    postgres.execute("CREATE UNIQUE INDEX ON t (n)")
    postgres.insert((2, 2))
    assert read(postgres, first.cursor, cursor_column="n").ids == [2]


def test_a_tie_breaker_of_null_is_told_after_a_run_without_lag_too(postgres):
    postgres.table("id int, at timestamp, k int")
    moment = ago(100)
    postgres.insert((1, moment, 1))
    first = read(postgres, safety_lag=0, tie_breaker="k")
    postgres.insert((2, moment, None))
    with pytest.raises(DataError, match="1 row of t with null in k"):
        read(postgres, first.cursor, safety_lag=10, tie_breaker="k")


def test_a_range_may_begin_at_nothing(sqlite):
    sqlite.table("id int primary key, c text")
    sqlite.insert((0, ""), (1, "a"), (2, "b"))
    assert read(sqlite, cursor_column="id", initial_value=0, end_value=2).ids == [0, 1]
    assert read(sqlite, cursor_column="c", initial_value="", end_value="b").ids == [0, 1]


def test_an_initial_value_without_offset_is_in_the_zone_of_the_server(postgres):
    name = postgres.address.rsplit("/", 1)[1]
    postgres.execute(f"ALTER DATABASE {name} SET timezone TO 'Asia/Kolkata'")
    postgres.table("id int primary key, at timestamptz")
    postgres.insert((1, "2026-01-01 02:00:00+05:30"), (2, "2025-12-31 23:59:00+05:30"))
    assert read(postgres, initial_value="2026-01-01 00:00:00").ids == [1]


def test_texts_are_told_to_have_no_lag(sqlite):
    sqlite.table("id int primary key, at datetime")
    sqlite.insert((1, ago(5)))
    found = read(sqlite, relation={"table": None, "query": "SELECT id, datetime(at) AS at FROM t"}, tie_breaker="id")
    assert (found.ids, found.told["safety_lag"]) == ([1], "none: at is of texts, and the newest ends the run")
