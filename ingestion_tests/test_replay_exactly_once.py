"""A replay that is killed, at any moment and on any target, loses no row and brings none twice."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from ingestion.config import load_job
from ingestion.errors import IngestionError, TransientError
from ingestion.pipeline import run
from ingestion.replay import ReplayReport, replay
from ingestion_tests.conftest import Project
from ingestion_tests.targets import Target
from ingestion_tests.test_behaviour import EVERYWHERE, MOMENTS, somewhere, target

__all__ = ["target"]  # the fixture

ONE_OF_EACH = ["iceberg-sqlite-local", "delta-local", "postgres"]
COMMITS = [moment for moment in MOMENTS if "@" in moment]


def job(project: Project, target: Target, **loader: object) -> None:
    project.job(
        "orders",
        {
            "source": {"type": "csv", "source_path": "data"},
            "transformer": {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}},
            "loader": {"type": target.kind, "table": "t", **target.options, **loader},
            "max_bad_ratio": 1,
        },
    )


def load(project: Project, number: int) -> None:
    """Load ten rows, of which five go to quarantine, four of them for a reason that the job has mended, one ragged."""
    good = [f"{number * 10 + n},2024-01-02" for n in range(5)]
    bad = [f"{number * 10 + n},03/01/2024" for n in range(5, 9)]
    project.file(f"data/{number}.csv", "\n".join(["n,day", *good, *bad, f"{number * 10 + 9},x,y", ""]))
    run(load_job("orders").merged({"transformer": {"date_columns": ["day"]}}), f"run{number}")


def bring() -> ReplayReport:
    return replay(load_job("orders"), "again")


def waiting() -> Counter[str]:
    found = load_job("orders").resolved()
    return Counter(row["rule"] for batch in found.loader.quarantined("orders") for row in batch.to_pylist())


def killed(target: Target, moment: str) -> None:
    command = [sys.executable, "-m", "ingestion_tests.dying_replay", target.kind, moment]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr


def assert_kills_change_nothing(project: Project, target: Target, moments: list[str]) -> None:
    job(project, target)
    done: list[int] = []
    for number, moment in enumerate(moments):
        load(project, number)
        fresh, late = [number * 10 + n for n in range(5)], [number * 10 + n for n in range(5, 9)]
        killed(target, moment)
        landed = set(target.numbers()) >= set(late)
        assert target.numbers() == sorted([*done, *fresh, *(late if landed else [])]), moment
        assert waiting() == Counter({"ragged": number + 1, "date_columns": 0 if landed else 4}), moment
        report = bring()
        assert report.rows_loaded == (0 if landed else 4), moment
        done += fresh + late
        assert target.numbers() == sorted(done), moment
        assert waiting() == Counter({"ragged": number + 1}), moment
    assert bring().rows_loaded == 0


@somewhere(ONE_OF_EACH, without=[name for name in EVERYWHERE if name not in ONE_OF_EACH])
def test_a_killed_replay_lands_whole_or_not_at_all(project: Project, target: Target) -> None:
    assert_kills_change_nothing(project, target, ["after@0", "before@1", "after@1"])


@pytest.mark.soak
@somewhere(EVERYWHERE)
def test_replays_killed_at_every_moment_land_whole_or_not_at_all(project: Project, target: Target) -> None:
    assert_kills_change_nothing(project, target, ["reading", *COMMITS, *COMMITS])


@somewhere(ONE_OF_EACH, without=[name for name in EVERYWHERE if name not in ONE_OF_EACH])
def test_replays_and_runs_at_once_bring_every_row_once(project: Project, target: Target) -> None:
    job(project, target)
    load(project, 0)
    project.file("data/1.csv", "n,day\n10,2024-01-02\n")
    ends: list[object] = []

    def attempt(call: object) -> None:
        try:
            ends.append(call())  # type: ignore[operator]  # one of two functions
        except IngestionError as error:
            ends.append(error)

    threads = [
        threading.Thread(target=attempt, args=[call]) for call in (bring, lambda: run(load_job("orders"), "run"), bring)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [end for end in ends if isinstance(end, BaseException)]
    assert len(refused) < 3
    assert all(isinstance(error, TransientError) for error in refused), refused
    bring()
    run(load_job("orders"), "last")
    assert target.numbers() == [*range(9), 10]
    assert waiting() == Counter({"ragged": 1})


@somewhere(ONE_OF_EACH, without=[name for name in EVERYWHERE if name not in ONE_OF_EACH])
def test_late_rows_are_merged_where_the_job_merges(project: Project, target: Target) -> None:
    job(project, target, write_mode="merge", merge_keys=["n"], order_by=["day"])
    load(project, 0)
    project.file("data/later.csv", "n,day\n5,2025-01-01\n")
    run(load_job("orders"), "later")
    assert bring().replayed == 5
    assert target.numbers() == list(range(9))
    assert str(target.rows()[5]["day"]) == "2025-01-01"


@somewhere(ONE_OF_EACH, without=[name for name in EVERYWHERE if name not in ONE_OF_EACH])
def test_late_rows_are_added_to_the_newest_load_where_the_job_overwrites(project: Project, target: Target) -> None:
    job(project, target, write_mode="overwrite")
    load(project, 0)
    load(project, 0)
    first = bring()
    assert (first.rows_loaded, first.rows_quarantined, sum(first.left.values())) == (4, 1, 5)
    assert target.numbers() == list(range(9))
    second = bring()  # what failed again is of the newest load still
    assert (second.replayed, second.rows_quarantined, sum(second.left.values())) == (1, 1, 5)
    run(load_job("orders"), "anew")
    assert target.numbers() == list(range(9))
    assert (bring().replayed, bring().left) == (1, {"a later load replaced all that its load brought": 6})
