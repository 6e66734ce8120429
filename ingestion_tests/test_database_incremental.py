"""Incremental reading of databases: no row lost behind the cursor, none read twice."""

import logging
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError, DataError
from ingestion_tests.incremental_sources import TYPES, Source, ago, read

KINDS = ("sqlite", "postgresql", "mysql")


@pytest.fixture(params=KINDS)
def source(request, tmp_path):
    if request.param == "sqlite":
        return Source("sqlite", str(tmp_path / "source.sqlite"))
    server = {"postgresql": "postgres_url", "mysql": "mysql_url"}[request.param]
    return Source(request.param, request.getfixturevalue(server))


def with_times(source, *seconds, zone=False):
    """A table of rows written that long ago, numbered from 0."""
    source.table(f"id int primary key, at {TYPES[source.kind][0 if zone else 1]}, v int")
    source.insert(*((number, one and ago(one), number) for number, one in enumerate(seconds)))


@pytest.mark.parametrize("incremental", [{}, {"safety_lag": 0}, {"on_null_cursor": "include"}, {"end_value": None}])
def test_windows_are_the_same_where_no_fast_driver_is_installed(source, incremental):
    given = {"on_null_cursor": "exclude", **incremental}
    if "end_value" in given:
        given["end_value"] = ago(0)
    with_times(source, 400, 300, None, 200, 5)
    first = read(source, **given, initial_value=ago(350))
    source.insert((8, ago(45), 8), (9, ago(0), 9))
    fast, slow = (read(source, first.cursor, **given, portable=one) for one in (False, True))
    assert "SQLAlchemy" in slow.told.pop("read by")
    assert "SQLAlchemy" not in fast.told.pop("read by")
    assert fast.rows == slow.rows
    assert fast.told.keys() == slow.told.keys()


@pytest.mark.parametrize("zone", [False, True])
def test_rows_within_the_lag_wait_and_are_read_by_the_next_run(source, zone):
    with_times(source, 300, 90, 40, 5, zone=zone)
    first = read(source)
    assert (first.ids, first.told["held back by safety_lag"]) == ([0, 1], 2)
    source.insert((9, ago(62), 9))  # a transaction that took 62 seconds: too late by what safety_lag promises
    source.insert((8, ago(45), 8))  # and one that did not
    second = read(source, first.cursor, safety_lag="20s")
    assert (second.ids, second.told["held back by safety_lag"]) == ([8, 2], 1)
    assert read(source, second.cursor, safety_lag="20s").ids == []
    assert sorted(read(source, second.cursor, safety_lag=1).ids) == [3]


def test_rows_come_oldest_first(source):
    with_times(source, 100, 300, 200)
    assert read(source).ids == [1, 2, 0]
    assert read(source, safety_lag=0).ids == [1, 2, 0]


def test_equal_times_at_the_end_of_a_window_are_in_one_run_and_in_no_other(source):
    moment = ago(30)
    source.table(f"id int primary key, at {TYPES[source.kind][1]}, v int")
    source.insert(*((number, moment, 0) for number in range(5)))
    first = read(source, safety_lag=0)
    assert first.ids == [0, 1, 2, 3, 4]
    source.insert(*((number, moment, 0) for number in (5, 6)))
    second = read(source, first.cursor, safety_lag=0)
    assert second.ids == [5, 6]
    assert read(source, second.cursor, safety_lag=0).ids == []
    assert read(source, second.cursor, safety_lag=1).ids == []  # whatever the next run's way of ending


def test_a_composite_key_orders_equal_times(source):
    source.table(f"a int, id varchar(20), at {TYPES[source.kind][1]}, primary key (a, id)")
    moment = ago(30)
    source.insert((1, "x", moment), (1, "y", moment), (2, "a", moment))
    first = read(source, safety_lag=0)
    source.insert((2, "b", moment), (3, "", moment), (0, "late", moment))
    second = read(source, first.cursor, safety_lag=0)
    assert first.ids == ["x", "y", "a"]
    assert second.ids == ["b", ""]  # a key below that of the last row is the price of safety_lag: 0


def test_words_of_an_enum_are_ordered_as_they_are_compared(mysql_url):
    source = Source("mysql", mysql_url)
    source.table("id enum('b', 'a', 'c'), n int, primary key (id, n)")
    source.insert(("b", 1), ("a", 1))
    first = read(source, cursor_column="n")
    source.insert(("c", 1))
    assert (first.ids, read(source, first.cursor, cursor_column="n").ids) == (["a", "b"], ["c"])


def test_without_a_key_the_newest_rows_wait_for_newer_ones(source):
    source.table("id int, n int")
    source.insert((0, 1), (1, 2), (2, 2))
    first = read(source, cursor_column="n")
    assert (first.ids, first.told["held back until newer ones come"]) == ([0], 2)
    source.insert((3, 2), (4, 3))
    second = read(source, first.cursor, cursor_column="n")
    assert sorted(second.ids) == [1, 2, 3]
    assert read(source, second.cursor, cursor_column="n").ids == []
    assert read(source, second.cursor, cursor_column="n", tie_breaker="id").ids == [4]


def test_where_the_cursor_is_the_key_none_waits(source):
    source.table("id int primary key, v int")
    source.insert((1, 0), (2, 0))
    first = read(source, cursor_column="id")
    source.insert((3, 0))
    assert (first.ids, read(source, first.cursor, cursor_column="id").ids) == ([1, 2], [3])


@pytest.mark.parametrize(
    ("dtype", "values", "more"),
    [
        ("bigint", [-3, 9007199254740993], 9007199254740994),
        ("decimal(30,4)", [-1.5, Decimal("2.25")], Decimal("2.5")),
        ("varchar(40)", ["a'; --", "b\\%"], "é"),
        ("date", ["2024-02-28", "2024-02-29"], "2024-03-01"),
    ],
)
def test_every_kind_of_cursor_goes_on_where_it_was(source, dtype, values, more):
    source.table(f"id int primary key, c {dtype}")

    def add(number, item):
        if source.kind == "sqlite":
            connection = source.connect()
            connection.execute(
                "INSERT INTO t VALUES (?, ?)", (number, float(item) if isinstance(item, Decimal) else item)
            )
        else:
            connection = source.connect()
            connection.cursor().execute("INSERT INTO t VALUES (%s, %s)", (number, item))
        connection.commit()
        connection.close()

    for number, item in enumerate(values):
        add(number, item)
    first = read(source, cursor_column="c", safety_lag=0)
    add(7, values[-1])  # the same value, of a greater key
    add(8, more)
    second = read(source, first.cursor, cursor_column="c", safety_lag=0)
    assert (first.ids, second.ids) == ([0, 1], [7, 8])
    assert read(source, second.cursor, cursor_column="c", safety_lag=0).ids == []


def test_dates_end_before_the_day_of_the_lag(source):
    source.table("id int primary key, at date")
    today = datetime.now(timezone.utc).date()
    source.insert((0, today - timedelta(days=2)), (1, today - timedelta(days=1)), (2, today))
    first = read(source, source_timezone="UTC", safety_lag="1s")
    assert (first.ids, first.told["held back by safety_lag"]) == ([0, 1], 1)
    source.insert((3, today))
    assert read(source, first.cursor, source_timezone="UTC", safety_lag="1s").ids == []
    again = read(source, first.cursor, source_timezone="UTC", safety_lag="1s", lookback="12h")
    assert again.ids == [1]


def test_lookback_reads_again_what_was_loaded(source):
    with_times(source, 300, 200, 100)
    first = read(source)
    assert read(source, first.cursor, lookback="2m").ids == [2]
    assert read(source, first.cursor, lookback="1h", initial_value=ago(250)).ids == [1, 2]
    numbers = read(source, cursor_column="id")
    assert read(source, numbers.cursor, cursor_column="id", lookback=1).ids == [1, 2]
    assert read(source, numbers.cursor, cursor_column="id", lookback=2).ids == [0, 1, 2]


def test_rows_without_a_cursor_fail_the_run_or_come_with_all_or_with_none(source):
    with_times(source, 300, None, 100)
    with pytest.raises(DataError, match=r"1 row of t without at cannot be found .*on_null_cursor"):
        read(source)
    left_out = read(source, on_null_cursor="exclude")
    assert (left_out.ids, left_out.told["without a cursor"]) == ([0, 2], 1)
    included = read(source, on_null_cursor="include")
    assert sorted(included.ids) == [0, 1, 2]
    assert read(source, included.cursor, on_null_cursor="include").ids == [1]


def test_a_check_tells_the_window_and_counts_no_row_of_it(source, caplog):
    with_times(source, 300, None, 100, 5)
    given = {**source.options, "table": "t", "incremental": {"cursor_column": "at", "on_null_cursor": "exclude"}}
    connector = ConnectorFactory.create(given)
    caplog.set_level(logging.INFO, "sqlalchemy.engine")

    def counts():
        statements = [" ".join(record.getMessage().lower().split()) for record in caplog.records]
        caplog.clear()
        assert [one for one in statements if one.startswith("select")]
        return [one for one in statements if re.search(r"count\(.* from t\b", one)]

    checked = connector.check(None, None)
    assert checked.told.keys() == {"read by", "window"}
    assert counts() == []
    list(connector.read(None, None))
    assert len(counts()) == 2


def test_a_backfill_reads_its_range_and_leaves_the_cursor_alone(source):
    with_times(source, 500, 400, 300, 1)
    live = read(source, initial_value=ago(350))
    assert live.ids == [2]
    back = read(source, live.cursor, initial_value=ago(450), end_value=ago(250))
    assert (back.ids, back.cursor) == ([1, 2], live.cursor)
    assert read(source, end_value=ago(0), safety_lag=0).ids == [0, 1, 2, 3]


def test_ends_of_a_range_are_inclusive_at_its_start_and_exclusive_at_its_end(source):
    source.table("id int primary key, v int")
    source.insert(*((number, 0) for number in range(6)))
    assert read(source, cursor_column="id", initial_value=2, end_value=4).ids == [2, 3]
    assert read(source, cursor_column="id", initial_value="2").ids == [2, 3, 4, 5]


def test_a_query_is_read_incrementally_as_a_table_is(source):
    with_times(source, 300, 200, 1)
    given = {"relation": {"table": None, "query": "SELECT id AS id, at AS at FROM t -- all"}}
    first = read(source, **given)
    assert first.ids == [0, 1]
    assert read(source, first.cursor, **given, safety_lag=0, tie_breaker="id").ids == [2]


def test_the_cursor_column_need_not_be_read(source):
    with_times(source, 300, 1)
    assert read(source, relation={"columns": ["id"]}).rows == [{"id": 0}]


def test_conditions_of_the_job_hold_for_what_is_counted_too(source):
    with_times(source, 300, None, 1, 200)
    found = read(source, relation={"where_clause": "v < :most AND v <> 1", "where_params": {"most": 3}})
    assert (found.ids, found.told["held back by safety_lag"]) == ([0], 1)


@pytest.mark.parametrize(
    ("incremental", "told"),
    [
        ({"cursor_column": "att"}, "cursor_column names 'att'; did you mean 'at'"),
        ({"cursor_column": "f"}, "f is of type .*, which does not tell what is new"),
        ({"tie_breaker": ["id", "nope"]}, "tie_breaker names 'nope'; the columns are: "),
        ({"cursor_column": "id", "safety_lag": "5m"}, "safety_lag is for times, and id is of type"),
        ({"cursor_column": "id", "safety_lag": "5m", "end_value": 5}, "safety_lag is for times, and id is of type"),
        ({"cursor_column": "id", "source_timezone": "UTC"}, "source_timezone is for times, and id is of type"),
        ({"cursor_column": "id", "initial_value": "x"}, "initial_value: 'x' is not a number"),
        ({"cursor_column": "id", "initial_value": 1.5}, "initial_value: 1.5 is not a whole number"),
        ({"initial_value": "yesterday"}, "initial_value: 'yesterday' is not a time .* such as 2026-01-31"),
        ({"end_value": 5}, "end_value: 5 is not a time"),
        ({"cursor_column": "id", "initial_value": 5, "end_value": 5}, "end_value is not beyond initial_value"),
        ({"cursor_column": "id", "safety_lag": 0, "tie_breaker": "f"}, None),
        ({"safety_lag": 0, "tie_breaker": "f"}, "f of type .* cannot tell rows of equal cursor apart"),
    ],
)
def test_options_that_do_not_fit_the_column_are_refused_in_words(source, incremental, told):
    source.table(f"id int primary key, at {TYPES[source.kind][1]}, f double precision")
    source.insert((1, ago(300), 1.5))
    if told is None:
        assert read(source, **incremental).ids == [1]
        return
    with pytest.raises(ConfigError, match=told):
        read(source, **incremental)


def test_a_primary_key_that_is_no_column_is_refused_with_the_nearest(source):
    source.table("id int primary key, c varchar(20)")
    with pytest.raises(ConfigError, match=r"source\.primary_key names 'idd'; did you mean 'id'"):
        list(ConnectorFactory.create({**source.options, "table": "t", "primary_key": "idd"}).read(None, None))


def test_a_lookback_needs_numbers_or_times_from_the_first_run_on(source):
    source.table("id int primary key, c varchar(20)")
    source.insert((1, "a"))
    for end in ({}, {"end_value": "5"}):
        with pytest.raises(ConfigError, match="lookback: it is for cursors of times, dates or numbers; c is of type"):
            read(source, cursor_column="c", lookback=1, **end)
        with pytest.raises(ConfigError, match="lookback: '5m' is not a number; id is"):
            read(source, cursor_column="id", lookback="5m", **end)
        with pytest.raises(ConfigError, match=r"lookback: 1\.5 is not a whole number; id is"):
            read(source, cursor_column="id", lookback=1.5, **end)


def test_nulls_in_a_tie_breaker_are_an_error_as_they_have_no_order(source):
    source.table("id int, n int")
    source.insert((1, 1), (None, 1))
    with pytest.raises(DataError, match="1 row of t with null in id"):
        read(source, cursor_column="n", tie_breaker="id")


@pytest.mark.parametrize(
    ("cursor", "told"),
    [
        (
            {"column": "v", "kind": "integer", "value": "3", "key": None},
            r"cursor_column is at \(timestamp\), but this job has loaded by v \(integer\) up to 3; change it back",
        ),
        ({"column": "at", "kind": "date", "value": "2024-01-01", "key": None}, r"loaded by at \(date\)"),
        (
            {"column": "at", "kind": "timestamp", "value": "2024-01-01", "key": None, "table": "u"},
            "the source is t, but this job has loaded u, at ",
        ),
        (
            {"column": "at", "kind": "timestamp", "value": "2024-01-01", "key": {"other": "1"}},
            "told apart by id, .* and other; set source.incremental.tie_breaker",
        ),
        ({"offset": 3}, "another kind of source wrote it; give the job a new id"),
        (17, "another kind of source wrote it"),
    ],
)
def test_a_cursor_of_another_column_or_source_is_refused(tmp_path, cursor, told):
    source = Source("sqlite", str(tmp_path / "source.sqlite"))
    with_times(source, 300)
    with pytest.raises(ConfigError, match=told):
        read(source, cursor)


def test_a_table_without_rows_leaves_the_cursor_as_it_was(source):
    with_times(source, 300)
    first = read(source)
    source.execute("DELETE FROM t")
    assert read(source, first.cursor).cursor == first.cursor
    assert read(source, first.cursor, safety_lag=0).cursor == first.cursor
    assert read(source, safety_lag=0).cursor is None
    source.insert((5, ago(10), 0))
    assert read(source, first.cursor, safety_lag=0).ids == [5]


def test_a_window_without_rows_is_read_again_with_the_next(source):
    with_times(source, 300)
    first = read(source, safety_lag="200s")
    between = read(source, first.cursor)
    assert (between.ids, between.cursor) == ([], first.cursor)
    source.insert((7, ago(100), 0))  # a transaction that took longer than safety_lag
    assert read(source, between.cursor).ids == [7]


@pytest.mark.parametrize("source", ["sqlite"], indirect=True)
def test_a_window_whose_rows_are_all_rejected_is_not_read_again(source):
    source.table("id int primary key, v int")
    source.insert((1, "one"))
    first = read(source, cursor_column="id")
    assert (first.ids, first.rejected) == ([], 1)
    assert read(source, first.cursor, cursor_column="id").rejected == 0


def test_the_newest_row_is_found_beside_rows_without_a_cursor(source):
    source.table("id int primary key, n int")
    source.insert((1, 5), (2, None))
    first = read(source, cursor_column="n", on_null_cursor="exclude")
    assert (first.ids, first.told["without a cursor"]) == ([1], 1)
    source.insert((3, 6))
    assert read(source, first.cursor, cursor_column="n", on_null_cursor="exclude").ids == [3]


def test_a_longer_lag_does_not_take_the_cursor_back(source):
    with_times(source, 300, 100, None)
    first = read(source, on_null_cursor="include")
    assert sorted(first.ids) == [0, 1, 2]
    second = read(source, first.cursor, on_null_cursor="include", safety_lag="200s")
    assert second.ids == [2]
    assert read(source, second.cursor, on_null_cursor="include").ids == [2]


@pytest.mark.parametrize("source", ["mysql"], indirect=True)
def test_a_serializable_run_waits_for_rows_that_are_still_written_before_its_end(source):
    source.table("id int primary key, v int")
    source.insert((1, 1), (9, 9))
    writer = source.connect()
    writer.cursor().execute("INSERT INTO t VALUES (5, 5)")
    done = threading.Timer(0.5, writer.commit)
    done.start()
    started = time.monotonic()
    relation = {"table": "t", "isolation_level": "SERIALIZABLE"}
    assert read(source, cursor_column="id", relation=relation).ids == [1, 5, 9]
    assert time.monotonic() - started > 0.4
    done.join()
    writer.close()
