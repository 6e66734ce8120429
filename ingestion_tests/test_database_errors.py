"""What goes wrong with a database is said clearly, without password or address, and the table stays as it was."""

import gc
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy.engine import make_url

from ingestion.cli import main
from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.mysql import MysqlConnector
from ingestion.connectors.databases.mysql.server import Mysql
from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.pipeline import run
from ingestion.plugins import Batch, Connector
from ingestion.secrets import MASK
from ingestion_tests.conftest import Project
from ingestion_tests.dagster_server import free_port
from ingestion_tests.postgres_sources import PATHS
from ingestion_tests.proxies import cut_after
from ingestion_tests.servers import MariaServer, PostgresServer
from ingestion_tests.test_secrets_stay import CANARY, SPELLINGS, unpacked

PASSWORD = CANARY
KINDS = ["postgresql", "mysql"]


@dataclass
class Shop:
    """A database with a table of orders, a user who may read it, and a job that has loaded it once."""

    project: Project
    kind: str
    execute: Callable[..., list[Any]]
    address: dict[str, Any]
    schema: str
    user: str

    def job(self, table: str | None = "orders", **source: Any) -> None:
        """Write the job; what is None is left out."""
        options = {"type": self.kind, **self.address, "password": "${SHOP_PASSWORD}", "table": table, **source}
        options = {name: value for name, value in options.items() if value is not None}
        self.project.job("orders", {"source": options, "loader": {"write_mode": "overwrite"}})

    def error(self, kind: type[IngestionError], **source: Any) -> str:
        """What the next run fails with, which leaves everything as it is and shows no secret."""
        self.job(**source)
        before = self.rows()
        with pytest.raises(IngestionError) as caught:
            run(load_job("orders"), "r2")
        told = str(caught.value)
        assert type(caught.value) is kind, told
        assert self.rows() == before
        shown = "".join(str(link) for link in chain(caught.value))
        assert not [secret for secret in (PASSWORD, "c4n4ry", "w0rd%2B1", f"{self.user}:") if secret in shown], shown
        return told

    def rows(self) -> int:
        """How many rows the target has."""
        return self.project.table("default.orders").num_rows

    def away(self) -> str:
        """The place as errors name it."""
        return f"{self.kind}://127.0.0.1:{self.address['port']}/{self.address['database']}"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.fixture(params=KINDS)
def shop(project: Project, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Of each kind one, whose user has a password with all that URLs have a use for."""
    postgres = request.param == "postgresql"
    server = request.getfixturevalue("postgres_server" if postgres else "mysql_server")
    url = request.getfixturevalue("postgres_url" if postgres else "mysql_url")
    database = str(make_url(url).database)
    user = f"u{database[1:]}"
    statements = [
        "CREATE TABLE orders (id integer PRIMARY KEY, customer varchar(20), price numeric(10, 2))",
        "INSERT INTO orders VALUES (1, 'Ann', 1.25), (2, 'Bob', 2.50)",
        "CREATE TABLE secrets (id integer PRIMARY KEY)",
    ]
    if postgres:
        statements += [f"CREATE USER {user} PASSWORD '{PASSWORD}'", f"GRANT SELECT ON orders TO {user}"]
    else:
        statements += [f"CREATE USER {user} IDENTIFIED BY '{PASSWORD}'", f"GRANT SELECT ON orders TO {user}"]
    for statement in statements:
        server.execute(statement, url)
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    address = {"host": "127.0.0.1", "port": server.port, "username": user, "database": database}
    made = Shop(
        project,
        request.param,
        lambda text: server.execute(text, url),
        address,
        "public" if postgres else database,
        user,
    )
    made.job()
    assert run(load_job("orders"), "r1").rows_loaded == 2
    return made


def test_a_wrong_password(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", f"{PASSWORD}x")
    told = shop.error(ConfigError)
    assert told.startswith(shop.away())
    assert "check source.username and source.password" in told


def test_an_unknown_host(shop: Shop) -> None:
    told = shop.error(ConfigError, host="no-such-host.invalid")
    assert "no-such-host.invalid" in told
    assert "check source.host" in told


def test_a_closed_port(shop: Shop) -> None:
    port = free_port()
    told = shop.error(TransientError, port=port)
    assert f"127.0.0.1:{port}" in told
    assert "run again" in told


def test_a_missing_database(shop: Shop) -> None:
    assert "source.database" in shop.error(ConfigError, database="shopp")


def test_a_missing_table_is_told_with_the_nearest(shop: Shop) -> None:
    assert "did you mean 'orders'?" in shop.error(ConfigError, table="ordrs")


def test_a_table_of_another_schema_is_told_with_it(shop: Shop) -> None:
    other = f"{shop.address['database']}_old"
    shop.execute(f"CREATE SCHEMA {other}")
    shop.execute(f"CREATE TABLE {other}.invoices (id integer PRIMARY KEY)")
    shop.execute(f"GRANT SELECT ON {other}.invoices TO {shop.user}")
    if shop.kind == "postgresql":
        shop.execute(f"GRANT USAGE ON SCHEMA {other} TO {shop.user}")
    assert f"set source.schema: {other}" in shop.error(ConfigError, table="invoices")


def test_a_table_that_the_user_may_not_read(shop: Shop) -> None:
    told = shop.error(ConfigError, table="secrets")
    assert "secrets" in told
    assert "grant the user" in told or "there is no table" in told


def test_wrong_sql_in_a_query_is_quoted(shop: Shop) -> None:
    told = shop.error(ConfigError, table=None, query="SELECT id FROM orders WHERRE id = 1")
    assert "source.query" in told
    assert "id = 1" in told


def test_two_columns_of_one_name_in_a_query(shop: Shop) -> None:
    told = shop.error(ConfigError, table=None, query="SELECT id, price, customer AS price FROM orders")
    assert "price" in told
    assert "apart with AS in source.query" in told


def test_wrong_sql_in_init_sql_is_told_under_its_name(shop: Shop) -> None:
    told = shop.error(ConfigError, init_sql=["SELECT 1", "FOO"])
    assert told.startswith(f"source.init_sql: {shop.away()}: ")
    assert "FOO" in told


def test_wrong_sql_in_a_condition(shop: Shop) -> None:
    told = shop.error(ConfigError, where_clause="prise > 1")
    assert "prise" in told
    assert "source.where_clause" in told


def test_a_column_that_was_dropped_is_told_where_the_job_names_it(shop: Shop) -> None:
    shop.execute("ALTER TABLE orders DROP COLUMN customer")
    shop.execute("ALTER TABLE orders ADD COLUMN customers varchar(20)")
    told = shop.error(ConfigError, columns=["id", "customer"])
    assert "source.columns names 'customer'; did you mean 'customers'?" in told
    assert "customer" in shop.error(ConfigError, where_clause="customer = 'Ann'")


def test_a_column_that_was_dropped_is_a_warning_where_nobody_names_it(shop: Shop) -> None:
    shop.execute("ALTER TABLE orders DROP COLUMN customer")
    report = run(load_job("orders"), "r2")
    assert (report.status, report.columns_absent) == ("partial", ["customer"])


def test_a_statement_that_takes_too_long(shop: Shop) -> None:
    slow = {"postgresql": "pg_sleep(0.1)", "mysql": "sleep(0.1)"}[shop.kind]
    many = " UNION ALL ".join([f"SELECT id, {slow} AS a FROM orders"] * 30)
    told = shop.error(TransientError, table=None, query=many, statement_timeout="0.5s")
    assert "source.statement_timeout" in told


@pytest.mark.parametrize("after", [100_000, 1_500_000])
def test_a_server_that_goes_in_the_middle_of_its_answer(shop: Shop, after: int) -> None:
    shop.execute("CREATE TABLE numbers (n integer PRIMARY KEY)")
    shop.execute("INSERT INTO numbers VALUES " + ", ".join(f"({number})" for number in range(250)))
    shop.execute(
        "INSERT INTO orders SELECT 10 + a.n * 250 + b.n, concat('customer ', a.n), 1.5 FROM numbers a, numbers b"
    )
    with cut_after(shop.address["port"], after) as port:
        told = shop.error(TransientError, port=port)
    assert "run again" in told
    shop.job()
    assert run(load_job("orders"), "r3").rows_loaded == 62_502


def test_a_session_that_is_ended_by_the_server(shop: Shop) -> None:
    end = {
        "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
        "mysql": "KILL CONNECTION_ID()",
    }[shop.kind]
    assert "run again" in shop.error(TransientError, init_sql=end)


@pytest.mark.parametrize("written", ["part", "whole"])
def test_a_password_with_signs_of_urls_may_come_in_a_connection_string(
    shop: Shop, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = "{username}:{{}}@{host}:{port}/{database}".format(**shop.address)
    texts = {"part": at.format("${SHOP_PASSWORD}"), "whole": at.format(PASSWORD)}
    scheme = f"{shop.kind}://"
    monkeypatch.setenv("SHOP_URL", scheme + texts["whole"])
    source = {"type": shop.kind, "table": "orders"}
    address = {"part": scheme + texts["part"], "whole": "${SHOP_URL}"}[written]
    shop.project.job("orders", {"source": {**source, "connection_string": address}})
    assert run(load_job("orders"), "r2").rows_loaded == 2
    shop.project.job("orders", {"source": {**source, "connection_string": address, "table": "ordrs"}})
    with pytest.raises(ConfigError, match="did you mean 'orders'") as caught:
        run(load_job("orders"), "r3")
    assert "c4n4ry" not in "".join(map(str, chain(caught.value)))


@pytest.mark.parametrize("written", ["password", "connection_string"])
def test_a_password_in_clear_is_masked_where_the_server_repeats_it(shop: Shop, written: str) -> None:
    password = f"in cle@r/{uuid.uuid4().hex[:8]}"  # that no placeholder has made known as a secret
    name, is_now = {"postgresql": (f'"{password}"', "PASSWORD"), "mysql": (f"`{password}`", "IDENTIFIED BY")}[shop.kind]
    shop.execute(f"ALTER USER {shop.user} {is_now} '{password}'")
    address: dict[str, Any] = {**shop.address, "password": password}
    if written == "connection_string":
        address["password"] = quote(password, safe="")
        address = {written: shop.kind + "://{username}:{password}@{host}:{port}/{database}".format(**address)}
    source = ConnectorFactory.create({"type": shop.kind, **address, "query": f"SELECT {name} FROM orders"})
    with pytest.raises(ConfigError, match="column") as caught:
        read(source)
    assert password not in str(caught.value)
    assert MASK in str(caught.value)


def test_nothing_that_runs_leave_behind_has_the_password(
    shop: Shop, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for options in ({}, {"table": "ordrs"}, {"port": free_port()}, {"init_sql": "SELEC 1"}):
        shop.job(**options)
        statuses = [main([*command, "orders", "--json"]) for command in (["run", "--bare"], ["check"], ["preview"])]
        assert statuses == ([0] * 3 if not options else statuses)
    out, err = capfd.readouterr()
    written = [part for path in shop.project.path.rglob("*") if path.is_file() for part in unpacked(path)]
    found = b"\0".join([out.encode(), err.encode(), caplog.text.encode(), *written])
    assert b"did you mean 'orders'?" in found
    assert not [text for text in SPELLINGS if text.encode() in found]


def read(source: Connector) -> int:
    """How many rows come."""
    return sum(batch.records.num_rows for batch in source.read(None, None) if isinstance(batch, Batch))


LONG = "SELECT n, repeat('x', 200) AS note FROM generate_series(1, 60000) n"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("after", [60_000, 3_000_000])
def test_every_driver_of_postgresql_says_that_the_server_is_gone(
    postgres_server: PostgresServer, path: str, after: int
) -> None:
    with cut_after(postgres_server.port, after) as port:
        source = PATHS[path](connection_string=postgres_server.url(port=port), query=LONG, fetch_size=10_000)
        with pytest.raises(TransientError, match="run again"):
            read(source)


@pytest.mark.parametrize("path", PATHS)
def test_every_driver_of_postgresql_says_that_time_is_over(postgres_server: PostgresServer, path: str) -> None:
    slow = "SELECT n, CASE WHEN n > 30000 THEN pg_sleep(60)::text END AS note FROM generate_series(1, 40000) n"
    source = PATHS[path](connection_string=postgres_server.url(), query=slow, fetch_size=1000, statement_timeout=1)
    with pytest.raises(TransientError, match=r"statement timeout.*source\.statement_timeout"):
        read(source)


@pytest.mark.parametrize("path", PATHS)
def test_every_driver_of_postgresql_tells_of_a_value_that_an_expression_fails_on(
    postgres_server: PostgresServer, path: str
) -> None:
    query = "SELECT 1 / (30000 - n) AS v FROM generate_series(1, 40000) n"
    source = PATHS[path](connection_string=postgres_server.url(), query=query, fetch_size=1000)
    with pytest.raises(ConfigError, match="division by zero"):
        read(source)


class SlowMysql(Mysql):
    """MySQL on a machine without the fast driver."""

    def load_fast(self) -> None:
        raise ImportError("no fast driver", name="pymysql")


class PortableMysql(MysqlConnector):
    """A source there."""

    @property
    def server(self) -> Database:
        return SlowMysql(self)


# Pymysql's cursors read on when they are collected, whatever has become of their connection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("connector", [MysqlConnector, PortableMysql])
@pytest.mark.parametrize("after", [60_000, 3_000_000])
def test_both_ways_of_reading_mysql_say_that_the_server_is_gone(
    mysql_server: MariaServer, connector: type[MysqlConnector], after: int
) -> None:
    query = "SELECT seq, repeat('x', 200) AS note FROM seq_1_to_60000"
    with cut_after(mysql_server.port, after) as port:
        source = connector(connection_string=mysql_server.url(port=port), query=query, fetch_size=10_000)
        with pytest.raises(TransientError, match="run again"):
            read(source)
    gc.collect()


@pytest.mark.parametrize("connector", [MysqlConnector, PortableMysql])
def test_both_ways_of_reading_mysql_say_that_time_is_over(
    mysql_server: MariaServer, connector: type[MysqlConnector]
) -> None:
    slow = "SELECT seq, IF(seq > 3000, sleep(60), 0) AS note FROM seq_1_to_4000"
    source = connector(connection_string=mysql_server.url(), query=slow, fetch_size=1000, statement_timeout=1)
    with pytest.raises(TransientError, match=r"source\.statement_timeout"):
        read(source)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgresql://u:a/b@c?d#e@h:5/db", "postgresql://u:a%2Fb%40c%3Fd%23e@h:5/db"),
        ("postgresql://u:a%2Fb@h/db?sslmode=require", "postgresql://u:a%2Fb@h/db?sslmode=require"),
        ("postgresql://u:p@h/db?application_name=me@x", "postgresql://u:p@h/db?application_name=me@x"),
        ("postgresql://u@server:p@h/db", "postgresql://u%40server:p@h/db"),
        ("postgresql://h/db?options=a@b", "postgresql://h/db?options=a@b"),
        ("postgresql://u:${P}@h/db", "postgresql://u:${P}@h/db"),
    ],
)
def test_a_url_is_understood_as_it_is_meant(given: str, kept: str) -> None:
    source = ConnectorFactory.create({"type": "postgresql", "connection_string": given, "table": "t"})
    assert source.connection_string == kept  # type: ignore[attr-defined]  # an option of databases
