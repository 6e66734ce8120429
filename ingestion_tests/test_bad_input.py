"""What a user reads after a mistake: each error says what is wrong, where, and what to do now."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingestion.config import load_all, load_job
from ingestion.errors import ConfigError, DataError, IngestionError
from ingestion.pipeline import run
from ingestion.settings import current
from ingestion_tests.conftest import Project

CSV = "id,name\n1,ann\n2,bob\n"


def csv_job(path: str = "data", **source: Any) -> dict[str, Any]:
    return {"source": {"type": "csv", "source_path": path, **source}}


def message(job_id: str = "orders", kind: type[IngestionError] = ConfigError) -> str:
    with pytest.raises(kind) as caught:
        run(load_job(job_id), "run-1")
    return str(caught.value)


def no_table(project: Project, name: str = "default.orders") -> bool:
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return project.iceberg(name).current_snapshot() is None
    except NoSuchTableError:
        return True


def test_a_typo_in_a_key(project: Project) -> None:
    project.job("orders", "source:\n  type: csv\n  source_path: data\n  file_patern: '*.csv'\n")
    text = message()
    assert "config/jobs/orders.yaml:4:3" in text
    assert "source.file_patern: unknown key 'file_patern'; did you mean 'file_pattern'?" in text


def test_an_unknown_type(project: Project) -> None:
    project.job("orders", "source:\n  type: cvs\n  source_path: data\n")
    text = message()
    assert "config/jobs/orders.yaml:2:3" in text
    assert "unknown source type 'cvs'; did you mean 'csv'? known types: csv" in text


def test_a_missing_file(project: Project) -> None:
    project.job("orders", csv_job("data/orders.csv"))
    text = message()
    assert str(project.path / "data/orders.csv") in text
    assert "source_path" in text
    assert "does not exist" in text


def test_an_empty_folder_is_a_success_that_says_so(project: Project) -> None:
    (project.path / "data").mkdir()
    project.job("orders", csv_job())
    report = run(load_job("orders"), "run-1")
    assert (report.status, report.rows_read) == ("success", 0)
    assert "nothing new, 0 rows" in report.sentence()


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read everything, so the test steps down while it looks."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_directory_without_permission(project: Project) -> None:
    folder = project.file("data/orders.csv", CSV).parent
    project.job("orders", csv_job())
    for path in [project.path, *project.path.parents]:
        if path.owner() == project.path.owner() and path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o777)
    for path in project.path.rglob("*"):
        path.chmod(0o777)
    folder.chmod(0)
    try:
        with ordinary_user():
            text = message()
    finally:
        folder.chmod(0o777)
    assert str(folder) in text
    assert "permission" in text.lower()


def test_a_wrong_encoding(project: Project) -> None:
    project.file("data/orders.csv", "id,name\n1,ann\n2,Åsa\n".encode("latin-1"))
    project.job("orders", csv_job())
    text = message(kind=DataError)
    assert "orders.csv" in text
    assert "line 3" in text
    assert "utf-8" in text
    assert "encoding" in text
    assert no_table(project)


def test_a_truncated_gzip_loads_nothing_of_it(project: Project) -> None:
    rows = "".join(f"{number},name {number * 7919 % 10007}\n" for number in range(200_000))
    whole = gzip.compress(("id,name\n" + rows).encode())
    project.file("data/orders.csv.gz", whole[: len(whole) * 2 // 3])
    project.job("orders", csv_job())
    text = message(kind=DataError)
    assert "orders.csv.gz" in text
    assert "truncated" in text or "cut off" in text
    assert no_table(project)


def test_an_unset_variable(project: Project) -> None:
    project.file("data/orders.csv", CSV)
    project.job("orders", csv_job("${ORDERS_FOLDER}"))
    text = message()
    assert "source.source_path" in text
    assert "the environment variable ORDERS_FOLDER is not set; set it, or write ${ORDERS_FOLDER:-default}" in text


def test_a_bad_cron_expression(project: Project) -> None:
    project.job("orders", {"cron_expression": "0 25 * * *", **csv_job()})
    text = message()
    assert "config/jobs/orders.yaml:1:1" in text
    assert "cron_expression" in text
    assert "25" in text


def test_two_jobs_with_one_id(project: Project) -> None:
    project.job("orders", csv_job())
    project.job("sales/orders", csv_job())
    (loaded,) = load_all(current())
    assert "orders.yaml" in str(loaded.error)
    assert "sales/orders.yaml" in str(loaded.error)
    assert "orders" in message()


def test_a_table_that_another_job_created_with_an_incompatible_schema(project: Project) -> None:
    project.file("a/x.csv", "id,amount\n1,2.5\n")
    project.file("b/x.csv", "id,amount\n2,many\n")
    loader = {"type": "iceberg", "table": "shared"}
    project.job("first", {**csv_job("a"), "loader": loader})
    project.job("second", {**csv_job("b", schema_hints={"amount": "string"}), "loader": loader})
    run(load_job("first"), "run-1")
    text = message("second", DataError)
    assert "default.shared" in text
    assert "amount" in text
    assert "double" in text
    assert "string" in text
    assert project.table("default.shared").num_rows == 1


@pytest.mark.skipif(
    not shutil.which("unshare"), reason="a full disk needs a file system of its own (util-linux: unshare)"
)
def test_a_disk_that_fills_up_while_writing(project: Project) -> None:
    import random

    words = random.Random(7)
    rows = "".join(f"{number},{words.getrandbits(256):x}\n" for number in range(60_000))
    project.file("data/orders.csv", "id,name\n" + rows)
    project.job("orders", csv_job())
    warehouse = project.path / "warehouse"
    warehouse.mkdir()
    program = (
        "import sys\nfrom ingestion.config import load_job\nfrom ingestion.errors import TransientError\n"
        "from ingestion.pipeline import run\nimport pathlib\n"
        "try:\n    run(load_job('orders'), 'run-1')\n"
        "except TransientError as error:\n    print(error)\n"
        f"print('left:', [str(p) for p in pathlib.Path({str(warehouse)!r}).rglob('*.parquet')])\n"
    )
    script = project.file("full.py", program)
    mounted = f"mount -t tmpfs -o size=1m tmpfs {warehouse} && exec {sys.executable} {script}"
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", mounted]
    environment = {**os.environ, "ICEBERG_WAREHOUSE_LOCATION": str(warehouse)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "No space left on device" in done.stdout, done.stderr
    assert "left: []" in done.stdout
    assert no_table(project)
