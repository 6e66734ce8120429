"""What the documentation shows works."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from ingestion.config import parse_job
from ingestion.config.yaml_text import parse_yaml
from ingestion.examples import run_tests
from ingestion.loaders import LoaderFactory
from ingestion.transformers import TransformerFactory, functions

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), ROOT / "metadata" / "README.md"])


def blocks(language: str) -> list:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL), 1):
            found.append(pytest.param(block, id=f"{page.name}-{number}"))
    return found


def yaml_blocks(*keys: str) -> list:
    """The blocks whose first of *keys* at the top level is the last of them."""
    found = [(block, yaml.safe_load(block.values[0])) for block in blocks("yaml")]
    return [block for block, config in found if next((key for key in keys if key in config), None) == keys[-1]]


@pytest.mark.parametrize("block", yaml_blocks("source"))
def test_a_yaml_block_is_a_valid_job(block):
    assert parse_job("documented", yaml.safe_load(block)).as_written()


@pytest.mark.parametrize("block", [one for one in yaml_blocks("source") if "\ntests:" in one.values[0]])
def test_the_tests_in_a_yaml_block_pass(block):
    job = parse_job("documented", parse_yaml(block, "documented").value)
    assert [item.problems for item in run_tests(job)] == [()] * len(job.tests) != []


@pytest.mark.parametrize("block", yaml_blocks("source", "loader"))
def test_a_yaml_block_with_a_loader_alone_is_a_valid_loader(block):
    loader = LoaderFactory.create({"type": "iceberg", **yaml.safe_load(block)["loader"]})
    assert loader.as_written()


@pytest.mark.parametrize("block", yaml_blocks("source", "loader", "transformer"))
def test_a_yaml_block_with_a_transformer_alone_is_a_valid_transformer(block, monkeypatch):
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", "acme")
    functions.register("fahrenheit", len)
    try:
        transformer = TransformerFactory.create({"type": "base", **yaml.safe_load(block)["transformer"]})
    finally:
        functions.unregister("fahrenheit")
    assert transformer.as_written()


@pytest.mark.parametrize("block", [one for one in blocks("bash") if '/jobs"' in one.values[0]])
def test_the_posted_job_is_valid(block):
    words = shlex.split(block.replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    assert parse_job(body["job_id"], body["job_config"]).id == "daily_sales"


@pytest.mark.parametrize(
    "command",
    [
        "validate",
        "check",
        "run",
        "schema",
        "demo",
        "serve",
        "history",
        "rollback",
        "upkeep",
        "preview",
        "test",
        "quarantine",
        "replay",
    ],
)
def test_a_documented_command_exists(command):
    tool = Path(sys.executable).with_name("ingestion")
    done = subprocess.run([tool, command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"`ingestion {command}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        code = re.findall(r"`(make [a-z]+)[^`\n]*`|^(make [a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        named = {(one or other).split()[1] for one, other in code}
        assert named <= targets, page


def test_every_setting_is_documented_and_no_other():
    source = (ROOT / "ingestion" / "settings.py").read_text()
    read = set(re.findall(r'env\.get\("([A-Z_]+)"', source))
    table = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([A-Z][A-Z_]+)`", re.sub(r"^(\|[^|]*\|).*$", r"\1", table, flags=re.MULTILINE)))
    assert documented == read


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", ["reference", "types"])
def test_what_options_and_types_say_is_up_to_date(page):
    command = [sys.executable, ROOT / "scripts" / f"write_{page}.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
    assert done.returncode == 0, "an option or a type has changed: run make docs and commit docs"


@pytest.mark.parametrize("kind", ["job", "source"])
def test_the_shipped_schema_is_up_to_date(kind):
    tool = Path(sys.executable).with_name("ingestion")
    done = subprocess.run([tool, "schema", kind], cwd=ROOT, capture_output=True, text=True, check=True)
    shipped = (ROOT / "config" / "schema" / f"{kind}.json").read_text(encoding="utf-8")
    assert shipped == done.stdout, "an option has changed: run make docs and commit config/schema"


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "jobs").rglob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_job_passes_its_schema(path):
    schema = json.loads((ROOT / "config" / "schema" / "job.json").read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
