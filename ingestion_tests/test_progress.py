"""What a person sees while a run goes on."""

import os
import pty
import re
import subprocess
import sys
import time

import dagster as dg
import pytest

from ingestion.cli.progress import Watch, progress
from ingestion.config import load_job, parse_job
from ingestion.orchestration.failures import failures_told
from ingestion.pipeline import Stream
from ingestion_tests.conftest import Project

PROGRAM = """
import time
from ingestion.cli.progress import progress
from ingestion.config import parse_job
from ingestion.pipeline import Stream

stream = Stream(parse_job("orders", {"source": {"type": "csv", "source_path": "x"}}), "run")
with progress() as watch:
    watch.started(stream)
    stream.report.rows_read = 1234567
    time.sleep(0.6)
print("done")
"""


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream(parse_job("orders", {"source": {"type": "csv", "source_path": "x"}}), "run")
    with progress(seconds_between_lines=0.01) as watch:
        watch.started(stream)
        stream.report.rows_read, stream.report.bytes_read, stream.report.rows_quarantined = 1_234_567, 89_000_000, 3
        time.sleep(0.2)
    seen = capsys.readouterr()
    assert "orders: 1,234,567 rows, 89 MB read, 3 quarantined\n" in seen.err
    assert not seen.out


def test_a_terminal_shows_one_line_that_changes_and_goes() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=theirs, stdout=subprocess.PIPE, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the terminal is closed
            break
        if not piece:
            break
        shown += piece
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    assert out == b"done\n"
    assert b"orders: 1,234,567 rows" in shown
    assert b"\x1b[2K" in shown  # erased when the run has ended


def test_a_run_that_waits_for_its_next_try_says_why(project: Project) -> None:
    address = {"host": "127.0.0.1", "port": 9, "username": "u", "password": "p", "database": "d"}
    source = {"type": "postgresql", **address, "table": "t"}
    project.job("orders", {"source": source, "retry_policy": {"max_retries": 1, "delay_seconds": 0.01}})
    stream = Stream(load_job("orders"), "run")
    watch = Watch()
    watch.started(stream)
    with pytest.raises(dg.RetryRequested), failures_told(stream.job, 0, lambda: stream.report):
        stream.load()
    assert re.match(r"orders: retry 1 of 1 in 0\.01 s, as .*refused", watch.line())
