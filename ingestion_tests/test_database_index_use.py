"""What an incremental reading asks of a database is answered by an index of the cursor column, where there is one."""

import pytest
from sqlalchemy import event

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.literals import compiled
from ingestion.connectors.databases.relation import Relation
from ingestion.connectors.databases.session import opened
from ingestion.connectors.databases.windows import window_of
from ingestion_tests.incremental_sources import Source, ago, read

ROWS = 20_000
FILLED = {
    "postgresql": "INSERT INTO t SELECT n, now() - n * interval '1 hour', n FROM generate_series(1, {}) n",
    "mysql": "INSERT INTO t SELECT seq, now() - INTERVAL seq HOUR, seq FROM seq_1_to_{}",
    "sqlite": (
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {}) "
        "INSERT INTO t SELECT n, datetime('now', '-' || n || ' hours'), n FROM s"
    ),
}
ANALYZE = {"postgresql": "ANALYZE t", "mysql": "ANALYZE TABLE t", "sqlite": "ANALYZE"}


@pytest.fixture(params=sorted(FILLED))
def source(request, tmp_path):
    if request.param == "sqlite":
        found = Source("sqlite", str(tmp_path / "source.sqlite"))
    else:
        server = {"postgresql": "postgres_url", "mysql": "mysql_url"}[request.param]
        found = Source(request.param, request.getfixturevalue(server))
    found.table("id int primary key, at timestamp, v int")
    found.execute(FILLED[found.kind].format(ROWS))
    found.execute("CREATE INDEX t_at ON t (at)")
    found.execute(ANALYZE[found.kind])
    return found


@pytest.mark.parametrize("incremental", [{}, {"safety_lag": 0}, {"on_null_cursor": "exclude", "lookback": "3h"}])
def test_the_rows_of_a_window_and_its_end_are_found_by_the_index(source, incremental):
    cursor = read(source, end_value=None, initial_value=ago(40 * 3600), **incremental).cursor
    source.insert((0, ago(100), 0))
    plans = [plan for plan in plans_of(source, cursor, **incremental) if plan]
    assert len(plans) >= 3
    for plan in plans:
        assert reads_by_index(source.kind, plan), plan


def plans_of(source, cursor, **incremental):
    """How the server would answer each statement that reads the table in a run after *cursor*."""
    given = {"cursor_column": "at", "source_timezone": "UTC", **incremental}
    options = ConnectorFactory.create({**source.options, "table": "t", "incremental": given})
    with opened(options.server) as session:
        asked = []
        relation = Relation(options, session.connection.dialect)
        described = options.server.describe(session, relation)

        def heard(connection, statement, *_):
            asked.append(compiled(statement, connection.dialect) if hasattr(statement, "compile") else "")

        event.listen(session.connection, "before_execute", heard)
        window = window_of(session, relation, described, options, cursor)
        window.counted()
        event.remove(session.connection, "before_execute", heard)
        asked.append(
            compiled(relation.rows(described.columns, window.conditions, fast=False), session.connection.dialect)
        )
    explain = "EXPLAIN QUERY PLAN" if source.kind == "sqlite" else "EXPLAIN"
    return [source.execute(f"{explain} {statement}") for statement in asked if "FROM t" in statement]


def reads_by_index(kind, plan):
    text = " ".join(str(item) for row in plan for item in row)
    if kind == "postgresql":
        return "t_at" in text and "Seq Scan" not in text
    if kind == "sqlite":  # which rows have no time is told by all texts of the index, one by one
        return "SEARCH t" in text or "COVERING INDEX t_at" in text
    return "ALL" not in text.split() and ("t_at" in text or "Impossible" in text or "no matching row" in text)
