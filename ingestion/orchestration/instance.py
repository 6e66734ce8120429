"""Dagster's instance: where runs and events are kept."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg

from ingestion.settings import current

__all__ = ["open_instance", "prepared_home"]


def prepared_home() -> Path:
    """Dagster's home, with the configuration that this package ships where there is none yet."""
    home = current().dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        with as_file(files("ingestion.orchestration") / "dagster.yaml") as shipped:
            shutil.copyfile(shipped, config)
    return home


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that `ingestion serve` and the command line share."""
    home = prepared_home()
    with (home / ".opening").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes that create Dagster's storage at once spoil it
        instance = dg.DagsterInstance.from_config(str(home))
    with instance:
        yield instance
