"""Merging into PostgreSQL: one row per key, and nothing is touched that need not be."""

import random
import uuid
from datetime import date
from decimal import Decimal
from itertools import count

import pyarrow as pa
import pytest

from ingestion.errors import DataError
from ingestion_tests.postgres_support import Database, batch, land


@pytest.fixture
def database(postgres_server):
    return Database(postgres_server.fresh_database())


@pytest.fixture
def loader(database):
    return database.loader(write_mode="merge", merge_keys="n")


def pairs(database, columns="n, v"):
    return sorted(database.ask(f'SELECT {columns} FROM "default".t'), key=repr)


def test_rows_take_the_place_of_those_with_their_key(database, loader):
    first = land(loader, [batch({"n": [1, 2], "v": ["a", "b"]})])
    second = land(loader, [batch({"n": [2, 3], "v": ["B", "c"]})])
    assert pairs(database) == [(1, "a"), (2, "B"), (3, "c")]
    assert first.changes == {"inserted": 2, "updated": 0, "unchanged": 0, "deleted": 0}
    assert second.changes == {"inserted": 1, "updated": 1, "unchanged": 0, "deleted": 0}
    assert (second.rows, second.removed) == (2, {})


def test_equal_rows_are_not_written_again(database, loader):
    rows = {"n": [1, 2], "v": ["a", None], "f": [float("nan"), 1.0], "j": pa.array([{"a": 1}, {"a": None}])}
    land(loader, [batch(rows)], run_id="r1")
    before = database.ask('SELECT n, xmin, ctid, _ingestion_run_id FROM "default".t ORDER BY n')
    result = land(loader, [batch(rows, cursor=5)], run_id="r2")
    assert result.changes == {"inserted": 0, "updated": 0, "unchanged": 2, "deleted": 0}
    assert database.ask('SELECT n, xmin, ctid, _ingestion_run_id FROM "default".t ORDER BY n') == before
    assert loader.state("a").cursor == 5


def test_a_column_that_the_data_lacks_is_null_in_replaced_rows_unless_the_server_fills_it(database, loader):
    database.ask(
        'CREATE SCHEMA "default"; CREATE TABLE "default".t (id bigint GENERATED ALWAYS AS IDENTITY, n bigint UNIQUE, '
        "v text, w text, twice bigint GENERATED ALWAYS AS (n * 2) STORED);"
        "INSERT INTO \"default\".t (n, v, w) VALUES (1, 'a', 'x'), (2, 'b', 'y')"
    )
    land(loader, [batch({"n": [1], "v": ["A"]})])
    assert pairs(database, "id, n, v, w, twice") == [(1, 1, "A", None, 2), (2, 2, "b", "y", 4)]


def test_the_later_source_wins_and_within_one_equal_rows_are_one(database, loader):
    result = land(
        loader,
        [
            batch({"n": [1, 1, 2], "v": ["a", "a", "b"]}, source="one"),
            batch({"n": [1, 3], "v": ["A", "c"]}, source="two"),
        ],
    )
    assert pairs(database) == [(1, "A"), (2, "b"), (3, "c")]
    assert (result.rows, result.removed) == (3, {"older row of the same key": 2})


def test_a_key_twice_in_one_source_with_other_values_fails_the_run(database, loader):
    with pytest.raises(DataError, match=r"n=1.*twice in one.*loader.order_by"):
        land(loader, [batch({"n": [1, 2], "v": ["a", "b"]}, source="one"), batch({"n": [1], "v": ["x"]}, source="one")])
    assert database.ask("SELECT 1 FROM pg_class WHERE relname = 't'") == []


def test_the_greatest_order_wins_in_the_data_and_against_the_table(database):
    loader = database.loader(write_mode="merge", merge_keys="n", order_by=["o", "p"])
    data = {"n": [1, 1, 1, 2, 2], "o": [1, 3, None, 5, 5], "p": ["a", "b", "c", "B", "a"], "v": [1, 2, 3, 4, 5]}
    result = land(loader, [batch(data)])
    assert pairs(database) == [(1, 2), (2, 5)]
    assert result.removed == {"older row of the same key": 3}
    result = land(loader, [batch({"n": [1, 2, 3], "o": [3, 5, None], "p": [None, "a", None], "v": [7, 8, 9]})])
    assert pairs(database) == [(1, 2), (2, 8), (3, 9)]
    assert result.removed == {"older row of the same key": 1}
    assert result.changes == {"inserted": 1, "updated": 1, "unchanged": 0, "deleted": 0}
    assert result.rows == 2


def test_texts_are_ordered_by_their_bytes_whatever_the_collation(postgres_server):
    name = f"t{uuid.uuid4().hex[:12]}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
    database = Database(postgres_server.url(name))
    loader = database.loader(write_mode="merge", merge_keys="n", order_by="o")
    land(loader, [batch({"n": [1, 1, 2], "o": ["a", "B", "a"], "v": [1, 2, 3]})])
    assert land(loader, [batch({"n": [2], "o": ["B"], "v": [4]})]).removed == {"older row of the same key": 1}
    assert pairs(database) == [(1, 1), (2, 3)]


def test_rows_that_delete_do_so_unless_they_are_older(database):
    loader = database.loader(write_mode="merge", merge_keys="n", order_by="o", delete_column="gone")
    land(loader, [batch({"n": [1, 2, 3], "o": [1, 9, 1], "gone": [False, None, False]})])
    result = land(loader, [batch({"n": [1, 2, 4, 5], "o": [2, 2, 2, 2], "gone": [True, True, True, False]})])
    assert pairs(database, "n, o") == [(2, 9), (3, 1), (5, 2)]
    assert result.changes == {"deleted": 1, "inserted": 1, "updated": 0, "unchanged": 0}
    assert (result.rows, result.removed) == (3, {"older row of the same key": 1})


def test_any_date_deletes(database):
    loader = database.loader(write_mode="merge", merge_keys="n", delete_column="at")
    land(loader, [batch({"n": [1, 2], "at": pa.array([None, None], pa.date32())})])
    land(loader, [batch({"n": [1], "at": [date(2020, 1, 1)]})])
    assert pairs(database, "n") == [(2,)]


@pytest.mark.parametrize("how", ["hard", "soft"])
def test_what_a_full_load_lacks_is_missing(database, how):
    loader = database.loader(write_mode="merge", merge_keys="n", delete_missing=how)
    land(loader, [batch({"n": [1, 2, 3], "v": [1, 2, 3]})])
    result = land(loader, [batch({"n": [1], "v": [1]})])
    assert result.changes == {"inserted": 0, "updated": 0, "unchanged": 1, "deleted": 0, "missing": 2}
    if how == "hard":
        assert pairs(database, "n") == [(1,)]
    else:
        assert pairs(database, "n, _deleted_at IS NULL") == [(1, True), (2, False), (3, False)]
        assert land(loader, [batch({"n": [1], "v": [1]})]).changes["missing"] == 0
        assert land(loader, [batch({"n": [1, 2], "v": [1, 2]})]).changes["updated"] == 1
        assert pairs(database, "n, _deleted_at IS NULL") == [(1, True), (2, True), (3, False)]
    with pytest.raises(DataError, match="allow_empty"):
        land(loader, [])
    land(database.loader(write_mode="merge", merge_keys="n", delete_missing=how, allow_empty=True), [])
    assert pairs(database, "n" if how == "hard" else "n, _deleted_at IS NULL")[:1] == (
        [] if how == "hard" else [(1, False)]
    )


def test_a_row_of_the_table_may_be_left_as_it_is(database):
    loader = database.loader(write_mode="merge", merge_keys="n", on_conflict="nothing")
    land(loader, [batch({"n": [1], "v": ["a"]})])
    result = land(loader, [batch({"n": [1, 2], "v": ["A", "b"]})])
    assert pairs(database) == [(1, "a"), (2, "b")]
    assert result.changes == {"inserted": 1, "updated": 0, "unchanged": 1, "deleted": 0}


def test_an_overwrite_with_keys_loads_one_row_of_each(database):
    loader = database.loader(write_mode="overwrite", merge_keys="n", order_by="o", delete_column="gone")
    land(loader, [batch({"n": [9], "o": [1], "gone": [False]})])
    result = land(loader, [batch({"n": [1, 1, 2], "o": [1, 2, 1], "gone": [False, False, True]})])
    assert pairs(database, "n, o") == [(1, 2)]
    assert (result.rows, result.removed, result.changes) == (2, {"older row of the same key": 1}, {})


def test_the_index_that_a_merge_needs_is_made_once(database, loader):
    land(database.loader(), [batch({"n": [1, 2], "v": ["a", "b"]})])
    land(loader, [batch({"n": [1], "v": ["A"]})])
    land(loader, [batch({"n": [1], "v": ["B"]})])
    assert database.ask("SELECT count(*) FROM pg_indexes WHERE tablename = 't'") == [(1,)]


def test_a_table_with_a_key_twice_is_not_merged_into(database, loader):
    land(database.loader(), [batch({"n": [1, 1]})])
    with pytest.raises(DataError, match="several rows with the same n"):
        land(loader, [batch({"n": [1]})])


KEYS = [
    pa.array(["a", "B", "ä"]),
    pa.array([Decimal("1.10"), Decimal("1.20"), Decimal("-1.10")]),
    pa.array([date(1, 1, 1), date(2020, 1, 1), date(2021, 1, 1)]),
    pa.array([bytes(15) + b"%d" % number for number in range(3)], pa.uuid()),
    pa.array([b"\0", b"\1", b""]),
    pa.array([1.5, float("nan"), float("inf")]),
    pa.array([True, False, True]),
]


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: str(keys.type))
def test_keys_of_any_type_and_of_several_columns(database, keys):
    loader = database.loader(write_mode="merge", merge_keys=["k", "l"])
    numbers = pa.array([1, 1, 2], pa.int32())
    land(loader, [batch({"k": keys, "l": numbers, "v": [1, 2, 3]})])
    result = land(loader, [batch({"k": keys, "l": numbers, "v": [1, 5, 6]})])
    assert result.changes == {"inserted": 0, "updated": 2, "unchanged": 1, "deleted": 0}
    assert sorted(database.table().column("v").to_pylist()) == [1, 5, 6]


def test_columns_change_in_the_midst_of_a_merge(database, loader):
    land(loader, [batch({"n": pa.array([1, 2], pa.int16()), "v": ["a", "b"]})])
    result = land(
        loader,
        [
            batch({"n": pa.array([1], pa.int16()), "v": ["A"]}, source="1"),
            batch({"n": pa.array([2**40]), "v": ["c"], "w": [1.5]}, source="2"),
        ],
    )
    assert pairs(database, "n, v, w") == [(1, "A", None), (1099511627776, "c", 1.5), (2, "b", None)]
    assert result.added == ("w",)


def test_a_partitioned_table_is_merged_into(database, loader):
    database.ask(
        'CREATE SCHEMA "default"; CREATE TABLE "default".t (n bigint PRIMARY KEY, v text) PARTITION BY RANGE (n);'
        'CREATE TABLE "default".low PARTITION OF "default".t FOR VALUES FROM (0) TO (10);'
        'CREATE TABLE "default".high PARTITION OF "default".t FOR VALUES FROM (10) TO (20)'
    )
    land(loader, [batch({"n": [1, 11], "v": ["a", "b"]})])
    result = land(loader, [batch({"n": [1, 11, 12], "v": ["a", "B", "c"]})])
    assert pairs(database) == [(1, "a"), (11, "B"), (12, "c")]
    assert result.changes == {"inserted": 1, "updated": 1, "unchanged": 1, "deleted": 0}
    with pytest.raises(DataError, match="no partition"):
        land(loader, [batch({"n": [99], "v": ["x"]})])


def test_random_merges_equal_a_model(database):
    """Sources in turn, with orders, deletions and rows that come twice."""
    rng = random.Random(7)
    loader = database.loader(write_mode="merge", merge_keys="n", order_by="o", delete_column="gone")
    model: dict[int, tuple[int, int]] = {}
    values = count()
    for _ in range(12):
        batches, best = [], {}
        for source in range(3):
            rows = [(rng.randrange(40), rng.randrange(6), next(values), rng.random() < 0.2) for _ in range(15)]
            batches.append(batch({name: [row[at] for row in rows] for at, name in enumerate(("n", "o", "v", "gone"))}))
            for key, order, value, gone in rows:
                if key not in best or order >= best[key][0]:
                    best[key] = (order, value, gone)
            del source
        older = 45 - len(best)
        for key, (order, value, gone) in best.items():
            if key in model and model[key][0] > order:
                older += 1
            elif gone:
                model.pop(key, None)
            else:
                model[key] = (order, value)
        result = land(loader, batches)
        assert result.rows == 45 - older
        assert pairs(database, "n, o, v") == sorted(((key, *row) for key, row in model.items()), key=repr)
