"""A value of a masked column reaches no disk, no log, no error and no report of a run, however the run goes."""

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ingestion.config import load_job
from ingestion.preview import preview
from ingestion_tests.conftest import Project
from ingestion_tests.test_secrets_stay import run, unpacked

CANARY = "c4n4ry"
MASKED = hashlib.sha256(f"{CANARY}@good.se".encode()).hexdigest()

HEADER = "id,mail,born,amount,note\n"
ROWS = {
    "good": f"1,{CANARY}@good.se,2024-01-01,12.5,a\n",
    "bad date": f"2,{CANARY}@date.se,31.12.2023,12.5,b\n",
    "bad masked number": f"3,d@e.se,2024-01-01,{CANARY}7,c\n",
    "ragged": f"4,{CANARY}@ragged.se,2024-01-01,1,d,e,f\n",
    "no key": f",{CANARY}@nokey.se,2024-01-01,1,e\n",
    "broken rule": f"6,{CANARY}@rule.se,2024-01-01,2,forbidden\n",
    "filtered": f"7,{CANARY}@filter.se,2024-01-01,3,f\n",
    "divided by zero": f"8,{CANARY}@zero.se,2024-01-01,0,g\n",
}
TRANSFORMER: dict[str, Any] = {
    "mask": {"mail": "hash", "amount": "redact"},
    "date_columns": ["born"],
    "numeric_columns": ["amount"],
    "filters": ["note <> 'f'"],
    "transformations": [{"add_column": {"name": "ratio", "formula": "100 / amount"}}],
    "validation": [{"column": "note", "rule": "in", "values": list("abcdefg")}],
}
LOADER: dict[str, Any] = {"write_mode": "merge", "merge_keys": ["id"]}


@pytest.fixture
def people(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose temporary files lie within it, too."""
    (project.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project.path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    project.file("in/people.csv", HEADER + "".join(ROWS.values()))
    return project


def job(project: Project, source: Any = None, transformer: Any = None, **options: Any) -> None:
    config = {
        "source": {"type": "csv", "source_path": "in", **(source or {})},
        "transformer": TRANSFORMER | (transformer or {}),
        "loader": LOADER,
        "retry_policy": {"max_retries": 0},
        **options,
    }
    project.job("orders", config)


def parts(folder: Path) -> dict[str, list[bytes]]:
    """What every file below *folder* says, but for the source's own."""
    files = [path for path in folder.rglob("*") if path.is_file() and (folder / "in") not in path.parents]
    return {str(path.relative_to(folder)): said(path) for path in files}


def said(path: Path) -> list[bytes]:
    try:
        return list(unpacked(path))
    except FileNotFoundError:  # a database that is closed takes its journal along
        return []


def assert_nowhere(folder: Path, *texts: str) -> None:
    found = parts(folder) | {f"output {number}": [text.encode()] for number, text in enumerate(texts)}
    shown = [
        (name, part[max(0, part.find(CANARY.encode()) - 200) :][:400])
        for name, all_of_it in found.items()
        for part in all_of_it
        if CANARY.encode() in part
    ]
    assert shown == []


def assert_somewhere(folder: Path, text: str) -> None:
    assert any(text.encode() in part for all_of_it in parts(folder).values() for part in all_of_it)


def test_a_run_shows_masked_values_alone(people, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    job(people)
    result = run()
    assert result.success
    events = "\n".join(map(repr, result.all_events))
    assert people.table("default.orders")["mail"].to_pylist()[0] == MASKED
    rejected = people.table("default.orders__quarantine").to_pylist()
    assert sorted(row["rule"] for row in rejected) == [
        "date_columns",
        "in",
        "merge_keys",
        "numeric_columns",
        "ragged",
        "transformations[0].formula",
    ]
    assert all(row["reason"] and row["source"].endswith("in/people.csv") and row["position"] for row in rejected)
    assert MASKED in events  # the preview
    assert_somewhere(people.path, MASKED)
    assert_nowhere(people.path, events, caplog.text, *capfd.readouterr())


@pytest.mark.parametrize(("options", "sentence"), [
    ({"max_bad_rows": 0}, "max_bad_rows is 0"),
    ({"max_bad_rows": 3}, "max_bad_rows is 3"),
    ({"source": {"on_bad_row": "fail"}}, "mend the row, or set source.on_bad_row: quarantine"),
    ({"source": {"schema_hints": {"mail": "int"}, "on_bad_row": "fail"}}, "line 2: mail: the value does not fit"),
    ({"source": {"schema_hints": {"mail": "int"}}, "max_bad_rows": 0}, "max_bad_rows is 0"),
    ({"source": {"skip_rows": 1}}, "no column 'mail'"),
    ({"source": {"skip_rows": 1, "schema_hints": {"x": "int"}}}, "no column 'x' in the header"),
    ({"transformer": {"on_conversion_error": "fail"}}, "date_columns: born"),
    ({"transformer": {"numeric_columns": ["amount", "mail"], "on_conversion_error": "fail"}}, "numeric_columns: "),
    ({"transformer": {"types": {"mail": "long"}}, "max_bad_rows": 0}, "max_bad_rows is 0"),
    ({"transformer": {"validation": [{"column": "mail", "rule": "in", "values": ["x"], "on_fail": "fail"}]}}, "'mail'"),
    ({"transformer": {"filters": ["mail > 5"]}}, "puts string (mail) beside int (5)"),
    ({"transformer": {"filters": ["CAST(mail AS INT) > 5"], "on_conversion_error": "fail", "date_columns": [],
      "numeric_columns": []}}, "(mail = ***)"),
    ({"transformer": {"transformations": [{"sql": {"query": "select CAST(mail AS INT) AS mail, * EXCLUDE (mail) from input"}}]}},
     "a value does not fit; values are hidden"),
    ({"transformer": {"validate_schema": {"mail": "long"}}}, "mail"),
])  # fmt: skip
def test_a_failed_run_shows_none(people, capfd, caplog, options, sentence):
    caplog.set_level(logging.DEBUG)
    job(people, **options)
    result = run()
    assert not result.success
    events = "\n".join(map(repr, result.all_events))
    assert sentence in events
    assert_nowhere(people.path, events, caplog.text, *capfd.readouterr())


_KILLED = """
import sys
from ingestion import pipeline
from ingestion.config import load_job
from ingestion_tests.dying import arm
arm("iceberg", sys.argv[1])
pipeline.run(load_job("orders"), "r1")
"""


def child(project: Project, *arguments: str) -> "subprocess.CompletedProcess[str]":
    root = str(Path(__file__).parent.parent)
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": root},
    )


@pytest.mark.parametrize(
    ("loader", "moment"),
    [({}, "after@0"), (LOADER, "before@1"), pytest.param(LOADER, "before@0", marks=pytest.mark.soak)],
)
def test_a_killed_run_leaves_none(people, loader, moment):
    many = "".join(f"{number},{CANARY}{number}@many.se,2024-01-01,1,a\n" for number in range(1_000, 6_000))
    people.file("in/people.csv", HEADER + many + "".join(ROWS.values()))
    job(people, loader=loader)
    done = child(people, "-c", _KILLED, moment)
    assert done.returncode == -9, done.stderr
    assert_somewhere(people.path, MASKED)
    assert_nowhere(people.path, done.stdout, done.stderr)


def test_the_command_line_shows_none(people):
    job(people)
    for arguments in (
        ["run", "orders", "--json"],
        ["quarantine", "orders", "--rows"],
        ["preview", "orders"],
        ["replay", "orders", "--json"],
    ):
        done = child(people, "-m", "ingestion.cli", *arguments)
        assert done.returncode == 0, done.stderr
        assert_nowhere(people.path, done.stdout, done.stderr)


def test_a_replay_reads_masked_rows_anew_and_shows_none(people):
    job(people)
    bare = ("-m", "ingestion.cli", "run", "orders", "--bare")
    assert child(people, *bare).returncode == 0
    job(people, transformer={"date_columns": {"born": ["%Y-%m-%d", "%d.%m.%Y"]}})
    done = child(people, "-m", "ingestion.cli", "replay", "orders", "--bare", "--json")
    assert done.returncode == 0, done.stderr
    masked = hashlib.sha256(f"{CANARY}@date.se".encode()).hexdigest()
    assert masked in people.table("default.orders")["mail"].to_pylist()
    assert_nowhere(people.path, done.stdout, done.stderr)
    job(people, source={"incremental": False}, max_bad_rows=0)
    done = child(people, *bare, "--json")
    assert done.returncode == 1
    assert "max_bad_rows is 0" in json.loads(done.stdout)["error"]
    assert_nowhere(people.path, done.stdout, done.stderr)


@pytest.mark.parametrize("source", [{}, {"schema_hints": {"mail": "int"}, "on_bad_row": "fail"}])
def test_a_preview_shows_none(people, source):
    job(people, source=source)
    found = preview(load_job("orders"))
    shown = repr(found) + str(found.as_json())
    assert ("mail: the value does not fit" if source else MASKED) in shown
    assert CANARY not in shown
