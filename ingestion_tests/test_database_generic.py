"""`type: database` is the type that db_type names."""

import pytest

from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.connector import DatabaseConnector
from ingestion.connectors.databases.generic import KINDS, AnyDatabaseConnector
from ingestion.errors import ConfigError
from ingestion.testing import check_connector
from ingestion_tests.sqlite_reads import made


@pytest.mark.parametrize("name", ["database", "db"])
def test_a_source_of_type_database_is_one_of_the_kind_that_it_names(tmp_path, name):
    path = made(tmp_path / "x.db", "CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)")
    source = ConnectorFactory.create({"type": name, "db_type": "sqlite", "database": str(path), "table": "t"})
    assert source == ConnectorFactory.create({"type": "sqlite", "database": str(path), "table": "t"})
    assert check_connector(source, incremental=False).to_pydict() == {"a": [1]}


def test_every_kind_of_database_can_be_named():
    there = {name for name in ConnectorFactory.names() if issubclass(ConnectorFactory.get(name), DatabaseConnector)}
    assert there == {*KINDS, "database", "db"}
    assert ConnectorFactory.get("db") is AnyDatabaseConnector


@pytest.mark.parametrize(("options", "sentence"), [
    ({"db_type": "postgre"}, "unknown db_type 'postgre'; did you mean 'postgres'?"),
    ({}, "db_type"),
    ({"db_type": "${KIND}"}, "cannot be a placeholder"),
    ({"db_type": "sqlite", "database": "x.db", "table": "t", "host": "h"}, "SQLite is a file on this machine"),
    ({"db_type": "sqlite", "database": "x.db", "tabel": "t"}, "unknown key 'tabel'; did you mean 'table'?"),
    ({"db_type": "postgresql", "table": "t"}, "host is missing"),
])  # fmt: skip
def test_what_does_not_fit_the_kind_is_refused_in_its_words(project, options, sentence):
    project.job("orders", {"source": {"type": "database", **options}})
    with pytest.raises(ConfigError) as error:
        load_job("orders")
    assert sentence in str(error.value)


def test_a_job_of_type_database_resolves_its_placeholders(project, monkeypatch):
    made(project.path / "x.db", "CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)")
    monkeypatch.setenv("FILE", "x.db")
    project.job("orders", {"source": {"type": "db", "db_type": "sqlite", "database": "${FILE}", "table": "t"}})
    source = load_job("orders").resolved().source
    assert [row for batch in source.read(None, None) for row in batch.records.to_pylist()] == [{"a": 1}]
