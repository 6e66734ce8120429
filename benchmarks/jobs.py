"""A project with one job, which is called bench, and what that job stored."""

import shutil
import sys
from pathlib import Path

INGESTION = Path(sys.executable).with_name("ingestion")


def command(*flags: str) -> list[str]:
    """What runs the job and prints its report."""
    return [str(INGESTION), "run", "bench", "--json", *flags]


def write(project: Path, text: str) -> None:
    """Put the job beside what the project holds already."""
    jobs = project / "config" / "jobs"
    jobs.mkdir(parents=True, exist_ok=True)
    (jobs / "bench.yaml").write_text(text)


def begin(project: Path, text: str) -> None:
    """The project anew, with nothing but the job."""
    shutil.rmtree(project, ignore_errors=True)
    write(project, text)


def data_files(project: Path) -> list[str]:
    """The files of the current snapshot of the Iceberg table bench.events."""
    from pyiceberg.catalog.sql import SqlCatalog

    metadata = project / "metadata"
    catalog = SqlCatalog("default", uri=f"sqlite:///{metadata / 'catalog.db'}", warehouse=str(metadata / "warehouse"))
    tasks = catalog.load_table("bench.events").scan().plan_files()
    return [task.file.file_path.removeprefix("file://") for task in tasks]
