"""`ingestion check`: what a run would meet at source and target, asked without reading a row."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from ingestion.checking import check
from ingestion.cli import main
from ingestion.config import load_job
from ingestion.orchestration.metadata import materialization_metadata
from ingestion.pipeline import run
from ingestion_tests.conftest import Project
from ingestion_tests.dagster_server import free_port

JOB = {"source": {"type": "sqlite", "database": "shop.db", "table": "orders"}}


@pytest.fixture
def shop(project: Project) -> Iterator[sqlite3.Connection]:
    """A database with two orders, and a job that appends them."""
    with sqlite3.connect(project.path / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, price DECIMAL(10, 2), customer TEXT)")
        database.execute("INSERT INTO orders VALUES (1, 15.86, 'Ann'), (2, 2.5, NULL)")
        database.commit()
        project.job("orders", JOB)
        yield database
    database.close()


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    return status, *capsys.readouterr()


def test_a_check_says_server_key_columns_and_types(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = told(capsys, "orders")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].startswith("orders: ")
    assert lines[0].endswith("shop.db/orders[id]")
    assert lines[1].startswith("server: SQLite 3.")
    assert "primary key: id" in lines
    assert "read by: adbc-driver-sqlite" in lines
    assert [line.split("  ")[0] for line in lines if line.startswith(("id", "price", "customer"))] == 2 * [
        "id",
        "price",
        "customer",
    ]
    assert "decimal128(10, 2)" in out
    assert "new: the table gets it" in out


def test_a_check_creates_nothing(shop: Any) -> None:
    job = load_job("orders")
    assert check(job).errors == []
    assert job.resolved().loader.state("orders").schema is None


def test_a_check_speaks_json(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(load_job("orders"), "r1")
    status, out, _ = told(capsys, "orders", "--json")
    answer = json.loads(out)
    assert (status, answer["key"], answer["table_exists"]) == (0, ["id"], True)
    assert answer["columns"][1] == {
        "name": "price",
        "declared": "DECIMAL(10, 2)",
        "type": "decimal128(10, 2)",
        "note": answer["columns"][1]["note"],
    }
    assert [item["grade"] for item in answer["table_columns"]] == ["same"] * 3
    assert (answer["source_error"], answer["target_error"]) == (None, None)


def test_a_column_that_cannot_land_is_told_before_a_run(
    shop: sqlite3.Connection, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    run(load_job("orders"), "r1")
    shop.execute("ALTER TABLE orders ADD COLUMN note TEXT")
    project.job("orders", {**JOB, "loader": {"schema_contract": {"columns": "freeze"}}})
    status, out, err = told(capsys, "orders")
    assert status == 1
    assert "a run would fail: " in err
    assert "CONFLICT: loader.schema_contract.columns is freeze" in out


def test_a_missing_table_and_a_broken_target_are_both_told(
    shop: Any, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = {"type": "rest", "uri": f"http://127.0.0.1:{free_port()}"}
    project.job("orders", {"source": {**JOB["source"], "table": "order"}, "loader": {"catalog": catalog}})
    status, out, err = told(capsys, "orders", "--json")
    answer = json.loads(out)
    assert "did you mean 'orders'?" in answer["source_error"]
    assert catalog["uri"] in answer["target_error"]
    assert (status, len(err.splitlines())) == (2, 2)


def test_a_check_says_what_the_next_run_would_read(
    shop: Any, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {**JOB["source"], "incremental": {"cursor_column": "id"}}
    project.job("orders", {"source": source})
    run(load_job("orders"), "r1")
    shop.execute("INSERT INTO orders VALUES (3, 1, 'Eve')")
    shop.commit()
    before = load_job("orders").resolved().loader.state("orders").cursor
    status, out, _ = told(capsys, "orders")
    assert status == 0
    assert "window: id from 2 up to 3" in out
    assert "position: id 2; after the next run id 3\n" in out
    assert load_job("orders").resolved().loader.state("orders").cursor == before
    assert run(load_job("orders"), "r2").rows_loaded == 1


def test_files_tell_how_many_wait_and_what_the_first_holds(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.file("in/a.csv", "id,name\n1,Ann\n")
    project.file("in/b.csv", "id,name\n2,Bob\n")
    project.job("people", {"source": {"type": "csv", "source_path": "in", "order_by": "name"}})
    status, out, _ = told(capsys, "people")
    assert status == 0
    assert "there: 2 of 2 files new: a.csv, b.csv" in out
    assert [line.split() for line in out.splitlines() if line.startswith(("id", "name"))][:2] == [
        ["id", "int64"],
        ["name", "string"],
    ]


def test_an_append_of_what_is_there_already_is_noted(shop: Any) -> None:
    first, second = run(load_job("orders"), "r1"), run(load_job("orders"), "r2")
    assert first.notes == []
    assert "appended beside those of earlier runs; set loader.write_mode: overwrite or merge" in second.notes[0]


@pytest.mark.parametrize("loader", [{"write_mode": "overwrite"}, {"write_mode": "merge", "merge_keys": "id"}])
def test_a_load_that_repeats_nothing_notes_nothing(shop: Any, project: Project, loader: dict[str, Any]) -> None:
    project.job("orders", {**JOB, "loader": loader})
    assert [run(load_job("orders"), name).notes for name in ("r1", "r2")] == [[], []]


def test_a_source_with_a_cursor_is_not_noted(project: Project) -> None:
    project.file("in/a.csv", "id\n1\n")
    project.job("people", {"source": {"type": "csv", "source_path": "in", "incremental": False}})
    assert [run(load_job("people"), name).notes for name in ("r1", "r2")] == [[], []]


def test_the_report_says_by_which_driver_rows_came(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--bare", "orders", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["told"] == {"read by": "adbc-driver-sqlite"}
    assert main(["run", "--bare", "orders"]) == 0
    assert "read by: adbc-driver-sqlite" in capsys.readouterr().out


def test_dagster_shows_what_a_source_tells(shop: Any) -> None:
    report = run(load_job("orders"), "r1")
    assert materialization_metadata(report, None)["told"].value == {"read by": "adbc-driver-sqlite"}


def test_secrets_stay_out_of_a_check(
    shop: sqlite3.Connection, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMN_SECRET", "s3cretname")
    shop.execute("ALTER TABLE orders ADD COLUMN s3cretname TEXT")
    project.job("orders", {"source": {**JOB["source"], "exclude_columns": ["${COLUMN_SECRET}"]}})
    assert told(capsys, "orders", "--json")[0] == 0
    project.job("orders", {"source": {**JOB["source"], "columns": ["${COLUMN_SECRET}", "x"]}})
    status, out, err = told(capsys, "orders", "--json")
    assert status == 2
    assert "s3cretname" not in out + err
