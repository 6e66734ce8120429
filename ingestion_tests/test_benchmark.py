"""The benchmark runs and checks what it measures; how fast it is, is no test's business."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
ROWS = 50_000
SHA256 = "0624a302185045e561304f85f50e9f40c3bd4969363b2ffdae63158a27e01a68"


def run(script, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_generated_file_is_the_same_everywhere(tmp_path):
    run("gen_events.py", tmp_path / "events.csv", "--rows", ROWS)
    assert hashlib.sha256((tmp_path / "events.csv").read_bytes()).hexdigest() == SHA256


def test_one_percent_of_the_benchmark_stores_equal_rows_in_every_way(tmp_path):
    output = run("bench_csv.py", "--rows", ROWS, "--repeat", 1, "--data", tmp_path, "--json", tmp_path / "all.json")
    assert "checksums equal in every way" in output
    assert "rows/s" in output
    assert "peak MB" in output
    results = json.loads((tmp_path / "all.json").read_text())
    assert [result["case"] for result in results] == ["limit", "pipeline", "dagster"]


def test_the_peak_is_that_of_all_processes_together(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from measuring import apart, measured

    child = "import time; held = b'x' * (80 << 20); time.sleep(1)"
    parent = (
        "import subprocess, sys\n"
        f"both = [subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in range(2)]\n"
        "print([one.wait() for one in both])"
    )
    run = apart(measured, "two children", [sys.executable, "-c", parent], {}, tmp_path)
    assert run.report == [0, 0]
    assert 160 < run.peak_mb < 400


def test_a_wrong_result_is_refused(tmp_path):
    run("gen_events.py", tmp_path / f"events_{ROWS}.csv", "--rows", ROWS)
    wrong = {"rows": ROWS - 1}
    (tmp_path / f"events_{ROWS}.checks.json").write_text(json.dumps(wrong))
    output = run("bench_csv.py", "--rows", ROWS, "--repeat", 1, "--data", tmp_path, code=1)
    assert "limit stored other data" in output


def test_a_small_transformed_load_stores_what_the_generator_wrote(tmp_path):
    arguments = ("--rows", 20_000, "--repeat", 1, "--data", tmp_path, "--json", tmp_path / "all.json")
    output = run("bench_transform.py", *arguments)
    assert "peak MB" in output
    assert [result["case"] for result in json.loads((tmp_path / "all.json").read_text())] == ["plain", "transformed"]


@pytest.mark.soak
def test_a_transformed_load_that_stores_other_rows_is_refused(tmp_path):
    (tmp_path / "orders_2000.checks.json").write_text(json.dumps({"rows": 2_000, "total": 1}))
    output = run("bench_transform.py", "--rows", 2_000, "--repeat", 1, "--data", tmp_path, code=1)
    assert "transformed stored other data" in output


MERGE = ("bench_merge.py", "--rows", 20_000, "--changes", 500, "--repeat", 1, "--data")


@pytest.mark.parametrize(
    "target", ["iceberg", *(pytest.param(one, marks=pytest.mark.soak) for one in ("delta", "postgres"))]
)
def test_a_small_merge_benchmark_stores_the_same_rows_in_every_way(tmp_path, target):
    output = run(*MERGE, tmp_path, "--json", tmp_path / "all.json", "--targets", target, "--upsert")
    results = json.loads((tmp_path / "all.json").read_text())
    assert {result["case"] for result in results} >= set(CASES[target])
    assert all(result["inner_seconds"] < result["seconds"] for result in results)
    assert "peak MB" in output
    assert not (tmp_path / "merge").exists()


CASES = {
    "iceberg": [f"iceberg.{name}" for name in ("limit", "auto", "copy_on_write", "merge_on_read", "job")],
    "delta": ["delta.plain", "delta.merge"],
    "postgres": ["postgres.plain", "postgres.merge"],
}


@pytest.mark.soak
def test_a_merge_that_stores_other_rows_is_refused(tmp_path):
    path = tmp_path / "merge" / "changes_20000_500_0.1.checks.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"rows": 20_049, "id": 1, "amount": 1, "amount_of_id": 1}))
    assert "iceberg.auto stored other data" in run(*MERGE, tmp_path, "--targets", "iceberg", code=1)


DATABASES = {
    "postgresql": ["limit", "pipeline", "partitions"],
    "mysql": ["limit", "pipeline", "partitions"],
    "sqlite": ["limit", "pipeline", "read", "write"],
}


@pytest.mark.parametrize(
    "database", ["postgresql", *(pytest.param(one, marks=pytest.mark.soak) for one in ("mysql", "sqlite"))]
)
def test_a_small_database_benchmark_stores_the_same_rows_in_every_way(tmp_path, database):
    arguments = ("--rows", 20_000, "--repeat", 1, "--data", tmp_path, "--json", tmp_path / "all.json")
    whole = () if "read" in DATABASES[database] else ("--whole",)
    output = run("bench_database.py", *arguments, "--databases", database, *whole)
    assert "checksums equal in every way" in output
    assert [one["case"] for one in json.loads((tmp_path / "all.json").read_text())] == DATABASES[database]


def test_a_load_from_a_database_that_stores_other_rows_is_refused(tmp_path):
    (tmp_path / "events_2000.checks.json").write_text(json.dumps({"rows": 2_000, "id": 1}))
    arguments = ("--rows", 2_000, "--repeat", 1, "--data", tmp_path, "--databases", "sqlite")
    assert "sqlite.limit stored other data" in run("bench_database.py", *arguments, code=1)
