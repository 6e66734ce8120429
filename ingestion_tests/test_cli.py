"""The command line: results on stdout, messages on stderr, and an exit status that scripts can trust."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.cli import main, parser
from ingestion.cli.overrides import parse_overrides
from ingestion.config import load_job
from ingestion.errors import ConfigError
from ingestion.plugins import Load
from ingestion_tests.config_project import SOURCE, stubs
from ingestion_tests.conftest import Project
from ingestion_tests.iceberg_support import batch

__all__ = ["stubs"]

CSV_JOB = {"source": {"type": "csv", "source_path": "data"}}


def test_valid_files_are_counted(stubs: Project, capsys: pytest.CaptureFixture[str]) -> None:
    stubs.job("orders", SOURCE)
    stubs.source("shop", "name: Shop\n")
    assert main(["validate"]) == 0
    assert capsys.readouterr() == ("1 job and 1 source: valid\n", "")
    stubs.template("half", "enabled: true\n")
    assert main(["validate"]) == 0
    assert capsys.readouterr().out == "1 job, 1 source and 1 template: valid\n"
    stubs.template("half", "inherits: full\n")
    assert main(["validate"]) == 2
    assert "config/templates/half.yaml:1:1: inherits: no template 'full'" in capsys.readouterr().err


def test_each_mistake_is_a_message(stubs: Project, capsys: pytest.CaptureFixture[str]) -> None:
    stubs.job("orders", SOURCE)
    stubs.job("returns", "enabld: true\n" + SOURCE)
    stubs.source("shop", "nam: Shop\n")
    assert main(["validate"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "config/jobs/returns.yaml:1:1: enabld: unknown key 'enabld'; did you mean 'enabled'?",
        "config/sources/shop.yaml:1:1: nam: unknown key 'nam'; did you mean 'name'?",
        "2 of 2 jobs and 1 source not valid",
    ]


@pytest.mark.parametrize("command", [("validate",), ("run", "orders", "--bare")])
def test_a_catalog_of_no_known_type_is_a_mistake_in_the_file(
    stubs: Project, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    stubs.job("orders", f"{SOURCE}loader: {{type: iceberg, catalog: {{type: nope}}}}\n")
    assert main([*command]) == 2
    assert "loader.catalog: unknown catalog type 'nope'; known types: bigquery, dynamodb" in capsys.readouterr().err


def test_jobs_and_files_can_be_named(stubs: Project, capsys: pytest.CaptureFixture[str]) -> None:
    stubs.job("orders", SOURCE)
    stubs.job("broken", "x: 1\n")
    elsewhere = stubs.file("elsewhere/new_job.yaml", SOURCE)
    source = stubs.source("shop", "name: Shop\n")
    assert main(["validate", "orders", str(elsewhere), str(source)]) == 0
    assert main(["validate", "orders", "broken", "ordrs", "missing.yaml"]) == 2
    err = capsys.readouterr().err
    assert "config/jobs/broken.yaml:1:1: x: unknown key 'x'" in err
    assert "no job 'ordrs'" in err
    assert "missing.yaml: cannot be read (No such file or directory)" in err


def test_validation_speaks_json(stubs: Project, capsys: pytest.CaptureFixture[str]) -> None:
    stubs.job("orders", SOURCE)
    stubs.job("returns", "x: 1\n")
    assert main(["validate", "--json"]) == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert err == ""
    assert answer["valid"] is False
    assert [(item["kind"], item["id"], item["error"] is None) for item in answer["checked"]] == [
        ("job", "orders", True),
        ("job", "returns", False),
    ]


def test_the_schema_is_printed(stubs: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("job", "source"):
        assert main(["schema", kind]) == 0
        assert json.loads(capsys.readouterr().out)["title"] == kind.capitalize()


def test_a_bare_run_reports_what_it_loaded(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.file("data/a.csv", "id,name\n1,ann\n2,bob\n")
    project.file("other/b.csv", "id,name\n3,eve\n")
    project.job("orders", CSV_JOB)
    assert main(["run", "orders", "--bare", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows_loaded"] == 2
    assert err.startswith("orders: 2 rows loaded into ")
    assert main(["run", "orders", "--bare"]) == 0
    assert capsys.readouterr() == ("orders: nothing new, 0 rows (1 file, loaded already)\n", "")
    assert main(["run", "orders", "--bare", "--set", "source.source_path=other", "--set", "loader.table=t2"]) == 0
    assert project.table("default.t2").num_rows == 1


def test_a_run_through_dagster_reports_the_same(project: Project) -> None:
    project.file("data/a.csv", "id,name\n1,ann\n2,bob\n")
    project.job("orders", CSV_JOB)
    done = _ingestion("run", "orders", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["status"], report["rows_read"], report["rows_loaded"]) == ("success", 2, 2)
    assert done.stderr.startswith("orders: 2 rows loaded into ")
    done = _ingestion("run", "orders", "--set", "source.source_path=nowhere")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_job_and_a_wrong_call_have_their_own_status(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.job("orders", CSV_JOB)
    project.job("waiting", {"source": {"type": "csv", "source_path": "${FOLDER}"}})
    assert main(["run", "orders", "--bare", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == "failed"
    assert "does not exist" in json.loads(out)["error"]
    assert err.startswith("orders: failed: ")
    wrong = {
        ("run", "ordrs", "--bare"): "no job 'ordrs'",
        ("run", "orders", "--set", "source.file_patern=x"): "orders: source.file_patern: unknown key",
        ("run", "orders", "--set", "nonsense"): "--set nonsense: should be PATH=VALUE",
        (
            "run",
            "orders",
            "--set",
            "source.password=hunter2222",
        ): "--set source.password: a secret in clear would stand in Dagster's history; write '${PASSWORD}'",
        ("run", "waiting"): "source.source_path: the environment variable FOLDER is not set",
    }
    for arguments, message in wrong.items():
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(message)
    monkeypatch.setenv("API_PORT", "http")
    assert main(["run", "orders"]) == 2
    assert capsys.readouterr().err == "API_PORT: 'http' is not a port; set a number from 1 to 65535\n"


def test_a_secret_never_reaches_the_terminal(
    stubs: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2222")
    stubs.job("orders", "source: {type: stub, source_path: x, port: '${DB_PASSWORD}'}\n")
    assert main(["run", "orders", "--bare"]) == 2
    assert "hunter" not in "".join(capsys.readouterr())


def test_overrides_are_paths_and_yaml_values() -> None:
    settings = [
        "source.file_pattern=2024-*.csv",
        "source.header=[a, b]",
        "max_bad_rows=5",
        "enabled=false",
        "a.b.c=x=y",
        "d=null",
    ]
    assert parse_overrides(settings) == {
        "source": {"file_pattern": "2024-*.csv", "header": ["a", "b"]},
        "max_bad_rows": 5,
        "enabled": False,
        "a": {"b": {"c": "x=y"}},
        "d": None,
    }
    assert parse_overrides(["source.cron=* * * * *"]) == {"source": {"cron": "* * * * *"}}


@pytest.mark.parametrize(("settings", "message"), [
    (["a"], "should be PATH=VALUE"), (["=1"], "should be PATH=VALUE"), (["a..b=1"], "should be PATH=VALUE"),
    (["a=1", "a.b=2"], "a was set to a value before"), (["a.b=2", "a=1"], "options below a were set before"),
])  # fmt: skip
def test_overrides_that_make_no_sense_are_told(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_overrides(settings)


def test_every_command_takes_json_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("validate", "schema", "run", "demo", "serve"):
        with pytest.raises(SystemExit) as caught:
            parser().parse_args([command, "--help"])
        assert caught.value.code == 0
        assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run"], ["schema", "table"]])
def test_a_call_that_is_wrong_exits_with_two(arguments: list[str]) -> None:
    done = _ingestion(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage: ingestion" in done.stderr


@pytest.mark.parametrize("arguments", [["schema", "job"], ["validate"]])
def test_a_reader_that_leaves_early_is_no_error(project: Project, arguments: list[str]) -> None:
    code = f"import sys; from ingestion.cli import main; sys.exit(main({arguments}))"
    root = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": ""},
    )
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 0
    assert err == ""


def _ingestion(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ingestion.cli", *arguments], capture_output=True, text=True, check=False
    )


def test_json_has_the_reason_of_a_wrong_call(project, capsys):
    assert main(["run", "nojob", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == err.strip()
    assert "no job 'nojob'" in err


def test_a_folder_of_jobs_that_is_not_there_is_a_mistake(project, capsys, monkeypatch):
    monkeypatch.setenv("JOB_CONFIG_PATH", str(project.path / "nowhere"))
    for command in ("validate", "serve"):
        assert main([command]) == 2
        assert "nowhere does not exist; create it, or set JOB_CONFIG_PATH" in capsys.readouterr().err


def test_a_pattern_that_no_file_matches_is_told_apart_from_nothing_new(project, capsys):
    project.file("data/a.csv", "id\n1\n")
    project.job("orders", {"source": {"type": "csv", "source_path": "data"}})
    assert main(["run", "orders", "--bare", "--set", "source.file_pattern=zzz*"]) == 0
    assert f"nothing new, 0 rows (no file in {project.path / 'data'} matches zzz*)" in capsys.readouterr().out


def test_what_starts_runs_cannot_be_set_for_one_run(project, capsys):
    project.job("orders", {"source": {"type": "csv", "source_path": "data"}})
    assert main(["run", "orders", "--bare", "--set", "cron_expression='0 1 * * *'"]) == 2
    assert "orders: cron_expression says when runs are started; change it in the job file" in capsys.readouterr().err


def test_a_partial_run_says_so(project, capsys):
    project.file("data/a.csv", "id,name\n1,ann\n2\n")
    project.job("orders", {"source": {"type": "csv", "source_path": "data"}})
    assert main(["run", "orders", "--bare"]) == 0
    assert "orders: partial: 1 row loaded into default.orders, 1 quarantined" in capsys.readouterr().out


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("ingestion ")


@pytest.fixture
def loaded(project: Project) -> Project:
    """A job that has loaded two files, one at a time."""
    project.job("orders", CSV_JOB)
    for number in (1, 2):
        project.file(f"data/{number}.csv", f"n\n{number}\n")
        assert main(["run", "orders", "--bare"]) == 0
    return project


def test_history_shows_the_newest_loads(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["history", "orders", "--limit", "1"]) == 0
    out, err = capsys.readouterr()
    heading, line = out.splitlines()
    assert heading.split() == ["run", "time", "(UTC)", "mode", "rows", "files", "snapshot", "cursor"]
    assert line.split()[3:6] == ["append", "1", "1"]
    assert '"entries": 2' in line
    assert err == "1 more; --limit 0 shows all\n"
    assert main(["history", "orders", "--limit", "0", "--json"]) == 0
    loads = json.loads(capsys.readouterr().out)["loads"]
    assert [item["cursor"] for item in loads] == [{"entries": 2}, {"entries": 1}]


def test_a_run_that_was_taken_back_is_loaded_again(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["history", "orders", "--json"])
    newest, first = json.loads(capsys.readouterr().out)["loads"]
    assert main(["rollback", "orders", "--run", newest["run_id"]]) == 0
    out = capsys.readouterr().out
    assert f"orders: took back run {newest['run_id']} (append, 1 row, 20" in out
    assert f"the table shows snapshot {first['snapshot']}; its next run loads the same again" in out
    assert main(["rollback", "orders", "--run", newest["run_id"], "--json"]) == 2
    assert "it was taken back before" in capsys.readouterr().err
    assert main(["run", "orders", "--bare"]) == 0
    assert sorted(loaded.table("default.orders")["n"].to_pylist()) == [1, 2]
    capsys.readouterr()
    assert main(["rollback", "orders", "--run", first["run_id"], "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["undone"]) == 2


def test_a_run_is_taken_back_by_how_its_id_begins(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["history", "orders", "--json"])
    newest = json.loads(capsys.readouterr().out)["loads"][0]["run_id"]
    for unknown in (newest[:7], f"{newest[:8]}~"):
        assert main(["rollback", "orders", "--run", unknown]) == 2
    assert main(["rollback", "orders", "--run", newest[:8]]) == 0
    assert f"took back run {newest} (" in capsys.readouterr().out


def test_a_beginning_that_several_runs_share_takes_none_back(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.job("orders", CSV_JOB)
    loader = load_job("orders").resolved().loader
    for name in ("same-start-1", "same-start-2", "same-start"):
        loader.load(Load("orders", name, name, loader.state("orders")), iter([batch({"n": [1]})]))
    assert main(["rollback", "orders", "--run", "same-sta"]) == 2
    assert "begins the ids of several runs: same-start, same-start-1, same-start-2;" in capsys.readouterr().err
    assert main(["rollback", "orders", "--run", "same-start"]) == 0
    assert project.table("default.orders").num_rows == 2


def test_a_table_that_was_never_loaded_has_no_history(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.job("orders", CSV_JOB)
    assert main(["history", "orders"]) == 2
    assert "default.orders does not exist yet; run its job first" in capsys.readouterr().err


def test_upkeep_tells_of_each_table_what_was_done(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3, 6):
        loaded.file(f"data/{number}.csv", f"n\n{number}\n")
        assert main(["run", "orders", "--bare"]) == 0
    loaded.job("also", {**CSV_JOB, "loader": {"table": "orders"}})
    capsys.readouterr()
    assert main(["upkeep", "orders"]) == 0
    assert capsys.readouterr().out == "orders: files_compacted: 5, files_written: 1\n"
    assert main(["upkeep", "--all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"tables": [{"jobs": ["also", "orders"], "done": {}, "error": None}]}
    assert main(["upkeep"]) == 2
    assert "name the jobs whose tables are meant, or give --all" in capsys.readouterr().err


@pytest.mark.parametrize("named", ["careless", "careful"])
def test_upkeep_of_a_table_is_as_careful_as_any_job_that_loads_it_wants(loaded: Project, named: str) -> None:
    loads = len(loaded.iceberg("default.orders").snapshots())
    assert loads > 1
    careless = {"keep_snapshots": 1, "min_age_hours": 0}
    careful = {"keep_snapshots": 50, "compact": False, "min_age_hours": 0}
    jobs = {"orders": ("orders", careless), "careless": ("orders", careless), "careful": ("orders", careful)}
    for job_id, (table, care) in {**jobs, "elsewhere": ("people", {"enabled": False})}.items():
        loaded.job(job_id, {**CSV_JOB, "loader": {"table": table, "maintenance": care}})
    assert main(["upkeep", named]) == 0
    assert len(loaded.iceberg("default.orders").snapshots()) == loads
    loaded.job("careful", {**CSV_JOB, "loader": {"table": "people"}})
    assert main(["upkeep", "careless"]) == 0
    assert len(loaded.iceberg("default.orders").snapshots()) == 1


def test_upkeep_of_all_tells_of_job_files_that_do_not_load(loaded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    loaded.job("broken", {**CSV_JOB, "loader": {"nonsense": 1}})
    capsys.readouterr()
    assert main(["upkeep", "--all"]) == 2
    out, err = capsys.readouterr()
    assert out == "orders: nothing was due\n"
    assert err.startswith("broken: ")
    assert "nonsense" in err


def test_upkeep_of_a_table_out_of_reach_fails_and_does_the_others(
    loaded: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded.job("lost", {**CSV_JOB, "loader": {"catalog": {"uri": "sqlite:////proc/nowhere/c.db"}}})
    capsys.readouterr()
    assert main(["upkeep", "--all"]) == 1
    out, err = capsys.readouterr()
    assert out == "orders: nothing was due\n"
    assert err.startswith("lost: catalog 'default': ")
