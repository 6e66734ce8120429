"""The repository keeps its promises: locks, make targets, layers and shipped files are what they say."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import tomli
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-all.lock"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def pins(lock: str) -> dict[str, set[str]]:
    """Pinned versions by name; several where they differ by Python version."""
    return {name: {version for version, _ in versions} for name, versions in marked_pins(lock).items()}


@cache
def marked_pins(lock: str) -> dict[str, set[tuple[str, str]]]:
    """Pinned versions by name, each with the marker of the environments that get it."""
    found: dict[str, set[tuple[str, str]]] = {}
    for line in re.findall(r"^([\w.-]+==[^\\\n]+)", (ROOT / lock).read_text(), re.MULTILINE):
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        found.setdefault(requirement.name, set()).add((pin.version, str(requirement.marker or "")))
    return found


def pinned(lock: str, wanted: Requirement, python: str) -> set[str]:
    """The versions of what is *wanted* that this Python gets; those that the requirement leaves free are none."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    if wanted.marker and not wanted.marker.evaluate(environment):
        return set()
    pins_of = marked_pins(lock).get(re.sub(r"[._]", "-", wanted.name.lower()), set())
    return {version for version, marker in pins_of if not marker or Marker(marker).evaluate(environment)}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_registry(lock):
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"\w+://|--(?:extra-)?index-url|--find-links", text) == []


def test_the_locks_agree_with_each_other():
    base = pins("requirements.lock")
    for lock in LOCKS[1:]:
        other = pins(lock)
        assert {name: other.get(name) for name in base} == base


def test_every_dependency_is_in_its_lock():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = {
        "requirements.lock": project["project"]["dependencies"] + project["dependency-groups"]["build"],
        "requirements-dev.lock": extras["dev"] + extras["aws"] + extras["delta"] + extras["postgres"],
        "requirements-all.lock": [
            line for name, lines in extras.items() if name not in {"all", "dev"} for line in lines
        ],
    }
    for lock, lines in wanted.items():
        for requirement in map(Requirement, lines):
            if requirement.name == "ingestion":  # other extras of its own, which are listed above
                continue
            versions = {version for python in PYTHONS for version in pinned(lock, requirement, python)}
            assert versions, f"{lock} lacks {requirement.name}: run make lock"
            assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), requirement


def test_the_base_install_leaves_spark_out():
    assert "pyspark" not in pins("requirements.lock")
    assert "pyspark" in pins("requirements-all.lock")


def test_make_help_lists_every_target():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split()
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(phony) == sorted(re.findall(r"^  make (\w+)", shown, re.MULTILINE))


def install(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Run the installer in a bare copy of the project, with only *path* to find programs in."""
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "install", folder / "scripts" / "install")
    for name in (*LOCKS, "pyproject.toml", "setup.py"):
        (folder / name).touch()
    return subprocess.run(
        ["/bin/sh", "scripts/install", "base"],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def tool_folder(folder: Path, **scripts: str) -> str:
    """A folder with the tools of a bare system and these scripts."""
    folder.mkdir()
    for name in ("dirname", "cat", "cksum", "rm"):
        (folder / name).symlink_to(shutil.which(name))
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_a_machine_without_python_is_told_what_to_install(tmp_path):
    done = install(tmp_path / "project", tool_folder(tmp_path / "bin"))
    assert done.returncode == 1
    assert "No Python found; this project needs Python 3.10, 3.11, 3.12 or 3.13." in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


def test_an_old_python_is_named(tmp_path):
    old = 'case "$2" in *exit*) exit 1 ;; *) echo 3.9 ;; esac'
    done = install(tmp_path / "project", tool_folder(tmp_path / "bin", python3=old))
    assert done.returncode == 1
    assert "python3 is Python 3.9; this project needs 3.10, 3.11, 3.12 or 3.13." in done.stderr


def test_a_python_without_venv_is_told_the_package(tmp_path):
    bare = f'case "$2" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
    done = install(tmp_path / "project", tool_folder(tmp_path / "bin", python3=bare))
    assert done.returncode == 1
    assert "its venv module is not installed" in done.stderr
    assert f"apt install python3.{sys.version_info.minor}-venv" in done.stderr
    assert not (tmp_path / "project" / ".venv").exists()


@pytest.mark.parametrize(
    ("apt", "code", "said"), [("exit 0", 0, "Installing chromium"), ("exit 100", 1, "apt install chromium")]
)
def test_a_missing_browser_is_installed_or_asked_for(tmp_path, apt, code, said):
    log = tmp_path / "apt.log"
    stubs = {"apt-get": f'echo "$@" >> {log}\n{apt}', "id": "echo 0", "sh": 'exec /bin/sh "$@"', "find": "exit 0"}
    stubs |= dict.fromkeys(("mkdir", "mvn", "mv"), "exit 0")  # the jars of the REST catalog are not this test's matter
    path = tool_folder(tmp_path / "bin", **stubs)
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "install-services"],
        env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    if not code:
        assert re.search(r"install .*chromium", log.read_text())


def test_the_layers_hold():
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_light_import_stays_light():
    code = "import sys, ingestion.config; print([m for m in ('dagster', 'fastapi', 'pyiceberg', 'pyspark') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_shipped_file_is_valid():
    environment = {name: value for name, value in os.environ.items() if name != "JOB_CONFIG_PATH"}
    tool = Path(sys.executable).with_name("ingestion")
    done = subprocess.run([tool, "validate"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# A template is a part of a job; the schema would demand the rest of it.
WHOLE_FILES = sorted(path for folder in ("jobs", "sources") for path in (ROOT / "config" / folder).rglob("*.yaml"))


@pytest.mark.parametrize("path", WHOLE_FILES, ids=lambda path: path.name)
def test_a_shipped_file_points_editors_to_its_schema(path):
    first = path.read_text().splitlines()[0]
    target = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first).group(1)
    assert (path.parent / target).resolve().is_file()
