"""A process measured from outside, and work kept out of the measuring process."""

import json
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PERIOD = 0.05  # seconds from one look at the memory to the next
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """One process from start to end, with those that it started."""

    output: bytes
    seconds: float
    cpu_seconds: float
    peak_mb: float  # of the largest process, or of all together at one moment, whichever is more

    @property
    def report(self) -> dict[str, Any]:
        """The JSON object that it printed."""
        report: dict[str, Any] = json.loads(self.output)
        return report


def measured(name: str, command: list[str], environment: dict[str, str], folder: Path) -> Measured:
    """Run *command* to its end; an exit code other than 0 ends the benchmark."""
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE) as process:
        memory = _Memory(process.pid)
        output = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = max(usage.ru_maxrss << 10, memory.peak())
    if process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}: {output.decode()}")
    return Measured(output, seconds, usage.ru_utime + usage.ru_stime, peak / (1 << 20))


class _Memory:
    """Watches, from another thread, what a process and those that it started hold in memory together."""

    def __init__(self, process: int) -> None:
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(process,), daemon=True)
        self._thread.start()

    def _watch(self, process: int) -> None:
        while not self._over.wait(_PERIOD):
            self._peak = max(self._peak, sum(map(_resident, _family(process))))

    def peak(self) -> int:
        """The most that was seen, in bytes; ends the watch."""
        self._over.set()
        self._thread.join()
        return self._peak


def _family(process: int) -> Iterator[int]:
    """The process, and those that it and they started."""
    yield process
    with suppress(OSError):  # it is over
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except OSError:  # it is over
        return 0


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """Call *function* in a process of its own: a child's peak starts at its parent's, so ours stays small."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def environment_of(project: Path) -> dict[str, str]:
    """The environment of a process that works in *project* alone."""
    ours = {"JOB_CONFIG_PATH": str(project / "config" / "jobs"), "METADATA_PATH": str(project / "metadata")}
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("ICEBERG_", "DAGSTER_"))}
    return theirs | ours
