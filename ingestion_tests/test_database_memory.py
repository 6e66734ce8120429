"""How much memory readings of PostgreSQL take, whatever rows come after which."""

import subprocess
import sys

import pytest

from ingestion_tests.servers import PostgresServer

_READING = """
import resource, sys
from ingestion_tests.postgres_sources import PATHS, address

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

url, path, query = sys.argv[1:]
found = PATHS[path](**address(url), query=query, max_batch_bytes=4 << 20)
before = peak()
print(sum(batch.records.num_rows for batch in found.read(None, None)), peak() - before)
"""
_QUERY = "SELECT repeat('x', CASE WHEN n <= 3000 THEN 10 ELSE 1000000 END) AS s FROM generate_series(1, 3200) n"


@pytest.mark.parametrize("path", ["adbc", "portable"])
def test_long_rows_are_held_a_few_at_a_time_even_after_short_ones(postgres_server: PostgresServer, path: str) -> None:
    command = [sys.executable, "-c", _READING, postgres_server.fresh_database(), path, _QUERY]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    rows, megabytes = map(int, ended.stdout.split())
    assert rows == 3200
    assert megabytes < 300
