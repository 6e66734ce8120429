"""Runs in a running service: one at a time for each job, quick to start, and found out when they are killed."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import dagster as dg

from ingestion.orchestration.names import INGEST_JOB
from ingestion_tests.dagster_server import running_service
from ingestion_tests.test_alerts import slack, wait_for  # noqa: F401 - a fixture
from ingestion_tests.test_orchestration_launch import children_of

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status startTime endTime } } }"""
RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "ingestion") { __typename } }'
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def launch(service: Any, job_id: str, job: str = "__ASSET_JOB") -> str:
    """Launch as the UI's Materialize button does."""
    location = {"repositoryLocationName": "ingestion", "repositoryName": "__repository__"}
    selector = {**location, "pipelineName": job, "assetSelection": [{"path": [job_id]}]}
    found = service.graphql(LAUNCH, p={"selector": selector, "mode": "default", "runConfigData": {}})["launchRun"]
    assert found["__typename"] == "LaunchRunSuccess", found
    return found["run"]["runId"]


def run_of(service: Any, run_id: str) -> dict[str, Any]:
    return service.graphql(RUN, id=run_id)["runOrError"]


def reach(service: Any, run_id: str, statuses: set[str], seconds: float = 90) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (run := run_of(service, run_id))["status"] not in statuses and time.monotonic() < deadline:
        time.sleep(0.3)
    assert run["status"] in statuses, service.log.read_text()[-3000:]
    return run


def waiting_job(service: Any, job_id: str, delay: float, **options: Any) -> None:
    """A job that fails for a passing reason and waits *delay* seconds before its second and last try."""
    service.project.job(job_id, waiting(service, job_id, delay, **options))
    service.graphql(RELOAD)


def waiting(service: Any, job_id: str, delay: float, **options: Any) -> dict[str, Any]:
    service.project.file(f"{job_id}/a.csv", "id\n1\n")
    return {
        "enabled": False,
        "source": {"type": "csv", "source_path": str(service.project.path / job_id)},
        "loader": {"type": "iceberg", "catalog": {"type": "rest", "uri": "http://127.0.0.1:9"}},
        "retry_policy": {"max_retries": 1, "delay_seconds": delay},
        **options,
    }


def test_two_runs_of_one_job_take_turns(service):
    """The job is new: its pool has its limit before the first of them is queued."""
    config = waiting(service, "taking_turns", 6)
    assert service.post("/jobs", {"job_id": "taking_turns", "job_config": config}).status_code == 201
    first, second = launch(service, "taking_turns"), launch(service, "taking_turns", INGEST_JOB)
    reach(service, first, {"STARTED"})
    time.sleep(2)
    assert run_of(service, second)["status"] == "QUEUED"
    ended = reach(service, first, ENDED)
    assert reach(service, second, ENDED)["startTime"] >= ended["endTime"]


def holder_of(lock: Path) -> int:
    """The process that holds a lock on this file."""
    inode = str(lock.stat().st_ino)
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    (process,) = [int(line[4]) for line in held if line[5].rpartition(":")[2] == inode]
    return process


def test_a_killed_worker_is_a_failed_run_that_is_told_and_holds_nothing_up(service, slack):  # noqa: F811 - a fixture
    channel = {"type": "slack", "webhook_url": slack.url}
    waiting_job(service, "killed", 600, monitoring={"notification_channels": [channel]})
    run = launch(service, "killed")
    reach(service, run, {"STARTED"})
    lock = service.project.path / "metadata" / "dagster" / "running" / f"{run}.lock"
    deadline = time.monotonic() + 60
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.2)

    os.kill(holder_of(lock), signal.SIGKILL)

    assert reach(service, run, ENDED)["status"] == "FAILURE"
    wait_for(slack.texts, 1)
    assert "killed failed" in slack.texts[0]
    waiting_job(service, "killed", 0.1)
    assert reach(service, launch(service, "killed"), ENDED)["status"] == "FAILURE"


def test_a_trivial_run_takes_seconds_from_launch_to_success(service):
    """Five on an idle machine; here it only has to stay far from what a second process for the step would cost."""
    service.project.file("trivial/a.csv", "id\n1\n")
    config = {"enabled": False, "source": {"type": "csv", "source_path": str(service.project.path / "trivial")}}
    service.project.job("trivial", config)
    service.graphql(RELOAD)
    started = time.monotonic()
    run = launch(service, "trivial")
    assert reach(service, run, ENDED)["status"] == "SUCCESS"
    assert time.monotonic() - started < 30


def test_stopping_the_service_ends_its_runs_too(tmp_path):
    before = set(children_of(os.getpid()))
    with running_service(tmp_path) as own:
        waiting_job(own, "interrupted", 600)
        run = launch(own, "interrupted")
        reach(own, run, {"STARTED"})
        family = set(children_of(os.getpid())) - before
        assert len(family) > 4
    deadline = time.monotonic() + 10
    while (left := [pid for pid in family if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    home = tmp_path / "metadata" / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_run_by_id(run).status is dg.DagsterRunStatus.FAILURE
