"""Rows of databases that are mended while runs go on: whether a run or a replay brings them, they land once."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestion.config import load_job
from ingestion.pipeline import run
from ingestion.replay import replay
from ingestion_tests.conftest import Project
from ingestion_tests.targets import Target
from ingestion_tests.test_behaviour import EVERYWHERE, somewhere, target
from ingestion_tests.test_replay_exactly_once import ONE_OF_EACH

__all__ = ["target"]  # the fixture

APPENDED: dict[str, Any] = {"type": "iceberg"}
MERGED = {"type": "iceberg", "write_mode": "merge", "merge_keys": "id"}


@pytest.fixture
def items(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Items that are found by the number of their last change; the second has a text for a number."""
    database = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    database.executescript("""
        CREATE TABLE items (id INTEGER PRIMARY KEY, changed INTEGER, price INTEGER);
        INSERT INTO items VALUES (1, 1, 1), (2, 2, 'much'), (3, 3, 3);
    """)
    yield database
    database.close()


def versions(project: Project) -> list[tuple[int, int, int]]:
    rows = project.table("default.items").to_pylist()
    return sorted((row["id"], row["changed"], row["price"]) for row in rows)


def items_job(project: Project, loader: dict[str, Any]) -> None:
    source = {"type": "sqlite", "database": str(project.path / "shop.db"), "table": "items"}
    project.job("items", {"source": {**source, "incremental": {"cursor_column": "changed"}}, "loader": loader})


@pytest.mark.parametrize("loader", [APPENDED, MERGED], ids=["append", "merge"])
@pytest.mark.parametrize("order", [(run, replay), (replay, run), (run, replay, run, replay)])
def test_a_row_that_was_mended_under_a_newer_cursor_lands_once(
    items: Any, project: Project, loader: dict[str, Any], order: Any
) -> None:
    items_job(project, loader)
    assert run(load_job("items"), "r1").rows_quarantined == 1
    items.execute("UPDATE items SET changed = 4, price = 22 WHERE id = 2")
    items.execute("INSERT INTO items VALUES (4, 5, 5)")
    for number, act in enumerate(order):
        report = act(load_job("items"), f"again{number}")
        if act is replay and loader is APPENDED:
            ((reason, count),) = report.left.items()
            assert (count, report.rows_loaded, report.rows_quarantined) == (1, 0, 0)
            assert "a run of the job brings it anew; look for it in the table" in reason
    assert versions(project) == [(1, 1, 1), (2, 4, 22), (3, 3, 3), (4, 5, 5)]


@somewhere(ONE_OF_EACH, without=[name for name in EVERYWHERE if name not in ONE_OF_EACH])
def test_a_row_that_was_mended_under_its_old_cursor_is_replayed_whatever_came_after_it(
    items: Any, project: Project, target: Target
) -> None:
    items_job(project, {"type": target.kind, "table": "t", **target.options})
    run(load_job("items"), "r1")
    items.execute("INSERT INTO items VALUES (4, 5, 5)")
    run(load_job("items"), "r2")
    assert replay(load_job("items"), "r3").rows_quarantined == 1
    items.execute("UPDATE items SET price = 22 WHERE id = 2")
    report = replay(load_job("items"), "r4")
    assert (report.rows_loaded, report.left) == (1, {})
    assert [tuple(row.values()) for row in target.rows()] == [(1, 1, 1), (2, 2, 22), (3, 3, 3), (4, 5, 5)]


def test_a_row_that_was_rejected_twice_is_replayed_for_the_newer_time(items: Any, project: Project) -> None:
    items_job(project, APPENDED)
    run(load_job("items"), "r1")
    items.execute("UPDATE items SET changed = 4 WHERE id = 2")
    assert run(load_job("items"), "r2").rows_quarantined == 1
    items.execute("UPDATE items SET price = 22 WHERE id = 2")
    report = replay(load_job("items"), "r3")
    assert (report.rows_loaded, sum(report.left.values())) == (1, 1)
    report = replay(load_job("items"), "r4")
    assert (report.rows_loaded, sum(report.left.values())) == (0, 1)
    assert versions(project) == [(1, 1, 1), (2, 4, 22), (3, 3, 3)]


def test_a_row_whose_run_the_history_has_forgotten_stays(items: Any, project: Project) -> None:
    items_job(project, APPENDED)
    run(load_job("items"), "r1")
    items.execute("INSERT INTO items VALUES (4, 5, 5)")
    run(load_job("items"), "r2")
    table = project.iceberg("default.items")
    table.maintenance.expire_snapshots().by_id(table.history()[0].snapshot_id).commit()
    ((reason, count),) = replay(load_job("items"), "r3").left.items()
    assert "history does not tell any more how far the job had come" in reason
    assert count == 1
