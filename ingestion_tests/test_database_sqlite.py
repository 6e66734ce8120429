"""SQLite: what columns become by either path, one state of the file, and what is refused."""

import sqlite3
import subprocess
import sys
import time as time_module
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.reading import Reading
from ingestion.connectors.databases.session import opened
from ingestion.connectors.databases.sqlite import SqliteConnector
from ingestion.connectors.databases.sqlite.types import TYPES, kind_of
from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.testing import check_connector
from ingestion_tests.sqlite_reads import Portable, made, read

PATHS = pytest.mark.parametrize("connector", [SqliteConnector, Portable], ids=["fast", "portable"])

_INT, _DOUBLE, _TEXT, _BYTES = pa.int64(), pa.float64(), pa.string(), pa.binary()
_STAMP = pa.timestamp("us")
_WALL = datetime(2024, 1, 31, 13, 45)  # noqa: DTZ001 - without zone


class _Case(NamedTuple):
    """Values of a column as SQL writes them, and what they become; those that are rejected come as their texts."""

    declared: str
    values: tuple[str, ...]
    becomes: tuple[Any, ...]
    dtype: pa.DataType
    rejected: tuple[str, ...] = ()


CASES = [
    _Case(
        "INTEGER",
        ("0", "-9223372036854775808", "9223372036854775807", "'12'", "1.0", "1e17", "1.5", "'x'", "X'31'", "1e300"),
        (0, -(2**63), 2**63 - 1, 12, 1, 10**17),
        _INT,
        ("1.5", "x", "X'31'", "1.0e+300"),
    ),
    _Case("UNSIGNED BIG INT", ("1", "18446744073709551615"), (1,), _INT, ("1.8446744073709552e+19",)),
    _Case("tinyint(1)", ("1", "2"), (1, 2), _INT),
    _Case("BOOLEAN", ("1", "0", "'true'", "'False'", "2", "'yes'", "0.5"), (True, False, True, False), pa.bool_(),
          ("2", "yes", "0.5")),
    _Case("DOUBLE", ("1.5", "2", "1e308", "9e999", "'x'", "X'00'"), (1.5, 2.0, 1e308, float("inf")), _DOUBLE,
          ("x", "X'00'")),
    _Case("float", ("0.1",), (0.1,), _DOUBLE),
    _Case(
        "DECIMAL(10,2)",
        ("15.86", "0.1", "-99999999.99", "5", "2328.60", "'7.25'", "0.005", "100000000", "'x'", "9e999"),
        tuple(map(Decimal, ("15.86", "0.10", "-99999999.99", "5.00", "2328.60", "7.25"))),
        pa.decimal128(10, 2),
        ("0.005", "100000000", "x", "inf"),
    ),
    _Case("NUMERIC", ("0.1", "12345678.99", "9007199254740993", "1e19", "1e-7", "1e-30"),
          tuple(map(Decimal, ("0.1", "12345678.99", "9007199254740993", "1e19", "1e-7"))), pa.decimal128(38, 18),
          ("1e-30",)),
    _Case("NUMERIC", ("1152921504606846976", "9223372036854775807", "-9223372036854775808", "100000000000001024", "1e17"),
          tuple(map(Decimal, (2**60, 2**63 - 1, -(2**63), 100000000000001024, 10**17))), pa.decimal128(38, 18)),
    _Case("NUMERIC(18,0)", ("9007199254740993", "3"), (Decimal(9007199254740993), Decimal(3)), pa.decimal128(18, 0)),
    _Case(
        "DATETIME",
        ("'2024-01-31 13:45:00'", "'2024-01-31T13:45:00.123456'", "'2024-01-31'", "'2024-01-31T13:45:00Z'",
         "1706708700", "'0000-00-00'", "X'3230'", "''"),
        (_WALL, _WALL.replace(microsecond=123456), _WALL.replace(hour=0, minute=0)),
        _STAMP,
        ("2024-01-31T13:45:00Z", "1706708700", "0000-00-00", "20", ""),
    ),
    _Case("TIMESTAMP(6) WITH TIME ZONE", ("'2024-01-31T13:45:00+02:00'", "'2024-01-31 13:45:00'", "''"),
          (datetime(2024, 1, 31, 11, 45, tzinfo=timezone.utc),), pa.timestamp("us", "UTC"), ("2024-01-31 13:45:00", "")),
    _Case("DATE", ("'2024-02-29'", "'2023-02-29'", "20240229", "'2024-02-29 00:00:00'", "' '"),
          (date(2024, 2, 29),), pa.date32(), ("2023-02-29", "20240229", "2024-02-29 00:00:00", " ")),
    _Case("TIME", ("'13:45:00.5'", "'24:00:00'", "''"), (time(13, 45, 0, 500000),), pa.time64("us"), ("24:00:00", "")),
    _Case("VARCHAR(40)", ("'blåbär'", "''", "5", "0.1", "X'62'", "'a' || char(0) || 'b'", "X'FF'"),
          ("blåbär", "", "5", "0.1", "b", "a\0b"), _TEXT, ("\N{REPLACEMENT CHARACTER}",)),
    _Case("JSON", ("'{\"a\": 1}'", "5", "0.1", "1e20"), ('{"a": 1}', "5", "0.1", "1.0e+20"), _TEXT),
    _Case("UUID", ("'0b1f'",), ("0b1f",), _TEXT),
    _Case("BLOB", ("X'00FF'", "'å'", "5"), (b"\0\xff", "å".encode()), _BYTES, ("5",)),
    _Case("VARBINARY(16)", ("X'00FF'",), (b"\0\xff",), _BYTES),
    _Case("", ("1", "2"), (1, 2), _INT),
    _Case("", ("1", "2.5"), (1.0, 2.5), _DOUBLE),
    _Case("", ("9007199254740993", "0.5"), (0.5,), _DOUBLE, ("9007199254740993",)),
    _Case("", ("X'00'",), (b"\0",), _BYTES),
    _Case("", ("1", "'a'", "0.1"), ("1", "a", "0.1"), _TEXT),
    _Case("", (), (), _TEXT),
    _Case("INTERVAL", ("'1 day'",), ("1 day",), _TEXT),
    _Case("POINT", ("X'01'",), (b"\1",), _BYTES),
    _Case("ENUM", ("'a'",), ("a",), _TEXT),
]  # fmt: skip


def _typed(declared: str) -> str:
    return declared and f'"{declared}"'


@PATHS
@pytest.mark.parametrize("case", CASES, ids=[f"{case.declared or 'nothing'}" for case in CASES])
def test_a_column_becomes_what_its_declared_type_says(tmp_path, case, connector):
    path = made(tmp_path / "x.db", f"CREATE TABLE t (k INTEGER PRIMARY KEY, v {_typed(case.declared)})",
                *(f"INSERT INTO t (v) VALUES ({value})" for value in (*case.values, "NULL")))  # fmt: skip
    found = read(path, connector, table="t", columns=["v"])
    assert found.types == {"v": case.dtype}
    assert found.column("v") == [*case.becomes, None]
    assert tuple(row["value"] for row in found.rejected) == case.rejected


def test_every_kind_of_type_has_a_case():
    assert {kind_of(case.declared) for case in CASES} == {*TYPES, None}
    assert all(kind_of(kind.example) is kind for kind in TYPES)


_VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(10**12), 10**12).map(lambda number: number / 1000),  # SQLite's versions write long ones differently
    st.sampled_from([1e300, -1e-7, float("inf"), 9007199254740993.0]),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.binary(max_size=4),
    st.sampled_from(["12", "1.5", "true", "2024-01-31", "2024-01-31 10:00:00", "13:45:00", b"a", b"\xff", 0, 1, 0.1]),
)


@examples(max_examples=40)
@given(
    declared=st.sampled_from([case.declared for case in CASES]),
    values=st.lists(_VALUES, max_size=6),
    relation=st.sampled_from(
        [{"table": "t"}, {"table": "v"}, {"query": "SELECT * FROM t"}, {"query": "SELECT x FROM v"}]
    ),
)
def test_both_paths_give_the_same_rows_whatever_is_stored(tmp_path_factory, declared, values, relation):
    path = tmp_path_factory.mktemp("same") / "x.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE t (x {_typed(declared)})")
    connection.execute("CREATE VIEW v AS SELECT x, x + 1 AS z, coalesce(x, 'none') AS y FROM t")
    connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    connection.commit()
    connection.close()
    fast, portable = (read(path, one, **relation) for one in (SqliteConnector, Portable))
    assert (fast.types, fast.rows) == (portable.types, portable.rows)
    assert [(row["position"], row["column"]) for row in fast.rejected] == [
        (row["position"], row["column"]) for row in portable.rejected
    ]
    assert len(fast.rows) + len(fast.rejected) == len(values)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=5))
def test_a_decimal_comes_back_from_the_double_it_was_stored_as(number):
    from ingestion.connectors.databases.doubles import exact_decimals

    [found] = exact_decimals(pa.array([float(number)]), pa.decimal128(38, 5)).to_pylist()
    assert found == number


def test_a_double_that_no_decimal_of_that_scale_is_stored_as_is_no_decimal():
    from ingestion.connectors.databases.doubles import exact_decimals

    values = pa.array([0.125, 0.1 + 0.2, 1e300, float("nan"), float("inf"), None, 99.995, 1e15, 0.1])
    expected = [None, None, None, None, None, None, None, Decimal(10**15), Decimal("0.1")]
    assert exact_decimals(values, pa.decimal128(18, 2)).to_pylist() == expected
    assert exact_decimals(pa.array([0.1, 1e-30, 123.0]), pa.decimal128(38, 30)).to_pylist() == [
        Decimal("0.1"), Decimal("1e-30"), Decimal(123)
    ]  # fmt: skip


# what is read


@PATHS
def test_a_value_that_does_not_fit_says_what_it_is_and_how_to_read_it(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE, n INTEGER)",
                "INSERT INTO t VALUES (7, 1706708700, 'many')", "INSERT INTO t VALUES (8, 'x', 2)")  # fmt: skip
    first, second = read(path, connector, table="t").rejected
    assert (first["position"], first["column"], first["value"], first["rule"]) == (7, "day", "1706708700", "type")
    assert "'1706708700' is not a date (YYYY-MM-DD), which DATE becomes" in first["reason"]
    assert "a query can select numbers as texts: date(column, 'unixepoch')" in first["reason"]
    assert (second["position"], second["value"]) == (8, "x")
    assert "unixepoch" not in second["reason"]  # it is no number


@PATHS
def test_long_values_are_cut_where_they_are_told(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (printf('%.*c', 900000, 'x'))")
    [rejected] = read(path, connector, table="t").rejected
    assert len(rejected["value"]) == 200
    assert len(rejected["reason"]) < 400


@PATHS
def test_strict_tables_generated_columns_and_tables_without_rowid_are_read(tmp_path, connector):
    path = made(
        tmp_path / "x.db",
        "CREATE TABLE s (id INT PRIMARY KEY, r REAL, t TEXT, b BLOB, a ANY) STRICT, WITHOUT ROWID",
        "INSERT INTO s VALUES (1, 2, 'x', X'00', 5)",
        "CREATE TABLE g (a INTEGER, twice INTEGER AS (a * 2) STORED, half REAL AS (a / 2.0))",
        "INSERT INTO g VALUES (3)",
    )
    assert read(path, connector, table="s").rows == [{"id": 1, "r": 2.0, "t": "x", "b": b"\0", "a": 5}]
    whole = made(tmp_path / "y.db", "CREATE TABLE s (a ANY) STRICT", "INSERT INTO s VALUES (9007199254740993), (0.5)")
    assert [row["value"] for row in read(whole, connector, table="s").rejected] == ["9007199254740993"]
    assert read(path, connector, table="g").rows == [{"a": 3, "twice": 6, "half": 1.5}]


@PATHS
def test_columns_of_a_query_have_the_types_of_the_columns_that_they_are_of(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER, price DECIMAL(10,2), at DATETIME)",
                "INSERT INTO t VALUES (1, 15.86, '2024-01-31 13:45:00'), (2, 0.5, NULL)")  # fmt: skip
    query = "WITH w AS (SELECT * FROM t) SELECT w.*, price * 2 AS twice, 'x' AS word FROM w WHERE id >= :least"
    found = read(path, connector, query=query, query_params={"least": 1})
    assert list(found.types.values()) == [_INT, pa.decimal128(10, 2), _STAMP, _DOUBLE, _TEXT]
    assert found.rows[0] == {
        "id": 1, "price": Decimal("15.86"), "at": _WALL, "twice": 31.72, "word": "x"
    }  # fmt: skip


@PATHS
def test_a_view_of_columns_of_several_types_is_read_without_loss(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (name TEXT, price REAL)", "INSERT INTO t VALUES ('a', 0.333333333)",
                "CREATE VIEW v AS SELECT name FROM t UNION ALL SELECT price FROM t")  # fmt: skip
    assert read(path, connector, table="v").column("name") == ["a", "0.333333333"]


@PATHS
def test_bytes_are_not_taken_for_texts_of_another_encoding(tmp_path, connector):
    path = made(tmp_path / "x.db", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT, b BLOB)",
                "INSERT INTO t VALUES ('å', X'E5')", "INSERT INTO t VALUES (X'E500', X'')",
                "INSERT INTO t VALUES ('', 'å')")  # fmt: skip
    found = read(path, connector, table="t")
    assert found.rows == [{"a": "å", "b": b"\xe5"}]
    assert [(row["column"], row["value"]) for row in found.rejected] == [("a", "X'E500'"), ("b", "å")]


@PATHS
def test_names_of_any_kind_are_quoted(tmp_path, connector):
    path = made(tmp_path / "x.db", """CREATE TABLE "my ""t{}able'" ("a ""b" INTEGER, "select" TEXT, "%s:x?'" REAL)""",
                """INSERT INTO "my ""t{}able'" VALUES (1, 'x', 'odd'), (2, 'y', 0.5)""")  # fmt: skip
    found = read(path, connector, table="my \"t{}able'")
    assert found.rows == [{'a "b': 2, "select": "y", "%s:x?'": 0.5}]
    assert [row["column"] for row in found.rejected] == ["%s:x?'"]


@PATHS
def test_a_column_that_the_table_has_as_text_is_read_as_text(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (n DECIMAL(10,2), at DATETIME, r REAL)",
                "INSERT INTO t VALUES (0.1, 1706708700, 1), ('x', 'y', 'z')")  # fmt: skip
    known = pa.schema([(name, pa.string()) for name in ("n", "at", "r")])
    found = read(path, connector, known, table="t")
    assert found.rows == [{"n": "0.1", "at": "1706708700", "r": "1.0"}, {"n": "x", "at": "y", "r": "z"}]


@PATHS
def test_many_misfits_are_all_told(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, d DECIMAL(4,1))",
                "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) "
                "INSERT INTO t SELECT i, CASE WHEN i % 2 THEN 'x' || i ELSE i END, "
                "CASE WHEN i % 3 THEN i % 100 ELSE 'y' END FROM c")  # fmt: skip
    found = read(path, connector, table="t", fetch_size=5_000)
    good = [i for i in range(1, 20_001) if i % 2 == 0 and i % 3]
    assert found.column("id") == good
    assert found.column("n") == good
    assert {row["position"]: row["value"] for row in found.rejected} == {
        i: f"x{i}" if i % 2 else "y" for i in range(1, 20_001) if i % 2 or i % 3 == 0
    }


@PATHS
def test_batches_of_wide_rows_hold_few_of_them(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (b BLOB)", "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                "FROM c WHERE i < 200) INSERT INTO t SELECT zeroblob(100000) FROM c")  # fmt: skip
    found = read(path, connector, table="t", max_batch_bytes=1 << 20)
    assert sum(found.sizes) == 200
    assert max(found.sizes) <= 10


@PATHS
@pytest.mark.parametrize("count", [64, 1_999])
def test_tables_of_many_columns_tell_all_of_their_misfits(tmp_path, connector, count):
    names = [f"c{number}" for number in range(count)]
    path = made(tmp_path / "x.db", f"CREATE TABLE t ({', '.join(f'{name} INTEGER' for name in names)})",
                f"INSERT INTO t VALUES ({', '.join(map(str, range(count)))})",
                f"INSERT INTO t ({names[-1]}) VALUES ('}}{{,\"é')", f"INSERT INTO t ({names[0]}) VALUES ('x')")  # fmt: skip
    found = read(path, connector, table="t")
    assert found.rows == [{name: number for number, name in enumerate(names)}]
    assert [(row["column"], row["value"]) for row in found.rejected] == [(names[-1], '}{,"é'), (names[0], "x")]


def test_rows_come_in_the_order_that_is_asked_for(tmp_path):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)",
                "INSERT INTO t VALUES (1, 3), (2, 1), (3, 2)")  # fmt: skip
    incremental = {"cursor_column": "n", "safety_lag": 0}
    assert read(path, table="t", incremental=incremental).column("n") == [1, 2, 3]


@PATHS
def test_the_contract_of_connectors_is_kept(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, n DECIMAL(4,1), v)",
                "INSERT INTO t VALUES (1, 0.5, 'x'), (2, 'bad', 1), (3, NULL, NULL)")  # fmt: skip
    check_connector(connector(database=str(path), table="t"), incremental=False)
    check_connector(connector(database=str(path), query="SELECT * FROM t"), incremental=False)


# one state of the file


_WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30)
print("here", flush=True)
while True:
    connection.execute("UPDATE state SET n = n + 1")
    connection.execute("INSERT INTO t SELECT n FROM state")
    connection.commit()
    time.sleep(0.002)
"""


@PATHS
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_what_is_asked_and_what_is_read_are_one_state_while_another_process_writes(tmp_path, connector, mode):
    path = made(tmp_path / "x.db", f"PRAGMA journal_mode = {mode}", "CREATE TABLE state (n INTEGER)",
                "INSERT INTO state VALUES (0)", "CREATE TABLE t (n INTEGER)")  # fmt: skip
    # A process of its own: two SQLite libraries in one process do not see each other's locks.
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            for _ in range(20):
                asked, rows = _asked_and_read(connector(database=str(path), table="t"))
                assert rows == asked
        finally:
            writer.kill()
    assert asked > 0


def _asked_and_read(connector: SqliteConnector) -> tuple[int, int]:
    """What a session finds first, and how many rows are read some time later."""
    reading = Reading(connector, None, None)
    with opened(reading.database) as session:
        asked = session.one("SELECT n FROM state")
        time_module.sleep(0.01)
        source = reading._source(session)
        batches = reading._stream(session, reading._statement(source, []), source, 0, None)
        return asked, sum(batch.records.num_rows for batch in batches)


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@PATHS
def test_a_file_that_another_replaces_is_read_as_it_was(tmp_path, connector, mode):
    rows = (
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO t SELECT i FROM c"
    )
    path = made(tmp_path / "x.db", f"PRAGMA journal_mode = {mode}", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows)
    other = made(tmp_path / "other.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    batches = connector(database=str(path), table="t", fetch_size=1_000, max_batch_bytes=1 << 16).read(None, None)
    count = next(batches).records.num_rows
    other.replace(path)
    assert count + sum(batch.records.num_rows for batch in batches) == 5_000


# what goes wrong


def _refusal(**options: Any) -> str:
    with pytest.raises(ConfigError) as error:
        list(ConnectorFactory.create({"type": "sqlite", **options}).read(None, None))
    return str(error.value)


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path):
    made(tmp_path / "orders.db", "CREATE TABLE t (a)")
    text = _refusal(database=str(tmp_path / "order.db"), table="t")
    assert text == f"{tmp_path}/order.db is not there; did you mean 'orders.db'?"
    assert not (tmp_path / "order.db").exists()
    assert "is a folder" in _refusal(database=str(tmp_path), table="t")
    assert "nor is its folder" in _refusal(database=str(tmp_path / "no" / "x.db"), table="t")


def test_a_table_that_is_not_there_is_named_with_the_nearest(tmp_path):
    path = made(tmp_path / "x.db", "CREATE TABLE orders (a)", "CREATE VIEW recent AS SELECT 1")
    assert _refusal(database=str(path), table="order") == f"{path} has no table order; did you mean 'orders'?"
    assert _refusal(database=str(path), table="zzz").endswith("it has: orders, recent")
    path = tmp_path / "empty.db"
    path.touch()
    assert _refusal(database=str(path), table="t").endswith("it has no tables at all")


def test_bad_sql_is_told_in_the_words_of_sqlite(tmp_path):
    path = made(tmp_path / "x.db", "CREATE TABLE t (a)")
    assert 'near "FORM": syntax error' in _refusal(database=str(path), query="SELECT * FORM t")
    assert "no such column: b" in _refusal(database=str(path), table="t", where_clause="b > 1")
    assert "no such table: u" in _refusal(database=str(path), query="SELECT * FROM u")


@PATHS
def test_a_file_that_is_no_database_or_is_broken_is_bad_data(tmp_path, connector):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" * 1000)
    with pytest.raises(DataError, match="file is not a database"):
        read(path, connector, table="t")
    path = made(tmp_path / "x.db", "CREATE TABLE t (a)", "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                "FROM c WHERE i < 20000) INSERT INTO t SELECT i FROM c")  # fmt: skip
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(DataError, match="malformed"):
        read(path, connector, table="t")


_HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("here", flush=True)
time.sleep(60)
"""


@PATHS
def test_a_file_that_a_writer_holds_is_for_later(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (a)")
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        sentence = r"x.db is locked \(database is locked\); run again once its writer is done"
        with pytest.raises(TransientError, match=sentence):
            read(path, connector, table="t", connect_timeout=0.1)
        holder.kill()
    assert read(path, connector, table="t", connect_timeout=0.1).rows == []


@PATHS
def test_a_job_cannot_write_the_file(tmp_path, connector):
    path = made(tmp_path / "x.db", "CREATE TABLE t (a INTEGER)")
    before = path.read_bytes()
    with pytest.raises(ConfigError):
        read(path, connector, table="t", init_sql=["INSERT INTO t VALUES (1)"])
    assert path.read_bytes() == before


@pytest.mark.parametrize(("option", "value"), [
    ("host", "h"), ("port", 1), ("username", "u"), ("password", "p"), ("ssl_mode", "require"),
    ("isolation_level", "SERIALIZABLE"), ("statement_timeout", "5s"), ("schema", "other"), ("num_partitions", 2),
    ("ssh_tunnel", {"host": "h", "username": "u", "private_key": "k"}),
])  # fmt: skip
def test_options_without_sense_for_a_file_are_refused(option, value):
    with pytest.raises(ValueError, match=option):
        SqliteConnector(database="x.db", table="t", **{option: value})


def test_a_connection_string_names_the_file(tmp_path):
    path = made(tmp_path / "a b%c?.db", "CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)")
    options = {"connection_string": f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}", "table": "t"}
    found = list(SqliteConnector(**options).read(None, None))
    assert [row for batch in found for row in batch.records.to_pylist()] == [{"a": 1}]
    assert read(path, table="t", schema="main").rows == [{"a": 1}]


def test_the_report_says_which_driver_read(tmp_path):
    path = made(tmp_path / "x.db", "CREATE TABLE t (a INTEGER)")
    assert read(path, table="t").told["read by"] == "adbc-driver-sqlite"
    assert read(path, Portable, table="t").told["read by"] == "SQLAlchemy with pysqlite"
