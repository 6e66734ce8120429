"""Reading PostgreSQL: the session, names, keys, and what its errors become."""

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.database import Snapshot
from ingestion.connectors.databases.postgresql import PostgresqlConnector
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import opened, translated
from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.testing import check_connector
from ingestion_tests.dagster_server import free_port
from ingestion_tests.postgres_sources import PATHS, address, batches, read, rejected, source
from ingestion_tests.servers import PostgresServer

_PASSWORD = PostgresServer.password


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> str:
    """A database whose own settings are not ours."""
    found = postgres_server.fresh_database()
    name = found.rpartition("/")[2]
    postgres_server.execute(
        f"""
        ALTER DATABASE {name} SET TimeZone = 'Asia/Kolkata';
        ALTER DATABASE {name} SET DateStyle = 'German';
        ALTER DATABASE {name} SET statement_timeout = '1h';
        ALTER DATABASE {name} SET extra_float_digits = 0;
        ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1h';
        ALTER DATABASE {name} SET lock_timeout = '1h';
        ALTER DATABASE {name} SET IntervalStyle = 'postgres_verbose';
        ALTER DATABASE {name} SET bytea_output = 'escape';
        ALTER DATABASE {name} SET standard_conforming_strings = off;
        ALTER DATABASE {name} SET default_transaction_read_only = off;
        CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT '2020-01-01 00:00+00', x float8 DEFAULT 0.1);
        INSERT INTO t SELECT generate_series(1, 1000);
        """,
        found,
    )
    return found


@pytest.mark.parametrize("path", PATHS)
def test_a_source_keeps_the_contract_of_connectors(url: str, path: str) -> None:
    assert check_connector(source(url, path, table="t"), incremental=False).num_rows == 1000


@pytest.mark.parametrize("name", ["postgresql", "postgres"])
def test_it_is_found_by_both_names(url: str, name: str) -> None:
    assert isinstance(ConnectorFactory.create({"type": name, "table": "t", **address(url)}), PostgresqlConnector)


@pytest.mark.parametrize("path", PATHS)
def test_every_connection_reads_only_in_one_state_in_utc(url: str, path: str) -> None:
    names = ["transaction_read_only", "transaction_isolation", "TimeZone", "DateStyle", "statement_timeout"]
    names += ["idle_in_transaction_session_timeout", "extra_float_digits", "lock_timeout", "IntervalStyle"]
    names += ["bytea_output", "standard_conforming_strings", "application_name", "ingestion.mine"]
    query = ", ".join(f"""current_setting('{name}') AS "{name}" """ for name in names)
    mine = {"init_sql": ["SET ingestion.mine = 'a:b'; -- mine"], "statement_timeout": "90s"}
    (found,) = read(source(url, path, query=f"SELECT {query}", **mine)).to_pylist()
    assert list(found.values()) == [
        "on",
        "repeatable read",
        "UTC",
        "ISO, YMD",
        "90s",
        "0",
        "1",
        "0",
        "iso_8601",
        "hex",
        "on",
        "ingestion",
        "a:b",
    ]
    other = source(
        url, path, query="SELECT current_setting('transaction_isolation') AS x", isolation_level="serializable"
    )
    assert read(other)["x"].to_pylist() == ["serializable"]


@pytest.mark.parametrize("path", PATHS)
def test_a_query_cannot_write_unless_it_is_let(url: str, path: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE SEQUENCE IF NOT EXISTS numbers", url)
    with pytest.raises(ConfigError, match="read-only transaction"):
        read(source(url, path, query="SELECT nextval('numbers') AS n"))
    assert read(source(url, path, query="SELECT nextval('numbers') AS n", read_only=False)).num_rows == 1


def test_an_isolation_that_shows_rows_as_they_change_is_refused() -> None:
    with pytest.raises(ValidationError, match="READ COMMITTED shows rows as they change"):
        source("postgresql://u:p@h:1/d", table="t", isolation_level="READ COMMITTED")


@pytest.mark.parametrize("path", PATHS)
def test_names_of_every_kind_are_read(url: str, path: str, postgres_server: PostgresServer) -> None:
    names = ["ID", "id", "a%b", "%(c)s", 'Q"uote', "it's", "a:b", "{}", "naïve ☃", "select", "x?y", "$1", "back\\slash"]
    quoted = [_quoted(name) for name in names]
    schema, table = 'Odd %s "schema"', "my : table's"
    place = f"{_quoted(schema)}.{_quoted(table)}"
    statements = [
        f"DROP SCHEMA IF EXISTS {_quoted(schema)} CASCADE",
        f"CREATE SCHEMA {_quoted(schema)}",
        f"CREATE TABLE {place} ({', '.join(f'{name} int[]' for name in quoted)})",
        f"INSERT INTO {place} VALUES ({', '.join(f'ARRAY[{number}]' for number in range(len(names)))})",
        f"INSERT INTO {place} VALUES ({', '.join('ARRAY[[1, 2]]' for _ in names)})",
    ]
    postgres_server.execute("; ".join(statements), url)
    connector = source(url, path, schema=schema, table=table)
    assert read(connector).to_pylist() == [{name: [number] for number, name in enumerate(names)}]
    assert [row["column"] for row in rejected(connector)] == [names[0]]
    some = {"columns": ["a%b"], "exclude_columns": ["id"], "where_clause": '"a:b"[1] = 6'}
    assert read(source(url, path, schema=schema, table=table, **some)).to_pylist() == [{"a%b": [2]}]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("path", PATHS)
def test_values_of_parameters_stay_values(url: str, path: str) -> None:
    odd = "x'; DROP TABLE t; -- \\ % :a"
    query = "SELECT CAST(:odd AS text) AS odd, CAST(:n AS int) AS n, '10\\:30'\\:\\:text AS t"
    connector = source(url, path, query=query, query_params={"odd": odd, "n": -1})
    assert [list(row.values()) for row in read(connector).to_pylist()] == [[odd, -1, "10:30"]]
    where = source(url, path, table="t", where_clause="id BETWEEN :low AND :high", where_params={"low": 3, "high": 4})
    assert read(where)["id"].to_pylist() == [3, 4]


def test_keys_are_those_that_the_catalog_holds_to(url: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute(
        """
        CREATE TABLE keyed (b int, a int, u int UNIQUE, p int, q int NOT NULL, r int NOT NULL, l int,
            PRIMARY KEY (a, b), UNIQUE (p, q), UNIQUE (r, q), UNIQUE (l) DEFERRABLE);
        CREATE UNIQUE INDEX ON keyed (q) WHERE b > 0;
        CREATE UNIQUE INDEX ON keyed ((q + 1));
        CREATE UNIQUE INDEX ON keyed (r) INCLUDE (b);
        CREATE TABLE heir () INHERITS (t);
        """,
        url,
    )
    keyed = _described(source(url, table="keyed"))
    assert tuple(keyed.key) == ("a", "b")
    assert keyed.unique == {("u",), ("r", "q"), ("r",)}
    assert not _described(source(url, table="t")).key
    postgres_server.execute("DROP TABLE heir", url)
    assert tuple(_described(source(url, table="t")).key) == ("id",)


def _described(connector: PostgresqlConnector) -> Any:
    with opened(connector.server) as session:
        return connector.server.describe(session, Relation(connector, session.connection.dialect))


def test_an_address_may_be_one_url(url: str) -> None:
    for text in (url, url.replace("postgresql://", "postgres://"), f"{url}?application_name=other"):
        connector = PostgresqlConnector(connection_string=text, query="SELECT current_setting('application_name') AS x")
        assert read(connector)["x"].to_pylist() == ["other" if "other" in text else "ingestion"]


def _failure(connector: PostgresqlConnector) -> IngestionError:
    with pytest.raises(IngestionError) as caught:
        read(connector)
    told = str(caught.value)
    assert _PASSWORD not in told
    assert "\n" not in told
    assert caught.value.__cause__ is None or _PASSWORD not in str(caught.value.__cause__)
    return caught.value


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"password": "wrong-canary"}, ConfigError, "password authentication failed.*check source.username and"),
        ({"username": "nobody"}, ConfigError, "check source.username and source.password"),
        ({"host": "no-such-host.invalid"}, ConfigError, "check source.host"),
        ({"port": free_port()}, TransientError, "check that the server is up"),
        ({"database": "missing"}, ConfigError, '"missing" does not exist; check source.database'),
        ({"ssl_mode": "require"}, ConfigError, "check source.ssl_mode"),
        ({"connection_params": {"no_such": 1}}, ConfigError, "check source.connection_params"),
        ({"table": "tt"}, ConfigError, "there is no table tt; did you mean 't'?"),
        ({"schema": "pubic"}, ConfigError, "there is no table pubic.t; the schema public has a table of that name"),
        ({"init_sql": "SELEC 1"}, ConfigError, 'syntax error at or near "SELEC"'),
        ({"columns": ["idd"]}, ConfigError, "source.columns names 'idd'; did you mean 'id'?"),
        ({"where_clause": "idd = 1"}, ConfigError, 'column "idd" does not exist'),
        ({"where_clause": "1 / (id - 500) = 7"}, ConfigError, "division by zero"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_an_error_says_what_to_do(
    url: str, path: str, options: dict[str, Any], kind: type[IngestionError], told: str
) -> None:
    error = _failure(source(url, path, **{"table": "t", **options}))
    assert type(error) is kind
    assert re.search(told, str(error)), str(error)
    assert "wrong-canary" not in str(error)


def test_bad_sql_is_told_with_its_line(url: str) -> None:
    error = _failure(source(url, query="SELECT id,\n  nme\nFROM t"))
    assert 'column "nme" does not exist, in: nme; correct source.query' in str(error)
    assert isinstance(error, ConfigError)


@pytest.mark.parametrize("path", PATHS)
def test_a_privilege_that_is_missing_is_asked_for(url: str, path: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute(
        "DROP TABLE IF EXISTS secret; CREATE TABLE secret (id int, hidden int); INSERT INTO secret VALUES (1, 2)", url
    )
    roles = postgres_server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'")
    if not roles:
        postgres_server.execute(f"CREATE ROLE reader LOGIN PASSWORD '{_PASSWORD}'")
    reader = {"username": "reader", "table": "secret"}
    error = _failure(source(url, path, **reader))
    assert "permission denied for table secret; grant the user what it needs" in str(error)
    postgres_server.execute("GRANT SELECT (id) ON secret TO reader", url)
    assert read(source(url, path, username="reader", query="SELECT id FROM secret")).num_rows == 1


@pytest.mark.parametrize("path", PATHS)
def test_a_user_who_may_read_some_columns_reads_these(url: str, path: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute(
        """
        DROP TABLE IF EXISTS partly;
        CREATE TABLE partly (id int PRIMARY KEY, "a%b" text, hidden numeric(9, 2)[]);
        INSERT INTO partly SELECT n, n FROM generate_series(1, 1000) n;
        DROP ROLE IF EXISTS clerk;
        """,
        url,
    )
    postgres_server.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{_PASSWORD}'")
    postgres_server.execute('GRANT SELECT (id, "a%b") ON partly TO clerk', url)

    def partly(**options: Any) -> PostgresqlConnector:
        return source(url, path, username="clerk", table="partly", **options)

    assert read(partly(columns=["a%b", "id"], num_partitions=2)).sort_by("id").to_pylist()[0] == {"a%b": "1", "id": 1}
    newer: dict[str, Any] = {"exclude_columns": ["hidden"], "incremental": {"cursor_column": "id"}}
    assert read(partly(**newer)).column_names == ["id", "a%b"]
    assert [item.declared for item in partly(**newer).check(None, None).columns] == ["integer", "text"]
    for options in ({}, {"columns": ["id", "hidden"]}):
        with pytest.raises(ConfigError, match="may read some columns of partly, and hidden is none of them; grant it"):
            read(partly(**options))
    with pytest.raises(ConfigError, match=r"source.columns names 'nope'"):
        read(partly(columns=["nope"]))
    with pytest.raises(ConfigError, match="permission denied for table partly"):
        read(partly(columns="id", incremental={"cursor_column": "hidden"}))
    postgres_server.execute("DROP OWNED BY clerk; DROP ROLE clerk", url)


@pytest.mark.parametrize("path", PATHS)
def test_a_statement_that_takes_too_long_is_ended(url: str, path: str) -> None:
    slow = source(url, path, query="SELECT id, pg_sleep(0.01)::text AS s FROM t", statement_timeout="0.3s")
    error = _failure(slow)
    assert isinstance(error, TransientError)
    assert "statement timeout; raise source.statement_timeout" in str(error)


@pytest.mark.parametrize("path", PATHS)
def test_a_server_that_ends_the_session_is_asked_again_later(
    url: str, path: str, postgres_server: PostgresServer
) -> None:
    slow = source(
        url, path, query="SELECT id, pg_sleep(0.02)::text AS s FROM t", connection_params={"application_name": path}
    )
    ended = threading.Timer(0.1, _terminate, [postgres_server, path])
    ended.start()
    error = _failure(slow)
    ended.join()
    assert type(error) is TransientError
    assert "run again" in str(error)


def _terminate(server: PostgresServer, name: str) -> None:
    busy = f"FROM pg_stat_activity WHERE application_name = '{name}' AND query ~ 'pg_sleep|FETCH' AND state = 'active'"
    for _ in range(200):
        if server.execute(f"SELECT pg_terminate_backend(pid) {busy}"):
            return
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["scanner", "adbc"])
def test_a_snapshot_whose_session_has_ended_is_asked_for_again(url: str, path: str) -> None:
    server = source(url, path, table="t").server
    with pytest.raises(TransientError, match=r"invalid snapshot identifier.*run again"), translated(server):
        list(server.fast("SELECT 1 AS x", [], Snapshot("00000003-0000FFFF-1")))


def test_too_many_connections_are_waited_for(url: str, postgres_server: PostgresServer) -> None:
    name = url.rpartition("/")[2]
    postgres_server.execute("DROP ROLE IF EXISTS narrow")
    postgres_server.execute(f"CREATE ROLE narrow LOGIN CONNECTION LIMIT 1 PASSWORD '{_PASSWORD}'")
    with psycopg.connect(postgres_server.url(name, user="narrow")):
        error = _failure(source(url, table="t", username="narrow"))
    assert type(error) is TransientError
    assert 'too many connections for role "narrow"' in str(error)


@pytest.mark.parametrize("path", PATHS)
def test_a_reading_that_is_given_up_leaves_nothing_running(
    url: str, path: str, postgres_server: PostgresServer
) -> None:
    name = f"given up {path}"
    query = "SELECT n, CASE WHEN n > 200000 THEN pg_sleep(60)::text ELSE repeat('x', 100) END AS s FROM generate_series(1, 1000000) n"
    connector = source(url, path, query=query, connection_params={"application_name": name})
    threads = set(threading.enumerate())
    begun = time.monotonic()
    reading = iter(connector.read(None, None))
    next(reading)
    next(reading)
    _close(reading)
    assert time.monotonic() - begun < 30
    assert set(threading.enumerate()) <= threads
    deadline = time.monotonic() + 10
    while busy := postgres_server.execute(f"SELECT query FROM pg_stat_activity WHERE application_name = '{name}'"):
        assert time.monotonic() < deadline, busy
        time.sleep(0.05)


def _close(reading: Iterator[Any]) -> None:
    reading.close()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize("path", PATHS)
def test_batches_are_no_larger_than_asked_for(url: str, path: str) -> None:
    query = "SELECT n, repeat('x', 1000) AS s FROM generate_series(1, 20000) n"
    found = batches(source(url, path, query=query, max_batch_bytes=1 << 20))
    assert sum(batch.records.num_rows for batch in found) == 20_000
    assert max(batch.records.nbytes for batch in found) < 1.2 * (1 << 20)
    found = batches(source(url, path, query=query, fetch_size=999))
    assert sum(batch.records.num_rows for batch in found) == 20_000
    assert 500 < max(batch.records.num_rows for batch in found) <= 999


@pytest.mark.parametrize(
    ("made", "driver"),
    [
        ("SELECT n AS id, now() AS at, 'x'::varchar(80) AS x FROM generate_series(1, 10) n", "DuckDB"),
        ("SELECT n AS id, 'short'::text AS x FROM generate_series(1, 10000) n", "DuckDB"),
        (
            "SELECT n AS id, string_agg(md5(m::text), '') AS x FROM generate_series(1, 400000) m, mod(m, 200) n GROUP BY n",
            "adbc",
        ),
        # Rows are short in the mean, or as they are compressed.
        (
            "SELECT n AS id, repeat('x', CASE WHEN n > 99000 THEN 400000 END) AS x FROM generate_series(1, 99300) n",
            "adbc",
        ),
        ("SELECT n AS id, repeat('x', 100000) AS x FROM generate_series(1, 100) n", "adbc"),
    ],
)
def test_rows_that_may_be_long_are_read_by_the_driver_that_counts_bytes(
    url: str, made: str, driver: str, postgres_server: PostgresServer
) -> None:
    postgres_server.execute(f"DROP TABLE IF EXISTS made; CREATE TABLE made AS {made}", url)
    (told,) = {item.told["read by"] for item in batches(PostgresqlConnector(table="made", **address(url))) if item.told}
    assert driver in told


def test_rows_of_children_count_as_long_as_they_are(url: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute(
        """
        CREATE TABLE parent (id int, x text);
        CREATE TABLE child () INHERITS (parent);
        CREATE TABLE ranged (id int, x text) PARTITION BY RANGE (id);
        CREATE TABLE ranged_all PARTITION OF ranged DEFAULT;
        INSERT INTO parent SELECT n, 'short' FROM generate_series(1, 1000) n;
        INSERT INTO ranged SELECT * FROM parent;
        ALTER TABLE child ALTER x SET STORAGE EXTERNAL;
        INSERT INTO child SELECT n, repeat('x', 1000000) FROM generate_series(1, 2) n;
        """,
        url,
    )
    for table, driver in {"parent": "adbc", "ranged": "DuckDB"}.items():
        found = batches(PostgresqlConnector(table=table, **address(url)))
        assert sum(batch.records.num_rows for batch in found) == (1002 if table == "parent" else 1000)
        assert [driver in batch.told["read by"] for batch in found if batch.told] == [True]
