"""MySQL and MariaDB: what each type becomes by either path, how sessions are begun, and what errors say."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from ingestion.config import parse_job
from ingestion.connectors.databases.mysql import MysqlConnector
from ingestion.connectors.databases.mysql.server import Mysql
from ingestion.connectors.databases.mysql.types import TYPES
from ingestion.pipeline import run as run_job
from ingestion.plugins import Batch
from ingestion.testing import check_connector
from ingestion_tests.conftest import Project
from ingestion_tests.servers import MariaServer

_UTC = timezone.utc


class _PortableServer(Mysql):
    def load_fast(self) -> None:
        raise ImportError


class _Portable(MysqlConnector):
    """The same without its fast path."""

    @property
    def server(self) -> Mysql:
        return _PortableServer(self)


_PATHS = pytest.mark.parametrize("connector", [MysqlConnector, _Portable], ids=["fast", "portable"])


class _Case(NamedTuple):
    """Values of a type as SQL writes them, and what they become; those that are rejected come as their texts."""

    declared: str
    values: tuple[str, ...]
    becomes: tuple[Any, ...]
    dtype: pa.DataType
    rejected: tuple[str, ...] = ()


_INT32, _INT64, _TEXT, _NAIVE = pa.int32(), pa.int64(), pa.string(), pa.timestamp("us")
_WIDE = pa.decimal128(20, 0)
_POINT = "ST_GeomFromText('POINT(1 2)')"


def _shape(declared: str, text: str) -> _Case:
    return _Case(declared, (f"ST_GeomFromText('{text}')",), (text,), _TEXT)


def _texts(declared: str) -> _Case:
    values = ("''", "'blåbär'", "'a \\'quoted\\' text, longer than a view'", "'🙂'")
    return _Case(declared, values, ("", "blåbär", "a 'quoted' text, longer than a view", "🙂"), _TEXT)


def _bytes(declared: str) -> _Case:
    return _Case(declared, ("X''", "X'00FF8001'"), (b"", b"\x00\xff\x80\x01"), pa.binary())


_CASES = [
    _Case("tinyint(1)", ("0", "1", "2", "-1"), (False, True), pa.bool_(), ("2", "-1")),
    _Case("tinyint", ("-128", "127"), (-128, 127), _INT32),
    _Case("tinyint unsigned", ("0", "255"), (0, 255), _INT32),
    _Case("smallint", ("-32768", "32767"), (-32768, 32767), _INT32),
    _Case("smallint unsigned", ("65535",), (65535,), _INT32),
    _Case("mediumint", ("-8388608", "8388607"), (-8388608, 8388607), _INT32),
    _Case("mediumint unsigned", ("16777215",), (16777215,), _INT32),
    _Case("int", ("-2147483648", "2147483647"), (-(2**31), 2**31 - 1), _INT32),
    _Case("int(8) zerofill", ("12",), (12,), _INT64),
    _Case("int unsigned", ("4294967295",), (2**32 - 1,), _INT64),
    _Case("bigint", ("-9223372036854775808", "9223372036854775807"), (-(2**63), 2**63 - 1), _INT64),
    _Case("bigint unsigned", ("0", "18446744073709551615"), (Decimal(0), Decimal(2**64 - 1)), _WIDE),
    _Case("decimal(10,2)", ("-1.50", "15.86"), (Decimal("-1.50"), Decimal("15.86")), pa.decimal128(10, 2)),
    _Case("decimal(5,0) unsigned", ("99999",), (Decimal(99999),), pa.decimal128(5, 0)),
    _Case(
        "decimal(65,30)",
        ("12345678.123456789012345678901234567891", "-0." + "0" * 29 + "1", "1" * 35 + "." + "9" * 30),
        (Decimal("12345678.123456789012345678901234567891"), Decimal("-1E-30")),
        pa.decimal128(38, 30),
        ("1" * 35 + "." + "9" * 30,),
    ),
    _Case(
        "float", ("16777217", "3.14", "-1e-30"), (16777216.0, 3.140000104904175, -1.0000000031710769e-30), pa.float32()
    ),
    _Case("double", ("0.1", "1e308", "-5e-324"), (0.1, 1e308, -5e-324), pa.float64()),
    _Case("double(16,2)", ("3.7778923941218268",), (3.7800000000000002,), pa.float64()),
    _Case("bit(1)", ("b'0'", "b'1'"), (False, True), pa.bool_()),
    _Case("bit(12)", ("b'0'", "b'101010101010'"), (0, 0b101010101010), _INT64),
    _Case("bit(64)", ("0xFFFFFFFFFFFFFFFF",), (Decimal(2**64 - 1),), _WIDE),
    _Case("char(5)", ("'ab'", "'å'"), ("ab", "å"), _TEXT),
    *(_texts(name) for name in ("varchar(60)", "tinytext", "text", "mediumtext", "longtext")),
    _Case("varchar(20) CHARACTER SET latin1", ("'blåbär'",), ("blåbär",), _TEXT),
    _Case("varchar(20) CHARACTER SET utf8mb3", ("'日本'",), ("日本",), _TEXT),
    _Case("varchar(20) CHARACTER SET ucs2", ("'日本'",), ("日本",), _TEXT),
    _Case("json", ("""'{"a": [1, null]}'""",), ('{"a": [1, null]}',), _TEXT),
    _Case("enum('small','blå')", ("'small'", "'blå'"), ("small", "blå"), _TEXT),
    _Case("set('a','b')", ("''", "'b,a'"), ("", "a,b"), _TEXT),
    _Case("uuid", ("'123e4567-e89b-12d3-a456-426655440000'",), ("123e4567-e89b-12d3-a456-426655440000",), _TEXT),
    _Case("inet4", ("'10.0.0.1'",), ("10.0.0.1",), _TEXT),
    _Case("inet6", ("'2001:db8::1'",), ("2001:db8::1",), _TEXT),
    _Case("binary(4)", ("X'00FF'",), (b"\x00\xff\x00\x00",), pa.binary()),
    *(_bytes(name) for name in ("varbinary(20)", "tinyblob", "blob", "mediumblob", "longblob")),
    _Case(
        "date",
        ("'2024-02-29'", "'0001-01-01'", "'9999-12-31'", "'0000-00-00'", "'2020-00-10'", "'2023-02-30'"),
        (date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31)),
        pa.date32(),
        ("0000-00-00", "2020-00-10", "2023-02-30"),
    ),
    _Case(
        "datetime",
        ("'2024-02-29 12:34:56'", "'2024-02-29'", "'0000-00-00'"),
        (datetime.fromisoformat("2024-02-29 12:34:56"), datetime.fromisoformat("2024-02-29 00:00:00")),
        _NAIVE,
        ("0000-00-00 00:00:00",),
    ),
    _Case(
        "datetime(6)",
        ("'2024-02-29 12:34:56.000001'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'"),
        (
            datetime.fromisoformat("2024-02-29 12:34:56.000001"),
            datetime.fromisoformat("1969-12-31 23:59:59.999999"),
            datetime.fromisoformat("9999-12-31 23:59:59.999999"),
        ),
        _NAIVE,
    ),
    _Case(
        "datetime(3)", ("'2024-01-01 00:00:00.120'",), (datetime.fromisoformat("2024-01-01 00:00:00.120000"),), _NAIVE
    ),
    _Case(
        "timestamp(3) NULL",
        ("'2024-07-01 12:00:00.250'", "'1970-01-02 00:00:00'", "'0000-00-00'"),
        (datetime(2024, 7, 1, 12, 0, 0, 250000, _UTC), datetime(1970, 1, 2, tzinfo=_UTC)),
        pa.timestamp("us", "UTC"),
        ("0000-00-00 00:00:00",),
    ),
    _Case(
        "time(6)",
        ("'00:00:00'", "'23:59:59.999999'", "'24:00:00'", "'-01:00:00'", "'838:59:59'"),
        (time(0), time(23, 59, 59, 999999)),
        pa.time64("us"),
        ("24:00:00", "-01:00:00", "838:59:59"),
    ),
    _Case("year", ("'1901'", "'2155'", "'0000'"), (1901, 2155, 0), _INT32),
    _shape("geometry", "POINT(1 2)"),
    _shape("point", "POINT(1 2)"),
    _shape("linestring", "LINESTRING(0 0,1 1)"),
    _shape("polygon", "POLYGON((0 0,1 0,1 1,0 0))"),
    _shape("multipoint", "MULTIPOINT(0 0,1 1)"),
    _shape("multilinestring", "MULTILINESTRING((0 0,1 1))"),
    _shape("multipolygon", "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))"),
    _shape("geometrycollection", "GEOMETRYCOLLECTION(POINT(1 2))"),
]
_ABSENT = {"vector", "geomcollection"}  # of newer servers than the one that the tests start


@pytest.fixture(scope="module")
def typed_url(mysql_server: MariaServer) -> str:
    """A database with a table for each case; every one of them has a null, too."""
    url = mysql_server.fresh_database()
    with mysql_server.session(url) as run:
        run("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        for number, case in enumerate(_CASES):
            run(f"CREATE TABLE t{number} (v {case.declared})")
            run(f"INSERT INTO t{number} VALUES {', '.join(f'({value})' for value in (*case.values, 'NULL'))}")
    return url


def _read(url: str, connector: type[MysqlConnector] = MysqlConnector, **options: Any) -> list[Batch]:
    known = options.pop("known", None)
    source = connector.model_validate({"connection_string": url, **options})
    return [batch for batch in source.read(None, known) if isinstance(batch, Batch)]


def _values(batches: list[Batch], column: str = "v") -> list[Any]:
    return [value for batch in batches for value in batch.records.column(column).to_pylist()]


def _rejected(batches: list[Batch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        if batch.rejected is not None:
            yield from batch.rejected.to_pylist()


def test_every_type_of_the_table_is_tested() -> None:
    spelled = {case.declared.split(" CHAR")[0].replace(" zerofill", " unsigned") for case in _CASES}
    bare = {name.split("(")[0] + (" unsigned" if "unsigned" in name else "") for name in spelled}
    assert set(TYPES) - spelled - bare - {"timestamp"} == _ABSENT


@_PATHS
@pytest.mark.parametrize("number", range(len(_CASES)), ids=[case.declared for case in _CASES])
def test_a_type_becomes_what_its_row_of_the_table_says(
    connector: type[MysqlConnector], number: int, typed_url: str
) -> None:
    _assert_reads(_read(typed_url, connector, table=f"t{number}"), _CASES[number])


@pytest.mark.parametrize("number", range(len(_CASES)), ids=[case.declared for case in _CASES])
def test_columns_of_a_query_become_what_those_of_a_table_do(number: int, typed_url: str) -> None:
    _assert_reads(_read(typed_url, query=f"SELECT * FROM t{number};"), _CASES[number])


def _assert_reads(batches: list[Batch], case: _Case) -> None:
    assert batches[0].records.schema.field("v").type == case.dtype
    assert _values(batches) == [*case.becomes, None]
    assert tuple(_plain(row["value"]) for row in _rejected(batches)) == case.rejected


def _plain(text: str) -> str:
    """Without the fraction of zero that one path tells."""
    return re.sub(r"\.0+$", "", text.removesuffix("Z")) if ":" in text else text


@_PATHS
def test_texts_where_the_table_has_texts_keep_what_no_calendar_has(
    connector: type[MysqlConnector], typed_url: str
) -> None:
    number = next(i for i, case in enumerate(_CASES) if case.declared == "date")
    batches = _read(typed_url, connector, table=f"t{number}", known=pa.schema([("v", pa.string())]))
    assert _values(batches)[3:6] == ["0000-00-00", "2020-00-10", "2023-02-30"]


@_PATHS
@pytest.mark.parametrize("known", [pa.int32(), pa.int64()], ids=str)
def test_a_tinyint_of_one_digit_is_a_number_where_the_table_has_numbers(
    connector: type[MysqlConnector], known: pa.DataType, typed_url: str
) -> None:
    batches = _read(typed_url, connector, table="t0", known=pa.schema([("v", known)]))
    assert batches[0].records.schema.field("v").type == known
    assert _values(batches) == [0, 1, 2, -1, None]


@pytest.mark.parametrize("number", range(len(_CASES)), ids=[case.declared for case in _CASES])
def test_every_type_can_be_read_as_text(number: int, typed_url: str) -> None:
    batches = _read(typed_url, table=f"t{number}", known=pa.schema([("v", pa.string())]))
    values = _values(batches)
    assert [value is None for value in values] == [*(False for _ in _CASES[number].values), True]
    assert not list(_rejected(batches))


def test_floats_as_text_keep_their_digits(typed_url: str) -> None:
    number = next(i for i, case in enumerate(_CASES) if case.declared == "float")
    batches = _read(typed_url, table=f"t{number}", known=pa.schema([("v", pa.string())]))
    assert [float(value) for value in _values(batches)[:2]] == [16777216.0, 3.140000104904175]


@pytest.fixture
def run(mysql_server: MariaServer, mysql_url: str) -> Iterator[Callable[[str], list[Any]]]:
    """What runs statements in the database of the test."""
    with mysql_server.session(mysql_url) as found:
        yield found


@_PATHS
def test_names_with_any_character_are_read(
    connector: type[MysqlConnector], run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    run('CREATE TABLE `50% ``off`` å` (`id %s` INT PRIMARY KEY, `select` INT, `:p` INT, `a"b` INT)')
    run("INSERT INTO `50% ``off`` å` VALUES (1, 2, 3, 4)")
    batches = _read(mysql_url, connector, table="50% `off` å", where_clause="`id %s` LIKE '1%'")
    assert [batch.records.to_pylist() for batch in batches if batch.records.num_rows] == [
        [{"id %s": 1, "select": 2, ":p": 3, 'a"b': 4}]
    ]
    run("INSERT INTO `50% ``off`` å` VALUES (2, 3, 4, 5), (3, 4, 5, 6)")
    assert sorted(_values(_read(mysql_url, connector, table="50% `off` å", num_partitions=3), "id %s")) == [1, 2, 3]


@_PATHS
@pytest.mark.parametrize("text", ["a'b", "a\\", "\\' OR 1=1 -- ", '"', "%s %", "å🙂", ""])
@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"])
def test_parameters_are_values_whatever_they_hold(
    connector: type[MysqlConnector], text: str, mode: str, run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    run("CREATE TABLE t (v VARCHAR(40))")
    run("INSERT INTO t VALUES ('other')")
    run(f"INSERT INTO t VALUES (X'{text.encode().hex()}')")
    options = {"where_clause": "v = :text", "where_params": {"text": text}, "init_sql": f"SET sql_mode = '{mode}'"}
    assert _values(_read(mysql_url, connector, table="t", **options)) == [text]


@_PATHS
@pytest.mark.parametrize("columns", [1, 6, 7, 14, 15, 40])
def test_nulls_stand_where_they_were(
    connector: type[MysqlConnector], columns: int, run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    types = ("INT", "VARCHAR(300)", "DATETIME(6)", "DOUBLE", "TIME(3)", "TINYINT", "DATE")
    run(f"CREATE TABLE t ({', '.join(f'c{n} {types[n % 7]}' for n in range(columns))})")
    samples = (
        7,
        "x" * 280,
        datetime.fromisoformat("2024-01-02 03:04:05.000006"),
        0.5,
        time(1, 2, 3),
        1,
        date(2024, 1, 2),
    )
    rows = [tuple(samples[n % 7] if (row * 31 + n * 17) % 3 else None for n in range(columns)) for row in range(50)]
    for row in rows:
        run(f"INSERT INTO t VALUES ({', '.join('NULL' if item is None else repr(str(item)) for item in row)})")
    batches = _read(mysql_url, connector, table="t")
    assert [tuple(row.values()) for batch in batches for row in batch.records.to_pylist()] == rows


@pytest.mark.parametrize("length", [250, 251, 65_535, 65_536, 5 << 20, (16 << 20) - 10, 17 << 20, 34 << 20])
def test_texts_of_any_length_come_whole(length: int, mysql_server: MariaServer, mysql_url: str) -> None:
    mysql_server.execute("SET GLOBAL max_allowed_packet = 1 << 27")
    with mysql_server.session(mysql_url) as run:
        run("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT, w LONGTEXT)")
        run(f"INSERT INTO t VALUES (1, 'before', NULL), (2, REPEAT('ab', {length // 2}), 'c'), (3, NULL, 'after')")
    rows = [row for batch in _read(mysql_url, table="t") for row in batch.records.to_pylist()]
    assert [(row["id"], row["w"]) for row in rows] == [(1, None), (2, "c"), (3, "after")]
    assert rows[1]["v"] == "ab" * (length // 2)


def test_a_job_loads_rows_and_quarantines_what_no_calendar_has(
    project: Project, run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    run("CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, day DATE, amount DECIMAL(65,30), paid TINYINT(1))")
    run("SET sql_mode = ''")
    run(
        "INSERT INTO orders VALUES (1, '2024-02-29', 1.5, 1), (2, '0000-00-00', 2, 0), (18446744073709551615, NULL, -1, 0)"
    )
    source = {"type": "mariadb", "connection_string": mysql_url, "table": "orders"}
    report = run_job(parse_job("orders", {"source": source, "loader": {"type": "iceberg"}}), "r1")
    assert (report.rows_loaded, report.rows_quarantined) == (2, 1)
    assert report.told["read by"] == "pymysql, binary protocol"
    rows = project.table("default.orders").select(["id", "day", "amount", "paid"]).sort_by("id").to_pylist()
    assert rows == [
        {"id": Decimal(1), "day": date(2024, 2, 29), "amount": Decimal("1.5"), "paid": True},
        {"id": Decimal(2**64 - 1), "day": None, "amount": Decimal(-1), "paid": False},
    ]


@_PATHS
def test_the_contract_of_sources_is_kept(
    connector: type[MysqlConnector], run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    run("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200), day DATE)")
    run("INSERT INTO t SELECT seq, REPEAT(seq, 20), '2024-01-01' + INTERVAL seq DAY FROM seq_1_to_3000")
    options = {"table": "t", "max_batch_bytes": 1 << 16, "fetch_size": 500}
    rows = check_connector(connector.model_validate({"connection_string": mysql_url, **options}), incremental=False)
    assert rows["id"].to_pylist() == list(range(1, 3001))
