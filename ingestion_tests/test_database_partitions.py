"""Several connections that read side by side: every row once, all in one state of the database."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from ingestion.connectors.databases.database import Database, Snapshot
from ingestion.connectors.databases.postgresql import PostgresqlConnector
from ingestion.connectors.databases.postgresql.server import Postgresql
from ingestion.connectors.databases.sqlite import SqliteConnector
from ingestion.errors import ConfigError
from ingestion_tests.postgres_sources import address, batches, read, source
from ingestion_tests.servers import PostgresServer

_ROWS = 5000
_COLUMNS = ["id", "n", "d", "s", "z", "few", "w"]


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> str:
    """A database with one table that has a column of every type to part rows by, nulls and extremes in each."""
    found = postgres_server.fresh_database()
    postgres_server.execute(
        f"""
        CREATE TABLE t (id bigint PRIMARY KEY, n numeric(12, 2), d date, s timestamp, z timestamptz, few int, w float8);
        INSERT INTO t SELECT n, n * 0.37, '2020-01-01'::date + n, '2020-01-01'::timestamp + n * '7 min'::interval,
            '2020-01-01 00:00+02'::timestamptz + n * '3 h'::interval, n % 2, n FROM generate_series(-10, {_ROWS}) n;
        INSERT INTO t VALUES (-20, NULL, NULL, NULL, NULL), (-21, 'NaN', NULL, NULL, NULL),
            (-22, NULL, 'infinity', '-infinity', 'infinity'), (-23, NULL, '0044-03-15 BC', '20000-01-01', '-infinity'),
            (-9223372036854775808, 0, NULL, NULL, NULL), (9223372036854775807, 0, NULL, NULL, NULL);
        CREATE TABLE pages (id int);
        INSERT INTO pages SELECT generate_series(1, 10000);
        DELETE FROM pages WHERE id % 3 = 0;
        CREATE TABLE parted (a int, b int, PRIMARY KEY (a, b)) PARTITION BY RANGE (a);
        CREATE TABLE part PARTITION OF parted DEFAULT;
        CREATE TABLE nothing (id int);
        CREATE VIEW seen AS SELECT * FROM t;
        """,
        found,
    )
    return found


class _Watched(PostgresqlConnector):
    @property
    def server(self) -> Database:
        return _Server(self)


class _Server(Postgresql):
    """Keeps the statements that are sent, and lets a row be added before any is read."""

    sent: list[str]
    add: str

    def fast(self, statement: str, columns: Any, snapshot: Snapshot | None) -> Iterator[Any]:
        type(self).sent.append(statement)
        with psycopg.connect(host=self.options.host, port=self.options.port, user=self.options.username,
                             password=self.options.password, dbname=self.options.database) as other:  # fmt: skip
            other.execute(type(self).add)
        yield from super().fast(statement, columns, snapshot)


def _sent(url: str, add: str = "SELECT 1", **options: Any) -> tuple[list[int], list[str]]:
    """The first column of all rows, rejected ones by their position, and the statements that read them."""
    _Server.sent, _Server.add = [], add
    found = []
    for batch in batches(_Watched(**{**address(url), **options})):
        found += batch.records.column(0).to_pylist()
        found += batch.rejected["position"].to_pylist() if batch.rejected is not None else []
    return sorted(found), _Server.sent


@pytest.mark.parametrize("column", [None, *_COLUMNS[:6]])
def test_every_row_is_in_one_part_whatever_parts_them(url: str, column: str | None) -> None:
    by = {"partition_column": column} if column else {}
    found, sent = _sent(url, table="t", num_partitions=4, **by)
    assert found == sorted([*range(-10, _ROWS + 1), -20, -21, -22, -23, -(2**63), 2**63 - 1])
    assert len(sent) == (2 if column == "few" else 4)


def test_parts_are_about_as_large_as_each_other(url: str, postgres_server: PostgresServer) -> None:
    for options in ({}, {"partition_column": "d"}):
        _, sent = _sent(url, table="t", num_partitions=4, **options)
        counts = [postgres_server.execute(f"SELECT count(*) FROM ({one}) AS part", url)[0][0] for one in sent]
        assert max(counts) < 0.4 * sum(counts), counts


def test_decimals_of_every_size_are_parted(url: str, postgres_server: PostgresServer) -> None:
    values = [-(10**38) + 1, 0, 10**35, 10**38 - 1]
    rows = ", ".join(f"({value}, {value})" for value in values)
    postgres_server.execute(
        f"CREATE TABLE large (k numeric(38, 0), v numeric(38, 0)); INSERT INTO large VALUES {rows}", url
    )
    found, sent = _sent(url, table="large", num_partitions=3, partition_column="k")
    assert found == values
    assert len(sent) == 3


def test_pages_part_a_table_without_a_key(url: str) -> None:
    found, sent = _sent(url, table="pages", num_partitions=3)
    assert found == [number for number in range(1, 10_001) if number % 3]
    assert len(sent) == 3
    assert all("ctid" in statement for statement in sent)


def test_all_parts_read_the_state_that_the_bounds_were_taken_from(url: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE TABLE busy AS SELECT generate_series(1, 100) AS id", url)
    add = "INSERT INTO busy SELECT max(id) + 1 FROM busy; DELETE FROM busy WHERE id <= 5; UPDATE busy SET id = id"
    for by in ({}, {"partition_column": "id"}):
        expected = [row[0] for row in postgres_server.execute("SELECT id FROM busy ORDER BY id", url)]
        found, sent = _sent(url, add, table="busy", num_partitions=2, **by)
        assert found == expected
        assert sent


def test_a_query_and_a_view_are_parted_by_a_column(url: str) -> None:
    query = "SELECT id, n FROM t WHERE id BETWEEN 1 AND 1000"
    found, sent = _sent(url, query=query, num_partitions=3, partition_column="id")
    assert found == list(range(1, 1001))
    assert len(sent) == 3
    found, sent = _sent(url, table="seen", where_clause="id > 10 OR id = 3", num_partitions=3, partition_column="id")
    assert found == [3, *range(11, _ROWS + 1), 2**63 - 1]
    assert len(sent) == 3


def test_no_rows_are_one_part(url: str) -> None:
    assert _sent(url, table="nothing", num_partitions=4)[0] == []
    assert _sent(url, table="parted", num_partitions=4, partition_column="a")[0] == []


def test_without_a_fast_driver_one_connection_reads_all_and_the_run_tells_so(url: str) -> None:
    found = batches(source(url, "portable", table="pages", num_partitions=4))
    assert sum(batch.records.num_rows for batch in found) == 6667
    told = "SQLAlchemy with psycopg, by one connection: what serves num_partitions is not installed"
    assert found[0].told["read by"] == told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"table": "parted"}, "name a column of numbers or dates as source.partition_column"),
        ({"table": "seen"}, "name a column of numbers or dates as source.partition_column"),
        ({"table": "t", "partition_column": "w"}, "parts rows by w, which is double precision"),
        ({"table": "t", "partition_column": "fwe"}, "source.partition_column names 'fwe'; did you mean 'few'?"),
    ],
)
def test_what_cannot_be_parted_is_refused(url: str, options: dict[str, Any], told: str) -> None:
    for path in ("adbc", "portable"):
        asked = source(url, path, num_partitions=2, **options)
        with pytest.raises(ConfigError, match=told):
            read(asked)
        with pytest.raises(ConfigError, match=told):
            asked.check(None, None)


def test_a_database_whose_connections_share_no_state_is_refused() -> None:
    with pytest.raises(ValidationError, match="SQLite lets no two connections read one state; leave it out"):
        SqliteConnector(database="a.db", table="t", num_partitions=2)
