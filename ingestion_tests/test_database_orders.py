"""Which columns tell what is new, and which of their values have no place among the others."""

import pytest

from ingestion.errors import ConfigError, DataError
from ingestion_tests.incremental_sources import Source, ago, read


@pytest.fixture
def sqlite(tmp_path):
    return Source("sqlite", str(tmp_path / "source.sqlite"))


@pytest.fixture
def postgres(postgres_url):
    return Source("postgresql", postgres_url)


@pytest.fixture
def mysql(mysql_url):
    return Source("mysql", mysql_url)


def one_by_one(source, *values, **incremental):
    """The ids that runs read after each of *values* was written to the column c of a new table."""
    cursor, found = None, []
    for number, item in enumerate(values):
        source.execute(f"INSERT INTO t VALUES ({number}, {item})")
        run = read(source, cursor, cursor_column="c", **incremental)
        cursor = run.cursor
        found += run.ids
    return found


@pytest.mark.parametrize("dtype", ["xid8", "interval", "inet", "jsonb", "int4range", "pg_lsn", "timetz", "json"])
def test_types_whose_texts_have_another_order_are_refused_as_cursors(postgres, dtype):
    postgres.table(f"id int primary key, c {dtype}")
    with pytest.raises(ConfigError, match="does not tell what is new; take a column of times"):
        read(postgres, cursor_column="c")


def test_words_that_somebody_listed_are_refused_as_cursors(postgres, mysql):
    postgres.execute("CREATE TYPE size AS ENUM ('9', '10')", "CREATE TABLE t (id int primary key, c size)")
    mysql.table("id int primary key, c enum('9', '10')")
    for source in (postgres, mysql):
        with pytest.raises(ConfigError, match="does not tell what is new"):
            read(source, cursor_column="c")


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("money", (9, 10, 100)), ("uuid", (f"'{0:032}'", f"'{1:032}'", "'" + "f" * 32 + "'")), ("oid", (9, 10, 100))],
)
def test_types_that_become_others_keep_their_own_order(postgres, dtype, values):
    postgres.table(f"id int primary key, c {dtype}")
    assert one_by_one(postgres, *values) == [0, 1, 2]


def test_infinite_times_are_rows_without_a_cursor(postgres):
    postgres.table("id int primary key, at timestamp")
    postgres.insert((0, ago(300)), (1, "-infinity"), (2, "infinity"))
    with pytest.raises(DataError, match="2 rows of t without at"):
        read(postgres)
    left_out = read(postgres, on_null_cursor="exclude", safety_lag=0)
    assert (left_out.ids, left_out.told["without a cursor"]) == ([0], 2)
    included = read(postgres, left_out.cursor, on_null_cursor="include", safety_lag=0)
    assert (included.ids, included.rejected) == ([], 2)


@pytest.mark.parametrize("dtype", ["datetime NULL", "datetime NOT NULL", "timestamp NULL", "date NULL"])
def test_zero_dates_are_rows_without_a_cursor(mysql, dtype):
    mysql.execute("SET sql_mode = ''", f"CREATE TABLE t (id int primary key, at {dtype})")
    mysql.execute("SET sql_mode = ''", "INSERT INTO t VALUES (0, '2026-01-01'), (1, 0), (2, 0)")
    with pytest.raises(DataError, match="2 rows of t without at"):
        read(mysql)
    left_out = read(mysql, on_null_cursor="exclude")
    assert (left_out.ids, left_out.told["without a cursor"]) == ([0], 2)
    assert read(mysql, left_out.cursor, on_null_cursor="include").rejected == 2


def test_numbers_of_a_boolean_column_order_equal_cursors(mysql):
    mysql.table("id int, k tinyint(1), n int, primary key (id, k)")
    mysql.insert((1, 1, 5), (1, 2, 5), (1, 3, 5))
    first = read(mysql, cursor_column="n", relation={"columns": ["id"]})
    mysql.insert((1, 4, 5))
    assert first.ids == [1, 1, 1]
    assert read(mysql, first.cursor, cursor_column="n", relation={"columns": ["id"]}).ids == [1]


def test_lookback_is_exact_for_numbers_of_many_digits(postgres, mysql):
    for source in (postgres, mysql):
        source.table("id int primary key, c decimal(38,0)")
        assert one_by_one(source, 10**36 + 5, 10**36 + 8, 10**36 + 11, lookback=1) == [0, 0, 1, 1, 2]


def test_a_text_with_a_nul_is_gone_on_from(mysql):
    mysql.table("id int primary key, c varchar(9)")
    assert one_by_one(mysql, "concat('a', char(0))", "'b'") == [0, 1]


def test_whole_numbers_that_no_double_has_are_in_order(sqlite):
    sqlite.table("id int primary key, c numeric")
    assert one_by_one(sqlite, 1 << 60, (1 << 60) + 1, 2.5, (1 << 60) + 2) == [0, 1, 3]


@pytest.mark.parametrize(
    ("dtype", "item"), [("integer", "abc"), ("numeric", "abc"), ("string", 9), ("datetime", "now")]
)
def test_values_of_other_types_are_rows_without_a_cursor(sqlite, dtype, item):
    sqlite.table(f"id int primary key, c {dtype}")
    sqlite.insert((0, item))
    for lag in ({"safety_lag": 0}, {}) if dtype == "datetime" else ({},):
        with pytest.raises(DataError, match="1 row of t without c"):
            read(sqlite, cursor_column="c", **lag)


@pytest.mark.parametrize("item", ["2026-02-31 10:00:00", "2026-01-01 24:00:00", "0000-01-01 00:00:00"])
@pytest.mark.parametrize("lag", [0, "60s"])
def test_times_that_are_none_are_rows_without_a_cursor(sqlite, item, lag):
    sqlite.table("id int primary key, at datetime")
    sqlite.insert((0, "2026-01-01 10:00:00"), (1, item))
    found = read(sqlite, on_null_cursor="exclude", safety_lag=lag)
    assert (found.ids, found.told["without a cursor"]) == ([0], 1)


def test_times_without_seconds_are_some_time_of_that_minute(sqlite):
    sqlite.table("id int primary key, at datetime")
    sqlite.insert((0, "2026-01-01 10:05"), (1, "2026-01-01"), (2, "2026-01-01T10:05:30.25"))
    found = [read(sqlite, end_value=f"2026-01-01 {end}").ids for end in ("10:05:31", "10:06", "23:59:59")]
    assert found == [[2], [2, 0], [2, 0]]
    assert read(sqlite, end_value="2026-01-02").ids == [2, 0, 1]


def test_an_index_of_another_collation_does_not_make_a_cursor_unique(sqlite, postgres):
    sqlite.execute("CREATE TABLE t (id int, c text COLLATE NOCASE)", "CREATE UNIQUE INDEX u ON t (c COLLATE BINARY)")
    postgres.execute(
        "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE t (id int, c text COLLATE nocase)",
        'CREATE UNIQUE INDEX u ON t (c COLLATE "C")',
    )
    for source in (sqlite, postgres):
        assert sorted(one_by_one(source, "'a'", "'A'", "'b'")) == [0, 1]


def test_one_time_in_two_notations_is_one_cursor(sqlite):
    sqlite.table("id int primary key, at datetime unique")
    sqlite.insert((1, "2026-01-01 10:00:00"))
    first = read(sqlite, safety_lag=0)
    sqlite.insert((2, "2026-01-01T10:00:00"), (3, "2026-01-01 10:00:00.000"))
    assert (first.ids, read(sqlite, first.cursor, safety_lag=0).ids) == ([1], [2, 3])


def test_a_key_that_the_job_says_is_held_against_the_rows(postgres):
    postgres.table("id int, n int")
    for tie_breaker in ("n", "id"):
        postgres.execute("DELETE FROM t")
        postgres.insert((1, 5))
        first = read(postgres, cursor_column="n", tie_breaker=tie_breaker)
        assert (first.ids, read(postgres, first.cursor, cursor_column="n", tie_breaker=tie_breaker).ids) == ([1], [])
        postgres.insert((1, 5))
        with pytest.raises(DataError, match=r"2 rows of t have the same n.* source.incremental.tie_breaker says"):
            read(postgres, first.cursor, cursor_column="n", tie_breaker=tie_breaker)
