"""Rejected rows beside each target: which of them count, what brings them anew, and that none is lost or doubled."""

import json
import uuid

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import DataError, Superseded
from ingestion.loaders.tables.rejected import QUARANTINED, Stamp
from ingestion.loaders.tables.replayed import Ids
from ingestion.plugins import Batch, Load, Origin, State
from ingestion.quarantine import concat, reject
from ingestion_tests.targets import LATE, at_once, batch, land, listed, numbers, replay
from ingestion_tests.test_behaviour import EVERYWHERE, MOMENTS, killed, somewhere, target

__all__ = ["target"]  # the fixture

ONE_OF_EACH = ["iceberg-sqlite-local", "delta-local", "postgres"]


def positions(loader, job="a"):
    return [row["position"] for row in listed(loader, job)]


def marks(target):
    return [row["replays"] for row in target.table("__quarantine").to_pylist() if row["replays"] is not None]


# what is listed


@somewhere()
def test_rows_are_listed_with_ids_that_say_which_load_rejected_them(target):
    loader = target.loader()
    assert list(loader.quarantined("a")) == []
    load_id = uuid.uuid4().hex
    loader.load(Load("a", "r1", load_id, loader.state("a"), "hash"), iter(numbers(0, 300)))
    assert [batch.schema for batch in loader.quarantined("a")] == [QUARANTINED]
    rows = listed(loader)
    assert [row["id"] for row in rows] == [f"{load_id}-{number}" for number in (1, 2, 3)]
    assert [row["position"] for row in rows] == [LATE, LATE + 100, LATE + 200]
    same = {"load_id": load_id, "run_id": "r1", "job": "a", "config_hash": "hash", "source": "f.csv", "part": None}
    assert all({**row, **same} == row for row in rows)
    assert all(row["quarantined_at"].utcoffset().total_seconds() == 0 for row in rows)


@somewhere(ONE_OF_EACH)
def test_rows_of_a_first_run_that_rejected_all_it_read_are_listed(target):
    loader = target.loader()
    land(loader, [batch({"n": pa.array([], pa.int64())}, cursor=1, bad=2)])
    assert positions(loader) == [1, 2]


@somewhere(ONE_OF_EACH)
def test_rows_of_a_load_that_came_to_nothing_are_not_listed(target):
    loader = target.loader()
    killed(target, "after@0", 1000)
    assert positions(loader) == []
    land(loader, numbers(0, 100))
    killed(target, "before@1", 1000)
    assert positions(loader) == [LATE]

    def breaks():
        yield batch({"n": [1]}, bad=1)
        raise DataError("the source broke")

    with pytest.raises(DataError):
        land(loader, breaks())
    assert positions(loader) == [LATE]


@somewhere(ONE_OF_EACH)
def test_jobs_that_load_one_table_keep_their_rejected_rows_apart(target):
    loader = target.loader()
    land(loader, numbers(0, 300), job="a")
    land(loader, numbers(300, 500), job="it's b")
    assert positions(loader, "it's b") == [LATE + 300, LATE + 400]
    replay(loader, job="it's b", run_id="again")
    assert positions(loader) == [LATE, LATE + 100, LATE + 200]
    assert positions(loader, "it's b") == [LATE + 300]
    land(loader, numbers(500, 600), job="it's b")
    assert positions(loader) == [LATE, LATE + 100, LATE + 200]


def as_it_was_once(target):
    """Have a quarantine of the time before rows had ids."""
    new = ["id", "replays", "part", "payload_schema", "source_modified_at"]
    name = f"{target.options['database']}.t__quarantine"
    if target.kind == "postgres":
        import psycopg

        given = {key: target.options[key] for key in ("host", "port", "password", "dbname")}
        drops = ", ".join(f"DROP COLUMN {column}" for column in new)
        with psycopg.connect(user=target.options["username"], **given) as connection:
            connection.execute(f"ALTER TABLE {name} {drops}")
        return
    old = target.table("__quarantine").drop_columns(new)
    if target.kind == "delta":
        from deltalake import write_deltalake

        place = f"{target.options['location']}/{name.replace('.', '/')}"
        storage = target.options.get("storage_options")
        write_deltalake(place, old, mode="overwrite", schema_mode="overwrite", storage_options=storage)
        return
    from pyiceberg.catalog import load_catalog

    with load_catalog("default", **target.catalog) as catalog:
        catalog.drop_table(name)
        catalog.create_table(name, old.schema).append(old)


@somewhere(ONE_OF_EACH)
def test_a_quarantine_from_before_rows_had_ids_gets_them_for_new_rows(target):
    loader = target.loader()
    land(loader, numbers(0, 200))
    as_it_was_once(target)
    assert [(row["id"], row["part"]) for row in listed(loader)] == [(None, None)] * 2
    land(loader, numbers(200, 300))
    rows = listed(loader)
    assert [(row["id"] is None, row["position"]) for row in rows] == [
        (True, LATE),
        (True, LATE + 100),
        (False, LATE + 200),
    ]
    replay(loader, rows=rows[2:])
    assert positions(loader) == [LATE, LATE + 100]


# what a replay does


@somewhere()
def test_a_replay_takes_what_it_brings_anew_out_of_the_quarantine(target):
    loader = target.loader()
    land(loader, numbers(0, 600))
    before = loader.state("a").cursor
    result = replay(loader)
    assert (result.rows, result.quarantined) == (4, 2)
    assert target.numbers()[-4:] == [LATE + first for first in (100, 200, 400, 500)]
    assert positions(loader) == [LATE, LATE + 300]
    assert {row["run_id"] for row in listed(loader)} == {"again"}
    assert loader.state("a").cursor == before
    assert len(marks(target)) == len(set(marks(target))) == 6
    mark = next(row for row in target.table("__quarantine").to_pylist() if row["replays"] is not None)
    said = ("replay", "replayed", "brought anew by run again", "", "{}", None)
    assert tuple(mark[name] for name in ("stage", "rule", "reason", "source", "payload", "id")) == said


@somewhere(ONE_OF_EACH)
def test_a_replay_of_which_no_row_passes_any_check_still_lands(target):
    loader = target.loader()
    land(loader, numbers(0, 300))
    first = replay(loader, batches=[], rows=listed(loader)[:2])
    assert first.snapshot is not None
    assert (first.rows, first.quarantined) == (0, 0)
    assert positions(loader) == [LATE + 200]
    replay(loader, batches=[batch({"n": pa.array([], pa.int64())}, bad=1, position=7)])
    assert positions(loader) == [7]


@somewhere(ONE_OF_EACH)
def test_a_replay_that_fails_leaves_all_rows_where_they_were(target):
    loader = target.loader()
    land(loader, numbers(0, 300))
    rows = listed(loader)

    def breaks():
        yield batch({"n": [1]}, bad=1)
        raise DataError("the source broke")

    with pytest.raises(DataError):
        replay(loader, batches=breaks())
    assert listed(loader) == rows
    assert marks(target) == []


@somewhere()
def test_of_two_replays_at_once_one_lands(target):
    loader = target.loader()
    land(loader, numbers(0, 600))
    state, rows = loader.state("a"), listed(loader)
    ends = at_once(*(lambda: replay(target.loader(), rows=rows, since=state) for _ in range(2)))
    assert sorted(ends) == ["Superseded", "ok"]
    land(loader, numbers(600, 700))
    assert sorted([*positions(loader), *(n for n in target.numbers() if n >= LATE)]) == list(
        range(LATE, LATE + 700, 100)
    )
    assert len(marks(target)) == len(set(marks(target))) == 6


@somewhere(ONE_OF_EACH)
def test_rows_that_another_replay_took_before_this_one_looked_at_the_table_are_not_brought_twice(target):
    loader = target.loader()
    land(loader, numbers(0, 600))
    rows = listed(loader)
    replay(loader, rows=rows[1:3])
    with pytest.raises(Superseded, match="2 rows that this run of job a brings anew"):
        replay(loader, rows=rows)
    assert positions(loader) == [row["position"] for row in rows if row not in rows[1:3]]
    assert len([n for n in target.numbers() if n >= LATE]) == 2
    with pytest.raises(Superseded, match="1 row that this run of job a brings anew"):
        replay(loader, rows=[{**rows[0], "id": "nobody-1"}])


def test_a_replay_cannot_be_a_load_that_nothing_supersedes(project):
    from ingestion.loaders.iceberg import IcebergLoader

    loader = IcebergLoader(table="t")
    load = Load("a", "r", uuid.uuid4().hex, loader.state("a"), alone=True, replays=pa.array(["x-1"]))
    with pytest.raises(ValueError, match="none can be alone"):
        loader.load(load, iter([batch({"n": [1]})]))


# rollback


@somewhere()
def test_a_rollback_of_a_replay_brings_its_rows_back_into_the_quarantine(target):
    loader = target.loader()
    land(loader, numbers(0, 600, run_id="r1"), run_id="r1")
    rows = listed(loader)
    replay(loader, run_id="again")
    loader.rollback("a", "again")
    assert listed(loader) == rows
    assert marks(target) == []
    assert target.numbers() == list(range(600))
    replay(loader, run_id="once more")
    assert positions(loader) == [LATE, LATE + 300]
    loader.rollback("a", "r1")
    assert positions(loader) == []
    assert target.quarantined() == 0
    land(loader, numbers(0, 200))
    assert positions(loader) == [LATE, LATE + 100]


# kills


def assert_none_lost(target, loader):
    """Every number is in the table once, every rejected one there or in the quarantine."""
    cursor = loader.state("a").cursor
    waiting = positions(loader)
    if cursor is None:
        assert waiting == []
        return
    held = target.numbers()
    assert [n for n in held if n < LATE] == list(range(cursor))
    assert sorted([*(n for n in held if n >= LATE), *waiting]) == list(range(LATE, LATE + cursor, 100))


def assert_kills_do_no_harm(target, moments):
    """Kill loads and replays at each of *moments*, each with the next one behind it."""
    loader, landed = target.loader(), 0
    for number, moment in enumerate(moments, 1):
        killed(target, moment, number * 1000)
        assert_none_lost(target, loader)
        land(loader, numbers(loader.state("a").cursor or 0, number * 1000))
        assert_none_lost(target, loader)
        before = len(listed(loader))
        killed(target, moment, 0, "replay")
        assert_none_lost(target, loader)
        landed += 0 if len(listed(loader)) == before else before
        landed += len(listed(loader))
        replay(loader)
        assert_none_lost(target, loader)
        assert all(position // 100 % 3 == 0 for position in positions(loader))
        assert len(marks(target)) == len(set(marks(target))) == landed


@somewhere(ONE_OF_EACH)
def test_after_kills_of_loads_and_replays_no_row_is_lost_and_none_is_there_twice(target):
    assert_kills_do_no_harm(target, ["after@0", "inside@1"])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@somewhere(EVERYWHERE)
def test_after_kills_at_every_moment_no_row_is_lost_and_none_is_there_twice(target):
    assert_kills_do_no_harm(target, MOMENTS * 2)


# rows that come late


ADDING = [
    ({}, {}),
    ({"write_mode": "append"}, {"write_mode": "append"}),
    (
        {"write_mode": "merge", "merge_keys": ["k"], "order_by": "at", "delete_missing": "hard"},
        {"write_mode": "merge", "merge_keys": ["k"], "order_by": ["at"]},
    ),
    ({"write_mode": "overwrite", "allow_empty": True}, {"write_mode": "append", "allow_empty": True}),
    (
        {"write_mode": "replace", "primary_key": "k", "delete_column": "gone"},
        {"write_mode": "merge", "merge_keys": ["k"], "delete_column": "gone"},
    ),
]


@pytest.mark.parametrize("kind", ["iceberg", "delta", "postgres"])
@pytest.mark.parametrize(("given", "expected"), ADDING)
def test_rows_that_come_late_are_merged_where_the_table_is_else_appended(kind, given, expected):
    from ingestion.loaders import LoaderFactory

    loader = LoaderFactory.get(kind)(**given).with_defaults(table="job").adding()
    written = loader.as_written()
    assert {**written, "write_mode": written.get("write_mode", "append")} == {"write_mode": "append", **expected}
    assert loader.table == "job"
    assert type(loader).model_validate(json.loads(json.dumps(written))).with_defaults(table="job") == loader
    assert (loader.replaces_all, loader.deletes_missing) == (False, False)


@pytest.mark.parametrize("kind", ["iceberg", "delta"])
def test_rows_that_come_late_replace_no_partitions(kind):
    from ingestion.loaders import LoaderFactory

    options = {"write_mode": "overwrite", "overwrite_scope": "partitions", "partition_by": ["p"], "table": "t"}
    loader = LoaderFactory.get(kind)(**options).adding()
    assert loader.as_written() == {
        "write_mode": "append",
        "partition_by": loader.as_written()["partition_by"],
        "table": "t",
    }
    assert type(loader).model_validate(loader.as_written()) == loader


# ids


@given(st.lists(st.tuples(st.sampled_from(["l", "l-1", "-"]), st.integers(0, 20)), max_size=30), st.integers(0, 30))
def test_a_set_of_ids_has_what_was_added_and_nothing_else(pairs, cut):
    given = [f"{load}-{number}" for load, number in pairs]
    ids = Ids()
    ids.add(pa.array(given[:cut], pa.string()))
    ids.add(pa.array([*given[cut:], None, "no id", ""], pa.string()))
    others = [f"{load}-{number}" for load in ("l", "l-1", "-", "m") for number in range(25)]
    asked = pa.array([*others, None, "no id", "", "l-99999999999999999999"], pa.string())
    assert ids.has(asked).to_pylist() == [item in given for item in asked.to_pylist()]


def wide(columns, rows, first):
    """Rejected rows of so many columns."""
    records = pa.RecordBatch.from_pydict({f"c{number}": [number] * rows for number in range(columns)})
    return reject(
        records, pa.array(range(rows)), Origin("f.csv", first), stage="transform", rule="types", reasons="bad"
    )


def test_rejected_rows_hold_the_schema_of_their_payloads_once():
    rejected = wide(300, 2000, 1)
    assert rejected.get_total_buffer_size() - rejected["payload"].nbytes < 1 << 20


@somewhere(ONE_OF_EACH)
def test_rows_of_batches_with_different_schemas_are_listed_each_with_its_own(target):
    loader = target.loader()
    both = concat([wide(2, 2, 1), wide(3, 2, 3), masked(wide(1, 1, 5))])
    land(loader, [Batch(pa.RecordBatch.from_pydict({"n": [1]}), Origin("f.csv"), both, {}, 1)])
    schemas = [row["payload_schema"] for row in listed(loader)]
    read = [len(pa.ipc.read_schema(pa.py_buffer(schema))) for schema in schemas[:4]]
    assert (read, schemas[4]) == ([2, 2, 3, 3], None)


def masked(rejected):
    place = rejected.schema.get_field_index("payload_schema")
    return rejected.set_column(
        place, rejected.schema.field(place), pa.nulls(rejected.num_rows, rejected.schema[place].type)
    )


def test_a_quarantine_takes_rows_with_wide_schemas_bit_by_bit():
    stamp = Stamp(Load("a", "r", "l", State(), "hash"))
    rejected = wide(300, 3000, 1)
    parts = list(stamp.rows(rejected))
    assert {part.schema for part in parts} == {parts[0].schema}
    assert max(part["payload_schema"].nbytes for part in parts) < 20 << 20
    ids = [name for part in parts for name in part["id"].to_pylist()]
    assert ids == [f"l-{number}" for number in range(1, 3001)]
    assert len(parts) > 1
