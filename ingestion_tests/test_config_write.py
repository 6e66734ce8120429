"""Writing jobs: whole files or none, one writer at a time, and back again."""

import stat
import threading
from pathlib import Path

import pytest
import yaml

from ingestion.config import load_all, load_job, save_job
from ingestion.errors import ConfigError
from ingestion_tests.config_project import stubs
from ingestion_tests.conftest import Project

__all__ = ["stubs"]

CONFIG = {"enabled": False, "source": {"type": "stub", "source_path": "no", "port": "${PORT}"}}


@pytest.fixture
def single(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = stubs.path / "config" / "jobs.yaml"
    path.write_text("# ours\njobs:\n  # first\n  old:\n    source: {type: stub, source_path: x}  # here\n")
    monkeypatch.setenv("JOB_CONFIG_PATH", str(path))
    return path


def test_a_saved_job_is_a_file_of_its_own(stubs: Project) -> None:
    saved = save_job("orders", CONFIG)
    assert saved.path == stubs.jobs / "orders.yaml"
    assert saved.previous is None
    assert yaml.safe_load(saved.path.read_text()) == CONFIG
    assert load_job("orders").as_written() == CONFIG
    assert [path.name for path in stubs.jobs.iterdir()] == ["orders.yaml"]


def test_editors_are_told_of_the_schema_where_there_is_one(stubs: Project) -> None:
    stubs.file("config/schema/job.json", "{}")
    text = save_job("orders", CONFIG).path.read_text()
    assert text.startswith("# yaml-language-server: $schema=../schema/job.json\n")


def test_an_existing_job_is_replaced_on_purpose_only(stubs: Project) -> None:
    path = stubs.job("sales/orders", "enabled: true\n")
    with pytest.raises(ConfigError, match="Job orders already exists"):
        save_job("orders", CONFIG)
    assert path.read_text() == "enabled: true\n"
    saved = save_job("orders", CONFIG, replace=True)
    assert saved.path == path
    saved.undo()
    assert path.read_text() == "enabled: true\n"


def test_undo_takes_a_new_job_away(stubs: Project) -> None:
    save_job("orders", CONFIG).undo()
    assert load_all() == []


def test_undo_leaves_what_another_wrote_since(stubs: Project) -> None:
    saved = save_job("orders", CONFIG)
    saved.path.write_text("mine: now\n")
    saved.undo()
    assert saved.path.read_text() == "mine: now\n"


@pytest.mark.parametrize("job_id", ["../x", "A", "", "a/b", "x.y", "a" * 64])
def test_an_id_cannot_leave_the_folder(stubs: Project, job_id: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid id"):
        save_job(job_id, CONFIG)
    assert list(stubs.jobs.iterdir()) == []


def test_a_job_joins_a_file_of_many_and_leaves_it_again(single: Path) -> None:
    before = single.read_bytes()
    saved = save_job("orders", CONFIG)
    assert single.read_bytes().startswith(before)
    assert load_job("orders").as_written() == CONFIG
    assert {item.id for item in load_all()} == {"old", "orders"}
    with pytest.raises(ConfigError, match="already exists"):
        save_job("orders", CONFIG)
    other = save_job("later", CONFIG)
    saved.undo()
    assert {item.id for item in load_all()} == {"old", "later"}
    other.undo()
    assert single.read_bytes() == before


def test_a_job_in_a_file_of_many_gets_its_old_options_back(single: Path) -> None:
    saved = save_job("old", CONFIG, replace=True)
    save_job("new", CONFIG)
    saved.undo()
    assert load_job("old").source.source_path == "x"
    assert load_job("new").enabled is False
    assert single.read_text().startswith("# ours\njobs:\n  # first\n")


def test_the_file_of_many_need_not_exist_yet(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_CONFIG_PATH", str(stubs.path / "etc" / "jobs.yml"))
    saved = save_job("orders", CONFIG)
    assert load_job("orders").as_written() == CONFIG
    saved.undo()
    assert not saved.path.exists()


def test_writers_at_once_all_get_in(single: Path) -> None:
    threads = [threading.Thread(target=save_job, args=(f"job_{number}", CONFIG)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {item.id for item in load_all()} == {"old", *(f"job_{number}" for number in range(12))}
    assert all(item.error is None for item in load_all())


def test_one_of_several_creators_of_a_job_wins(stubs: Project) -> None:
    outcomes = []

    def create() -> None:
        try:
            save_job("orders", CONFIG)
        except ConfigError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["Job orders already exists"] * 7


def test_a_file_keeps_its_permissions_and_its_link(stubs: Project) -> None:
    target = stubs.file("elsewhere/orders.yaml", "enabled: true\n")
    target.chmod(0o640)
    (stubs.jobs / "orders.yaml").symlink_to(target)
    save_job("orders", CONFIG, replace=True)
    assert (stubs.jobs / "orders.yaml").is_symlink()
    assert yaml.safe_load(target.read_text()) == CONFIG
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_failed_write_leaves_the_old_file(stubs: Project) -> None:
    path = stubs.job("orders", "enabled: true\n")
    with pytest.raises(ConfigError, match=r"this is not YAML|values that YAML cannot hold"):
        save_job("orders", {"description": "\ud800"}, replace=True)
    assert path.read_text() == "enabled: true\n"
    assert [path.name for path in stubs.jobs.iterdir()] == ["orders.yaml"]


def test_a_place_that_cannot_be_written_is_told(stubs: Project) -> None:
    (stubs.path / "config" / ".lock").mkdir()
    with pytest.raises(ConfigError, match=r"\.lock cannot be written \(Is a directory\); check its permissions"):
        save_job("orders", CONFIG)
