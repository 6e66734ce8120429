"""Sessions with MySQL and MariaDB: what they are set to, that they see one state, how they end, what errors say."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.connectors.databases.mysql import MysqlConnector
from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.plugins import Batch
from ingestion_tests.dagster_server import free_port
from ingestion_tests.servers import MariaServer

_PASSWORD = "s3cret-of-tests"


@pytest.fixture
def run(mysql_server: MariaServer, mysql_url: str) -> Iterator[Callable[[str], list[Any]]]:
    """What runs statements in the database of the test."""
    with mysql_server.session(mysql_url) as found:
        yield found


def _source(url: str, **options: Any) -> MysqlConnector:
    return MysqlConnector.model_validate({"connection_string": url, **options})


def _rows(url: str, **options: Any) -> list[dict[str, Any]]:
    batches = _source(url, **options).read(None, None)
    return [row for batch in batches if isinstance(batch, Batch) for row in batch.records.to_pylist()]


def _user(server: MariaServer, url: str, name: str, *grants: str) -> str:
    """The address with another user, who has *grants* alone."""
    server.execute(f"CREATE OR REPLACE USER {name} IDENTIFIED BY '{_PASSWORD}'")
    for grant in grants:
        server.execute(f"GRANT {grant} TO {name}", url)
    return server.url(url.rpartition("/")[2], user=name)


def test_sessions_are_in_utc_and_patient(mysql_url: str) -> None:
    query = "SELECT @@time_zone AS zone, @@net_write_timeout AS patience, @@max_statement_time AS most"
    (row,) = _rows(mysql_url, query=query)
    assert (row["zone"], row["patience"], row["most"]) == ("+00:00", 86_400, 0.0)
    (row,) = _rows(mysql_url, query=query, statement_timeout="90s", init_sql="SET time_zone = '+02:00'")
    assert (row["zone"], row["most"]) == ("+02:00", 90.0)


def test_settings_of_the_server_cut_off_no_rows_and_pad_no_text(
    run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    run("CREATE TABLE t (v CHAR(5))")
    run("INSERT INTO t VALUES ('a'), ('b')")
    mode = run("SELECT @@GLOBAL.sql_mode")[0][0]
    try:
        run("SET GLOBAL sql_select_limit = 1, GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES'")
        assert _rows(mysql_url, table="t") == [{"v": "a"}, {"v": "b"}]
        assert _rows(mysql_url, query='SELECT @@sql_mode AS "mode"') == [{"mode": "ANSI_QUOTES"}]
    finally:
        run(f"SET GLOBAL sql_select_limit = DEFAULT, GLOBAL sql_mode = '{mode}'")


def test_sessions_only_read_unless_told(run: Callable[[str], list[Any]], mysql_url: str) -> None:
    run("CREATE SEQUENCE s")
    query = "SELECT NEXTVAL(s) AS v"
    with pytest.raises(ConfigError, match="read_only: false"):
        _rows(mysql_url, query=query)
    assert _rows(mysql_url, query=query, read_only=False)[0]["v"] is not None


def test_keys_and_names_come_from_the_catalog(run: Callable[[str], list[Any]], mysql_url: str) -> None:
    run(
        "CREATE TABLE t (b INT, a INT, c INT NOT NULL UNIQUE, d INT UNIQUE, e VARCHAR(9) NOT NULL,"
        " hidden INT INVISIBLE, PRIMARY KEY (a, b), UNIQUE (e(3)))"
    )
    from ingestion.connectors.databases.relation import Relation
    from ingestion.connectors.databases.session import opened

    source = _source(mysql_url, table="t")
    with opened(source.server) as session:
        found = session.database.describe(session, Relation(source, session.connection.dialect))
    assert [column.name for column in found.columns] == ["b", "a", "c", "d", "e"]
    assert (found.key, found.unique) == (("a", "b"), frozenset({("c",)}))


def test_an_invisible_column_is_read_by_its_name(run: Callable[[str], list[Any]], mysql_url: str) -> None:
    run("CREATE TABLE t (a INT, hidden INT INVISIBLE DEFAULT 7)")
    run("INSERT INTO t (a) VALUES (1)")
    assert _rows(mysql_url, table="t") == [{"a": 1}]
    assert _rows(mysql_url, table="t", columns=["hidden"]) == [{"hidden": 7}]


def test_a_view_and_a_table_of_another_database_are_read(
    run: Callable[[str], list[Any]], mysql_server: MariaServer, mysql_url: str
) -> None:
    run("CREATE TABLE t (a INT)")
    run("INSERT INTO t VALUES (1)")
    run("CREATE VIEW v AS SELECT a, a + 1 AS b FROM t")
    elsewhere = mysql_server.fresh_database()
    assert _rows(elsewhere, table="v", schema=mysql_url.rpartition("/")[2]) == [{"a": 1, "b": 2}]


@pytest.fixture
def moving(run: Callable[[str], list[Any]], mysql_server: MariaServer, mysql_url: str) -> Iterator[str]:
    """A table of 4000 rows between which transactions move amounts all the time; the sum stays 0."""
    run("CREATE TABLE t (id INT PRIMARY KEY, amount INT NOT NULL)")
    run("INSERT INTO t SELECT seq, 0 FROM seq_1_to_4000")
    over = threading.Event()

    def move() -> None:
        with mysql_server.session(mysql_url) as write:
            number = 0
            while not over.is_set():
                number += 1
                write("BEGIN")
                write(f"UPDATE t SET amount = amount + 1 WHERE id = {1 + number % 1000}")
                write(f"UPDATE t SET amount = amount - 1 WHERE id = {4000 - number % 1000}")
                write("COMMIT")

    thread = threading.Thread(target=move)
    thread.start()
    yield mysql_url
    over.set()
    thread.join()


@pytest.mark.parametrize("partitions", [1, 2, 4])
def test_all_partitions_see_one_state_of_the_table(partitions: int, moving: str) -> None:
    for _ in range(8):
        rows = _rows(moving, table="t", num_partitions=partitions, fetch_size=50)
        assert len({row["id"] for row in rows}) == len(rows) == 4000
        assert sum(row["amount"] for row in rows) == 0


def test_partitions_leave_no_lock_behind(run: Callable[[str], list[Any]], mysql_url: str) -> None:
    run("CREATE TABLE t (id INT PRIMARY KEY)")
    run("INSERT INTO t SELECT seq FROM seq_1_to_1000")
    reading = _source(mysql_url, table="t", num_partitions=2).read(None, None)
    next(reading)
    run("SET lock_wait_timeout = 1")
    run("INSERT INTO t VALUES (2000)")
    assert sum(batch.records.num_rows for batch in reading if isinstance(batch, Batch)) <= 1000


def test_partitions_without_the_privilege_to_lock_are_refused(
    run: Callable[[str], list[Any]], mysql_server: MariaServer, mysql_url: str
) -> None:
    run("CREATE TABLE t (id INT PRIMARY KEY)")
    url = _user(mysql_server, mysql_url, "reader", "SELECT ON t")
    assert _rows(url, table="t") == []
    with pytest.raises(ConfigError, match="privilege LOCK TABLES"):
        _rows(url, table="t", num_partitions=2)


def test_partitions_of_an_engine_without_snapshots_are_refused(run: Callable[[str], list[Any]], mysql_url: str) -> None:
    run("CREATE TABLE t (id INT PRIMARY KEY) ENGINE = MyISAM")
    with pytest.raises(ConfigError, match="MyISAM"):
        _rows(mysql_url, table="t", num_partitions=2)


def test_a_transaction_that_writes_is_not_waited_for_without_end(
    run: Callable[[str], list[Any]], mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.connectors.databases.mysql.sessions._LOCK_SECONDS", 1)
    run("CREATE TABLE t (id INT PRIMARY KEY)")
    run("BEGIN")
    run("INSERT INTO t VALUES (1)")
    with pytest.raises(TransientError, match="a transaction has been writing"):
        _rows(mysql_url, table="t", num_partitions=2)


def test_a_user_who_may_read_some_columns_reads_these(
    run: Callable[[str], list[Any]], mysql_server: MariaServer, mysql_url: str
) -> None:
    run("CREATE TABLE t (id INT PRIMARY KEY, v INT, hidden INT)")
    run("INSERT INTO t VALUES (1, 2, 3)")
    partly = _user(mysql_server, mysql_url, "partly", "SELECT (id, v) ON t")
    assert _rows(partly, table="t", columns=["v", "id"], incremental={"cursor_column": "id"}) == [{"v": 2, "id": 1}]
    with pytest.raises(ConfigError, match="columns names 'hidden'"):
        _rows(partly, table="t", columns=["hidden"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"query": "SELECT 1", "num_partitions": 2}, "num_partitions needs a table"),
        ({"table": "t", "num_partitions": 2, "isolation_level": "SERIALIZABLE"}, "transactions see no common state"),
        ({"table": "t", "isolation_level": "SNAPSHOT"}, "write REPEATABLE READ or SERIALIZABLE, or leave it out"),
        ({"table": "t", "isolation_level": "READ COMMITTED"}, "READ COMMITTED shows rows as they change"),
        ({"table": "t", "isolation_level": "READ UNCOMMITTED"}, "READ UNCOMMITTED shows rows as they change"),
        ({"table": "t", "connection_params": {"charset": "latin1"}}, "connection_params.charset is ours"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        _source("mysql://u:p@h/d", **options)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_the_address_may_name_either_server_and_driver(scheme: str, mysql_url: str) -> None:
    assert _rows(mysql_url.replace("mysql", scheme, 1), query="SELECT 1 AS v") == [{"v": 1}]


def test_a_password_has_any_characters(mysql_server: MariaServer, mysql_url: str) -> None:
    password = "p@ss:wörd/%日本'\\"
    mysql_server.execute(
        "CREATE OR REPLACE USER odd IDENTIFIED BY '" + password.replace("\\", "\\\\").replace("'", "''") + "'"
    )
    options = {"host": mysql_server.host, "port": mysql_server.port, "username": "odd", "password": password}
    source = MysqlConnector.model_validate({**options, "database": "information_schema", "query": "SELECT 1 AS v"})
    assert sum(batch.records.num_rows for batch in source.read(None, None) if isinstance(batch, Batch)) == 1


@pytest.fixture
def wide(run: Callable[[str], list[Any]]) -> None:
    """A table of some 40 MB, more than buffers between server and reader hold."""
    run("CREATE TABLE wide (id INT PRIMARY KEY, v VARCHAR(4000))")
    run("INSERT INTO wide SELECT seq, REPEAT('x', 4000) FROM seq_1_to_10000")


def _others(run: Callable[[str], list[Any]]) -> list[int]:
    """The connections to the database of the test beside this one."""
    return [
        row[0]
        for row in run("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
    ]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("partitions", [1, 2])
def test_a_server_that_ends_the_connection_ends_the_run(
    partitions: int, run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    reading = _source(mysql_url, table="wide", max_batch_bytes=1 << 16, num_partitions=partitions).read(None, None)
    next(reading)
    next(reading)
    for number in _others(run):
        run(f"KILL {number}")
    with pytest.raises(TransientError, match=r"run again"):
        list(reading)


def test_rows_come_whole_wherever_buffers_end(mysql_url: str) -> None:
    query = "SELECT CAST(seq AS INT) AS n, REPEAT(seq, seq * 7919 % 300) AS v FROM seq_1_to_3000"
    rows = _rows(mysql_url, query=query, max_batch_bytes=1 << 16, fetch_size=77)
    assert rows == [{"n": n, "v": str(n) * (n * 7919 % 300)} for n in range(1, 3001)]


def test_statements_may_take_longer_than_a_connection(mysql_url: str) -> None:
    assert _rows(mysql_url, query="SELECT SLEEP(1.5) AS v", connect_timeout=1) == [{"v": 0}]


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(TransientError, match="run again"):
        _rows(f"mysql://u:{_PASSWORD}@127.0.0.1:{mute.getsockname()[1]}/d", table="t", connect_timeout=0.5)


def test_an_error_behind_rows_is_not_their_end(mysql_url: str) -> None:
    query = "SELECT seq, IF(seq = 90000, SLEEP(20), 0) AS v FROM seq_1_to_100000"
    reading = _source(mysql_url, query=query, statement_timeout=2, max_batch_bytes=1 << 16).read(None, None)
    rows = 0
    with pytest.raises(TransientError, match="statement_timeout"):  # noqa: PT012 - it comes behind rows
        for batch in reading:
            rows += batch.records.num_rows if isinstance(batch, Batch) else 0
    assert 0 < rows < 90_000


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("partitions", [1, 2])
def test_a_reading_that_is_left_early_ends_at_the_server_too(
    partitions: int, run: Callable[[str], list[Any]], mysql_url: str
) -> None:
    reading = _source(mysql_url, table="wide", max_batch_bytes=1 << 16, num_partitions=partitions).read(None, None)
    next(reading)
    next(reading)
    before = threading.active_count()
    reading.close()
    assert threading.active_count() < before
    deadline = time.monotonic() + 10
    while _others(run) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _others(run) == []


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"password": "wrong-one"}, ConfigError, "check source.username and source.password"),
        ({"host": "nowhere.invalid"}, ConfigError, "check source.host"),
        ({"port": "closed"}, TransientError, "does not answer"),
        ({"database": "absent"}, ConfigError, "check source.database"),
        ({"table": "eventz"}, ConfigError, "did you mean 'events'"),
        ({"table": "only_there"}, ConfigError, "set source.schema: "),
        ({"table": "events", "columns": ["idd"]}, ConfigError, "did you mean 'id'"),
        ({"table": "events", "where_clause": "nothing = 1"}, ConfigError, "Unknown column 'nothing'"),
        ({"query": "SELECT FROM WHERE"}, ConfigError, "syntax"),
        (
            {"query": "SELECT SLEEP(30) AS v", "statement_timeout": 0.5},
            TransientError,
            "source.statement_timeout is over",
        ),
        ({"table": "events", "init_sql": "SET nonsense = 1"}, ConfigError, "nonsense"),
        ({"table": "events", "username": "nobody_here"}, ConfigError, "check source.username"),
        ({"table": "secrets", "username": "limited"}, ConfigError, "grant the user SELECT"),
        ({"table": "events", "username": "crowded"}, TransientError, "over a limit"),
        ({"table": "events", "ssl_mode": "require"}, ConfigError, "check source.ssl_mode"),
    ],
    ids=lambda item: "-".join(map(str, item)) if isinstance(item, dict) else None,
)
def test_errors_say_what_to_do_and_no_secret(
    options: dict[str, Any], kind: type[IngestionError], told: str, mysql_server: MariaServer, guarded: str
) -> None:
    relation = {} if "query" in options else {"table": "events"}
    address = {"host": mysql_server.host, "port": mysql_server.port, "database": guarded.rpartition("/")[2]}
    given = {**address, **relation, "username": mysql_server.user, "password": _PASSWORD, **options}
    given["port"] = free_port() if given["port"] == "closed" else given["port"]
    with pytest.raises(kind, match=told) as found:
        list(MysqlConnector.model_validate(given).read(None, None))
    assert str(given["password"]) not in str(found.value)


@pytest.fixture
def guarded(run: Callable[[str], list[Any]], mysql_server: MariaServer, mysql_url: str) -> Iterator[str]:
    """A database in which one user may read one table alone, and another has all the connections he may have."""
    run("CREATE TABLE events (id INT PRIMARY KEY)")
    run("CREATE TABLE secrets (id INT PRIMARY KEY)")
    mysql_server.execute("CREATE TABLE only_there (id INT)", mysql_server.fresh_database())
    _user(mysql_server, mysql_url, "limited", "SELECT ON events")
    crowded = _user(mysql_server, mysql_url, "crowded", "SELECT ON events")
    run("ALTER USER crowded WITH MAX_USER_CONNECTIONS 1")
    with mysql_server.session(crowded):
        yield mysql_url
