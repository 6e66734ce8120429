"""What holds for every server: run on PostgreSQL and MariaDB, and on Oracle and SQL Server where an address is given.

ORACLE_TEST_URL is oracle://user:password@host/?service_name=..., MSSQL_TEST_URL mssql://user:password@host/database
(with ?Encrypt=no where the server has no certificate). Their users have to be able to create tables.
"""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.plugins import Batch, Cursor
from ingestion_tests.dagster_server import free_port
from ingestion_tests.incremental_sources import ago

KINDS = ("postgresql", "mysql", "oracle", "mssql")
TIMES = {"postgresql": "timestamp(6)", "mysql": "datetime(6)", "oracle": "timestamp(6)", "mssql": "datetime2(6)"}
ELSEWHERE = {"oracle": "ORACLE_TEST_URL", "mssql": "MSSQL_TEST_URL"}


@dataclass
class Server:
    """A server, and the tables of the test on it."""

    kind: str
    url: str
    made: list[str] = field(default_factory=list)

    def connector(self, **options: Any) -> DatabaseConnector:
        """A source there."""
        found = ConnectorFactory.create({"type": self.kind, "connection_string": self.url, **options})
        assert isinstance(found, DatabaseConnector)
        return found

    def execute(self, *statements: str) -> None:
        """Run *statements* in one transaction."""
        with self.connector(table="t").server.engine().begin() as connection:
            for statement in statements:
                connection.execute(text(statement.replace(":", "\\:")))

    def table(self, columns: str) -> str:
        """The name of a new table."""
        self.made.append(f"t{uuid.uuid4().hex[:12]}")
        self.execute(f"CREATE TABLE {self.made[-1]} ({columns})")
        return self.made[-1]

    def insert(self, *rows: tuple[Any, ...]) -> None:
        """Add rows to the last table."""
        lines = (", ".join(map(self.literal, row)) for row in rows)
        self.execute(*(f"INSERT INTO {self.made[-1]} VALUES ({line})" for line in lines))

    def literal(self, item: Any) -> str:
        """A number, a text, a date or a time as SQL has it there."""
        if item is None or isinstance(item, int):
            return "NULL" if item is None else str(item)
        kind = {10: "date", 26: "timestamp"}.get(len(item))
        if kind is None:
            return f"'{item}'"
        if self.kind == "mssql":
            return f"CAST('{item}' AS {kind.replace('timestamp', TIMES[self.kind])})"
        return f"{kind} '{item}'"

    def name(self, *columns: str) -> list[str]:
        """Names as the catalog has them."""
        return [column.upper() if self.kind == "oracle" else column for column in columns]

    def ids(self, connector: DatabaseConnector, cursor: Cursor = None) -> tuple[list[Any], Cursor]:
        """The first column of what a run after *cursor* reads, and the cursor of the next."""
        found: list[Any] = []
        for batch in connector.read(cursor, None):
            assert isinstance(batch, Batch)
            found += batch.records.column(0).to_pylist()
            cursor = batch.cursor if batch.cursor is not None else cursor
        return found, cursor

    def growing(self, column: str, **incremental: Any) -> DatabaseConnector:
        """A source of what is new in the last table by that column."""
        # Databases of SQL Server need not allow snapshots.
        given = {"isolation_level": "SERIALIZABLE"} if self.kind == "mssql" else {}
        [cursor] = self.name(column)
        return self.connector(table=self.made[-1], incremental={"cursor_column": cursor, **incremental}, **given)


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Of each kind one."""
    if request.param in ELSEWHERE:
        url = os.environ.get(ELSEWHERE[request.param])
        if not url:
            pytest.skip(f"set {ELSEWHERE[request.param]} to try a real server")
    else:
        url = request.getfixturevalue({"postgresql": "postgres_url", "mysql": "mysql_url"}[request.param])
    found = Server(request.param, str(url))
    yield found
    for name in found.made:
        found.execute(f"DROP TABLE {name}")


def test_rounds_by_time_read_every_row_once(server: Server) -> None:
    server.table(f"id integer PRIMARY KEY, at {TIMES[server.kind]}")
    same = ago(90)
    server.insert((2, same), (1, same), (0, ago(300)), (9, ago(5)))
    source = server.growing("at", source_timezone="UTC")
    first, cursor = server.ids(source)
    assert first == [0, 1, 2]
    server.insert((3, ago(45)), (4, ago(50)))
    second, cursor = server.ids(server.growing("at", source_timezone="UTC", safety_lag="20s"), cursor)
    assert second == [4, 3]
    third, cursor = server.ids(server.growing("at", source_timezone="UTC", safety_lag=0), cursor)
    assert third == [9]
    assert server.ids(server.growing("at", source_timezone="UTC", safety_lag=0), cursor) == ([], cursor)
    again, _ = server.ids(server.growing("at", source_timezone="UTC", safety_lag=0, lookback="60s"), cursor)
    assert again == [4, 3, 9]


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("decimal(19,0)", [-3, 9007199254740993, 9007199254740994]),
        ("decimal(9,0)", [-3, 5, 6]),
        ("varchar(20)", ["a; --", "b%", "c"]),
        ("date", ["2024-02-28", "2024-02-29", "2024-03-01"]),
    ],
)
def test_every_kind_of_cursor_goes_on_where_it_was(server: Server, declared: str, values: list[Any]) -> None:
    server.table(f"id integer PRIMARY KEY, c {declared}")
    server.insert((0, values[0]), (2, values[1]))
    options = {"safety_lag": 0, "source_timezone": "UTC"} if declared == "date" else {}
    first, cursor = server.ids(server.growing("c", **options))
    server.insert((3, values[1]), (1, values[2]))  # the same value of a greater key, a greater value
    second, cursor = server.ids(server.growing("c", **options), cursor)
    assert (first, second) == ([0, 2], [3, 1])
    assert server.ids(server.growing("c", **options), cursor)[0] == []


def test_rows_without_a_cursor_fail_the_run_or_stay_away_and_ranges_leave_the_cursor_alone(server: Server) -> None:
    server.table("id integer PRIMARY KEY, n integer")
    server.insert((1, 10), (2, 20), (3, None), (4, 30))
    with pytest.raises(DataError, match=r"1 row of t[0-9a-f]+ without "):
        server.ids(server.growing("n"))
    assert server.ids(server.growing("n", on_null_cursor="exclude"))[0] == [1, 2, 4]
    found, cursor = server.ids(server.growing("n", on_null_cursor="exclude", initial_value=20, end_value=30))
    assert (found, cursor) == ([2], None)


def test_a_query_is_read_by_what_is_new_too(server: Server) -> None:
    table = server.table("id integer PRIMARY KEY, n integer")
    server.insert((1, 10), (2, 20))
    query = {
        "table": None,
        "query": f"SELECT id AS id, n AS n FROM {table} WHERE id < :most",
        "query_params": {"most": 9},
    }
    source = server.growing("id").model_copy(update=query)
    first, cursor = server.ids(source)
    server.insert((3, 10), (9, 10))
    assert (first, server.ids(source, cursor)[0]) == ([1], [2])  # nothing tells that id is unique


@pytest.mark.parametrize("column", ["id", "d", "at"])
def test_parts_make_up_the_table(server: Server, column: str) -> None:
    table = server.table(f"id decimal(19,0) PRIMARY KEY, d date, at {TIMES[server.kind]}")
    server.insert(*((n, f"2024-01-{1 + n % 28:02}", ago(n * 1000)) for n in range(60)), (60, None, None))
    by = {"partition_column": server.name(column)[0], "num_partitions": 3}
    if server.kind == "mssql":
        with pytest.raises(ValueError, match="num_partitions: SQL Server lets no two connections read one state"):
            server.connector(table=table, **by)
        return
    assert sorted(server.ids(server.connector(table=table, **by))[0]) == list(range(61))


def test_errors_say_what_to_do_and_no_password(server: Server) -> None:
    table = server.table("id integer PRIMARY KEY, price integer")
    server.insert((1, 2))
    [price] = server.name("price")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"table": f"{table}x"}, f"(?i)there is no table|'{table}'"),
        ({"table": table, "columns": server.name("prise")}, f"source.columns names .*; did you mean '{price}'"),
        ({"table": table, "primary_key": server.name("idd")}, "source.primary_key names "),
        ({"table": table, "where_clause": "prise > 1"}, "source.where_clause"),
        ({"query": "SELECT FROM WHERE"}, "source.query"),
        ({"query": f"SELECT id, price AS id FROM {table}"}, "AS in source.query"),
        ({"table": table, "init_sql": "FOO"}, "^source.init_sql: "),
        ({"table": table, "connection_params": {"nonsense": 1}}, "source.connection_params"),
    ]
    for options, told in wrong:
        assert_told(server, server.url, ConfigError, told, options)


def test_an_address_that_does_not_serve_is_told(server: Server) -> None:
    url = make_url(server.url)
    for other, kind, told in (
        (url.set(password="wr0ng-of-tests"), ConfigError, "source.password"),
        (url.set(host="no-such-host.invalid"), ConfigError, "source.host"),
        (url.set(host="127.0.0.1", port=free_port()), TransientError, "run again"),
    ):
        assert_told(server, other.render_as_string(hide_password=False), kind, told, {"table": "t"})


def assert_told(server: Server, url: str, kind: type[Exception], told: str, options: dict[str, Any]) -> None:
    """A run with *options* fails in words that have no secret of *url*."""
    given = {"type": server.kind, "connection_string": url, "connect_timeout": 3, **options}
    with pytest.raises(kind, match=told) as caught:
        list(ConnectorFactory.create(given).read(None, None))
    assert str(make_url(url).password) not in str(caught.value)
