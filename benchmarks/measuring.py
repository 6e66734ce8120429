"""A process measured from outside, and work kept out of the measuring process."""

import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One process from start to end."""

    output: bytes
    seconds: float
    cpu_seconds: float
    peak_mb: float


def measured(name: str, command: list[str], environment: dict[str, str], folder: Path) -> Measured:
    """Run *command* to its end; an exit code other than 0 ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE)
    output = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}: {output.decode()}")
    return Measured(output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """Call *function* in a process of its own: a child's peak starts at its parent's, so ours stays small."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def environment_of(project: Path) -> dict[str, str]:
    """The environment of a process that works in *project* alone."""
    ours = {"JOB_CONFIG_PATH": str(project / "config" / "jobs"), "METADATA_PATH": str(project / "metadata")}
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("ICEBERG_", "DAGSTER_"))}
    return theirs | ours
