"""What each of PostgreSQL's types becomes, by whichever driver."""

import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from ingestion.connectors.databases.postgresql.types import COMPOSED, TYPES
from ingestion_tests.postgres_sources import PATHS, batches, read, rejected, source
from ingestion_tests.servers import PostgresServer


class Case(NamedTuple):
    """Values of one type: as SQL writes them, and as they are read."""

    declared: str
    written: list[str]
    dtype: pa.DataType
    read: list[Any]
    refused: dict[str, str] = {}  # as SQL writes them: as they are told


_LONG = "1234567890123456789012345678901234567890"
_TS, _TSZ = pa.timestamp("us"), pa.timestamp("us", "UTC")
_TEXT = pa.string()
_CLOCK = {
    "'infinity'": "infinity",
    "'-infinity'": "-infinity",
    "'20000-01-02'": "20000-01-02",
    "'0044-03-15 BC'": "0044-03-15 BC",
}

CASES = [
    Case("smallint", ["-32768", "32767"], pa.int32(), [-32768, 32767]),
    Case("integer", ["-2147483648", "2147483647"], pa.int32(), [-(2**31), 2**31 - 1]),
    Case("bigint", ["-9223372036854775808", "9223372036854775807"], pa.int64(), [-(2**63), 2**63 - 1]),
    Case("oid", ["0", "4294967295"], pa.int64(), [0, 2**32 - 1]),
    Case("real", ["1.1", "'-Infinity'"], pa.float32(), [pa.scalar(1.1, pa.float32()).as_py(), float("-inf")]),
    Case("double precision", ["0.1", "1e300", "'Infinity'"], pa.float64(), [0.1, 1e300, float("inf")]),
    Case(
        "numeric(12,4)",
        ["15.86", "-0.05", "0", "12345678.9999"],
        pa.decimal128(12, 4),
        [Decimal("15.8600"), Decimal("-0.0500"), Decimal("0.0000"), Decimal("12345678.9999")],
        {"'NaN'": "NaN"},
    ),
    Case("numeric(38,0)", ["9" * 38], pa.decimal128(38, 0), [Decimal("9" * 38)]),
    Case("numeric(5,-2)", ["12345"], pa.decimal128(7, 0), [Decimal(12300)]),
    Case("numeric(2,5)", ["0.00012"], pa.decimal128(5, 5), [Decimal("0.00012")]),
    Case("numeric(50,10)", ["1.5"], pa.decimal128(38, 10), [Decimal("1.5000000000")], {_LONG: f"{_LONG}.0000000000"}),
    Case(
        "numeric",
        ["1.50", "-12345678901234567890.123456789012345678"],
        pa.decimal128(38, 18),
        [Decimal("1.500000000000000000"), Decimal("-12345678901234567890.123456789012345678")],
        {"'NaN'": "NaN", "'-Infinity'": "-Infinity", _LONG: _LONG, "1e-19": "0.0000000000000000001"},
    ),
    Case("money", ["-1234.56"], pa.decimal128(19, 2), [Decimal("-1234.56")]),
    Case("boolean", ["true", "false"], pa.bool_(), [True, False]),
    Case("text", ["'Åsa 🦆'", "''", "'  a '"], _TEXT, ["Åsa 🦆", "", "  a "]),
    Case("varchar(9)", ["'é '"], _TEXT, ["é "]),
    Case("char(5)", ["'ab'"], _TEXT, ["ab"]),
    Case("name", ["'n'"], _TEXT, ["n"]),
    Case('"char"', ["'c'"], _TEXT, ["c"]),
    Case("citext", ["'Mixed'"], _TEXT, ["Mixed"]),
    Case("bytea", [r"'\x00ff27'", "''"], pa.binary(), [b"\x00\xff'", b""]),
    Case("date", ["'0001-01-01'", "'9999-12-31'"], pa.date32(), [date.min, date.max], _CLOCK),
    Case(
        "timestamp",
        ["'0001-01-01'", "'9999-12-31 23:59:59.999999'"],
        _TS,
        [datetime.fromisoformat("0001-01-01"), datetime.fromisoformat("9999-12-31T23:59:59.999999")],
        {
            "'infinity'": "infinity",
            "'-infinity'": "-infinity",
            "'294276-12-31 23:59:59.999999'": "294276-12-31 23:59:59.999999",
            "'4713-01-01 BC'": "4713-01-01 00:00:00 BC",
        },
    ),
    Case(
        "timestamptz",
        ["'2020-02-29 23:30:00.000001+05:30'"],
        _TSZ,
        [datetime(2020, 2, 29, 18, 0, 0, 1, timezone.utc)],
        {"'infinity'": "infinity", "'20000-01-02 00:00+00'": "20000-01-02 00:00:00+00"},
    ),
    Case("timestamp(0)", ["'2020-01-01 10:00:00.6'"], _TS, [datetime.fromisoformat("2020-01-01T10:00:01")]),
    Case("time", ["'23:59:59.999999'"], pa.time64("us"), [time.max], {"'24:00'": "24:00:00"}),
    Case("timetz", ["'10:00+02'"], _TEXT, ["10:00:00+02"]),
    Case("interval", ["'1 year 2 mons 3 days 04:05:06.7'"], _TEXT, ["P1Y2M3DT4H5M6.7S"]),
    Case("uuid", ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"], _TEXT, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    Case("json", ["""'{"a": 1.50}'"""], _TEXT, ['{"a": 1.50}']),
    Case("jsonb", ["""'{"b":1.50,"a":null}'"""], _TEXT, ['{"a": null, "b": 1.50}']),
    Case("hstore", ["'a=>1,b=>NULL'"], _TEXT, ['{"a": "1", "b": null}']),
    Case("mood", ["'sad'", "'föhn'"], _TEXT, ["sad", "föhn"]),
    Case("price", ["1.5"], pa.decimal128(10, 2), [Decimal("1.50")], {"'NaN'": "NaN"}),
    Case("pair", ["ROW(1, 'x')"], _TEXT, ['{"a":1,"b":"x"}']),
    Case("inet", ["'192.168.0.1'", "'10.0.0.0/8'"], _TEXT, ["192.168.0.1", "10.0.0.0/8"]),
    Case("cidr", ["'10.1.0.0/16'"], _TEXT, ["10.1.0.0/16"]),
    Case("macaddr", ["'08:00:2b:01:02:03'"], _TEXT, ["08:00:2b:01:02:03"]),
    Case("macaddr8", ["'08:00:2b:01:02:03:04:05'"], _TEXT, ["08:00:2b:01:02:03:04:05"]),
    Case("bit(3)", ["B'101'"], _TEXT, ["101"]),
    Case("varbit", ["B'1'", "B''"], _TEXT, ["1", ""]),
    Case("xml", ["'<a>1</a>'"], _TEXT, ["<a>1</a>"]),
    Case("int4range", ["'[1,5)'"], _TEXT, ["[1,5)"]),
    Case("point", ["'(1,2)'"], _TEXT, ["(1,2)"]),
    Case("tsvector", ["'a b'"], _TEXT, ["'a' 'b'"]),
    Case("pg_lsn", ["'0/16B3748'"], _TEXT, ["0/16B3748"]),
    Case(
        "integer[]",
        ["'{}'", "'{1,NULL}'", "'[0:1]={3,4}'", "'[5:6]={5,6}'"],
        pa.list_(pa.int32()),
        [[], [1, None], [3, 4], [5, 6]],
        {"'{{1,2},{3,4}}'": "{{1,2},{3,4}}"},
    ),
    Case("smallint[]", ["'{1}'"], pa.list_(pa.int32()), [[1]]),
    Case("bigint[]", ["'{1}'"], pa.list_(pa.int64()), [[1]]),
    Case("real[]", ["'{1.5}'"], pa.list_(pa.float32()), [[1.5]]),
    Case("float8[]", ["'{1.5,NULL}'"], pa.list_(pa.float64()), [[1.5, None]]),
    Case("boolean[]", ["'{t,f}'"], pa.list_(pa.bool_()), [[True, False]]),
    Case("text[]", ["ARRAY['a,b', NULL, '']"], pa.list_(_TEXT), [["a,b", None, ""]], {"'{{a}}'": "{{a}}"}),
    Case("varchar(3)[]", ["'{ab}'"], pa.list_(_TEXT), [["ab"]]),
    Case("numeric(5,2)[]", ["'{1.5,NaN}'", "'[2:2]={1}'"], pa.list_(_TEXT), [["1.50", "NaN"], ["1.00"]]),
    Case("word[]", ["'{x,yz}'", "'{}'"], pa.list_(_TEXT), [["x", "yz"], []], {"'{{a}}'": "{{a}}"}),
    Case("whole[]", ["'{1,NULL}'"], pa.list_(pa.int64()), [[1, None]]),
    Case("wholes", ["'{1,NULL}'"], pa.list_(pa.int64()), [[1, None]]),
    Case("timestamptz[]", ["'{2020-01-01 00:00+01}'"], pa.list_(_TEXT), [["2019-12-31 23:00:00+00"]]),
    Case("uuid[]", ["'{NULL}'"], pa.list_(_TEXT), [[None]]),
    Case("mood[]", ["'{sad}'"], pa.list_(_TEXT), [["sad"]]),
]
_MADE = """
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'föhn');
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN word AS text;
CREATE DOMAIN whole AS bigint CHECK (VALUE > 0);
CREATE DOMAIN wholes AS bigint[];
CREATE TYPE pair AS (a int, b text);
"""


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> str:
    """A database with one table for each case: the values, a null, and the refused ones."""
    found = postgres_server.fresh_database()
    statements = [_MADE]
    for number, case in enumerate(CASES):
        values = [*case.written, "NULL", *case.refused]
        rows = ", ".join(f"({place}, {value})" for place, value in enumerate(values))
        statements.append(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {case.declared})")
        statements.append(f"INSERT INTO t{number} VALUES {rows}")
    postgres_server.execute("; ".join(statements), found)
    return found


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.declared for case in CASES])
def test_a_type_becomes_what_the_table_of_types_says(url: str, number: int, path: str) -> None:
    case = CASES[number]
    found = batches(source(url, path, table=f"t{number}"))
    rows = pa.Table.from_batches([batch.records for batch in found])
    assert rows.schema.field("v").type == case.dtype
    assert rows["v"].to_pylist() == [*case.read, None]
    refused = [row for batch in found if batch.rejected is not None for row in batch.rejected.to_pylist()]
    for row, (position, told) in zip(refused, _positions(case), strict=True):
        assert (row["column"], row["value"], row["position"]) == ("v", told, position)
        assert json.loads(row["payload"]) == {"id": position, "v": told}
    (read_by,) = {item.told["read by"] for item in found if item.told}
    assert {"scanner": "DuckDB", "adbc": "adbc", "portable": "psycopg"}[path] in read_by


def _positions(case: Case) -> list[tuple[int, str]]:
    return list(enumerate(case.refused.values(), start=len(case.written) + 1))


@pytest.mark.parametrize("path", PATHS)
def test_all_types_of_one_query_are_those_of_the_table(url: str, path: str) -> None:
    columns = ", ".join(f"t{number}.v AS c{number}" for number in range(len(CASES)))
    tables = " JOIN ".join(f"t{number}" + (" USING (id)" if number else "") for number in range(len(CASES)))
    found = read(source(url, path, query=f"SELECT {columns} FROM {tables} WHERE id = 0 -- the first"))
    assert found.schema.types == [case.dtype for case in CASES]
    assert [found.column(number)[0].as_py() for number in range(len(CASES))] == [case.read[0] for case in CASES]


@pytest.mark.parametrize("path", PATHS)
def test_columns_that_the_table_has_as_text_are_read_as_text(url: str, path: str) -> None:
    for number, case in enumerate(CASES):
        if case.refused:
            found = read(source(url, path, table=f"t{number}"), pa.schema([("v", pa.string())]))
            assert found["v"].to_pylist()[-len(case.refused) :] == list(case.refused.values())


def test_every_type_of_the_table_has_a_case(url: str, postgres_server: PostgresServer) -> None:
    names = {
        postgres_server.execute(f"SELECT typname FROM pg_type WHERE oid = '{case.declared}'::regtype", url)[0][0]
        for case in CASES
    }
    kinds = {
        postgres_server.execute(f"SELECT typtype FROM pg_type WHERE oid = '{case.declared}'::regtype", url)[0][0]
        for case in CASES
    }
    assert set(TYPES) <= names
    assert set(COMPOSED) <= {kind if isinstance(kind, str) else kind.decode() for kind in kinds}


@pytest.mark.parametrize("path", ["scanner", "adbc"])
def test_moments_out_of_reach_are_told_as_the_server_writes_them(
    url: str, path: str, postgres_server: PostgresServer
) -> None:
    postgres_server.execute(
        """
        DROP TABLE IF EXISTS far;
        CREATE TABLE far (id int PRIMARY KEY, d date, s timestamp);
        INSERT INTO far SELECT -n, '4713-01-01 BC'::date + n * 97, '4713-01-01 BC'::timestamp + n * '101 days 1 us'::interval
        FROM generate_series(0, 15000) n;
        INSERT INTO far SELECT n + 1, '10000-01-01'::date + n * 39999, '10000-01-01'::timestamp + n * '6997 days 7 s'::interval
        FROM generate_series(0, 14000) n;
        """,
        url,
    )
    for column in ("d", "s"):
        expected = dict(postgres_server.execute(f"SELECT id, {column}::text FROM far", url))
        told = {
            row["position"]: row["value"] for row in rejected(source(url, path, table="far", columns=["id", column]))
        }
        assert len(told) > 20_000
        assert told == {position: expected[position] for position in told}
