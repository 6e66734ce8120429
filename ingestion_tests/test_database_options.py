"""What options of databases may be: placeholders, single names, and nothing that would be left unheard."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.options import DatabaseIncremental, SshTunnel
from ingestion.errors import ConfigError
from ingestion_tests.conftest import Project

ADDRESS = {"host": "h", "username": "u", "password": "p", "database": "d"}
URLS = {
    "mssql": "mssql://u:p@h/d",
    "mysql": "mysql://u:p@h/d",
    "oracle": "oracle://u:p@h/?service_name=d",
    "postgresql": "postgresql://u:p@h/d",
    "sqlite": "sqlite:///d.db",
}
KINDS = sorted(URLS)
ENVIRONMENT = {  # as the environment gives values: texts
    "host": "there",
    "port": "5555",
    "username": "reader",
    "password": "s3cr3t",
    "database": "shop",
    "schema": "main",
    "connection_params.cache": "private",
    "ssl_mode": "require",
    "table": "orders",
    "query": "SELECT 1 AS a",
    "query_params.p": "7",
    "columns": "id",
    "exclude_columns": "note",
    "where_clause": "a > 1",
    "where_params.p": "7",
    "primary_key": "id",
    "fetch_size": "7",
    "max_batch_bytes": "100000",
    "partition_column": "id",
    "num_partitions": "2",
    "isolation_level": "serializable",
    "statement_timeout": "90s",
    "connect_timeout": "3",
    "read_only": "false",
    "init_sql": "SELECT 2",
    "incremental.cursor_column": "at",
    "incremental.initial_value": "5",
    "incremental.end_value": "9",
    "incremental.lookback": "5m",
    "incremental.safety_lag": "90s",
    "incremental.on_null_cursor": "include",
    "incremental.source_timezone": "Europe/Stockholm",
    "incremental.tie_breaker": "id",
    "ssh_tunnel.host": "bastion",
    "ssh_tunnel.port": "2222",
    "ssh_tunnel.username": "deploy",
    "ssh_tunnel.private_key": "/keys/id",
    "ssh_tunnel.known_hosts": "/keys/known",
}
BESIDE: Mapping[str, Mapping[str, Any]] = {  # what else has to be given
    "query": {"table": None},
    "query_params": {"table": None, "query": "SELECT :p AS a"},
    "where_params": {"where_clause": "a > :p"},
    "partition_column": {"num_partitions": 2},
    "connection_string": dict.fromkeys(ADDRESS),
    "incremental": {"incremental": {"cursor_column": "at"}},
    "ssh_tunnel": {"ssh_tunnel": {"host": "b", "username": "u", "private_key": "k"}},
}
SQLITE_HAS_NONE = {"host", "port", "username", "password", "ssl_mode", "ssh_tunnel", "isolation_level"}
WITHOUT: Mapping[str, set[str]] = {  # options that a kind refuses
    "sqlite": {*SQLITE_HAS_NONE, "statement_timeout", "num_partitions", "partition_column"},
    "mssql": {"num_partitions", "partition_column"},
}


def source(kind: str, option: str, value: str) -> dict[str, Any]:
    """A source of that *kind* with that *value*."""
    name, _, inner = option.partition(".")
    given = {**({"database": "d"} if kind == "sqlite" else ADDRESS), "table": "t", **BESIDE.get(name, {})}
    given[name] = {**given.get(name, {}), inner: value} if inner else value
    return {"type": kind, **{key: item for key, item in given.items() if item is not None}}


def options(model: type[Any]) -> set[str]:
    """The names of its options."""
    return set(model.model_fields)


def test_every_option_has_a_value_below() -> None:
    inner = {"connection_params", "query_params", "where_params", "incremental", "ssh_tunnel"}
    plain = {name for name in ENVIRONMENT if "." not in name} | {"connection_string"}
    assert plain | inner | {"type"} == options(DatabaseConnector)
    for name, model in (("incremental", DatabaseIncremental), ("ssh_tunnel", SshTunnel)):
        assert {f"{name}.{option}" for option in options(model)} == {one for one in ENVIRONMENT if name in one}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", [*ENVIRONMENT, "connection_string"])
def test_every_option_may_be_a_placeholder(
    project: Project, monkeypatch: pytest.MonkeyPatch, kind: str, option: str
) -> None:
    value = {**ENVIRONMENT, "connection_string": URLS[kind]}[option]
    monkeypatch.setenv("WAITING", value)
    loader = {"write_mode": "merge", "merge_keys": ["id"]}
    project.job("orders", {"source": source(kind, option, "${WAITING}"), "loader": loader})
    if option.partition(".")[0] in WITHOUT.get(kind, ()):
        with pytest.raises(ConfigError):
            load_job("orders").resolved()
        return
    written = load_job("orders")
    assert "${WAITING}" in str(written.source.as_written())
    assert written.resolved().source == ConnectorFactory.create(source(kind, option, value))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["columns", "exclude_columns", "primary_key", "init_sql"])
def test_a_single_one_needs_no_list(kind: str, option: str) -> None:
    made = ConnectorFactory.create(source(kind, option, "id"))
    assert made == ConnectorFactory.create({**source(kind, option, ""), option: ["id"]})


@pytest.mark.parametrize("kind", ["mysql", "postgresql", "oracle", "mssql"])
def test_the_case_of_an_isolation_level_does_not_matter(kind: str) -> None:
    made = cast(DatabaseConnector, ConnectorFactory.create(source(kind, "isolation_level", " serializable ")))
    assert made.isolation_level == "SERIALIZABLE"


def test_words_of_an_isolation_level_may_be_lower_case() -> None:
    made = cast(DatabaseConnector, ConnectorFactory.create(source("mysql", "isolation_level", "repeatable  read")))
    assert made.isolation_level == "REPEATABLE READ"


@pytest.mark.parametrize("type_name", ["mysql", "database"])
@pytest.mark.parametrize(
    ("incremental", "loader", "sentence"),
    [
        ({"lookback": "5m"}, {}, "source.incremental.lookback reads rows again; set loader.write_mode: merge"),
        (
            {"on_null_cursor": "include"},
            {},
            (
                "source.incremental.on_null_cursor: include loads those rows in every run; set loader.write_mode: merge, "
                "or on_null_cursor: exclude"
            ),
        ),
        (
            {},
            {"write_mode": "overwrite"},
            (
                "source.incremental reads new rows alone, so loader.write_mode: overwrite would take away the others; "
                "leave incremental out, or set write_mode: merge without delete_missing"
            ),
        ),
        (
            {},
            {"write_mode": "merge", "merge_keys": ["id"], "delete_missing": "hard"},
            (
                "source.incremental reads new rows alone, so loader.delete_missing would take away the others; "
                "leave incremental out, or set write_mode: merge without delete_missing"
            ),
        ),
    ],
)
def test_what_would_lose_or_repeat_rows_in_the_target_is_refused(
    project: Project, type_name: str, incremental: dict[str, Any], loader: dict[str, Any], sentence: str
) -> None:
    given = {**source("mysql", "table", "t"), "incremental": {"cursor_column": "at", **incremental}, "type": type_name}
    if type_name == "database":
        given["db_type"] = "mysql"
    project.job("orders", {"source": given, "loader": loader})
    with pytest.raises(ConfigError) as error:
        load_job("orders")
    assert sentence in str(error.value)


@pytest.mark.parametrize("type_name", ["mysql", "database"])
@pytest.mark.parametrize("option", ["lookback", "on_null_cursor"])
def test_what_a_placeholder_brings_is_refused_too_once_it_is_known(
    project: Project, monkeypatch: pytest.MonkeyPatch, type_name: str, option: str
) -> None:
    monkeypatch.setenv("WAITING", {"lookback": "5m", "on_null_cursor": "include"}[option])
    given = {**source("mysql", f"incremental.{option}", "${WAITING}"), "type": type_name}
    if type_name == "database":
        given["db_type"] = "mysql"
    project.job("orders", {"source": given, "loader": {}})
    with pytest.raises(ConfigError, match=rf"source\.incremental\.{option}.*write_mode: merge"):
        load_job("orders").resolved()


@pytest.mark.parametrize(
    "address", ["mariadb:garbage", "mariadb://u:s3cr3t@h:x33/d", "mysql:garbage", "u:s3cr3t@h/d", "mysql"]
)
def test_a_connection_string_that_is_no_url_is_told_in_words_that_nothing_is_masked_of(
    project: Project, address: str
) -> None:
    project.job("orders", {"source": {"type": "mysql", "connection_string": address, "table": "t"}})
    with pytest.raises(ConfigError) as error:
        load_job("orders")
    told = str(error.value)
    assert "connection_string is not a URL; write mysql://, user and password, the host and the database" in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_a_url_may_name_mariadb(scheme: str) -> None:
    made = cast(
        DatabaseConnector,
        ConnectorFactory.create({"type": "mysql", "connection_string": f"{scheme}://u:p@h/d", "table": "t"}),
    )
    assert made.server.url.drivername == "mysql+pymysql"


PLACES = {"mysql": "mysql://127.0.0.1:1/d", "oracle": "oracle://127.0.0.1:1/d"}
ELSEWHERE = {**ADDRESS, "host": "127.0.0.1", "port": 1, "table": "t"}


def read(given: Mapping[str, Any]) -> str:
    """What reading it fails with."""
    with pytest.raises(ConfigError) as error:
        list(ConnectorFactory.create(given).read(None, None))
    return str(error.value)


@pytest.mark.parametrize("kind", PLACES)
def test_parameters_that_a_driver_does_not_know_are_named(kind: str) -> None:
    told = read({"type": kind, **ELSEWHERE, "connection_params": {"nonsense": 1}})
    assert told == (
        f"{PLACES[kind]}: source.connection_params has nonsense, which the driver does not know; "
        "take it out or correct its name"
    )
    url = {"mysql": "mysql://u@127.0.0.1:1/d?nonsense=1", "oracle": "oracle://u@127.0.0.1:1/d?nonsense=1"}[kind]
    assert "d: source.connection_string has nonsense, which" in read(
        {"type": kind, "connection_string": url, "table": "t"}
    )


@pytest.mark.parametrize(("kind", "name"), [("mysql", "connect_timeout"), ("oracle", "retry_count")])
def test_values_that_a_driver_does_not_take_are_told_with_their_parameter(kind: str, name: str) -> None:
    told = read({"type": kind, **ELSEWHERE, "connection_params": {name: "abc"}})
    assert told.startswith(f"{PLACES[kind]}: the driver does not take source.connection_params ({name}): ")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """An SQLite file with two rows."""
    found = str(tmp_path / "shop.db")
    with closing(sqlite3.connect(found)) as connection:
        connection.executescript(
            "CREATE TABLE t (id int primary key, a int, b int); INSERT INTO t VALUES (1, 2, 3), (2, 3, 4)"
        )
    return found


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELECT id, a AS id FROM t", "id"),
        ("SELECT id, a, b AS A FROM t", "A"),
        ("SELECT * FROM t JOIN t AS u ON u.id = t.a", "id"),
    ],
)
def test_columns_of_one_name_that_sqlite_would_rename_are_refused(file: str, query: str, name: str) -> None:
    told = read({"type": "sqlite", "database": file, "query": query})
    assert told == f"two columns of source.query are called {name}; name them apart with AS in source.query"


def test_a_column_may_have_a_name_such_as_sqlite_gives(file: str) -> None:
    query = 'SELECT id, a AS "id:1" FROM t'
    [*_, last] = ConnectorFactory.create({"type": "sqlite", "database": file, "query": query}).read(None, None)
    assert last.records.to_pydict() == {"id": [1, 2], "id:1": [2, 3]}


@pytest.mark.parametrize("way", ["connection_string", "connection_params"])
@pytest.mark.parametrize(
    ("parameter", "value", "told"),
    [
        ("immutabel", "1", "SQLite knows no parameter 'immutabel'; did you mean 'immutable'"),
        ("mode", "rw", "mode=rw: read_only: true opens files by mode=ro; leave it out"),
        ("mode", "memory", "mode=memory: read_only: true opens files by mode=ro; leave it out"),
    ],
)
def test_parameters_that_sqlite_would_not_hear_are_refused(way: str, parameter: str, value: str, told: str) -> None:
    given: dict[str, Any] = {"database": "shop.db", way: {parameter: value}}
    if way == "connection_string":
        given = {way: f"sqlite:///shop.db?{parameter}={value}"}
    with pytest.raises(ValidationError, match=told):
        ConnectorFactory.create({"type": "sqlite", **given, "table": "t"})


def test_parameters_of_an_sqlite_url_are_those_by_which_the_file_is_opened(file: str) -> None:
    url = f"sqlite:///{file}?mode=ro&immutable=1"
    made = cast(DatabaseConnector, ConnectorFactory.create({"type": "sqlite", "connection_string": url, "table": "t"}))
    assert made.server.url.query == {"mode": "ro", "immutable": "1", "uri": "true"}
    assert [batch.records.num_rows for batch in made.read(None, None)][-1] == 2


def test_parameters_of_a_mysql_url_hold_as_connection_params_do() -> None:
    def server(query: str) -> Database:
        given = {"type": "mysql", "connection_string": f"mysql://u:p@h/d?{query}", "table": "t"}
        return cast(DatabaseConnector, ConnectorFactory.create(given)).server

    arguments = server("charset=latin1&connect_timeout=3&read_timeout=7").connect_arguments
    assert (arguments["connect_timeout"], arguments["read_timeout"]) == (3, 7)
    with pytest.raises(ValidationError, match=r"connection_string\.autocommit is ours to set; leave it out"):
        server("charset=utf8mb4&autocommit=true")


@pytest.mark.parametrize(
    ("clause", "params", "told"),
    [
        ("id > :least", {}, r"source\.where_params lacks a value for :least"),
        ("id > :least", {"lest": 1}, r"has 'lest', which stands nowhere as :lest; did you mean ':least'"),
        ("id > 1", {"lest": 1}, r"has 'lest', which stands nowhere as :lest$"),
        ("id > 0 AND name <> ':x' -- :x", {}, None),
        ('id > 0 /* :x */ AND name <> "name:x"', {}, None),
    ],
)
def test_a_parameter_without_a_value_is_named(tmp_path, clause, params, told):
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a');")
    given = {"type": "sqlite", "database": str(tmp_path / "a.db"), "table": "t"}
    connector = ConnectorFactory.create({**given, "where_clause": clause, "where_params": params})
    if told is None:
        assert sum(batch.records.num_rows for batch in connector.read(None, None)) == 1
        return
    with pytest.raises(ConfigError, match=told):
        list(connector.read(None, None))
