"""Queries over the rows: what they make, what they may not do, and where their rows come from."""

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyiceberg.exceptions import NoSuchTableError

from ingestion import load_job, run
from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.plugins import REJECTED, Batch, Origin
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer
from ingestion.transformers.queries.held import Held
from ingestion.transformers.queries.query import Query
from ingestion.transformers.queries.running import no_scan, result, result_schema
from ingestion.transformers.transformations.sql import Sql
from ingestion_tests.through_steps import PLACE, batch, removed, rows, through

ORDERS = {"id": [1, 2, 3, 4], "shop": ["a", "b", "a", None], "price": [1.5, 2.5, None, 4.0]}


def steps(query, over, place=PLACE):
    return Sql.model_validate({"query": query, "over": over}).steps(place)


def apply(query, *batches, over="batch", place=PLACE):
    return through(steps(query, over, place), batches)


# what a query makes


@pytest.mark.parametrize(("query", "made"), [
    ("SELECT id FROM input", [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]),
    ("SELECT id * 2 AS twice FROM input WHERE shop = 'a'", [{"twice": 2}, {"twice": 6}]),
    ("SELECT upper(shop) AS s FROM input WHERE id < 3;", [{"s": "A"}, {"s": "B"}]),
    ("SELECT CASE WHEN price > 2 THEN 'dear' ELSE 'cheap' END AS c FROM input WHERE price IS NOT NULL", [{"c": "cheap"}, {"c": "dear"}, {"c": "dear"}]),
    ("SELECT * EXCLUDE (price, shop) FROM input WHERE id IN (1, 4)", [{"id": 1}, {"id": 4}]),
    ("SELECT COALESCE(shop, 'FROM read_csv(') AS s FROM input WHERE id = 4", [{"s": "FROM read_csv("}]),
    ('select i.id as "the id" from input as i where (i.id > 3)', [{"the id": 4}]),
    ("SELECT 1 AS one FROM input WHERE id > 2", [{"one": 1}, {"one": 1}]),
    ("SELECT TRY_CAST(shop AS INT) AS n FROM input WHERE id = 1", [{"n": None}]),
])  # fmt: skip
def test_a_query_over_batches_looks_at_each_row(query, made):
    assert rows(apply(query, batch(ORDERS))) == made


@pytest.mark.parametrize(("query", "made"), [
    ("SELECT shop, count(*) AS n, sum(price) AS total FROM input GROUP BY shop ORDER BY n DESC, shop NULLS LAST",
     [{"shop": "a", "n": 4, "total": 3.0}, {"shop": "b", "n": 2, "total": 5.0}, {"shop": None, "n": 2, "total": 8.0}]),
    ("SELECT DISTINCT shop FROM input WHERE shop IS NOT NULL ORDER BY shop", [{"shop": "a"}, {"shop": "b"}]),
    ("SELECT id FROM input ORDER BY id DESC LIMIT 2", [{"id": 4}, {"id": 4}]),
    ("WITH best AS (SELECT shop, max(id) AS id FROM input GROUP BY shop) SELECT DISTINCT i.id FROM input AS i JOIN best AS b ON i.shop = b.shop AND i.id = b.id ORDER BY i.id", [{"id": 2}, {"id": 3}]),
    ("SELECT id, row_number() OVER (PARTITION BY id ORDER BY price) AS n FROM input WHERE id = 1 ORDER BY n", [{"id": 1, "n": 1}, {"id": 1, "n": 2}]),
    ("SELECT id FROM input WHERE id = 1 UNION ALL SELECT id FROM input WHERE id = 2 ORDER BY id", [{"id": 1}, {"id": 1}, {"id": 2}, {"id": 2}]),
    ("SELECT id FROM input WHERE price > (SELECT avg(price) FROM input)", [{"id": 4}, {"id": 4}]),
    ("SELECT id FROM input WHERE shop IN (SELECT shop FROM input WHERE id = 2)", [{"id": 2}, {"id": 2}]),
])  # fmt: skip
def test_a_query_over_the_load_sees_the_rows_of_all_batches(query, made):
    done = apply(query, batch(ORDERS), batch(ORDERS, "g.csv"), over="load")
    assert rows(done) == made
    assert removed(done) == ({"sql": 8 - len(made)} if len(made) != 8 else {})


def test_rows_that_a_query_over_batches_keeps_know_where_they_stand():
    (done,) = apply("SELECT id FROM input WHERE id <> 2", batch(ORDERS, first=10, removed={"blank": 2}))
    assert done.origin.at(pa.array([0, 1, 2])).to_pylist() == [10, 12, 13]
    assert done.removed == {"blank": 2, "sql": 1}


def test_a_column_that_is_called_like_the_hidden_row_number_is_kept():
    columns = {"_row": ["x", "y"], "_row_": [7, 8]}
    (done,) = apply("SELECT * FROM input WHERE _row_ = 8", batch(columns, first=5))
    assert done.records.to_pylist() == [{"_row": "y", "_row_": 8}]
    assert done.origin.at(pa.array([0])).to_pylist() == [6]


def test_rows_made_of_several_have_no_position_and_count_as_removed_or_added():
    twice = "SELECT id FROM input UNION ALL SELECT id FROM input"
    done = apply(twice, batch(ORDERS), over="load")
    assert removed(done) == {"sql": -4}
    made = next(one for one in done if one.records.num_rows)
    assert made.origin.at(pa.array([0])).to_pylist() == [None]
    assert made.origin.source == "f.csv"


def test_the_news_of_batches_pass_a_query_over_the_load_at_once():
    def source():
        rejected = pa.RecordBatch.from_pylist([], REJECTED)
        yield batch(ORDERS, rejected=rejected, removed={"blank": 1}, cursor=1, bytes_read=10, emptied={"x: y": 1})
        yield batch(ORDERS, cursor=2, bytes_read=20, noted={"x: z": 3})
        pytest.fail("the second batch was asked for more before its news were passed on")

    (step,) = steps("SELECT count(*) AS n FROM input", "load")
    stream = step.apply(source())
    first, second = next(stream), next(stream)
    assert (first.removed, first.bytes_read, first.emptied, first.cursor) == ({"blank": 1}, 10, {"x: y": 1}, None)
    assert first.rejected is not None
    assert (second.noted, second.bytes_read, second.records.num_rows) == ({"x: z": 3}, 20, 0)
    stream.close()


def test_the_cursor_comes_last_and_only_once():
    done = apply("SELECT id FROM input", batch(ORDERS, cursor=1), batch(ORDERS, cursor=2), over="load")
    assert [one.cursor for one in done if one.cursor is not None] == [2]
    assert done[-1].cursor == 2


def test_a_load_without_rows_makes_none():
    count = "SELECT count(*) AS n FROM input"
    empty = {name: pa.array([], pa.array(values).type) for name, values in ORDERS.items()}
    assert rows(apply(count, batch(empty, cursor=3), over="load")) == []
    nothing = Batch(pa.RecordBatch.from_arrays([], names=[]), Origin("folder"), cursor=4)
    assert [one.cursor for one in apply(count, nothing, over="load")] == [None, 4]
    assert apply(count, over="load") == []


def test_files_that_differ_in_their_columns_are_queried_together():
    files = batch({"id": [1]}), batch({"id": [2.5], "name": ["x"]}, "g.csv"), batch({"name": ["y"]}, "h.csv")
    done = apply("SELECT * FROM input ORDER BY id NULLS LAST", *files, over="load")
    assert rows(done) == [{"id": 1.0, "name": None}, {"id": 2.5, "name": "x"}, {"id": None, "name": "y"}]
    assert next(one for one in done if one.records.num_rows).origin.source == "f.csv and 2 more"


def test_files_whose_columns_have_two_types_are_refused():
    with pytest.raises(DataError, match=r"transformations\[0\].query: a column has another type in another batch"):
        apply("SELECT * FROM input", batch({"id": [1]}), batch({"id": ["x"]}), over="load")


def test_a_value_that_the_type_of_another_file_cannot_hold_is_an_error():
    with pytest.raises(DataError, match=r"query: a value does not fit the type that its column has in another batch"):
        apply("SELECT * FROM input", batch({"id": [2**60 + 1]}), batch({"id": [0.5]}), over="load")


def test_columns_keep_their_types():
    schema = pa.schema([
        ("s", pa.string()), ("l", pa.large_string()), ("v", pa.string_view()), ("b", pa.binary(2)), ("d", pa.decimal128(9, 2)),
        ("t", pa.timestamp("s", "Europe/Stockholm")), ("z", pa.time32("s")), ("n", pa.null()), ("o", pa.list_(pa.struct([("x", pa.int8())]))),
        ("u", pa.uint64()), ("day", pa.date32()), ("k", pa.dictionary(pa.int8(), pa.string())), ("m", pa.date64()),
    ])  # fmt: skip
    records = pa.RecordBatch.from_arrays([pa.nulls(2, field.type) for field in schema], schema=schema)
    expected = schema.set(schema.get_field_index("k"), pa.field("k", pa.string()))
    for over in ("batch", "load"):
        done = apply("SELECT * FROM input", Batch(records, Origin("f")), over=over)
        assert {one.records.schema for one in done} == {expected}


def test_new_columns_have_types_that_do_not_depend_on_values():
    query = "SELECT shop || 'x' AS s, string_to_array(shop, ',') AS l, price / 2 AS p, id = 1 AS one FROM input"
    schema = pa.schema([("s", pa.string()), ("l", pa.list_(pa.string())), ("p", pa.float64()), ("one", pa.bool_())])
    (full,) = apply(query, batch(ORDERS))
    (empty,) = apply(query, Batch(pa.record_batch(ORDERS).slice(0, 0), Origin("f")))
    assert full.records.schema == empty.records.schema == schema


@pytest.mark.parametrize("over", ["batch", "load"])
def test_a_query_keeps_the_contract_of_transformers(over):
    query = "SELECT id, price * 2 AS twice FROM input WHERE price > 2"
    config = {"transformations": [{"sql": {"query": query, "over": over}}]}
    done = check_transformer(BaseTransformer.model_validate(config), [batch(ORDERS), batch(ORDERS, first=9)])
    assert len(rows(done)) == 4


# what a query may not do

CANARY = "the canary of the queries"
REFUSED = [
    "SELECT * FROM read_csv('{file}')",
    "select * from Read_Csv ('{file}')",
    'SELECT * FROM "read_csv"(\'{file}\')',
    "SELECT * FROM `read_csv`('{file}')",
    "SELECT * FROM read_csv\n('{file}')",
    "SELECT * FROM read_csv/**/('{file}')",
    "SELECT * FROM read_csv -- x\n('{file}')",
    "SELECT * FROM read_csv\u00a0('{file}')",
    "SELECT * FROM read_csv\u200b('{file}')",
    "SELECT * FROM ead_csv('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_ndjson('{file}')",
    "SELECT * FROM read_ipc('{file}')",
    "SELECT * FROM scan_csv('{file}')",
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM input, read_csv('{file}') AS r",
    "SELECT * FROM input JOIN read_csv('{file}') AS r ON true",
    "SELECT * FROM input CROSS JOIN read_csv('{file}')",
    "SELECT * FROM (SELECT * FROM read_csv('{file}')) AS t",
    "SELECT * FROM TABLE(read_csv('{file}'))",
    "SELECT * FROM input, LATERAL read_csv('{file}') AS r",
    "WITH c AS (SELECT * FROM read_csv('{file}')) SELECT * FROM c",
    "WITH c AS (SELECT * FROM read_csv('{file}')) SELECT id FROM input",
    "SELECT id FROM input WHERE shop IN (SELECT column_1 FROM read_csv('{file}'))",
    "SELECT (SELECT column_1 FROM read_csv('{file}')) AS x FROM input",
    "SELECT id FROM input WHERE EXISTS (SELECT 1 FROM read_csv('{file}'))",
    "SELECT id FROM input UNION ALL SELECT column_1 FROM read_csv('{file}')",
    "SELECT 'a\\' FROM read_csv('{file}') --' FROM input",
    "SELECT E'\\' , id FROM input',* FROM read_csv('{file}')",
    "SELECT $$'$$, * FROM read_csv('{file}') -- ' FROM input",
    "SELECT $x$'$x$, * FROM read_csv('{file}') -- ' FROM input",
    "SELECT id FROM input; SELECT * FROM read_csv('{file}')",
    "FROM read_csv('{file}')",
    "FROM input",
    "TABLE input",
    "VALUES (1)",
    "(SELECT id FROM input)",
    "SELECT 1",
    "",
    "DROP TABLE input",
    "CREATE TABLE t AS SELECT * FROM input",
    "TRUNCATE TABLE input",
    "DELETE FROM input WHERE id = 1",
    "WITH c AS (SELECT id FROM input) DELETE FROM input",
    "INSERT INTO input VALUES (1)",
    "UPDATE input SET id = 1",
    "SHOW TABLES",
    "EXPLAIN SELECT * FROM input",
    "COPY input TO '{file}'",
    "SELECT id INTO t FROM input",
    "SELECT * FROM (VALUES (1)) AS t",
    "SELECT * FROM unnest([1]) AS t(x)",
    "SELECT unnest(shop) AS x FROM input",
    "WITH RECURSIVE r AS (SELECT id FROM input) SELECT * FROM r",
    "SELECT * FROM other",
    "SELECT * FROM input JOIN other ON true",
    "SELECT now() AS n FROM input",
    "SELECT current_timestamp AS n FROM input",
    "SELECT random() AS n FROM input",
    "SELECT generate_series(1, 1000000000) AS n FROM input",
    "SELECT reaſt(id) AS n FROM input",
    "SELECT id FRM input",
    "SELECT FROM input WHERE",
    "SELECT * FROM input" + " " * 30_000,
    "SELECT " + "'x' || " * 1000 + "shop AS s FROM input",
    "SELECT id FROM input WHERE " + "id = 1 OR " * 1000 + "id = 2",
    "SELECT CASE " + "WHEN true THEN 1 " * 1000 + "END AS x FROM input",
    "SELECT " + "NOT " * 1000 + "true AS x FROM input",
    "SELECT id FROM input" + " UNION ALL SELECT id FROM input" * 100,
    "WITH c0 AS (SELECT id FROM input)" + "".join(f", c{n} AS (SELECT x.id FROM c{n - 1} AS x, c{n - 1} AS y)" for n in range(1, 40)) + " SELECT id FROM c39",
    "WITH c0 AS (SELECT id FROM input)" + "".join(f", c{n} AS (SELECT x.id FROM (c{n - 1}) AS x JOIN (c{n - 1}) AS y ON x.id = y.id)" for n in range(1, 40)) + " SELECT id FROM c39",
]  # fmt: skip


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary.csv"
    path.write_text(f"column_1\n{CANARY}\n")
    return str(path)


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_not_a_select_over_input_is_refused_when_the_job_is_loaded(query, canary):
    for over in ("batch", "load"):
        with pytest.raises(ValidationError) as refused:
            Sql.model_validate({"query": query.replace("{file}", canary), "over": over})
        assert CANARY not in str(refused.value)


@pytest.mark.parametrize("query", [
    "SELECT * FROM read_csv('{file}')",
    "SELECT id FROM input WHERE shop IN (SELECT column_1 FROM read_csv('{file}'))",
    "SELECT id FROM input UNION ALL SELECT column_1 AS id FROM read_csv('{file}')",
])  # fmt: skip
def test_a_plan_that_reads_a_file_is_refused_even_if_its_words_were_not(query, canary):
    made = result(query.replace("{file}", canary), pl.LazyFrame({"id": ["1"], "shop": ["a"]}))
    with pytest.raises(ConfigError, match=r"transformations\[0\]: the query would read something else than input"):
        no_scan(made, PLACE)


def test_columns_may_be_called_like_what_is_refused():
    columns = {"read_csv": [1], "table": ["x"], "Csv SCAN [x]": [2]}
    query = 'SELECT read_csv, "table", "Csv SCAN [x]" FROM input'
    assert rows(apply(query, batch(columns))) == [{"read_csv": 1, "table": "x", "Csv SCAN [x]": 2}]


WORDS = st.sampled_from([
    "SELECT", "select", "FROM", "input", "read_csv", "READ_CSV", "(", ")", "'{file}'", '"{file}"', "*", ",", "WITH", "c", "AS", "WHERE", "IN", "UNION",
    "ALL", "JOIN", "ON", "id", "'", '"', "--", "/*", "*/", "\n", ";", "\\", "E", "$$", "`", "TABLE", "LATERAL", "EXISTS", "=", "1", "count(*)", "shop", ".",
    "CROSS JOIN", "SELECT * FROM", "read_csv('{file}')", "(SELECT", "id FROM input", "t", "upper(", "\u00a0", "''", "ORDER BY", "[", "]", "::", "EXTRACT(year FROM",
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=14), st.lists(st.sampled_from(["", " "]), min_size=14, max_size=14))
def test_no_query_that_is_accepted_reads_a_file(words, blanks):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(f"id,shop\n7,{CANARY}\n")
        file.flush()
        text = "SELECT " + "".join(w + b for w, b in zip(words, blanks, strict=False)).replace("{file}", file.name)
        try:
            query = Query.parse(text)
        except ValueError:
            return
        given_schema = pa.schema([("id", pa.int64()), ("shop", pa.string())])
        try:
            result_schema(query, given_schema, PLACE)
            found = str(result(query.text, pl.LazyFrame({"id": [1], "shop": ["a"]})).collect().to_dict(as_series=False))
        except (ConfigError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            found = str(error)
        assert CANARY not in found


@pytest.mark.parametrize("expression", [
    "CAST(shop AS DATE)", "TRY_CAST(shop AS date)", "cast(upper(shop) AS TIMESTAMP)", "shop::date", "(shop)::timestamp", "TRY_CAST(shop AS TIME)",
    "TRY_CAST(date_trunc('day', id) || shop AS DATE)", "TRY_CAST(coalesce(shop, '') AS DATETIME)", 'CAST(shop AS "DATE")', "CAST(CAST(shop AS TEXT) AS DATE)",
    "TRY_CAST(strptime(shop, '%Y') || (shop) AS DATE)", "date(shop)", "timestamp(shop)", "datetime(shop)", "time(shop)", "CAST(shop AS TIMESTAMP WITH TIME ZONE)",
])  # fmt: skip
def test_a_cast_that_guesses_the_format_by_the_neighbours_is_refused(expression):
    for over in ("batch", "load"):
        with pytest.raises(ValidationError, match=r"would guess how a text is written|there is no function"):
            Sql.model_validate({"query": f"SELECT {expression} AS x FROM input", "over": over})


def test_dates_are_made_by_their_format_and_of_times():
    columns = {"s": ["2024-01-31 10:00"], "t": pa.array([1706700000], pa.timestamp("s"))}
    time = "strptime(s, '%Y-%m-%d %H:%M')"
    query = f"SELECT {time} AS a, CAST({time} AS DATE) AS b, CAST(date_trunc('day', t) AS DATE) AS c, CAST(t AS TEXT) AS date, s::text AS e FROM input"
    (made,) = rows(apply(query, batch(columns)))
    assert (made["a"].isoformat(), str(made["b"]), str(made["c"])) == (
        "2024-01-31T10:00:00",
        "2024-01-31",
        "2024-01-31",
    )


@pytest.mark.parametrize(("query", "word"), [
    ("SELECT count(*) AS n FROM input", "count"),
    ("SELECT shop FROM input GROUP BY shop", "GROUP"),
    ("SELECT DISTINCT shop FROM input", "DISTINCT"),
    ("SELECT DIſTINCT shop FROM input", "DIſTINCT"),
    ("SELECT id FROM input ORDER BY id", "ORDER"),
    ("SELECT id FROM input LIMIT 1", "LIMIT"),
    ("SELECT id FROM input OFFSET 1", "OFFSET"),
    ("SELECT id FROM input FETCH FIRST 1 ROWS ONLY", "FETCH"),
    ("SELECT rank() OVER (ORDER BY id) AS r FROM input", "rank"),
    ("SELECT sum(id) OVER () AS r FROM input", "sum"),
    ("SELECT last_value(id) AS r FROM input", "last_value"),
    ("SELECT a.id FROM input AS a JOIN input AS b ON a.id = b.id", "JOIN"),
    ("SELECT a.id FROM input AS a, input AS b", ","),
    ("SELECT id FROM input UNION ALL SELECT id FROM input", "UNION"),
    ("SELECT id FROM input EXCEPT SELECT id FROM input", "EXCEPT"),
    ("SELECT id FROM input WHERE id IN (SELECT id FROM input)", "SELECT"),
    ("SELECT (SELECT id FROM input) AS n FROM input", "SELECT"),
    ("WITH c AS (SELECT id FROM input) SELECT id FROM c", "WITH"),
    ("WITH c AS (SELECT id FROM input) (SELECT id FROM c)", "WITH"),
    ("SELECT id FROM input QUALIFY id = 1", "QUALIFY"),
])  # fmt: skip
def test_a_query_whose_result_depends_on_the_cut_needs_the_load(query, word):
    with pytest.raises(ValidationError) as refused:
        Sql.model_validate({"query": query})
    assert f"{word!r} needs all rows, but a query sees one batch after the other" in str(refused.value)
    assert "say over: load" in str(refused.value)
    assert Sql.model_validate({"query": query, "over": "load"}).holds_rows


def test_placeholders_wait(monkeypatch):
    written = {"type": "sql", "query": "SELECT id FROM input WHERE shop = '${SHOP}'", "over": "${OVER}"}
    found = Sql.model_validate(written)
    assert found.as_written() == written
    monkeypatch.setenv("SHOP", "a")
    monkeypatch.setenv("OVER", "batch")
    assert found.resolved().query == "SELECT id FROM input WHERE shop = 'a'"
    monkeypatch.setenv("SHOP", "' UNION SELECT * FROM read_csv('/etc/passwd') WHERE 'a' = '")
    with pytest.raises(ValidationError, match="there is no function read_csv"):
        found.resolved()


# errors


@pytest.mark.parametrize("over", ["batch", "load"])
@pytest.mark.parametrize(("query", "sentence"), [
    ("SELECT prices FROM input", "the source has no column 'prices'; did you mean 'price'?"),
    ("SELECT id + shop AS x FROM input", "arithmetic on dtypes i64 and str is not allowed"),
    ("SELECT id, id FROM input", "duplicate output name 'id'"),
    ("SELECT id FROM input WHERE price", "filter"),
    ("SELECT input.nix FROM input", "nix"),
])  # fmt: skip
def test_a_query_that_does_not_fit_the_columns_is_an_error_of_the_job(query, sentence, over):
    with pytest.raises(ConfigError, match=r"^transformer.transformations\[0\].query: ") as refused:
        apply(query, batch(ORDERS), over=over)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(("over", "where"), [
    ("batch", "in a batch that begins at f.csv:10"),
    ("load", "among 4 rows of f.csv"),
])  # fmt: skip
def test_a_value_that_a_query_cannot_cast_is_named_unless_the_job_masks_columns(over, where):
    query = "SELECT CAST(shop AS INT) AS n FROM input"
    with pytest.raises(DataError) as failed:
        apply(query, batch(ORDERS, first=10), over=over)
    assert "transformer.transformations[0].query: conversion from `str` to `i32` failed" in str(failed.value)
    assert '["a", "b"' in str(failed.value)
    assert where in str(failed.value)
    with pytest.raises(DataError) as hidden:
        apply(query, batch(ORDERS, first=10), over=over, place=PLACE._replace(hidden=frozenset(["id"])))
    assert '"a"' not in str(hidden.value)
    assert where in str(hidden.value)
    assert hidden.value.__cause__ is None


@pytest.mark.parametrize("over", ["batch", "load"])
def test_dates_outside_of_the_calendar_are_an_error_before_anything_lands(over):
    last = pa.array([2_932_896], pa.int32())
    given = batch({"d": last.cast(pa.date32()), "t": pa.array([253_402_300_799_999_999], pa.timestamp("us"))})
    for query in ("SELECT d + INTERVAL '1d' AS u FROM input", "SELECT t + INTERVAL '1us' AS u FROM input"):
        with pytest.raises(DataError, match=r"query: column 'u': the result is outside of the years 1 to 9999"):
            apply(query, given, over=over)
    assert rows(apply("SELECT d + INTERVAL '0d' AS u FROM input", given, over=over))


def test_a_column_that_polars_cannot_hold_is_named():
    months = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    with pytest.raises(ConfigError, match=r"column 'm' is of type month_day_nano_interval, which polars cannot hold"):
        apply("SELECT m FROM input", batch({"m": months}))


def test_a_full_disk_is_worth_another_run():
    with closing(Held(PLACE)) as held:
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, held._spool._file.fileno())  # each write now fails as on a full disk
        os.close(full)
        with pytest.raises(
            TransientError, match=r"rows wait in the temporary folder.*No space left on device"
        ) as failed:
            held.add(pa.record_batch({"id": list(range(100_000))}))
    assert isinstance(failed.value.__cause__, OSError)


def test_a_disk_that_gives_nothing_back_is_worth_another_run():
    with closing(Held(PLACE)) as held:
        held.add(pa.record_batch({"id": [1, 2]}))
        made = held.frame()
        unreadable = os.open(os.devnull, os.O_WRONLY)
        os.dup2(unreadable, held._spool._file.fileno())
        os.close(unreadable)
        with pytest.raises(TransientError, match=r"transformations.* rows wait in the temporary folder.*Bad file desc"):
            list(held.results(made))


def test_a_query_that_is_left_early_leaves_no_source_open():
    (step,) = steps("SELECT id FROM input", "load")
    big = batch({"id": pa.array(range(200_000))})
    stream = step.apply(iter([big] * 5))
    while not next(stream).records.num_rows:
        pass
    opened = len(list(Path("/proc/self/fd").iterdir()))
    stream.close()
    assert len(list(Path("/proc/self/fd").iterdir())) < opened - 1  # the file, and that of its reader


PAD = "lpad(shop, 1000, 'x')"
FOUR_TIMES = "(SELECT shop || shop || shop || shop AS shop FROM {})"
GROWING = ", ".join(
    f"{name} AS {FOUR_TIMES.format(of)}" for name, of in {"a": "input", "b": "a", "c": "b", "d": "c", "e": "d"}.items()
)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT lpad(shop, 100000000, 'x') FROM input", "a length from 0 to 1000 as it is written"),
        ("SELECT rpad(shop, id, 'x') FROM input", "a length from 0 to 1000 as it is written"),
        ("SELECT replace(shop, 'a', other) FROM input", "puts in a text as it is written"),
        ("SELECT array_to_string(string_to_array(shop, ''), other) FROM input", "puts in a text as it is written"),
        (f"SELECT replace(replace(shop, 'a', '{'a' * 100}'), 'a', '{'a' * 100}') FROM input", "1000 times as long"),
        (f"SELECT {PAD} || {PAD} FROM input", "1000 times as long"),
        (f"SELECT {' || '.join(['shop'] * 150)} || replace(shop, 'a', 'abcdefgh') FROM input", "1000 times as long"),
        (f"WITH {GROWING} SELECT * FROM e", "1000 times as long"),
        (f"SELECT {'concat(' * 201}shop{')' * 201} FROM input", "more than 200 times"),
    ],
)  # fmt: skip
def test_a_query_that_could_make_texts_of_any_length_is_refused(query, problem):
    with pytest.raises(ValidationError, match=problem):
        Sql(query=query, over="load")


def test_a_query_may_replace_columns_and_join_a_few_texts():
    Sql(query="SELECT * REPLACE (upper(shop) AS shop) FROM input")
    Sql(
        query="SELECT concat_ws(', ', shop, city, replace(country, 'a', 'b')) AS place, lpad(zip, 5, '0') AS zip FROM input"
    )


def test_long_texts_are_made_of_few_rows_at_a_time_and_of_no_row_that_is_too_large():
    (step,) = Sql(query=f"SELECT concat(shop, {PAD}, shop) AS shop FROM input").steps(PLACE)
    found = list(step.apply(iter([batch({"shop": [str(n) for n in range(20_000)]})])))
    assert len(found) > 3
    assert [text[-1] for part in found for text in part.records["shop"].to_pylist()] == [
        str(n)[-1] for n in range(20_000)
    ]
    with pytest.raises(DataError, match=r"the texts of the row at .*:2 could take .* MiB, which is more than one row"):
        list(step.apply(iter([batch({"shop": ["a", "b" * (20 << 20)]})])))


_LARGE = """
import resource, sys
import pyarrow as pa
from ingestion.plugins import Batch, Origin
from ingestion.transformers.transformations.shape import Place
from ingestion.transformers.transformations.sql import Sql

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def batches():
    shops = pa.array([f"shop number {n % 1000}, somewhere in the country" for n in range(50_000)])
    for number in range(60):
        ids = pa.array(range(number * 50_000, (number + 1) * 50_000))
        yield Batch(pa.record_batch({"id": ids, "shop": shops}), Origin("f", number))

def run(stream):
    query = "SELECT shop, count(*) AS n FROM input GROUP BY shop"
    (step,) = Sql(query=query, over="load").steps(Place("transformer"))
    assert sum(done.records.num_rows for done in step.apply(stream)) == 1000
    return peak()

few = run((batch for batch, _ in zip(batches(), range(6))))
print(few, run(batches()))
"""


def test_a_load_that_is_queried_is_not_in_memory():
    done = subprocess.run([sys.executable, "-c", _LARGE], capture_output=True, text=True, timeout=120, check=True)
    few, all_rows = map(int, done.stdout.split())
    assert all_rows - few < 60, "3 million rows of 56 bytes took as many megabytes more than a tenth of them"


# in a job


def sales(project, query, **transformer):
    steps = [{"sql": {"query": query, "over": "load"}}]
    project.job("sales", {
        "source": {"type": "csv", "source_path": "in"},
        "transformer": {"numeric_columns": ["price"], "transformations": steps, **transformer},
        "loader": {"type": "iceberg", "write_mode": "append"},
        "max_bad_ratio": 1.0,
    })  # fmt: skip


def test_each_run_queries_what_is_new_and_its_rows_balance(project):
    sales(project, "SELECT shop, sum(price) AS total, count(*) AS n FROM input GROUP BY shop ORDER BY shop")
    project.file("in/1.csv", "shop,price\na,1.5\nb,2\na,x\na,3\n")
    project.file("in/2.csv", "shop,price\na,10\n")
    first = run(load_job("sales"), "run-1")
    assert (first.rows_read, first.rows_loaded, first.rows_quarantined, first.removed) == (5, 2, 1, {"sql": 2})
    project.file("in/3.csv", "shop,price\nb,7\n")
    second = run(load_job("sales"), "run-2")
    assert (second.rows_read, second.rows_loaded, second.removed) == (1, 1, {})
    idle = run(load_job("sales"), "run-3")
    assert (idle.rows_read, idle.rows_loaded, idle.snapshot) == (0, 0, None)
    table = (
        project.table("default.sales")
        .select(["shop", "total", "n"])
        .sort_by([("n", "descending"), ("total", "ascending")])
    )
    assert table.to_pylist() == [
        {"shop": "a", "total": 14.5, "n": 3},
        {"shop": "b", "total": 2.0, "n": 1},
        {"shop": "b", "total": 7.0, "n": 1},
    ]


def test_a_row_made_of_several_is_quarantined_as_it_was_made(project):
    rule = {"column": "total", "rule": "between", "min": 0, "max": 10}
    query = "SELECT shop, sum(price) AS total FROM input GROUP BY shop"
    sales(project, query, validation=[rule])
    project.file("in/1.csv", "shop,price\na,1\nb,20\nb,1\n")
    report = run(load_job("sales"), "run-1")
    assert (report.rows_read, report.rows_loaded, report.rows_quarantined, report.removed) == (3, 1, 1, {"sql": 1})
    (row,) = project.table("default.sales__quarantine").to_pylist()
    assert (row["column"], row["position"], row["payload_schema"]) == ("total", None, None)
    assert row["payload"] == '{"shop":"b","total":21.0}'


def test_a_query_that_fails_loads_nothing(project):
    sales(project, "SELECT shop, CAST(shop AS INT) AS n FROM input")
    project.file("in/1.csv", "shop,price\na,1\n")
    with pytest.raises(
        DataError, match=r"transformer.transformations\[0\].query: conversion from `str` to `i32` failed"
    ):
        run(load_job("sales"), "run-1")
    with pytest.raises(NoSuchTableError):
        project.table("default.sales")


@pytest.mark.parametrize(("expression", "advice"), [
    ("strptime(a, '%Y-%m-%d')", "with transformer.date_columns"), ("CAST(a AS BIGINT)", "or use TRY_CAST"),
])  # fmt: skip
def test_a_value_that_does_not_fit_comes_with_advice_that_is_not_refused(expression, advice):
    config = {"transformations": [{"sql": f"SELECT {expression} AS d FROM input"}]}
    with pytest.raises(DataError, match=advice):
        list(
            BaseTransformer.model_validate(config).apply(iter([Batch(pa.record_batch({"a": ["x"]}), Origin("f.csv"))]))
        )
