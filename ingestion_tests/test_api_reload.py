"""A code location that a new job breaks: the sidecar puts everything back and says why."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ingestion.orchestration.graphql import GraphqlDagster
from ingestion.orchestration.instance import open_instance
from ingestion_tests.api_caller import Caller
from ingestion_tests.conftest import Project
from ingestion_tests.dagster_server import free_port

_DEFINITIONS = """
import os
from pathlib import Path
from ingestion.definitions import defs
if list(Path(os.environ["JOB_CONFIG_PATH"]).glob("poison*.yaml")):
    raise RuntimeError("this location takes no poison")
"""
_SALES = {"source": {"type": "csv", "source_path": "data"}}


@pytest.fixture
def fragile(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphqlDagster]:
    """A Dagster whose code location fails to load once there is a job called poison."""
    with open_instance() as instance:  # creates the storage, before two processes would do so at once
        monkeypatch.setenv("DAGSTER_HOME", instance.root_directory)
    module = project.file("fragile.py", _DEFINITIONS)
    code, ui = free_port(), free_port()
    server = f"{{host: 127.0.0.1, port: {code}, location_name: ingestion}}"
    workspace = project.file("workspace.yaml", f"load_from:\n  - grpc_server: {server}\n")
    bin_ = Path(sys.executable).parent
    commands = [
        [bin_ / "dagster", "code-server", "start", "-f", module, "--location-name", "ingestion", "-p", str(code)],
        [bin_ / "dagster-webserver", "-w", workspace, "-p", str(ui)],
    ]
    with (project.path / "log").open("wb") as log:
        processes = [subprocess.Popen(command, stdout=log, stderr=log, env=os.environ) for command in commands]
    dagster = GraphqlDagster(f"http://127.0.0.1:{ui}")
    try:
        _wait(dagster, project.path / "log")
        yield dagster
    finally:
        dagster.close()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _wait(dagster: GraphqlDagster, log: Path) -> None:
    deadline = time.monotonic() + 120
    while reason := dagster.health():
        assert time.monotonic() < deadline, f"{reason}\n{log.read_text()[-3000:]}"
        time.sleep(0.5)


def _post(here: Caller, job_id: str) -> httpx.Response:
    return here.post("/jobs", json={"job_id": job_id, "job_config": _SALES})


def test_a_job_that_breaks_the_code_location_is_taken_back(project, fragile):
    here = Caller("127.0.0.1", "127.0.0.1", fragile)
    refused = _post(here, "poison")
    assert refused.status_code == 422, refused.text
    assert "this location takes no poison" in refused.json()["detail"]
    assert not (project.jobs / "poison.yaml").exists()
    assert here.get("/health").json()["status"] == "ok"
    assert _post(here, "sales").status_code == 201, "the location works again"

    by_hand = project.job("poison_by_hand", _SALES)
    blamed = _post(here, "orders")
    assert blamed.status_code == 503, "not the fault of this job"
    assert "this location takes no poison" in blamed.json()["detail"]
    assert not (project.jobs / "orders.yaml").exists()
    health = here.get("/health")
    assert health.status_code == 503
    assert "did not load" in health.json()["dagster"]
    assert set(here.get("/jobs").json()["jobs"]) == {"sales", "poison_by_hand"}, "listed all the same"

    by_hand.unlink()
    assert _post(here, "orders").status_code == 201
