"""A preview of a database reads its first rows, and the server works no longer than that."""

import time
from typing import Any

import pytest

from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.preview import preview
from ingestion_tests.conftest import Project

ROWS = {
    "postgresql": "CREATE TABLE orders AS SELECT n AS id, repeat('x', 500) AS note FROM generate_series(1, 60000) n",
    "mysql": "CREATE TABLE orders AS SELECT seq AS id, repeat('x', 500) AS note FROM seq_1_to_60000",
}
RUNNING = {
    "postgresql": "SELECT query FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
    "mysql": "SELECT info FROM information_schema.processlist WHERE db = '{}' AND id <> connection_id()",
}


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_preview_leaves_nothing_running_at_the_server(
    project: Project, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Any = request.getfixturevalue("postgres_server" if kind == "postgresql" else "mysql_server")
    url = server.fresh_database()
    server.execute(ROWS[kind], url)
    monkeypatch.setenv("SHOP_URL", url)
    source = {"type": kind, "connection_string": "${SHOP_URL}", "table": "orders", "max_batch_bytes": 1 << 20}
    project.job("orders", {"source": source})
    found = preview(load_job("orders"), rows=50, shown=5)
    assert (found.error, found.whole, found.report.rows_read) == (None, False, 50)
    assert found.rows is not None
    assert found.rows.num_rows == 5
    running = RUNNING[kind].format(url.rpartition("/")[2])
    until = time.monotonic() + 5
    while (left := server.execute(running)) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []


def test_a_reader_that_is_given_up_while_the_server_thinks_ends_at_once(
    postgres_server: Any, postgres_url: str
) -> None:
    query = (
        "SELECT n, CASE WHEN n > 180000 THEN pg_sleep(60)::text ELSE repeat('x', 50) END AS note "
        "FROM generate_series(1, 200000) n"
    )
    source = ConnectorFactory.create({"type": "postgresql", "connection_string": postgres_url, "query": query})
    reader: Any = source.read(None, None)
    next(reader)
    started = time.monotonic()
    reader.close()
    assert time.monotonic() - started < 10
