"""Runs of the command line, recorded in Dagster; and the service that shows them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from ingestion.errors import ConfigError
from ingestion.orchestration import serve
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.launch import run_job
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG, REPORT
from ingestion_tests.conftest import Project

ORDERS: dict[str, Any] = {"source": {"type": "csv", "source_path": "data"}, "loader": {"type": "iceberg"}}
ROOT = Path(__file__).parent.parent


@pytest.fixture
def orders(project: Project) -> Project:
    project.file("data/a.csv", "id,name\n1,Ada\n2,Bo\n")
    project.job("orders", ORDERS)
    return project


def test_a_run_is_in_the_history_under_its_id_and_filterable_by_job(orders):
    report = run_job("orders")
    assert (report.status, report.rows_loaded) == ("success", 2)
    with open_instance() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(tags={JOB_TAG: "orders"}))
        assert run.run_id == report.run_id
        assert run.job_name == INGEST_JOB
        assert run.status is dg.DagsterRunStatus.SUCCESS
        event = instance.get_latest_materialization_event(dg.AssetKey("orders"))
        assert event.asset_materialization.metadata[REPORT].value["load_id"] == report.load_id


def test_overrides_apply_to_one_run_and_are_recorded_with_it(orders):
    orders.file("data/b.csv", "id,name\n3,Cy\n")
    report = run_job("orders", {"source": {"file_pattern": "b*.csv"}})
    assert report.rows_loaded == 1
    with open_instance() as instance:
        recorded = instance.get_run_by_id(report.run_id).run_config
    assert recorded["ops"]["orders"]["config"]["overrides"] == {"source": {"file_pattern": "b*.csv"}}


def test_a_failed_run_is_a_report_with_its_error_and_a_failed_run_in_the_history(orders):
    orders.job("orders", {**ORDERS, "source": {"type": "csv", "source_path": "${NOT_SET_ANYWHERE}"}})
    report = run_job("orders")
    assert report.status == "failed"
    assert "NOT_SET_ANYWHERE" in report.error
    with open_instance() as instance:
        assert instance.get_run_by_id(report.run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_job_that_does_not_exist_or_does_not_load_is_a_failed_report(orders):
    assert "did you mean 'orders'" in run_job("order").error
    orders.job("broken", "source: {type: csv, source_pat: data}\n")
    assert "source_path" in run_job("broken").error


def test_a_secret_never_reaches_what_dagster_keeps(orders, monkeypatch):
    secret = "hunter2-never-shown"
    monkeypatch.setenv("CATALOG_PASSWORD", secret)
    catalog = {"type": "rest", "uri": "http://127.0.0.1:9/${CATALOG_PASSWORD}", "token": "${CATALOG_PASSWORD}"}
    orders.job(
        "orders", {**ORDERS, "loader": {"type": "iceberg", "catalog": catalog}, "retry_policy": {"max_retries": 0}}
    )
    report = run_job("orders")
    assert report.status == "failed"
    assert secret not in report.error
    kept = [path for path in (orders.path / "metadata").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if secret.encode() in path.read_bytes()]


def stuck_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that goes on, as far as anybody can tell."""
    return instance.create_run_for_job(
        build_definitions().resolve_job_def(INGEST_JOB),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset([dg.AssetKey("orders")]),
        tags={JOB_TAG: "orders"},
    )


def test_a_run_does_not_overlap_another_one_of_its_job(orders):
    with open_instance() as instance:
        run = stuck_run(instance)
        report = run_job("orders")
        assert report.status == "failed"
        assert run.run_id in report.error
        instance.report_run_canceled(run)
    assert run_job("orders").status == "success"


def test_a_run_waits_for_the_other_one_where_the_job_says_so(orders):
    orders.job("orders", {**ORDERS, "on_overlap": "queue"})
    with open_instance() as instance:
        run = stuck_run(instance)
        command = [sys.executable, "-m", "ingestion.cli", "run", "orders", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            time.sleep(6)
            assert process.poll() is None
            instance.report_run_canceled(run)
            assert json.loads(process.communicate(timeout=60)[0])["rows_loaded"] == 2


def test_a_run_that_is_killed_loads_nothing_and_does_not_hold_up_the_next_one(orders):
    pipe = orders.path / "data" / "b.csv"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "ingestion.cli", "run", "orders"]
    with subprocess.Popen(command) as process:
        running = orders.path / "metadata" / "dagster" / "running"
        deadline = time.monotonic() + 60
        while not list(running.glob("*.lock")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    pipe.unlink()
    assert run_job("orders").rows_loaded == 2
    with open_instance() as instance:
        statuses = [run.status for run in instance.get_runs(dg.RunsFilter(tags={JOB_TAG: "orders"}))]
    assert sorted(status.value for status in statuses) == ["FAILURE", "SUCCESS"]


def test_a_worker_of_the_command_line_prints_the_report_and_nothing_else(orders):
    command = [sys.executable, "-m", "ingestion.cli", "run", "orders", "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout)["rows_loaded"] == 2
    assert done.stderr.decode().splitlines()[0].startswith("orders: 2 rows loaded")


def test_the_demo_loads_its_orders_and_finds_nothing_new_the_second_time(project):
    (project.path / "config" / "demo").symlink_to(ROOT / "config" / "demo")
    (project.jobs / "demo_orders.yaml").symlink_to(ROOT / "config" / "jobs" / "demo_orders.yaml")
    command = [sys.executable, "-m", "ingestion.cli", "demo"]
    first = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    count = project.table("demo.orders").num_rows
    assert f"{count:,} rows loaded into demo.orders" in first
    second = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert "nothing new" in second
    assert project.table("demo.orders").num_rows == count


def test_a_port_that_is_taken_is_told_before_anything_starts(project, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("UI_PORT", str(taken.getsockname()[1]))
        with pytest.raises(ConfigError, match=r"UI_PORT: 127\.0\.0\.1:\d+ cannot be used"):
            serve.main()
    assert not (project.path / "metadata").exists()


def _below_those_given_out() -> int:
    """A port that is free on every address, and that no other test gets by chance meanwhile."""
    for port in range(21_000 + os.getpid() % 5_000, 32_000):
        with socket.socket(socket.AF_INET6) as both, suppress(OSError):
            both.bind(("::", port))
            return port
    raise AssertionError("no port below the ephemeral ones is free")


def test_a_port_is_looked_at_where_the_server_will_listen(project, monkeypatch):
    with socket.socket(socket.AF_INET6) as taken:
        port = _below_those_given_out()
        taken.bind(("::1", port))
        taken.listen()
        serve._require_free("API_PORT", "127.0.0.1", port)
        with pytest.raises(ConfigError, match=rf"API_PORT: \[::1\]:{port} cannot be used \(Address already in use\)"):
            serve._require_free("API_PORT", "::1", port)
    serve._require_free("API_PORT", "::", port)
    with pytest.raises(ConfigError, match=r"UI_PORT: no\.such\.invalid:80 cannot be used"):
        serve._require_free("UI_PORT", "no.such.invalid", 80)


def children_of(pid: int) -> list[int]:
    """All descendants of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, parent = int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found += [child, *children_of(child)]
    return found


@pytest.mark.parametrize("how", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.soak), "a child dies"])
def test_the_service_starts_and_stops_as_one(project, how):
    """Started as a shell script's background job is: with SIGINT ignored; once of three on IPv6."""
    hosts = ("::1", "::") if how == "SIGTERM" else ("127.0.0.1", "127.0.0.1")
    env = {**os.environ, "UI_PORT": free_port(), "API_PORT": free_port(), "UI_HOST": hosts[0], "API_HOST": hosts[1]}
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "-", sys.executable, "-m", "ingestion.cli", "serve"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
        lines = []
        for line in process.stderr:
            lines.append(line.decode())
            if line.startswith(b"Stop with"):
                break
        family = children_of(process.pid)
        assert len(family) >= 4, "".join(lines)
        assert any(f"http://{'[::1]' if how == 'SIGTERM' else '127.0.0.1'}:{env['UI_PORT']}" in line for line in lines)
        if how == "a child dies":
            os.kill(
                next(pid for pid in family if b"webserver" in Path(f"/proc/{pid}/cmdline").read_bytes()), signal.SIGKILL
            )
        else:
            process.send_signal(signal.Signals[how])
        rest = process.stderr.read().decode()
        assert process.wait(60) == (0 if how.startswith("SIG") else 2), rest
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in family) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_dagster_finds_the_code_location_by_the_shipped_workspace_file():
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert entry["python_module"] == {"module_name": "ingestion.definitions", "location_name": "ingestion"}


def test_a_new_file_is_loaded_by_the_running_sensor_alone(service):
    """Nobody asks: the sensor of the daemon sees the file, and its run loads that file and no other."""
    service.project.file("dropped/a.csv", "id\n1\n2\n")
    config = {"source": {"type": "csv", "source_path": str(service.project.path / "dropped")}}
    assert service.post("/jobs", {"job_id": "dropped", "job_config": config}).status_code == 201
    eventually_loaded(service, 1)
    service.project.file("dropped/b.csv", "id\n3\n")
    (second, first) = eventually_loaded(service, 2)
    assert (first["rows_loaded"], second["rows_loaded"]) == (2, 1)
    assert sorted(service.project.table("default.dropped")["id"].to_pylist()) == [1, 2, 3]


def eventually_loaded(service, count: int, seconds: float = 180) -> list[dict[str, Any]]:
    """Reports of the runs of the job, once *count* of them succeeded."""
    deadline = time.monotonic() + seconds
    runs: list[dict[str, Any]] = []
    while len(runs) < count and time.monotonic() < deadline:
        time.sleep(1)
        runs = [run for run in service.get("/jobs/dropped")["metadata"]["runs"] if run["status"] == "success"]
    assert len(runs) == count, service.log.read_text()[-3000:]
    return runs


def test_processes_that_start_in_a_fresh_project_at_once_share_one_storage(project):
    """Dagster's own creation of its storage is not made for two."""
    program = (
        "from ingestion.orchestration.instance import open_instance\n"
        "with open_instance() as instance: instance.get_runs()\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
