"""A reading that is left ends at once, in this process and at the server, whatever its driver waits for."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest

from ingestion.connectors import ConnectorFactory

LAST = 300_000  # rows, of 100 bytes, that come before the server waits
ENDLESS = {
    "postgresql": f"SELECT n, repeat('x', 100) AS long, CASE WHEN n > {LAST} THEN pg_sleep(600)::text END AS t "
    "FROM generate_series(1, 400000) n",
    "mysql": f"SELECT seq AS n, REPEAT('x', 100) AS l, IF(seq > {LAST}, SLEEP(600), 0) AS t FROM seq_1_to_400000",
    "sqlite": f"SELECT c.n FROM t a CROSS JOIN t b CROSS JOIN t c WHERE a.n = 1 AND b.n <= {LAST // 1000} OR a.n < 0",
}
RUNNING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
    " AND state = 'active'",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP%' AND id <> CONNECTION_ID()",
}


def without_fast_driver(kind):
    """The class of a source that has none installed."""
    connector = ConnectorFactory.get(kind)

    class Server(type(connector.model_construct().server)):
        def load_fast(self):
            raise ImportError

    class Source(connector):
        @property
        def server(self):
            return Server(self)

    return Source


def address_of(kind, request, tmp_path):
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "thousand.sqlite")) as connection, connection:
            connection.execute("CREATE TABLE t (n INTEGER)")
            connection.executemany("INSERT INTO t VALUES (?)", [(n + 1,) for n in range(1000)])
        return {"database": str(tmp_path / "thousand.sqlite")}
    return {"connection_string": request.getfixturevalue("postgres_url" if kind == "postgresql" else "mysql_url")}


def running(kind, address, request):
    """How many statements the server still runs."""
    if kind == "sqlite":
        return 0
    server = request.getfixturevalue("postgres_server" if kind == "postgresql" else "mysql_server")
    return server.execute(RUNNING[kind], address["connection_string"])[0][0]


@pytest.mark.parametrize("path", ["fast", "portable"])
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_reading_that_is_left_ends_here_and_at_the_server(kind, path, request, tmp_path):
    address = address_of(kind, request, tmp_path)
    connector = ConnectorFactory.get(kind) if path == "fast" else without_fast_driver(kind)
    source = connector(**address, query=ENDLESS[kind], fetch_size=1000, max_batch_bytes=1 << 22)
    rows = 0
    with closing(source.read(None, None)) as batches:
        for batch in batches:
            rows += batch.records.num_rows
            if rows > LAST // 3:
                break
        time.sleep(0.3)  # until the driver waits
        started = time.monotonic()
    assert time.monotonic() - started < 15
    assert not [thread for thread in threading.enumerate() if thread.name == "read"]
    deadline = time.monotonic() + 10
    while running(kind, address, request) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(kind, address, request)
