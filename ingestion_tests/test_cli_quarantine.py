"""What did not pass is listed by reason, and brought anew, from a shell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.cli import main
from ingestion_tests.conftest import Project

CONFIG = {
    "source": {"type": "csv", "source_path": "data"},
    "transformer": {"date_columns": ["day"]},
    "max_bad_ratio": 1,
}
MENDED = {**CONFIG, "transformer": {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}}}


@pytest.fixture
def loaded(project: Project, capsys: pytest.CaptureFixture[str]) -> Project:
    """A job with four rows in quarantine, for two reasons."""
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,03/01/2024\n3,04/01/2024\n4,x,y\n5,soon\n")
    project.job("orders", CONFIG)
    assert main(["run", "orders", "--bare"]) == 0
    capsys.readouterr()
    return project


def test_rows_are_counted_by_reason_with_an_example(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "orders"]) == 0
    out, err = capsys.readouterr()
    head, first, second, total = out.splitlines()
    assert err == ""
    assert head.split("  ")[0] == "rows"
    assert first.split()[:4] == ["3", "day:", "date_columns", "transform"]
    assert f"{loaded.path}/data/a.csv:6: 'soon' is not a date" in first
    assert second.split()[:3] == ["1", "ragged", "read"]
    assert "a.csv:5: line 5 has 3 cells, the header has 2" in second
    assert total == "orders: 4 rows in quarantine; replay with: ingestion replay orders"
    assert main(["quarantine", "orders", "--limit", "1"]) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (3, "1 more; --limit 0 shows all\n")


def test_rows_are_found_by_what_their_reason_says(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "orders", "--reason", "CELLS", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["count"] == 1
    (reason,) = answer["reasons"]
    assert (reason["rule"], reason["column"], reason["position"], reason["rows"]) == ("ragged", None, 5, 1)
    assert main(["quarantine", "orders", "--reason", "no such"]) == 0
    assert capsys.readouterr().out == "orders: nothing in quarantine with 'no such' in rule or reason\n"


def test_rows_are_listed_one_by_one(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "orders", "--rows", "--reason", "day: date", "--limit", "2"]) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (1 + 2, "2 of 3 rows; --limit 0 shows all\n")
    assert main(["quarantine", "orders", "--rows", "--json", "--limit", "0"]) == 0
    answer = json.loads(capsys.readouterr().out)
    rows = answer["rows"]
    assert answer["count"] == len(rows) == 4
    assert out.splitlines()[1].split()[0] in [row["id"] for row in rows]
    assert sorted((row["position"], row["payload"]) for row in rows)[:3] == [
        (3, '{"id":2,"day":"03/01/2024"}'),
        (4, '{"id":3,"day":"04/01/2024"}'),
        (5, "4,x,y"),
    ]


def test_a_reason_is_shown_to_its_end(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.file("data/a.csv", f"id,day\n1,{'x' * 150}\n")
    project.job("orders", CONFIG)
    assert main(["run", "orders", "--bare"]) == 0
    for options in ([], ["--rows"]):
        capsys.readouterr()
        assert main(["quarantine", "orders", *options]) == 0
        assert f"{'x' * 150}' is not a date (YYYY-MM-DD)\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["quarantine", "history"])
def test_a_limit_is_not_negative(command: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "orders", "--limit", "-1"])
    assert "'-1' is not a limit; give a number, 0 for all" in capsys.readouterr().err


def test_a_replay_says_what_became_of_the_rows(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    loaded.job("orders", MENDED)
    assert main(["replay", "orders", "--bare"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "orders: 4 rows replayed: partial: 2 rows loaded into default.orders, 2 quarantined again in "
    )
    assert [line.split(": ")[0] for line in out.splitlines()[1:]] == ["quarantined", "quarantined", "waited for"]
    assert main(["replay", "orders", "--bare", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["status"], report["replayed"], report["rows_quarantined"], report["left"]) == ("partial", 2, 2, {})
    assert loaded.table("default.orders").num_rows == 3


def test_a_job_without_a_quarantine_has_nothing_in_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.job("orders", CONFIG)
    assert main(["quarantine", "orders"]) == 0
    assert main(["replay", "orders", "--bare"]) == 0
    assert capsys.readouterr().out == "orders: nothing in quarantine\norders: nothing to replay\n"
    assert main(["quarantine", "ordres"]) == 2
    assert main(["replay", "ordres"]) == 2


def test_a_replay_that_fails_says_so_and_changes_nothing(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    loaded.job("orders", {**MENDED, "transformer": {**MENDED["transformer"], "on_conversion_error": "fail"}})
    assert main(["replay", "orders", "--bare"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "'soon' is not a date" in err
    assert main(["quarantine", "orders", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 4


def test_a_replay_is_a_materialization_of_the_jobs_asset(loaded: Project) -> None:
    import dagster as dg

    from ingestion.orchestration.instance import open_instance

    loaded.job("orders", MENDED)
    tool = Path(sys.executable).with_name("ingestion")
    done = subprocess.run([tool, "replay", "orders"], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "4 rows replayed" in done.stdout
    with open_instance() as instance:
        (event,) = instance.fetch_materializations(dg.AssetKey("orders"), limit=5).records
    metadata = event.asset_materialization.metadata
    assert (metadata["rows_replayed"].value, metadata["rows_loaded"].value) == (4, 2)
    assert metadata["report"].data["replayed"] == 4


def test_a_replay_has_landed_whether_or_not_dagster_can_note_it(loaded: Project) -> None:
    loaded.job("orders", MENDED)
    home = loaded.file("home", "no folder")
    tool = Path(sys.executable).with_name("ingestion")
    done = subprocess.run(
        [tool, "replay", "orders"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DAGSTER_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    assert "orders: the replay has landed, but Dagster could not note it" in done.stderr
    assert loaded.table("default.orders").num_rows == 3


def test_a_secret_in_a_path_is_in_no_quarantine_and_no_answer_and_rows_are_still_read_again(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARE_TOKEN", "s3cr3tvalue")
    project.file("data/s3cr3tvalue/a.csv", "id,day,name\n1,soon,a\n2,x,y,z\n")
    source = {"type": "csv", "source_path": "data/${SHARE_TOKEN}", "include_metadata": True}
    project.job("orders", {**CONFIG, "source": source})
    assert main(["preview", "orders", "--json"]) == 0
    assert main(["run", "orders", "--bare"]) == 0
    for options in ([], ["--json"], ["--rows"], ["--rows", "--json"]):
        assert main(["quarantine", "orders", *options]) == 0
    out, err = capsys.readouterr()
    assert "********/a.csv" in out
    assert "s3cr3tvalue" not in out + err
    assert "s3cr3tvalue" not in str(project.table("default.orders__quarantine").to_pylist())
    masked = {**MENDED["transformer"], "mask": {"name": "hash"}}  # what is masked is read from its file once more
    project.job("orders", {**CONFIG, "source": source, "transformer": masked})
    capsys.readouterr()
    assert main(["replay", "orders", "--bare"]) == 0
    out, err = capsys.readouterr()
    assert "2 rows replayed: partial: 0 rows loaded" in out
    assert "s3cr3tvalue" not in out + err
