"""Rows, rejected rows and the cursor reach PostgreSQL in one transaction."""

import subprocess
import sys
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest

from ingestion.errors import ConfigError, DataError, Superseded, TransientError
from ingestion.loaders import LoaderFactory
from ingestion.loaders.postgres import PostgresLoader, upkeep
from ingestion.plugins import Load, Part
from ingestion.testing import check_loader
from ingestion_tests.postgres_support import Database, batch, land


@pytest.fixture
def database(postgres_server):
    return Database(postgres_server.fresh_database())


def types(database, table="t"):
    found = database.ask(
        f'SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = \'"default"."{table}"\''
        "::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return dict(found)


def test_the_loader_keeps_the_contract(database):
    check_loader(database.loader(), database.table)


def test_both_names_of_the_type_give_the_same_loader():
    assert LoaderFactory.get("postgres") is LoaderFactory.get("postgresql") is PostgresLoader


MANY = {
    "truth": (pa.array([True, None]), "boolean"),
    "tiny": (pa.array([-128, None], pa.int8()), "smallint"),
    "byte": (pa.array([255, None], pa.uint8()), "smallint"),
    "word": (pa.array([65535, None], pa.uint16()), "integer"),
    "long": (pa.array([2**32 - 1, None], pa.uint32()), "bigint"),
    "huge": (pa.array([2**64 - 1, None], pa.uint64()), "numeric(20,0)"),
    "whole": (pa.array([2**63 - 1, None], pa.int64()), "bigint"),
    "half": (pa.array([1.5, None], pa.float16()), "real"),
    "single": (pa.array([1.5, None], pa.float32()), "real"),
    "double": (pa.array([1e300, None]), "double precision"),
    "money": (pa.array([Decimal("-12.30"), None], pa.decimal128(18, 2)), "numeric(18,2)"),
    "exact": (pa.array([Decimal("9" * 60 + "." + "1" * 16), None], pa.decimal256(76, 16)), "numeric(76,16)"),
    "text": (pa.array(["grün 🌳", None]), "text"),
    "view": (pa.array(["a", None], pa.string_view()), "text"),
    "word_of_few": (pa.array(["a", None]).dictionary_encode(), "text"),
    "octets": (pa.array([b"\0\xff", None]), "bytea"),
    "day": (pa.array([date(1, 1, 1), None]), "date"),
    "clock": (pa.array([time(23, 59, 59, 999999), None]), "time without time zone"),
    "wall": (pa.array([datetime(1, 1, 1, 0, 0, 0, 1), None]), "timestamp without time zone"),  # noqa: DTZ001 - naive
    "instant": (
        pa.array([datetime(2020, 1, 1, tzinfo=timezone.utc), None], pa.timestamp("ms", "Europe/Berlin")),
        "timestamp with time zone",
    ),
    "id": (pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()), "uuid"),
    "things": (pa.array([[1, None], None]), "jsonb"),
    "thing": (pa.array([{"a": Decimal("1.50"), "b": 'x"y'}, None]), "jsonb"),
    "nothing": (pa.nulls(2), "text"),
}


def test_every_type_lands_exactly_in_a_table_made_for_it(database):
    land(database.loader(), [batch(pa.RecordBatch.from_pydict({name: values for name, (values, _) in MANY.items()}))])
    assert types(database) == {name: kind for name, (_, kind) in MANY.items()} | {"nothing": "text"}
    rows = database.table().to_pylist()
    for name, (values, _) in MANY.items():
        wanted = {"thing": {"a": "1.50", "b": 'x"y'}, "id": uuid.UUID(int=7)}.get(name, values[0].as_py())
        assert [row[name] for row in rows] == [wanted, None]


def test_the_table_reads_back_as_it_was_written(database):
    loader = database.loader()
    columns = {name: values for name, (values, _) in MANY.items()}
    land(loader, [batch(pa.RecordBatch.from_pydict(columns))])
    table, frame = loader.to_table(), loader.scan().collect()
    assert table.schema == loader.state("a").schema
    for name in ("money", "exact", "text", "octets", "day", "clock", "wall", "double", "whole"):
        assert table.column(name).to_pylist() == columns[name].to_pylist()
    assert table.column("things").to_pylist() == ["[1, null]", None]
    assert loader.scan().select("whole", "text").head(1).collect().rows() == [(2**63 - 1, "grün 🌳")]
    assert frame.height == 2
    assert loader.first_rows(1).num_rows == 1
    assert loader.reader().read_all().equals(table)


def test_json_text_lands_as_json_in_a_column_of_json(database):
    loader = database.loader()
    land(loader, [batch({"n": [1], "j": pa.array([{"a": 1}])})])
    land(loader, [batch({"n": [2], "j": ['{"a": 2}']})])
    assert sorted(row["j"]["a"] for row in database.table().to_pylist()) == [1, 2]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pa.array([[float("nan")]]), "NaN"),
        (pa.array([{"a": "x\0"}]), "NUL"),
        (pa.array([[b"x"]]), "bytes"),
        (pa.array([1], pa.duration("us")), "duration"),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "month_day_nano"),
    ],
)
def test_a_value_that_no_column_holds_is_named(database, values, says):
    with pytest.raises(DataError, match=f"'v'.*{says}|{says}.*'v'"):
        land(database.loader(), [batch({"n": [1], "v": values})])
    assert database.ask("SELECT 1 FROM pg_class WHERE relname IN ('t', 't__quarantine')") == []


def test_a_row_that_the_server_would_refuse_is_quarantined_with_its_column(database):
    texts = pa.array(["fine", "no\0good", None]).slice(0)
    early = pa.array([0, 0, -(2**62)], pa.timestamp("us"))
    land(database.loader(), [batch({"n": [1, 2, 3], "text": texts, "at": early})])
    assert database.table().column("n").to_pylist() == [1]
    bad = database.table("default.t__quarantine").to_pylist()
    assert [(row["column"], row["rule"], row["stage"], row["position"]) for row in bad] == [
        ("text", "postgres", "load", 2),
        ("at", "postgres", "load", 3),
    ]
    assert bad[0]["job"] == "a"
    assert bad[0]["load_id"]


def test_a_nul_before_the_slice_at_hand_harms_nobody(database):
    texts = pa.array(["no\0good", "fine"]).slice(1)
    result = land(database.loader(), [batch({"text": texts})])
    assert (result.rows, result.quarantined) == (1, 0)


@pytest.mark.parametrize(
    ("name", "says"),
    [("é" * 32, "63 bytes"), ("xmin", "of its own"), ("", "no name"), ("N", "differ only in case")],
)
def test_a_column_that_cannot_be_called_so_is_refused(database, name, says):
    with pytest.raises(DataError, match=says):
        land(database.loader(), [batch({"n": [1], name: [1]})])


@pytest.mark.parametrize("name", ['a"b', "a b", "select", "ä.b", "$1", "a'b", "%s"])
def test_names_are_taken_as_they_are(database, name):
    loader = database.loader(database=name, table=f"{name}_t")
    land(loader, [batch({"n": [1], name: ["x"]}, bad=1)])
    result = land(loader, [batch({"n": [2], name: ["y"], f"{name}2": [1.5]})])
    assert (result.added, result.table) == ((f"{name}2",), f"{name}.{name}_t")
    assert sorted(loader.to_table().column(name).to_pylist()) == ["x", "y"]
    merging = loader.model_copy(update={"write_mode": "merge", "merge_keys": [name]})
    assert land(merging, [batch({"n": [3], name: ["y"]})]).changes["updated"] == 1
    assert loader.upkeep("a")["dead rows removed"] > 0


def test_columns_are_added_and_widened_with_the_rows(database):
    loader = database.loader()
    land(loader, [batch({"n": pa.array([1], pa.int32()), "d": pa.array([Decimal("1.5")], pa.decimal128(5, 1))})])
    result = land(
        loader,
        [
            batch({"n": pa.array([2], pa.int32())}),
            batch({"n": pa.array([2**40]), "d": pa.array([Decimal("123456.25")], pa.decimal128(9, 2)), "x": ["new"]}),
        ],
    )
    assert types(database) == {"n": "bigint", "d": "numeric(9,2)", "x": "text"}
    assert sorted(database.table().column("n").to_pylist()) == [1, 2, 2**40]
    assert result.added == ("x",)
    assert result.notes == (
        "column n became bigint, it was integer",
        "column d became numeric(9,2), it was numeric(5,1)",
    )


def test_a_column_grows_within_one_load_of_a_new_table(database):
    widths = [pa.array([1], pa.int16()), pa.array([2], pa.int32()), pa.nulls(1), pa.array([2**40])]
    land(database.loader(), [batch({"n": values, "k": [place]}) for place, values in enumerate(widths)])
    assert types(database) == {"n": "bigint", "k": "bigint"}
    assert database.table().column("n").to_pylist() == [1, 2, None, 2**40]


def test_a_longer_text_widens_the_column_that_limits_it(database):
    database.ask('CREATE SCHEMA "default"; CREATE TABLE "default".t (a varchar(3), b char(2))')
    land(database.loader(), [batch({"a": ["abc"], "b": ["ab"]})])
    assert types(database) == {"a": "character varying(3)", "b": "character(2)"}
    land(database.loader(), [batch({"a": ["abcd"], "b": ["ab"]})])
    assert types(database) == {"a": "text", "b": "character(2)"}


def test_text_never_lands_in_a_column_of_numbers(database):
    land(database.loader(), [batch({"n": [1]})])
    with pytest.raises(DataError, match="'n' is bigint, the data brings text"):
        land(database.loader(), [batch({"n": ["x"]})])


def test_a_required_column_becomes_optional_with_a_note(database):
    database.ask('CREATE SCHEMA "default"; CREATE TABLE "default".t (n bigint NOT NULL, a text NOT NULL)')
    result = land(
        database.loader(), [batch({"n": [1], "a": ["x"]}), batch({"n": [2]}), batch({"n": [3], "a": pa.nulls(1)})]
    )
    assert result.notes == ("column a became optional, as the data has rows without it",)
    assert sorted(row["n"] for row in database.table().to_pylist()) == [1, 2, 3]


@pytest.mark.parametrize("data", [{"n": [1]}, {"n": [1], "a": pa.nulls(1, pa.string())}], ids=["lacking", "null"])
def test_a_required_column_stays_so_where_columns_are_frozen(database, data):
    database.ask('CREATE SCHEMA "default"; CREATE TABLE "default".t (n bigint NOT NULL, a text NOT NULL)')
    with pytest.raises(DataError, match="'a' is required"):
        land(database.loader(schema_contract={"columns": "freeze"}), [batch(data)])
    result = land(database.loader(schema_contract={"data_type": "freeze"}), [batch(data)])
    assert result.notes == ("column a became optional, as the data has rows without it",)


def test_a_column_with_a_default_gets_it(database):
    database.ask(
        'CREATE SCHEMA "default"; CREATE TABLE "default".t (id serial PRIMARY KEY, n bigint, a text DEFAULT $$x$$)'
    )
    land(database.loader(), [batch({"n": [5, 6]})])
    assert database.table().to_pylist() == [{"id": 1, "n": 5, "a": "x"}, {"id": 2, "n": 6, "a": "x"}]


def test_a_renamed_column_keeps_its_values(database):
    land(database.loader(), [batch({"n": [1], "old": ["x"]})])
    loader = database.loader(rename_from={"new": "old"})
    assert loader.state("a").schema.names == ["n", "new"]
    result = land(loader, [batch({"n": [2], "new": ["y"]})])
    assert (result.added, result.absent, result.notes) == ((), (), ("column old is called new now",))
    land(loader, [batch({"n": [3], "new": ["z"]})])
    assert sorted(database.table().column("new").to_pylist()) == ["x", "y", "z"]
    database.ask('ALTER TABLE "default".t ADD COLUMN old text')
    with pytest.raises(ConfigError, match="has both"):
        loader.state("a")


def test_overwriting_replaces_all_and_never_shows_an_empty_table(database):
    loader = database.loader(write_mode="overwrite")
    land(loader, [batch({"n": [1, 2]})])
    with psycopg.connect(database.url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        result = land(loader, [batch({"n": [3]}, cursor=3)])
        assert reader.execute('SELECT count(*) FROM "default".t').fetchone() == (2,)
    assert (database.table().column("n").to_pylist(), result.rows) == ([3], 1)
    with pytest.raises(DataError, match="allow_empty"):
        land(loader, [batch({"n": pa.array([], pa.int64())})])
    land(database.loader(write_mode="overwrite", allow_empty=True), [])
    assert database.table().num_rows == 0
    assert loader.state("a").cursor == 3


def test_a_table_that_was_dropped_begins_anew(database):
    loader = database.loader()
    land(loader, [batch({"n": [1]}, cursor=1)])
    database.ask('DROP TABLE "default".t')
    assert loader.state("a").cursor is None
    land(loader, [batch({"n": [2]})])
    assert loader.state("a").cursor is None
    assert [load.rows for load in loader.history("a")] == [1]


def test_a_rollback_takes_the_rows_and_the_cursor_of_a_run_and_of_later_ones(database):
    loader = database.loader()
    for number in (1, 2, 3):
        land(loader, [batch({"n": [number]}, cursor=number)], run_id=f"r{number}")
    land(loader, [batch({"n": [9]}, cursor=9)], job="b", run_id="x")
    done = loader.rollback("a", "r2")
    assert [load.run_id for load in done.undone] == ["r3", "r2"]
    assert sorted(database.table().column("n").to_pylist()) == [1, 9]
    assert (loader.state("a").cursor, loader.state("b").cursor) == (1, 9)
    assert [load.run_id for load in loader.history("a")] == ["x", "r1"]
    land(loader, [batch({"n": [2]}, cursor=2)], run_id="r4")
    assert loader.state("a").cursor == 2


@pytest.fixture
def merged(database):
    loader = database.loader(write_mode="merge", merge_keys="n")
    land(loader, [batch({"n": [1]})], run_id="m")
    return loader


def test_a_merge_cannot_be_rolled_back(database, merged):
    with pytest.raises(ConfigError, match="keeps no history"):
        merged.rollback("a", "m")
    with pytest.raises(ConfigError, match=r"no run 'x'.*newest runs: m"):
        merged.rollback("a", "x")


def test_rows_without_their_run_cannot_be_rolled_back(database):
    land(database.loader(), [batch({"n": [1]})])
    with pytest.raises(ConfigError, match="_ingestion_run_id"):
        database.loader().rollback("a", "run")


def test_upkeep_says_what_it_did_and_keeps_the_newest_ledgers(database, monkeypatch):
    monkeypatch.setattr(upkeep, "_KEEP", 2)
    loader = database.loader(write_mode="overwrite")
    assert loader.upkeep("a") == {}
    for number in range(4):
        land(loader, [batch({"n": [number] * 10}, cursor=pa.table({"path": [str(number)]}))])
    assert [item.cursor for item in loader.history("a")] == [{"entries": 1}] * 4
    done = loader.upkeep("a")
    assert [item.cursor for item in loader.history("a")] == [{"entries": 1}] * 2 + [None] * 2
    assert (done["cursors dropped"], done["dead rows removed"] >= 30) == (2, True)
    assert loader.state("a").cursor.to_pylist() == [{"path": "3"}]
    assert "cursors dropped" not in loader.upkeep("a")
    assert database.table().column("n").to_pylist() == [3] * 10


def test_a_run_that_began_before_another_landed_is_superseded(database):
    loader = database.loader()
    land(loader, [batch({"n": [1]})])
    before = loader.state("a")
    land(loader, [batch({"n": [2]})])
    with pytest.raises(Superseded):
        land(loader, [batch({"n": [3]})], since=before)
    assert database.table().num_rows == 2


WRONG = [
    ({"password": "wrong-password"}, ConfigError, "loader.username"),
    ({"dbname": "nowhere"}, ConfigError, "loader.dbname"),
    ({"host": "127.0.0.1", "port": 1}, TransientError, "is up and well"),
    ({"host": "nowhere.invalid"}, TransientError, "nowhere.invalid"),
    ({"ssl_mode": "require"}, ConfigError, "ssl_mode"),
    ({"connection_params": {"foo": "bar"}}, ConfigError, "connection_params"),
    ({"connection_params": {"options": "-c default_transaction_read_only=on"}}, ConfigError, "only reads"),
    ({"create_schema_if_not_exists": False}, ConfigError, "create_schema_if_not_exists"),
]


@pytest.mark.parametrize(("options", "kind", "says"), WRONG)
def test_what_is_wrong_with_the_server_is_said_with_its_cure(database, options, kind, says):
    with pytest.raises(kind, match=says) as caught:
        land(database.loader(**options), [batch({"n": [1]})])
    assert "wrong-password" not in str(caught.value)
    assert database.loader().password not in str(caught.value)


def test_a_user_without_rights_is_told(database, postgres_server):
    role = f"r{uuid.uuid4().hex[:8]}"
    database.ask(f"CREATE ROLE {role} LOGIN PASSWORD 'of-a-role'")
    with pytest.raises(ConfigError, match=r"permission denied.*grant"):
        land(database.loader(username=role, password="of-a-role"), [batch({"n": [1]})])


@pytest.mark.parametrize(("kind", "says"), [("VIEW", "a view"), ("MATERIALIZED VIEW", "a materialized view")])
def test_a_view_is_no_target(database, kind, says):
    database.ask(f'CREATE SCHEMA "default"; CREATE {kind} "default".t AS SELECT 1 AS n')
    with pytest.raises(ConfigError, match=says):
        land(database.loader(), [batch({"n": [1]})])


def test_a_constraint_of_the_table_is_named_where_rows_break_it(database):
    database.ask('CREATE SCHEMA "default"; CREATE TABLE "default".t (n bigint PRIMARY KEY, m int CHECK (m > 0))')
    with pytest.raises(DataError, match=r"Key \(n\)=\(1\)"):
        land(database.loader(), [batch({"n": [1, 1]})])
    with pytest.raises(DataError, match="t_m_check"):
        land(database.loader(), [batch({"n": [2], "m": [-1]})])
    assert database.table().num_rows == 0


def test_a_name_that_would_be_cut_off_is_refused_at_once():
    with pytest.raises(ValueError, match="51 bytes"):
        PostgresLoader(table="t" * 52)


def test_texts_of_uuids_land_in_a_column_of_them(database):
    database.ask('CREATE SCHEMA "default"; CREATE TABLE "default".t (id uuid)')
    texts = [str(uuid.UUID(int=7)), "{" + str(uuid.UUID(int=2**128 - 1)).upper() + "}", None]
    land(database.loader(), [batch({"id": texts})])
    assert database.table().column("id").to_pylist() == [uuid.UUID(int=7), uuid.UUID(int=2**128 - 1), None]
    for wrong in ("7", "no uuid", "0" * 31 + "g"):
        with pytest.raises(DataError, match="'id' is uuid"):
            land(database.loader(), [batch({"id": [wrong]})])


def test_a_part_that_a_load_names_is_replaced(database):
    days = pa.array([date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 2)])
    loader = database.loader()
    land(loader, [batch({"n": [1, 2, 3], "day": days, "k": ["a", "b", "it's \\ c"]})])
    day = datetime(2020, 1, 2, tzinfo=timezone.utc)
    part = Part("day", ("2020-01-02",), ((day, day + timedelta(days=1)),))
    rows = batch({"n": [4], "day": pa.array([date(2020, 1, 2)]), "k": ["d"]})
    loader.load(Load("a", "r", "l1", loader.state("a"), replaces=(part, Part("k", ("it's \\ c",)))), iter([rows]))
    assert sorted(database.table().column("n").to_pylist()) == [1, 2, 4]
    loader.load(Load("a", "r", "l2", loader.state("a"), replaces=(part,)), iter([]))
    assert database.table().column("n").to_pylist() == [1]


def test_a_load_takes_no_more_memory_than_some_pieces_of_it(database):
    script = f"""
import resource, sys
import pyarrow as pa
from ingestion.loaders.postgres import PostgresLoader, upkeep
from ingestion_tests.postgres_support import batch, land

def rows(count):
    for number in range(count):
        yield batch({{"n": pa.array(range(50_000)), "t": pa.repeat(pa.scalar("x" * 300), 50_000)}})

loader = PostgresLoader(**{database.loader().as_written()!r})
land(loader, rows(1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
land(loader, rows(30))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 150  # MiB, of 440


def test_a_driver_that_is_missing_is_named_with_its_extra(database, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(ConfigError, match=r"pip install 'ingestion\[postgres\]'"):
        database.loader().state("a")


def test_a_job_is_validated_without_the_driver():
    script = (
        "import sys; from ingestion.loaders.postgres import PostgresLoader; PostgresLoader(table='t');"
        "print([name for name in sys.modules if 'adbc' in name or 'psycopg' in name or name == 'polars'])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
