"""The whole service in one process tree: code server, UI, daemon and REST sidecar, started and stopped together."""

import errno
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from typing_extensions import Self

from ingestion.errors import ConfigError
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.liveness import fail_lost_runs
from ingestion.orchestration.names import LOCATION
from ingestion.settings import Settings, current, environment

__all__ = ["main"]

_START_SECONDS = 120
_STOP_SECONDS = 15
_POLL_SECONDS = 0.2
_log = logging.getLogger(__name__)


class _Stop(Exception):
    """Somebody asked the service to stop."""


def main() -> int:
    """Serve until interrupted (0) or until one of the processes ends by itself (1)."""
    settings = current()
    for name, host, port in (
        ("UI_PORT", settings.ui_host, settings.ui_port),
        ("API_PORT", settings.api_host, settings.api_port),
    ):
        _require_free(name, host, port)
    _clear()  # creates the storage, before three processes would do so at once
    try:
        with _interruptible(), _Processes(_environment(settings)) as processes:
            _start(processes, settings)
            return processes.wait()
    except _Stop:
        return 0
    finally:
        _clear()


def _clear() -> None:
    """Runs whose process is gone are put down as failed."""
    with open_instance() as instance:
        fail_lost_runs(instance)


def _start(processes: "_Processes", settings: Settings) -> None:
    port = _free_port()
    workspace = settings.dagster_home / "workspace.yaml"
    server = {"host": "127.0.0.1", "port": port, "location_name": LOCATION}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    code = ["dagster", "code-server", "start", "-m", "ingestion.definitions", "--location-name", LOCATION]
    processes.start(*code, "-h", "127.0.0.1", "-p", str(port))
    processes.wait_for_port("127.0.0.1", port)
    ui = ["dagster-webserver", "-w", str(workspace), "-h", settings.ui_host, "-p", str(settings.ui_port)]
    processes.start(*ui)
    processes.start("dagster-daemon", "run", "-w", str(workspace))
    api = ["uvicorn", "--factory", "ingestion.api.app:create_app", "--no-proxy-headers", "--log-level", "warning"]
    processes.start(*api, "--host", settings.api_host, "--port", str(settings.api_port))
    processes.wait_for_port(_local(settings.ui_host), settings.ui_port)
    processes.wait_for_port(_local(settings.api_host), settings.api_port)
    sys.stderr.write(
        f"\nUI        http://{_at(_local(settings.ui_host), settings.ui_port)}\n"
        f"REST API  http://{_at(_local(settings.api_host), settings.api_port)}/docs\n"
        f"Jobs      {settings.job_config_path}\nStop with Ctrl-C\n\n"
    )


class _Processes:
    """Children that end together."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._signal(0) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._signal(signal.SIGKILL)

    def start(self, command: str, *arguments: str) -> None:
        """Start a console script of this environment, in a session of its own: Ctrl-C reaches only the parent."""
        script = Path(sys.executable).with_name(command)
        found = str(script) if script.exists() else shutil.which(command)
        if found is None:
            raise ConfigError(f"{command} is not installed beside {sys.executable}; install the package's dependencies")
        child = subprocess.Popen([found, *arguments], env=dict(self._env), start_new_session=True)  # noqa: S603 - our own
        self._children.append(child)

    def wait(self) -> int:
        """Wait until one of them ends by itself."""
        while True:
            self._check()
            time.sleep(_POLL_SECONDS)

    def wait_for_port(self, host: str, port: int) -> None:
        """Wait until something listens; raises if a child ends meanwhile."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self._check()
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(_POLL_SECONDS)
            else:
                return
        raise ConfigError(f"nothing listens on {_at(host, port)} after {_START_SECONDS} s; see the messages above")

    def _check(self) -> None:
        for child in self._children:
            if child.poll() is not None:
                command = Path(str(child.args[0])).name if isinstance(child.args, list) else str(child.args)
                raise ConfigError(
                    f"{command} ended with status {child.returncode}; the service stops. See the messages above"
                )

    def _signal(self, number: int) -> bool:
        """Send a signal to every child and all that it started, workers of runs too; whether anybody is left."""
        left = False
        for child in self._children:
            child.poll()  # takes note of those that ended, so that only the living count
            try:
                os.killpg(child.pid, number)
                left = True
            except ProcessLookupError:
                continue
        return left


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise `_Stop` here; children start with the default handlers even if ours were ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)  # once is enough: stopping is under way
        raise _Stop

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(settings: Settings) -> dict[str, str]:
    own = {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_URL": f"http://{_at(_local(settings.ui_host), settings.ui_port)}",
    }
    return {**own, **environment()}


def _local(host: str) -> str:
    """Where a server that listens at *host* is reached from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _require_free(name: str, host: str, port: int) -> None:
    """Raises ConfigError where *port* is taken at one of the addresses of *host*, or *host* has none here."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        refusals = [error for family, _, _, _, address in found if (error := _refusal(family, address))]
        taken = next((error for error in refusals if error.errno == errno.EADDRINUSE), None)
        if taken or len(refusals) == len(found):
            raise taken or refusals[0]
    except OSError as error:
        raise ConfigError(
            f"{name}: {_at(host, port)} cannot be used ({error.strerror}); set another host or port"
        ) from error


def _refusal(family: int, address: tuple[Any, ...]) -> OSError | None:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as the servers have it
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
