"""The benchmark runs and checks what it measures; how fast it is, is no test's business."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

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
    assert output.count("checksums equal") == 3
    assert "rows/s" in output
    assert "peak MB" in output
    results = json.loads((tmp_path / "all.json").read_text())
    assert [result["case"] for result in results] == ["limit", "pipeline", "dagster"]


def test_a_wrong_result_is_refused(tmp_path):
    run("gen_events.py", tmp_path / f"events_{ROWS}.csv", "--rows", ROWS)
    wrong = {"rows": ROWS - 1}
    (tmp_path / f"events_{ROWS}.checks.json").write_text(json.dumps(wrong))
    output = run("bench_csv.py", "--rows", ROWS, "--repeat", 1, "--data", tmp_path, code=1)
    assert "limit stored other data" in output
