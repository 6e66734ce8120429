"""SQL Server: what is sent to it, and what becomes of what its driver gives."""

import ctypes
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.mssql import Mssql, MssqlConnector
from ingestion.connectors.databases.mssql.failures import failure
from ingestion.connectors.databases.mssql.server import ENCRYPTION
from ingestion.connectors.databases.mssql.types import TYPES, column_of
from ingestion.connectors.databases.options import DatabaseIncremental
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
from ingestion.plugins import Batch
from ingestion_tests.dagster_server import free_port
from ingestion_tests.fake_connections import Answer, FakeConnection

ADDRESS = {"host": "db.example", "username": "reader", "password": "c4n4ry-pass", "database": "shop"}
COLUMN = ["COLUMN_NAME", "DATA_TYPE", "LENGTH", "PRECISION", "SCALE"]
ANSWERED = ["column_ordinal", "name", "system_type_name", "user_type_name", "precision", "scale"]
STARTING = [
    Answer("@@version", rows=[("Microsoft SQL Server 2022 (RTM) - 16.0.1000.6 (X64)",)]),
    Answer("schema_name()", rows=[("dbo",)]),
]


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


HAS_ODBC = _can_load("libltdl.so.7")  # which Microsoft's driver needs


class Source(MssqlConnector):
    """A source whose server is *fake*."""

    fake: Any = None

    @property
    def server(self) -> Database:
        return _Server(self)


class _Server(Mssql):
    def engine(self) -> Engine:
        return create_engine(self.reached, creator=lambda: self.options.fake, poolclass=NullPool)


def source(answers: list[Answer], **options: Any) -> tuple[Source, FakeConnection]:
    """A source whose server gives these answers, and the server."""
    fake = FakeConnection([*STARTING, *answers])
    return Source(**{**ADDRESS, "fake": fake, **options}), fake


def orders(batch: pa.RecordBatch, *columns: tuple[Any, ...], snapshots: tuple[int, bool] = (1, False)) -> list[Answer]:
    """What a server says of its table of orders."""
    return [
        Answer("snapshot_isolation_state", ["snapshots", "versions"], [snapshots]),
        Answer("INFORMATION_SCHEMA.COLUMNS", COLUMN, columns),
        Answer("TABLE_CONSTRAINTS", ["name", "type", "column"], [("pk_orders", "PRIMARY KEY", columns[0][0])]),
        Answer("FROM orders", batches=[batch]),
        Answer("FROM sales.orders", batches=[batch]),
    ]


def batches(connector: MssqlConnector) -> list[Batch]:
    return [item for item in connector.read(None, None) if isinstance(item, Batch)]


def read(connector: MssqlConnector) -> pa.Table:
    return pa.Table.from_batches([batch.records for batch in batches(connector)])


def test_what_the_driver_gives_becomes_the_type_that_the_catalog_says():
    given = {
        "id": pa.array([1, 2], pa.int32()),
        "small": pa.array([0, 255], pa.uint8()),
        "key": pa.array(["6F9619FF-8B86-D011-B42D-00C04FC964FF", None], pa.large_string()),
        "at": pa.array([1_234_567_900, 86_399_999_999_900], pa.time64("ns")),
        "paid": pa.array([Decimal("1.5000"), None], pa.decimal128(19, 4)),
        "moment": pa.array([datetime(2024, 1, 2, tzinfo=timezone.utc), None], pa.timestamp("us", "+00:00")),
        "changed": pa.array([b"\0" * 7 + b"\1", b"\0" * 7 + b"\2"], pa.large_binary()),
    }
    kinds = ["int", "tinyint", "uniqueidentifier", "time", "money", "datetimeoffset", "timestamp"]
    sizes = {"int": (None, 10, 0), "time": (None, None, 7), "money": (None, 19, 4), "datetimeoffset": (None, None, 7)}
    columns = [(name, kind, *sizes.get(kind, (None, None, None))) for name, kind in zip(given, kinds, strict=True)]
    connector, fake = source(orders(pa.record_batch(given), *columns), table="orders")
    found = read(connector)
    assert [str(dtype) for dtype in found.schema.types] == [
        *("int32", "int32", "string", "time64[us]", "decimal128(19, 4)", "timestamp[us, tz=UTC]", "binary"),
    ]
    assert found["small"].to_pylist() == [0, 255]
    assert found["key"].to_pylist() == ["6f9619ff-8b86-d011-b42d-00c04fc964ff", None]
    assert found["at"].to_pylist() == [time(0, 0, 1, 234567), time(23, 59, 59, 999999)]
    assert found["moment"].to_pylist() == [datetime(2024, 1, 2, tzinfo=timezone.utc), None]
    assert fake.done.count("arrow_reader(8192)") == 1


def test_rows_are_asked_for_without_limits_and_values_cannot_break_out():
    connector, fake = source(
        orders(
            pa.record_batch({"id": pa.array([1])}), ("id", "bigint", None, 19, 0), ("made", "datetime", None, None, 3)
        ),
        table="orders",
        schema="sales",
        exclude_columns=["made"],
        where_clause="name = :name AND made >= :made",
        where_params={"name": "O'Brien\\'; DROP TABLE x --", "made": datetime.fromisoformat("2024-02-01T10:00:00.120")},
    )
    assert read(connector)["id"].to_pylist() == [1]
    [statement] = fake.sent_with("FROM sales.orders")
    assert " ".join(statement.split()) == (
        "SELECT [id] AS id FROM sales.orders WHERE (name = 'O''Brien\\''; DROP TABLE x --' "
        "AND made >= '2024-02-01T10:00:00.120' )"
    )


@pytest.mark.parametrize(
    ("snapshots", "asked", "level", "moving"),
    [
        ((1, False), None, "SNAPSHOT", False),
        ((0, True), None, "READ COMMITTED", False),
        ((0, False), None, "READ COMMITTED", True),
        ((1, False), "serializable", "SERIALIZABLE", False),
    ],
)
def test_rows_are_of_one_state_where_the_database_allows_that_and_the_run_tells_where_not(
    snapshots, asked, level, moving
):
    answers = orders(pa.record_batch({"id": pa.array([1])}), ("id", "bigint", None, 19, 0), snapshots=snapshots)
    connector, fake = source(answers, table="orders", isolation_level=asked)
    told = batches(connector)[0].told
    set_at = fake.sent.index(f"SET TRANSACTION ISOLATION LEVEL {level}")
    assert fake.sent[set_at + 1] == "COMMIT"  # else a transaction goes on that has another level
    assert set_at < fake.sent.index(fake.sent_with("INFORMATION_SCHEMA.COLUMNS")[0])
    assert told["read by"] == "mssql-python"
    assert ("isolation" in told) == moving


def incremental(cursor_column: str, **options: Any) -> tuple[Source, FakeConnection]:
    """A source of new rows, in a database that shows no transaction one state but a serializable one."""
    batch = pa.record_batch({"id": pa.array([1]), "changed": pa.array([b"\0" * 7 + b"\1"])})
    columns = [("id", "bigint", None, 19, 0), ("changed", "timestamp", None, None, None)]
    clock = Answer("MIN_ACTIVE_ROWVERSION", ["now", "next"], [("2024-05-01 10:00:00.123456", b"\0" * 7 + b"\x10")])
    newest = Answer("TOP 1", rows=[(1,)])
    answers = [clock, Answer("count(*)", rows=[(0,)]), newest, *orders(batch, *columns, snapshots=(0, False))]
    return source(answers, table="orders", incremental={"cursor_column": cursor_column}, **options)


@pytest.mark.parametrize("asked", [None, "READ COMMITTED"])
def test_new_rows_are_not_looked_for_among_rows_that_move(asked):
    connector, fake = incremental("id", isolation_level=asked)
    with pytest.raises(ConfigError, match="ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"):
        read(connector)
    with pytest.raises(ConfigError, match=r"or set source\.isolation_level: SERIALIZABLE, for which writers wait"):
        connector.check(None, None)
    assert not fake.sent_with("SELECT [id]")


@pytest.mark.parametrize(("cursor_column", "asked"), [("id", "SERIALIZABLE"), ("changed", None)])
def test_new_rows_are_found_where_none_can_move_out_of_the_window(cursor_column, asked):
    assert read(incremental(cursor_column, isolation_level=asked)[0])["id"].to_pylist() == [1]


def test_rowversions_are_read_up_to_the_first_that_may_still_be_written():
    batch = pa.record_batch({"id": pa.array([1]), "changed": pa.array([b"\0" * 7 + b"\1"])})
    columns = [("id", "bigint", None, 19, 0), ("changed", "timestamp", None, None, None)]
    clock = Answer("MIN_ACTIVE_ROWVERSION", ["now", "next"], [("2024-05-01 10:00:00.123456", b"\0" * 7 + b"\x10")])
    nothing = Answer("count(*)", rows=[(0,)])
    connector, fake = source(
        [clock, nothing, *orders(batch, *columns)], table="orders", incremental={"cursor_column": "changed"}
    )
    assert batches(connector)[-1].cursor["value"] == "0000000000000010"
    [statement] = fake.sent_with("SELECT [id]")
    assert "WHERE orders.[changed] < 0x0000000000000010 ORDER BY orders.[changed], orders.[id]" in " ".join(
        statement.split()
    )


def described(columns: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(number + 1, *column) for number, column in enumerate(columns)]


def test_the_types_of_a_query_are_asked_of_the_server():
    columns = described([("total", "decimal(12,4)", None, 12, 4), ("name", "nvarchar(max)", None, 0, 0)])
    batch = pa.record_batch({"total": pa.array([Decimal("1.5")], pa.decimal128(12, 4)), "name": pa.array(["é"])})
    connector, fake = source(
        [Answer("sp_describe_first_result_set", ANSWERED, columns), Answer("SELECT [total]", batches=[batch])],
        query="SELECT total, name FROM orders WHERE id = :id -- all",
        query_params={"id": 7},
    )
    assert read(connector).to_pylist() == [{"total": Decimal("1.5000"), "name": "é"}]
    assert "WHERE id = 7" in str(fake.bound[fake.sent.index(fake.sent_with("sp_describe")[0])])


def common_table(**options: Any) -> tuple[Source, FakeConnection]:
    """A source of a query that T-SQL takes in no parentheses."""
    import mssql_python

    error = mssql_python.ProgrammingError(
        "Syntax error", "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Incorrect syntax near 'WITH'."
    )

    class Describing(FakeConnection):
        def answer(self, statement: str, bound: Any = None) -> Answer:
            if "sp_describe" in statement and "FROM (WITH" in str(bound):
                return super().answer("refused")
            return super().answer(statement, bound)

    columns = described([("id", "int", None, 10, 0), ("place", options.pop("kind", "int"), None, 10, 0)])
    fake = Describing(
        [
            *STARTING,
            Answer("refused", error=error),
            Answer("sp_describe", ANSWERED, columns),
            Answer("WITH o AS", batches=[pa.record_batch({"id": pa.array([1]), "place": pa.array([2])})]),
        ]
    )
    query = "WITH o AS (SELECT 1 AS id, 2 AS place) SELECT * FROM o ORDER BY id;"
    return Source(**{**ADDRESS, "fake": fake, "query": query, **options}), fake


def test_a_query_that_can_stand_in_no_parentheses_is_sent_as_it_stands():
    connector, fake = common_table()
    assert read(connector).to_pylist() == [{"id": 1, "place": 2}]
    assert [sent.strip() for sent in fake.sent_with("WITH o AS")] == [
        "WITH o AS (SELECT 1 AS id, 2 AS place) SELECT * FROM o ORDER BY id"
    ]


@pytest.mark.parametrize("options", [{"columns": ["id"]}, {"where_clause": "id > 1"}])
def test_such_a_query_is_refused_where_something_must_surround_it(options):
    connector, _ = common_table(**options)
    with pytest.raises(ConfigError, match="make a view of it, or leave out columns"):
        read(connector)


def test_such_a_query_is_refused_where_a_column_must_be_converted():
    connector, _ = common_table(kind="hierarchyid")
    with pytest.raises(ConfigError, match=r"write place\.ToString\(\) AS place there"):
        read(connector)


def test_a_table_that_is_not_there_is_told_with_those_that_are():
    answers = [
        Answer("INFORMATION_SCHEMA.COLUMNS"),
        Answer("INFORMATION_SCHEMA.TABLES", ["s", "t", "d"], [("dbo", "orders", "dbo"), ("old", "ordres", "dbo")]),
    ]
    with pytest.raises(ConfigError, match="there is no table orderz; did you mean 'orders'"):
        read(source(answers, table="orderz")[0])
    with pytest.raises(ConfigError, match=r"set source\.schema: old"):
        read(source(answers, table="ordres")[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_partitions": 2}, "lets no two connections read one state"),
        ({"ssl_mode": "verify-ca"}, "SQL Server has no ssl_mode verify-ca; it has disable, require, verify-full"),
        ({"isolation_level": "REPEATABLE READ"}, "REPEATABLE READ lets a run miss rows that move meanwhile"),
        ({"connection_string": "postgresql://u:p@h/d"}, "leave out host"),
    ],
)
def test_what_it_cannot_do_is_refused_in_the_job(options, message):
    with pytest.raises(ValidationError, match=message):
        MssqlConnector(**{**ADDRESS, "table": "orders", **options})


@pytest.mark.parametrize("mode", list(ENCRYPTION))
def test_ssl_modes_are_told_in_the_drivers_words(mode):
    server = MssqlConnector(**ADDRESS, table="orders", ssl_mode=mode).server
    server.near = ("127.0.0.1", 5555)
    [text], _ = server.reached.get_dialect()().create_connect_args(server.reached)
    words = dict(item.split("=", 1) for item in text.split(";"))
    assert words["Server"] == "127.0.0.1,5555"
    assert {name: words.get(name) for name in ENCRYPTION[mode]} == dict(ENCRYPTION[mode])
    assert words["HostnameInCertificate"] == "db.example"
    assert server.place == "mssql://db.example:1433/shop"


def test_sqlserver_is_another_name_of_it():
    assert ConnectorFactory.get("sqlserver") is MssqlConnector


def real(**options: Any) -> MssqlConnector:
    return MssqlConnector(**{**ADDRESS, "table": "orders", "connect_timeout": 1, **options})


@pytest.mark.skipif(not HAS_ODBC, reason="libltdl7 is missing; scripts/install-services installs it")
def test_a_closed_port_is_a_passing_error_and_an_unknown_host_is_not():
    with pytest.raises(TransientError, match="check that the server is up") as closed:
        read(real(host="127.0.0.1", port=free_port()))
    with pytest.raises(ConfigError, match=r"check source\.host") as unknown:
        read(real(host="no-such-host.invalid"))
    assert not [error for error in (closed, unknown) if "c4n4ry" in str(error.value)]


@pytest.mark.skipif(HAS_ODBC, reason="the library is there")
def test_missing_libraries_are_named():
    with pytest.raises(ConfigError, match="install libltdl7, libkrb5-3 and libgssapi-krb5-2"):
        read(real(host="127.0.0.1", port=free_port()))


def test_parameters_that_the_driver_does_not_know_are_told():
    with pytest.raises(ConfigError, match=r"source\.connection_params: .*nonsense"):
        read(real(host="127.0.0.1", port=free_port(), connection_params={"nonsense": 1}))


def test_rows_of_large_columns_are_fetched_by_fewer():
    batch = pa.record_batch({"id": pa.array([1]), "note": pa.array(["x"])})
    columns = [("id", "bigint", None, 19, 0), ("note", "nvarchar", -1, None, None)]
    connector, fake = source(orders(batch, *columns), table="orders")
    assert read(connector)["note"].to_pylist() == ["x"]
    assert "arrow_reader(500)" in fake.done


@pytest.mark.parametrize(
    ("state", "said", "kind", "advice"),
    [
        (
            "ProgrammingError",
            "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid object name 'orderz'.",
            ConfigError,
            "check the tables",
        ),
        (
            "OperationalError",
            "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Login failed for user 'reader'.",
            ConfigError,
            "source.password",
        ),
        (
            "ProgrammingError",
            "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Incorrect syntax near 'x'.",
            ConfigError,
            "correct source.query",
        ),
        (
            "ProgrammingError",
            "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]The SELECT permission was denied on the object 'o'.",
            ConfigError,
            "grant",
        ),
        (
            "DataError",
            "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Something about a value.",
            DataError,
            "look at the values",
        ),
        (
            "OperationalError",
            "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Transaction was deadlocked: deadlock victim.",
            TransientError,
            "run again",
        ),
        (
            "OperationalError",
            "[Microsoft][ODBC Driver 18 for SQL Server]TCP Provider: Error code 0x2746",
            TransientError,
            "server is up",
        ),
        (
            "OperationalError",
            "[Microsoft][ODBC Driver 18 for SQL Server]Query timeout expired",
            TransientError,
            "source.statement_timeout",
        ),
    ],
)
def test_errors_are_named_by_their_remedy(state, said, kind, advice):
    import mssql_python

    found = failure(getattr(mssql_python, state)("Communication link failure", said), "mssql://h/d")
    assert type(found) is kind
    assert advice in str(found)
    assert "[Microsoft]" not in str(found)


def test_an_sqlalchemy_without_its_dialect_is_told():
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import NoSuchModuleError

    with pytest.raises(NoSuchModuleError) as older:
        make_url("mssql+nodriver://h/d").get_dialect()
    assert "SQLAlchemy 2.1 or later" in str(failure(older.value, "mssql://h/d"))


def test_an_error_of_somebody_else_is_left_alone():
    assert failure(ValueError("x"), "mssql://h/d") is None


CASES: dict[str, tuple[str, Any]] = {
    "bit": ("1", True),
    "tinyint": ("255", 255),
    "smallint": ("-32768", -32768),
    "int": ("-2147483648", -(2**31)),
    "bigint": ("9223372036854775807", 2**63 - 1),
    "decimal(38,10)": ("1234567890123456789012345678.0123456789", Decimal("1234567890123456789012345678.0123456789")),
    "numeric(5,0)": ("-12345", Decimal(-12345)),
    "money": ("-922337203685477.5808", Decimal("-922337203685477.5808")),
    "smallmoney": ("214748.3647", Decimal("214748.3647")),
    "real": ("1.5", 1.5),
    "float": ("0.1", 0.1),
    "date": ("'0001-01-01'", date.min),
    "time(7)": ("'23:59:59.9999999'", time(23, 59, 59, 999999)),
    "smalldatetime": ("'2079-06-06T23:59:00'", datetime.fromisoformat("2079-06-06T23:59:00")),
    "datetime": ("'1753-01-01T00:00:00.003'", datetime.fromisoformat("1753-01-01T00:00:00.003")),
    "datetime2(7)": ("'9999-12-31T23:59:59.9999999'", datetime.fromisoformat("9999-12-31T23:59:59.999999")),
    "datetimeoffset(7)": (
        "'2024-03-31T02:30:00.1234567+05:30'",
        datetime(2024, 3, 31, 2, 30, 0, 123456, timezone(timedelta(hours=5, minutes=30))),
    ),
    "char(4)": ("'ab'", "ab  "),
    "varchar(20)": ("'x'", "x"),
    "text": ("'long'", "long"),
    "nchar(3)": ("N'åä'", "åä "),
    "nvarchar(max)": ("N'Åsa 🦆'", "Åsa 🦆"),
    "ntext": ("N'é'", "é"),
    "binary(3)": ("0x0001", b"\0\1\0"),
    "varbinary(max)": ("0xFF", b"\xff"),
    "image": ("0x01", b"\1"),
    "uniqueidentifier": ("'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    "xml": ("'<a>é</a>'", "<a>é</a>"),
    "sql_variant": ("CAST(5 AS int)", "5"),
    "hierarchyid": ("'/1/3/'", "/1/3/"),
    "geometry": ("geometry::Parse('POINT (1 2)')", "POINT (1 2)"),
    "geography": ("geography::Parse('POINT (1 2)')", "POINT (1 2)"),
}
NEWER = {"json", "vector", "rowversion"}  # of SQL Server 2025; one that none can write


def test_every_type_of_the_table_has_a_case_for_a_real_server():
    assert {declared.partition("(")[0] for declared in CASES} == set(TYPES) - NEWER


class Portable(MssqlConnector):
    """A source whose driver has no Arrow."""

    @property
    def server(self) -> Database:
        return _Portable(self)


class _Portable(Mssql):
    def load_fast(self) -> None:
        raise ImportError("too old", name="mssql_python")


@pytest.fixture
def mssql_table() -> Iterator[Callable[..., MssqlConnector]]:
    """Makes a table on the server of MSSQL_TEST_URL, and a source of it; at the end the tables are gone."""
    url = os.environ.get("MSSQL_TEST_URL")
    if not url:
        pytest.skip("set MSSQL_TEST_URL=mssql://user:password@host/database?Encrypt=no to try a real server")
    made: list[str] = []
    engine = MssqlConnector(connection_string=url, table="any").server.engine()

    def make(columns: str, rows: list[str], *, portable: bool = False) -> MssqlConnector:
        made.append(f"t{uuid.uuid4().hex[:12]}")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {made[-1]} ({columns})")
            for row in rows:
                connection.exec_driver_sql(f"INSERT INTO {made[-1]} VALUES ({row})")
        return (Portable if portable else MssqlConnector)(connection_string=url, table=made[-1])

    yield make
    with engine.begin() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP TABLE {name}")


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("declared", CASES)
def test_a_type_is_read_from_a_real_server(declared, portable, mssql_table):
    written, expected = CASES[declared]
    connector = mssql_table(f"id int PRIMARY KEY, value {declared}", [f"1, {written}", "2, NULL"], portable=portable)
    found = read(connector).sort_by("id")
    assert found["value"].to_pylist() == [expected, None]
    kind, _, sizes = declared.rstrip(")").partition("(")
    digits = [int(size) for size in sizes.split(",") if size.isdigit()]
    precision, scale = [*digits, None, None][:2] if kind in {"decimal", "numeric"} else (None, (digits or [None])[0])
    assert found.schema.field("value").type == column_of("value", kind, None, precision, scale).dtype


def test_a_real_server_says_key_and_query(mssql_table):
    connector = mssql_table("a int, b nvarchar(9), PRIMARY KEY (b, a)", ["1, N'x'", "2, N'y'"])
    name = connector.table
    assert list(connector.check(None, None).key) == ["b", "a"]
    query = connector.model_copy(update={"table": None, "query": f"SELECT a, b AS name FROM {name}"})
    assert read(query).sort_by("a").to_pylist() == [{"a": 1, "name": "x"}, {"a": 2, "name": "y"}]
    alone = query.model_copy(update={"query": f"WITH x AS (SELECT a FROM {name}) SELECT a FROM x ORDER BY a DESC"})
    assert read(alone)["a"].to_pylist() == [2, 1]


def test_a_real_server_is_read_by_rowversions(mssql_table):
    connector = mssql_table("id int PRIMARY KEY, changed rowversion", ["2, DEFAULT", "1, DEFAULT"])
    growing = connector.model_copy(update={"incremental": DatabaseIncremental(cursor_column="changed")})
    found = list(growing.read(None, None))
    assert [key for batch in found for key in batch.records["id"].to_pylist()] == [2, 1]
    assert sum(batch.records.num_rows for batch in growing.read(found[-1].cursor, None)) == 0


def test_a_real_server_refuses_in_our_words(mssql_table):
    connector = mssql_table("id int", ["1"])
    for change, kind in (
        ({"table": None, "query": "SELECT FROM nothing WHERE"}, ConfigError),
        ({"table": "no_such_table"}, ConfigError),
        ({"where_clause": "1 / (id - 1) = 1"}, IngestionError),
    ):
        with pytest.raises(kind) as caught:
            read(connector.model_copy(update=change))
        assert str(connector.server.url.password) not in str(caught.value)
