"""A replay brings the rows that were asked for, and no other row's duplicates."""

import uuid
from typing import Any

import pytest

from ingestion.cli import main
from ingestion.config import load_job
from ingestion.pipeline import run
from ingestion.replay import ReplayReport, replay
from ingestion_tests.conftest import Project

UNIQUE = {"column": "id", "rule": "unique"}
ROWS = "id,day\n1,2024-01-02\n1,2024-01-03\n2,05/01/2024\n3,soon\n"


def job(project: Project, *rules: dict[str, Any], days: Any = "%Y-%m-%d") -> None:
    transformer = {"date_columns": {"day": days}, "validation": list(rules)}
    project.job(
        "orders",
        {"source": {"type": "csv", "source_path": "data"}, "transformer": transformer, "max_bad_ratio": 1},
    )


def bring(text: str = "") -> ReplayReport:
    return replay(load_job("orders"), uuid.uuid4().hex, text)


@pytest.fixture
def loaded(project: Project) -> Project:
    """A job with a duplicate and two rows without a date in quarantine."""
    project.file("data/a.csv", ROWS)
    job(project, UNIQUE)
    assert run(load_job("orders"), uuid.uuid4().hex).rows_quarantined == 3
    return project


def ids(project: Project) -> list[int]:
    return sorted(project.table("default.orders")["id"].to_pylist())


def test_a_duplicate_stays_while_the_job_has_the_rule(loaded: Project) -> None:
    report = bring()
    assert (report.replayed, report.rows_loaded, report.rows_quarantined) == (2, 0, 2)
    (reason,) = report.left
    assert (report.left[reason], "duplicate" in reason, ids(loaded)) == (1, True, [1])
    job(loaded, {"column": "id", "rule": "not_null"})
    assert bring().left == {}
    assert ids(loaded) == [1, 1]


def test_a_duplicate_comes_where_the_rule_only_warns_today(loaded: Project) -> None:
    job(loaded, {**UNIQUE, "on_fail": "warn"})
    assert (bring().left, ids(loaded)) == ({}, [1, 1])


def test_a_replay_of_rows_with_a_text_leaves_the_others(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    job(loaded, days=["%Y-%m-%d", "%d/%m/%Y"])
    assert main(["replay", "orders", "--bare", "--reason", "05/01"]) == 0
    assert "orders: 1 row replayed: 1 row loaded" in capsys.readouterr().out
    assert ids(loaded) == [1, 2]
    assert main(["quarantine", "orders", "--reason", "05/01"]) == 0
    assert "nothing in quarantine with '05/01'" in capsys.readouterr().out
    assert main(["replay", "orders", "--bare", "--reason", "no such"]) == 0
    assert capsys.readouterr().out == "orders: nothing to replay\n"
    assert bring("ID: UNIQUE").rows_loaded == 1
    assert ids(loaded) == [1, 1, 2]
