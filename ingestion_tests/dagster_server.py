"""A whole service in subprocesses, as `ingestion serve` starts it: code server, UI, daemon and REST sidecar."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ingestion_tests.conftest import SETTINGS, Project

_START_SECONDS = 120
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Service:
    """A running service with a project of its own; *api* and *ui* are base URLs, *log* what its processes wrote."""

    project: Project
    api: str
    ui: str
    log: Path

    def get(self, path: str) -> Any:
        """The JSON that GET answers; fails for any status but 200."""
        answer = httpx.get(self.api + path, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, **params: str) -> httpx.Response:
        return httpx.post(self.api + path, json=body, params=params, timeout=120)

    def graphql(self, query: str, **variables: Any) -> Any:
        answer = httpx.post(f"{self.ui}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def execute(self, job_id: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a job through the API and wait for its end; the report of the run."""
        answer = self.post("/jobs/execute", {"job_id": job_id, "parameters": parameters})
        assert answer.status_code == 200, answer.text
        return self.finished(job_id, answer.json()["execution_id"])

    def finished(self, job_id: str, run_id: str, seconds: float = 90) -> dict[str, Any]:
        """The report of a run, once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.get(f"/jobs/{job_id}")["metadata"]["runs"]
            found = [run for run in runs if run["run_id"] == run_id and run["status"] not in ("running", "queued")]
            if found:
                return found[0]
            time.sleep(0.5)
        raise AssertionError(f"run {run_id} of {job_id} has not ended after {seconds} s; see {self.log}")


@contextmanager
def running_service(path: Path) -> Iterator[Service]:
    """A service that keeps everything below *path*."""
    project = Project(path)
    project.jobs.mkdir(parents=True)
    api, ui = free_port(), free_port()
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS} | {
        "JOB_CONFIG_PATH": str(project.jobs),
        "METADATA_PATH": str(path / "metadata"),
        "API_HOST": "127.0.0.1",
        "API_PORT": str(api),
        "UI_PORT": str(ui),
    }
    log = path / "service.log"
    with log.open("wb") as output:
        command = [sys.executable, "-c", "from ingestion.orchestration.serve import main; raise SystemExit(main())"]
        process = subprocess.Popen(command, env=env, cwd=path, stdout=output, stderr=subprocess.STDOUT)
    found = Service(project, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{ui}", log)
    try:
        _wait_until_healthy(found, process)
        yield found
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _wait_until_healthy(service: Service, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    answer = "nothing"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            found = httpx.get(f"{service.api}/health", timeout=10)
        except httpx.HTTPError:
            found = None
        if found is not None:
            answer = found.text
            if found.status_code == 200:
                return
        time.sleep(0.3)
    raise AssertionError(
        f"the service did not come up (status {process.poll()}); last answer: {answer}; its log:\n{service.log.read_text()[-4000:]}"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
