"""Plugins of another package: the worked example of docs/plugins.md, installed as users install theirs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion import ConfigError, ConnectorFactory, load_job, run

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def acme(tmp_path, project):
    """A folder of installed packages that holds acme_plugins with its entry points."""
    site = tmp_path / "site"
    for language, text in BLOCKS:
        if language == "python":
            target = site / text.partition("\n")[0].removeprefix("# ")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    info = site / "acme_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugins\nVersion: 1.0\n", encoding="utf-8")
    declared = next(text for language, text in BLOCKS if language == "toml")
    points = re.sub(r'\[project\.entry-points\."(.*)"\]', r"[\1]", declared).replace('"', "")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    project.job("sensor", next(text for language, text in BLOCKS if language == "yml"))
    project.file("var/sensor.log", "20.5\n21\n900\nn/a\nunfinis")
    return site


def python(site, *args):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *args], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def run_sensor(site):
    done = python(site, "-m", "ingestion.cli", "run", "sensor", "--bare", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_job_of_entry_points_alone_lands_its_rows_once(acme, project):
    first = run_sensor(acme)
    assert (first["rows_read"], first["rows_loaded"], first["rows_quarantined"]) == (4, 2, 2)
    loads = project.path / "var" / "loads" / "default" / "sensor"
    landed = pq.read_table(loads / "000000001" / "rows.parquet")
    assert landed["line"].to_pylist() == [20.5, 21.0]
    assert landed["line_f"].to_pylist() == pytest.approx([68.9, 69.8])
    rejected = pq.read_table(loads / "000000001" / "rejected.parquet").sort_by("position").to_pylist()
    assert [(row["rule"], row["value"], row["position"]) for row in rejected] == [
        ("in_range", "900", 3),
        ("numeric_columns", "n/a", 4),
    ]

    with (project.path / "var" / "sensor.log").open("a") as log:
        log.write("hed\n-7\n")
    second = run_sensor(acme)
    assert (second["rows_read"], second["rows_loaded"]) == (2, 1)
    assert run_sensor(acme)["rows_read"] == 0
    assert not list(loads.glob("unfinished-*"))


def test_their_own_contract_tests_pass(acme):
    done = python(acme, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(acme / "test_acme.py"))
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_they_are_listed_in_the_schema_with_their_options(acme):
    done = python(acme, "-m", "ingestion.cli", "schema", "job")
    assert done.returncode == 0, done.stderr
    assert "How many lines travel together." in done.stdout
    assert "The greatest value that is good." in done.stdout


def test_a_name_that_two_packages_provide_is_refused(acme):
    other = acme / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    (other / "entry_points.txt").write_text("[ingestion.connectors]\nlines = other:Lines\n", encoding="utf-8")
    done = python(acme, "-m", "ingestion.cli", "validate", "sensor")
    assert done.returncode == 2
    assert "source type 'lines' is provided twice" in done.stdout + done.stderr


def test_a_function_that_two_packages_provide_is_refused(acme):
    other = acme / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    (other / "entry_points.txt").write_text("[ingestion.functions]\nfahrenheit = other:f\n", encoding="utf-8")
    done = python(acme, "-m", "ingestion.cli", "validate", "sensor")
    assert done.returncode == 2
    assert "function 'fahrenheit' is provided twice" in " ".join((done.stdout + done.stderr).split())


def test_a_package_that_cannot_be_imported_says_so(acme):
    (acme / "acme_plugins" / "lines.py").write_text("import a_driver_that_is_not_there\n", encoding="utf-8")
    done = python(acme, "-m", "ingestion.cli", "validate", "sensor")
    assert done.returncode == 2
    assert "a_driver_that_is_not_there" in done.stdout + done.stderr


def test_register_does_without_an_entry_point(acme, monkeypatch, project):
    monkeypatch.syspath_prepend(str(acme))
    from acme_plugins.lines import LinesConnector

    ConnectorFactory.register("log", LinesConnector)
    try:
        project.job("logged", {"source": {"type": "log", "path": "var/sensor.log"}})
        assert run(load_job("logged"), "run-1").rows_loaded == 4
        assert project.table("default.logged")["line"].to_pylist() == ["20.5", "21", "900", "n/a"]
        with pytest.raises(ConfigError, match="exists already"):
            ConnectorFactory.register("log", LinesConnector)
    finally:
        ConnectorFactory.unregister("log")
    with pytest.raises(ConfigError, match="unknown source type 'log'"):
        ConnectorFactory.get("log")
