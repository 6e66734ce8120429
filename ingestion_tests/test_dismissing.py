"""Rows that nobody will bring anew leave a quarantine for good."""

import json
from typing import Any

import pytest

from ingestion.cli import main
from ingestion.config import load_job
from ingestion_tests.conftest import Project


def job(project: Project, **loader: Any) -> None:
    source = {"type": "csv", "source_path": "data"}
    transformer = {"date_columns": {"day": "%Y-%m-%d"}, "numeric_columns": ["n"]}
    project.job("orders", {"source": source, "transformer": transformer, "loader": loader, "max_bad_ratio": 1})


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def waiting() -> list[int]:
    batches = load_job("orders").resolved().loader.quarantined("orders")
    return sorted(position for batch in batches for position in batch["position"].to_pylist())


def test_dismissed_rows_are_gone_and_nothing_else_is(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.file("data/a.csv", "id,day,n\n1,2024-01-02,1\n2,soon,1\n3,2024-01-02,x\n4,2024-01-02,y\n")
    job(project)
    assert main(["run", "orders", "--bare"]) == 0
    assert answer(capsys, "quarantine", "orders", "--dismiss", "--reason", "soon") == {
        "job": "orders",
        "dismissed": 1,
        "without_id": 0,
    }
    assert waiting() == [4, 5]
    assert main(["quarantine", "orders", "--dismiss"]) == 0
    assert main(["quarantine", "orders", "--dismiss"]) == 0
    assert capsys.readouterr().out == "orders: 2 rows dismissed\norders: 0 rows dismissed\n"
    assert waiting() == []
    assert project.table("default.orders")["id"].to_pylist() == [1]
    assert answer(capsys, "run", "orders", "--bare")["rows_read"] == 0
    assert answer(capsys, "replay", "orders", "--bare")["replayed"] == 0


def test_rows_of_replaced_loads_are_told_apart_and_can_be_dismissed(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.file("data/a.csv", "id,day,n\n1,2024-01-02,1\n2,soon,1\n3,later,1\n")
    job(project, write_mode="overwrite")
    assert main(["run", "orders", "--bare"]) == 0
    assert main(["quarantine", "orders"]) == 0
    assert "later ones replaced" not in capsys.readouterr().out
    project.file("data/b.csv", "id,day,n\n7,2024-01-02,1\n8,2024-01-02,x\n")
    assert main(["run", "orders", "--bare"]) == 0
    assert main(["quarantine", "orders"]) == 0
    (last,) = capsys.readouterr().out.splitlines()[-1:]
    assert last == "orders: 2 of loads that later ones replaced: ingestion quarantine orders --dismiss replaced"
    assert main(["quarantine", "orders", "--dismiss", "replaced"]) == 0
    assert waiting() == [3, 3, 4]
    assert sorted(project.table("default.orders")["id"].to_pylist()) == [1, 7]
    assert main(["quarantine", "orders"]) == 0
    assert "later ones replaced" not in capsys.readouterr().out  # a dismissal replaces no load


def test_history_and_rollback_say_what_a_replay_is(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.file("data/a.csv", "id,day,n\n1,2024-01-02,1\n2,2024-01-03,x\n")
    job(project)
    assert main(["run", "orders", "--bare"]) == 0
    source = {"type": "csv", "source_path": "data"}
    project.job("orders", {"source": source, "transformer": {"column_mapping": {"n": "text"}}, "max_bad_ratio": 1})
    replayed = answer(capsys, "replay", "orders", "--bare")
    assert replayed["rows_loaded"] == 1
    loads = answer(capsys, "history", "orders")["loads"]
    assert [load["mode"] for load in loads] == ["replay", "append"]
    assert main(["rollback", "orders", "--run", replayed["run_id"]]) == 0
    out = capsys.readouterr().out
    assert "(replay, 1 row, " in out
    assert out.endswith("what its replay brought is in quarantine again: ingestion replay orders brings it\n")
    assert waiting() == [3]
