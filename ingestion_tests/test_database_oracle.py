"""Oracle: what is sent to it, and what becomes of what its driver gives."""

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import oracledb
import pyarrow as pa
import pytest
from pydantic import ValidationError

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.oracle import Oracle, OracleConnector
from ingestion.connectors.databases.oracle.failures import failure
from ingestion.connectors.databases.oracle.types import TYPES, column_of
from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.plugins import Batch
from ingestion_tests.dagster_server import free_port
from ingestion_tests.fake_connections import Answer, FakeConnection, oracle_field

ADDRESS = {"host": "db.example", "username": "reader", "password": "c4n4ry-pass", "database": "SHOPPDB"}
NUMBER, VARCHAR = oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_VARCHAR


class Source(OracleConnector):
    """A source whose server is *fake*."""

    fake: Any = None

    @property
    def server(self) -> Database:
        return _Server(self)


class _Server(Oracle):
    def connect(self) -> Any:
        self.options.fake.done.append("connect")
        return self.options.fake


def source(answers: list[Answer], **options: Any) -> tuple[Source, FakeConnection]:
    """A source whose server gives these answers, and the server."""
    fake = FakeConnection([Answer("1.1 FROM DUAL", rows=[("1.1",)]), *answers])
    return Source(**{**ADDRESS, "fake": fake, "table": "orders", **options}), fake


def orders(batch: pa.RecordBatch, *fields: Any) -> list[Answer]:
    """What a server says of its table of orders."""
    return [
        Answer("1 = 0", fields),
        Answer("all_objects", ["owner", "name"], [("SHOP", "ORDERS")]),
        Answer("all_constraints", ["name", "type", "column"], [("PK", "P", fields[0][0])]),
        Answer("FROM orders", batches=[batch]),
        Answer("AS OF", error=AssertionError("not of one table alone")),
    ]


def batches(connector: OracleConnector) -> list[Batch]:
    return [item for item in connector.read(None, None) if isinstance(item, Batch)]


def read(connector: OracleConnector) -> pa.Table:
    return pa.Table.from_batches([batch.records for batch in batches(connector)])


NUMBERS = pa.record_batch({"ID": pa.array([Decimal(1), Decimal(2)], pa.decimal128(9, 0))})
ID = oracle_field("ID", NUMBER, 9)


def test_what_the_driver_gives_becomes_the_type_that_the_catalog_says():
    given = {
        "ID": pa.array([Decimal(1), Decimal(2)], pa.decimal128(9, 0)),
        "TOTAL": pa.array([Decimal("1.50"), None], pa.decimal128(12, 2)),
        "ANY_NUMBER": pa.array(["-.5", "123456789012345678901234567890"]),
        "MADE": pa.array([0, None], pa.timestamp("s")),
        "SEEN": pa.array([0, 1], pa.timestamp("us")),
        "NOTE": pa.array(["é", None], pa.large_string()),
    }
    fields = [
        *(ID, oracle_field("TOTAL", NUMBER, 12, 2), oracle_field("ANY_NUMBER", NUMBER, 0, -127)),
        oracle_field("MADE", oracledb.DB_TYPE_DATE),
        oracle_field("SEEN", oracledb.DB_TYPE_TIMESTAMP_TZ, 0, 9),
        oracle_field("NOTE", oracledb.DB_TYPE_CLOB),
    ]
    witness = pa.array([None, None], pa.large_string())
    connector, fake = source(orders(pa.record_batch({**given, "_ingestion_misfits": witness}), *fields))
    found = batches(connector)
    assert [str(field.type) for field in found[-1].records.schema] == [
        *("int32", "decimal128(12, 2)", "decimal128(38, 18)", "timestamp[us]", "timestamp[us, tz=UTC]", "string"),
    ]
    assert found[-1].records["ANY_NUMBER"].to_pylist() == [Decimal("-0.500000000000000000")]
    assert found[-1].records["SEEN"].to_pylist() == [datetime(1970, 1, 1, tzinfo=timezone.utc)]
    assert found[-1].rejected["column"].to_pylist() == ["ANY_NUMBER"]  # 30 digits before the point are no 38 with 18
    assert found[0].told == {"read by": "python-oracledb"}
    assert "fetch_df_batches(1000)" in fake.done  # a CLOB may be large


def test_rows_are_asked_for_in_one_state_without_limits_and_values_cannot_break_out():
    connector, fake = source(
        orders(NUMBERS, ID, oracle_field("MADE", oracledb.DB_TYPE_DATE)),
        exclude_columns=["MADE"],
        where_clause="name = :name AND made >= :made",
        where_params={"name": "O'Brien'; --", "made": datetime.fromisoformat("2024-02-01T10:00:00")},
    )
    assert read(connector)["ID"].to_pylist() == [1, 2]
    [statement] = fake.sent_with('SELECT "ID" AS')
    assert " ".join(statement.split()) == (
        "SELECT \"ID\" AS \"ID\" FROM orders WHERE (name = 'O''Brien''; --' "
        "AND made >= TO_DATE('2024-02-01 10:00:00', 'YYYY-MM-DD HH24:MI:SS') )"
    )
    begun = [sent for sent in fake.sent if sent.startswith(("ALTER SESSION", "SET TRANSACTION"))]
    assert begun[1:] == ["SET TRANSACTION READ ONLY"]
    assert "TIME_ZONE = '+00:00'" in begun[0]
    assert not [sent for sent in fake.sent if "FETCH" in sent or "LIMIT" in sent or "OFFSET" in sent]


def test_moments_before_the_year_1_are_told_beside_the_rows():
    given = {
        "ID": pa.array([Decimal(1), Decimal(2)], pa.decimal128(9, 0)),
        "MADE": pa.array([None, 86_400], pa.timestamp("s")),
        "_ingestion_misfits": pa.array(['{"MADE": "-44-03-15 00:00:00"}', None]),
    }
    connector, fake = source(orders(pa.record_batch(given), ID, oracle_field("MADE", oracledb.DB_TYPE_DATE)))
    found = batches(connector)[-1]
    assert found.records["ID"].to_pylist() == [2]
    assert [(row["column"], row["value"], row["position"]) for row in found.rejected.to_pylist()] == [
        ("MADE", "-44-03-15 00:00:00", 1)
    ]
    [statement] = fake.sent_with("JSON_OBJECT")
    made = "\"MADE\" >= DATE '0001-01-01'"
    assert f'CASE WHEN {made} THEN "MADE" END' in statement
    assert f"CASE WHEN NOT ({made}) THEN JSON_OBJECT('MADE' VALUE CASE WHEN NOT ({made}) THEN " in statement


def test_connections_beside_the_first_are_set_back_to_its_state():
    bounds = [Answer("min(", rows=[(1,)]), Answer("max(", rows=[(100,)])]
    number = Answer("GET_SYSTEM_CHANGE_NUMBER", rows=[(4711,)])
    connector, fake = source([*bounds, number, *orders(NUMBERS, ID)], num_partitions=2)
    assert read(connector).num_rows == 4  # the same two from each
    parts = [" ".join(sent.split()) for sent in fake.sent_with('SELECT "ID"')]
    assert sorted(parts) == [
        'SELECT "ID" AS "ID" FROM orders WHERE orders."ID" < 50',
        'SELECT "ID" AS "ID" FROM orders WHERE orders."ID" >= 50',
    ]
    set_back = [bound for sent, bound in zip(fake.sent, fake.bound, strict=True) if "ENABLE_AT_SYSTEM" in sent]
    assert set_back == [([4711],), ([4711],)]
    assert fake.done.count("connect") == 3


def test_one_connection_needs_no_privilege_for_its_state():
    connector, fake = source(orders(NUMBERS, ID))
    assert read(connector).num_rows == 2
    assert not fake.sent_with("DBMS_FLASHBACK")
    assert fake.done.count("connect") == 1


def test_a_column_that_cannot_be_read_is_refused_unless_it_is_left_out():
    fields = (ID, oracle_field("PICTURE", oracledb.DB_TYPE_BFILE))
    with pytest.raises(ConfigError, match=r"PICTURE of type BFILE cannot be read: .* name it in exclude_columns"):
        read(source(orders(NUMBERS, *fields))[0])
    assert read(source(orders(NUMBERS, *fields), exclude_columns=["PICTURE"])[0])["ID"].to_pylist() == [1, 2]


def test_a_table_that_is_not_there_is_told_with_those_that_are():
    tables = [("SHOP", "ORDERS", "SHOP"), ("OLD", "ORDRES", "SHOP")]
    answers = [Answer("oracle_maintained", ["owner", "name", "usual"], tables)]
    with pytest.raises(ConfigError, match="there is no table orderz; did you mean 'ORDERS'"):
        read(source(answers, table="orderz")[0])
    with pytest.raises(ConfigError, match=r"set source\.schema: OLD"):
        read(source(answers, table="ordres")[0])


@pytest.mark.parametrize(
    ("precision", "scale", "declared", "dtype", "selected"),
    [
        (9, 0, "NUMBER(9)", pa.int32(), "{}"),
        (18, 0, "NUMBER(18)", pa.int64(), "{}"),
        (19, 0, "NUMBER(19)", pa.decimal128(19, 0), "{}"),
        (38, 0, "NUMBER(38)", pa.decimal128(38, 0), "{}"),
        (12, 4, "NUMBER(12,4)", pa.decimal128(12, 4), "{}"),
        (5, -2, "NUMBER(5,-2)", pa.decimal128(7, 0), TYPES["DB_TYPE_NUMBER"].selected),
        (2, 5, "NUMBER(2,5)", pa.decimal128(5, 5), TYPES["DB_TYPE_NUMBER"].selected),
        (0, -127, "NUMBER", pa.decimal128(38, 18), TYPES["DB_TYPE_NUMBER"].selected),
        (126, -127, "FLOAT(126)", pa.float64(), "TO_BINARY_DOUBLE({})"),
    ],
)
def test_numbers_become_what_their_digits_ask_for(precision, scale, declared, dtype, selected):
    column = column_of("N", "DB_TYPE_NUMBER", precision, scale)
    assert (column.declared, column.dtype, column.fast) == (declared, dtype, selected)


def test_every_type_of_the_driver_is_read_or_refused():
    from ingestion.connectors.databases.oracle.types import UNREADABLE

    known = {name for name in dir(oracledb) if name.startswith("DB_TYPE_")}
    inner = {"DB_TYPE_UNKNOWN", "DB_TYPE_BINARY_INTEGER"}  # of no column
    assert known - inner == set(TYPES) | set(UNREADABLE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"isolation_level": "READ COMMITTED"}, "READ COMMITTED shows rows as they change; write READ ONLY or SERIAL"),
        ({"database": None}, "database is missing"),
        ({"connection_string": "mysql://u:p@h/d", "host": None}, "leave out username"),
    ],
)
def test_what_it_cannot_do_is_refused_in_the_job(options, message):
    with pytest.raises(ValidationError, match=message):
        OracleConnector(**{**ADDRESS, "table": "orders", **options})


def arguments(**options: Any) -> dict[str, Any]:
    """What the driver is given to connect with."""
    return dict(OracleConnector(table="orders", **options).server.connect_arguments)


def test_the_address_names_a_service_or_a_sid():
    given = arguments(**ADDRESS, port=1522)
    assert (given["host"], given["port"], given["service_name"]) == ("db.example", 1522, "SHOPPDB")
    given = arguments(connection_string="oracle://u:p%40@h/ORCL")
    assert (given["host"], given["port"], given["sid"], given["password"]) == ("h", 1521, "ORCL", "p@")
    assert "service_name" not in given
    assert OracleConnector(table="t", connection_string="oracle://u:p@h/ORCL").server.place == "oracle://h:1521/ORCL"


def test_ssl_modes_make_the_drivers_protocol_and_context():
    import ssl

    assert "protocol" not in arguments(**ADDRESS)
    assert arguments(**ADDRESS, ssl_mode="disable")["protocol"] == "tcp"
    contexts = [arguments(**ADDRESS, ssl_mode=mode) for mode in ("require", "verify-ca", "verify-full")]
    assert {given["protocol"] for given in contexts} == {"tcps"}
    assert [(given["ssl_context"].verify_mode, given["ssl_context"].check_hostname) for given in contexts] == [
        (ssl.CERT_NONE, False),
        (ssl.CERT_REQUIRED, False),
        (ssl.CERT_REQUIRED, True),
    ]


def real(**options: Any) -> OracleConnector:
    return OracleConnector(**{**ADDRESS, "table": "orders", "connect_timeout": 2, **options})


def test_a_closed_port_is_a_passing_error_and_an_unknown_host_is_not():
    with pytest.raises(TransientError, match="Connection refused; check that the server is up") as closed:
        read(real(host="127.0.0.1", port=free_port()))
    with pytest.raises(ConfigError, match=r"check source\.host") as unknown:
        read(real(host="no-such-host.invalid"))
    assert not [error for error in (closed, unknown) if "c4n4ry" in str(error.value)]


@pytest.mark.parametrize(
    ("said", "kind", "advice"),
    [
        ("ORA-01017: invalid credential or not authorized; logon denied", ConfigError, "source.password"),
        ('DPY-6001: Service "X" is not registered with the listener', ConfigError, "the name of the service"),
        ('ORA-00942: table or view "S"."T" does not exist', ConfigError, "check the tables"),
        ("ORA-01031: insufficient privileges", ConfigError, "grant"),
        ('ORA-00904: "DBMS_FLASHBACK"."GET_SYSTEM_CHANGE_NUMBER": invalid identifier', ConfigError, "num_partitions"),
        ("ORA-01555: snapshot too old", TransientError, "undo_retention"),
        ("ORA-03113: end-of-file on communication channel", TransientError, "server is up"),
        ("DPY-4011: the database or network closed the connection", TransientError, "server is up"),
        ("DPY-4024: call timeout of 10 ms exceeded", TransientError, "statement_timeout"),
        ("ORA-01722: unable to convert string value to a number", ConfigError, "does not suit"),
        ("ORA-00923: FROM keyword not found where expected", ConfigError, "correct source.query"),
    ],
)
def test_errors_are_named_by_their_remedy(said, kind, advice):
    text = f"{said}\nHelp: https://docs.oracle.com/error-help/"
    found = failure(oracledb.DatabaseError(text), "oracle://h/d")
    assert type(found) is kind
    assert advice in str(found)
    assert "Help:" not in str(found)


def test_an_error_of_somebody_else_is_left_alone():
    assert failure(ValueError("x"), "oracle://h/d") is None


def test_oracle_is_found_by_its_name():
    assert ConnectorFactory.get("oracle") is OracleConnector


UTC_CASE = datetime(2024, 3, 30, 21, 0, 0, 123457, timezone.utc)
CASES: dict[str, tuple[str, Any]] = {
    "NUMBER": ("1.5", Decimal("1.5")),
    "NUMBER(9)": ("-999999999", -999999999),
    "NUMBER(18)": ("999999999999999999", 10**18 - 1),
    "NUMBER(38)": ("9" * 38, Decimal("9" * 38)),
    "NUMBER(38,10)": ("1234567890123456789012345678.0123456789", Decimal("1234567890123456789012345678.0123456789")),
    "NUMBER(5,-2)": ("12345", Decimal(12300)),
    "FLOAT": ("0.1", 0.1),
    "BINARY_FLOAT": ("1.5", 1.5),
    "BINARY_DOUBLE": ("0.1", 0.1),
    "DATE": ("TO_DATE('9999-12-31 23:59:59', 'YYYY-MM-DD HH24:MI:SS')", datetime.fromisoformat("9999-12-31T23:59:59")),
    "TIMESTAMP(6)": ("TIMESTAMP '0001-01-01 00:00:00.000001'", datetime.fromisoformat("0001-01-01T00:00:00.000001")),
    "TIMESTAMP(9)": ("TIMESTAMP '2262-12-31 00:00:00.1234567'", datetime.fromisoformat("2262-12-31T00:00:00.123457")),
    "TIMESTAMP(9) WITH TIME ZONE": ("TIMESTAMP '2024-03-31 02:30:00.1234567 +05:30'", UTC_CASE),
    "TIMESTAMP(9) WITH LOCAL TIME ZONE": ("TIMESTAMP '2024-03-31 02:30:00.1234567 +05:30'", UTC_CASE),
    "INTERVAL YEAR TO MONTH": ("INTERVAL '1-6' YEAR TO MONTH", "+01-06"),
    "INTERVAL DAY TO SECOND": ("INTERVAL '2 10:30:00' DAY TO SECOND", "+02 10:30:00.000000"),
    "CHAR(4)": ("'ab'", "ab  "),
    "VARCHAR2(20)": ("'é'", "é"),
    "NCHAR(3)": ("N'å'", "å  "),
    "NVARCHAR2(20)": ("N'Åsa'", "Åsa"),
    "CLOB": ("'long'", "long"),
    "NCLOB": ("N'é'", "é"),
    "LONG": ("'older'", "older"),
    "RAW(4)": ("HEXTORAW('00FF')", b"\0\xff"),
    "LONG RAW": ("HEXTORAW('00FF')", b"\0\xff"),
    "BLOB": ("HEXTORAW('00FF')", b"\0\xff"),
    "XMLTYPE": ("XMLTYPE('<a>1</a>')", "<a>1</a>"),
    "ROWID": ("CHARTOROWID('AAAAaoAATAAABrXAAA')", "AAAAaoAATAAABrXAAA"),
    "UROWID": ("CHARTOROWID('AAAAaoAATAAABrXAAA')", "AAAAaoAATAAABrXAAA"),
}


class Portable(OracleConnector):
    """A source whose driver has no Arrow."""

    @property
    def server(self) -> Database:
        return _Portable(self)


class _Portable(Oracle):
    def load_fast(self) -> None:
        raise ImportError("too old", name="oracledb")


@pytest.fixture
def oracle_table() -> Iterator[Callable[..., OracleConnector]]:
    """Makes a table on the server of ORACLE_TEST_URL, and a source of it; at the end the tables are gone."""
    url = os.environ.get("ORACLE_TEST_URL")
    if not url:
        pytest.skip("set ORACLE_TEST_URL=oracle://user:password@host/?service_name=... to try a real server")
    made: list[str] = []
    engine = OracleConnector(connection_string=url, table="any").server.engine()

    def make(columns: str, rows: list[str], *, portable: bool = False, **options: Any) -> OracleConnector:
        made.append(f"t{uuid.uuid4().hex[:12]}")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {made[-1]} ({columns})")
            for row in rows:
                connection.exec_driver_sql(f"INSERT INTO {made[-1]} VALUES ({row})")
        return (Portable if portable else OracleConnector)(connection_string=url, table=made[-1], **options)

    yield make
    with engine.begin() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP TABLE {name}")


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("declared", CASES)
def test_a_type_is_read_from_a_real_server(declared, portable, oracle_table):
    written, expected = CASES[declared]
    connector = oracle_table(
        f"id NUMBER(9) PRIMARY KEY, value {declared}", [f"1, {written}", "2, NULL"], portable=portable
    )
    found = read(connector).sort_by("ID")
    assert found["VALUE"].to_pylist() == [expected, None]


@pytest.mark.parametrize("portable", [False, True])
def test_a_real_server_tells_of_moments_before_the_year_1(portable, oracle_table):
    rows = ["1, DATE '-0044-03-15'", "2, DATE '2024-01-02'"]
    found = batches(oracle_table("id NUMBER(9) PRIMARY KEY, made DATE", rows, portable=portable))[-1]
    assert found.records["ID"].to_pylist() == [2]
    assert found.rejected["position"].to_pylist() == [1]


def test_a_real_server_says_key_and_query(oracle_table):
    connector = oracle_table("a NUMBER(9), b VARCHAR2(9), PRIMARY KEY (b, a)", ["1, 'x'", "2, 'y'"])
    assert list(connector.check(None, None).key) == ["B", "A"]
    query = f"WITH x AS (SELECT a, b AS name FROM {connector.table}) SELECT a, name FROM x ORDER BY a DESC"
    assert read(connector.model_copy(update={"table": None, "query": query}))["A"].to_pylist() == [2, 1]


def test_a_real_server_is_read_in_parts_of_one_state(oracle_table):
    rows = [f"{number}" for number in range(100)]
    connector = oracle_table("id NUMBER(9) PRIMARY KEY", rows, num_partitions=3)
    assert sorted(read(connector)["ID"].to_pylist()) == list(range(100))


def test_a_real_server_refuses_in_our_words(oracle_table):
    connector = oracle_table("id NUMBER(9)", ["1"])
    for change, kind in (
        ({"table": None, "query": "SELECT FROM nothing WHERE"}, ConfigError),
        ({"table": "no_such_table"}, ConfigError),
        ({"where_clause": "1 / (id - 1) = 1"}, IngestionError),
    ):
        with pytest.raises(kind) as caught:
            read(connector.model_copy(update=change))
        assert str(connector.server.url.password) not in str(caught.value)
