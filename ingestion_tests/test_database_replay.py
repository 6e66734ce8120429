"""Rows of databases that were rejected: told by table and key, and brought anew once they are mended there."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.pipeline import run
from ingestion.plugins import Connector
from ingestion.replay import replay
from ingestion.testing import check_connector
from ingestion_tests.conftest import Project
from ingestion_tests.servers import PostgresServer

MASKED = {"transformer": {"mask": {"email": "redact"}}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Orders by one number, lines by two; of each one row has a text for a number."""
    database = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    database.executescript("""
        CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, price INTEGER);
        INSERT INTO orders VALUES (7, 'ann@example.org', 'much'), (9, 'bob@example.org', 3);
        CREATE TABLE lines (code TEXT, line INTEGER, price INTEGER, PRIMARY KEY (code, line));
        INSERT INTO lines VALUES ('A 1', 1, 5), ('A 1', 2, 'much');
    """)
    yield database
    database.close()


def source(path: Path, table: str, **options: Any) -> Connector:
    config = {"type": "sqlite", "database": str(path / "shop.db"), "table": table, **options}
    return ConnectorFactory.create(config)


def rejected(connector: Connector) -> list[dict[str, Any]]:
    found = [batch.rejected for batch in connector.read(None, None) if getattr(batch, "rejected", None) is not None]
    return [row for batch in found for row in batch.to_pylist()]


def test_a_rejected_row_stands_at_its_key(shop: Any, tmp_path: Path) -> None:
    (row,) = rejected(source(tmp_path, "orders"))
    assert (row["source"], row["position"], row["column"]) == (f"{tmp_path}/shop.db/orders[id]", 7, "price")
    assert "row id" not in row["reason"]


def test_a_row_with_a_key_of_two_columns_is_told_by_both(shop: Any, tmp_path: Path) -> None:
    (row,) = rejected(source(tmp_path, "lines"))
    assert (row["source"], row["position"]) == (f"{tmp_path}/shop.db/lines", 2)
    assert row["reason"].endswith("; in row code=A 1, line=2")


def test_a_row_whose_key_does_not_fit_has_no_place(shop: Any, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE odd (id INT PRIMARY KEY, price INTEGER)")
    shop.execute("INSERT INTO odd VALUES (0, 'much'), ('abc', 5), ('12', 'more')")
    connector = source(tmp_path, "odd")
    assert [(row["position"], row["value"]) for row in rejected(connector)] == [
        (0, "much"),
        (None, "abc"),
        (12, "more"),
    ]
    shop.execute("UPDATE odd SET price = 4 WHERE id = 0")
    (batch,) = [one for one in connector.reread({f"{tmp_path}/shop.db/odd[id]": pa.array([0])}, None, None)
                if one.records.num_rows]  # fmt: skip
    assert batch.records.to_pylist() == [{"id": 0, "price": 4}]


def test_a_part_of_a_key_that_does_not_fit_is_told_as_it_stands(shop: Any, tmp_path: Path) -> None:
    shop.execute("INSERT INTO lines VALUES ('A 1', 'third', 'much')")
    reasons = [row["reason"] for row in rejected(source(tmp_path, "lines"))]
    assert reasons[1].endswith("; in row code=A 1, line=third")


def test_a_key_that_the_job_names_tells_rows_apart(shop: Any, tmp_path: Path) -> None:
    shop.execute("CREATE VIEW recent AS SELECT * FROM orders")
    (row,) = rejected(source(tmp_path, "recent", primary_key=["id"]))
    assert (row["source"], row["position"]) == (f"{tmp_path}/shop.db/recent[id]", 7)


def test_rows_are_found_by_their_keys(shop: Any, tmp_path: Path) -> None:
    connector = source(tmp_path, "orders")
    shop.execute("UPDATE orders SET price = 4 WHERE id = 7")
    place = f"{tmp_path}/shop.db/orders[id]"
    (batch,) = [one for one in connector.reread({place: pa.array([7, 8])}, None, None) if one.records.num_rows]
    assert batch.records.to_pylist() == [{"id": 7, "email": "ann@example.org", "price": 4}]
    assert batch.origin.positions.to_pylist() == [7]
    assert batch.cursor is None


def test_more_keys_than_one_statement_takes_are_found(shop: Any, tmp_path: Path) -> None:
    shop.execute(
        "WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 2699) "
        "INSERT INTO orders SELECT n, '', 1 FROM n"
    )
    place = f"{tmp_path}/shop.db/orders[id]"
    found = source(tmp_path, "orders").reread({place: pa.array(range(100, 2700))}, None, None)
    assert [row for one in found for row in one.origin.positions.to_pylist()] == list(range(100, 2700))


def test_what_has_no_place_says_why(shop: Any, tmp_path: Path) -> None:
    lines, orders = f"{tmp_path}/shop.db/lines", f"{tmp_path}/shop.db/orders[id]"
    connector = source(tmp_path, "lines")
    reasons = connector.unreadable([lines, orders], None)
    assert "no primary key of one whole number is among its columns" in reasons[lines]
    assert reasons[orders] == f"{orders} is not what the job reads now, which is {lines}"
    with pytest.raises(ConfigError, match="no primary key of one whole number"):
        list(connector.reread({lines: pa.array([1])}, None, None))
    assert source(tmp_path, "orders").unreadable([orders], None) == {}
    assert source(tmp_path, "orders", columns=["email"]).unreadable([orders], None)


@pytest.mark.parametrize("table", ["orders", "lines"])
def test_tables_keep_the_contract_with_rows_that_do_not_fit(shop: Any, tmp_path: Path, table: str) -> None:
    assert check_connector(source(tmp_path, table), incremental=False).num_rows == 1


def test_a_mended_row_of_a_masked_job_is_replayed(
    project: Project, postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", postgres_url)
    for statement in (
        "CREATE TABLE orders (id bigint PRIMARY KEY, email text, price numeric(10, 2))",
        "INSERT INTO orders VALUES (7, 'ann@example.org', 'NaN'), (8, 'eve@example.org', 'NaN'), (9, 'bob@b', 3)",
    ):
        postgres_server.execute(statement, postgres_url)
    shop = {"type": "postgresql", "connection_string": "${SHOP_URL}", "table": "orders"}
    project.job("orders", {"source": shop, **MASKED})
    assert run(load_job("orders"), "r1").rows_quarantined == 2
    postgres_server.execute("UPDATE orders SET price = 1.50 WHERE id = 7", postgres_url)
    report = replay(load_job("orders"), "r2")
    assert (report.rows_loaded, report.rows_quarantined) == (1, 1)
    rows = project.table("default.orders").to_pylist()
    assert sorted((row["id"], row["email"], str(row["price"])) for row in rows) == [
        (7, "***", "1.50"),
        (9, "***", "3.00"),
    ]


def test_a_row_without_a_place_is_replayed_from_what_was_read(shop: Any, project: Project) -> None:
    lines = {"type": "sqlite", "database": str(project.path / "shop.db"), "table": "lines"}
    project.job("lines", {"source": lines, "transformer": {"filters": ["price < 100"]}})
    assert run(load_job("lines"), "r1").rows_quarantined == 1
    report = replay(load_job("lines"), "r2")
    assert (report.rows_loaded, report.rows_quarantined, report.left) == (0, 1, {})


def test_a_masked_key_is_not_told(shop: Any, project: Project) -> None:
    lines = {"type": "sqlite", "database": str(project.path / "shop.db"), "table": "lines"}
    project.job("lines", {"source": lines, "transformer": {"mask": {"line": "redact"}}})
    report = run(load_job("lines"), "r1")
    assert "line=2" not in report.examples["price: type"]
    assert "line=2" not in project.table("default.lines__quarantine")["reason"][0].as_py()


def test_a_mended_row_is_found_again_whatever_was_a_secret_when_it_was_read(
    shop: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = {"type": "sqlite", "database": str(project.path / "shop.db"), "table": "orders"}
    project.job("orders", {"source": orders})
    assert run(load_job("orders"), "r1").rows_quarantined == 1
    shop.execute("UPDATE orders SET price = 1 WHERE id = 7")
    monkeypatch.setenv("FILE_PASSWORD", str(project.path / "shop.db"))
    project.job("orders", {"source": {**orders, "database": "${FILE_PASSWORD}"}})
    assert replay(load_job("orders"), "r2").rows_loaded == 1
