"""A project of its own for every test: config, metadata and warehouse in a temporary folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import yaml

from ingestion import secrets

if TYPE_CHECKING:
    from ingestion_tests.dagster_server import Service


@dataclass(frozen=True)
class Project:
    """A folder laid out as users lay out theirs."""

    path: Path

    @property
    def jobs(self) -> Path:
        return self.path / "config" / "jobs"

    def job(self, job_id: str, config: dict[str, Any] | str) -> Path:
        """Write a job file; a mapping is written as YAML, text as it stands."""
        return self._write(self.jobs / f"{job_id}.yaml", config)

    def source(self, source_id: str, config: dict[str, Any] | str) -> Path:
        return self._write(self.path / "config" / "sources" / f"{source_id}.yaml", config)

    def template(self, name: str, config: dict[str, Any] | str) -> Path:
        return self._write(self.path / "config" / "templates" / f"{name}.yaml", config)

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a data file below the project."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def table(self, name: str) -> pa.Table:
        """All rows of a table of the default catalog, read with pyiceberg."""
        return self.iceberg(name).scan().to_arrow()

    def iceberg(self, name: str) -> Any:
        from pyiceberg.catalog.sql import SqlCatalog

        metadata = self.path / "metadata"
        catalog = SqlCatalog(
            "default", uri=f"sqlite:///{metadata / 'catalog.db'}", warehouse=str(metadata / "warehouse")
        )
        return catalog.load_table(name)

    @staticmethod
    def _write(path: Path, config: dict[str, Any] | str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False), encoding="utf-8"
        )
        return path


SETTINGS = [
    "JOB_CONFIG_PATH",
    "METADATA_PATH",
    "DAGSTER_HOME",
    "DAGSTER_URL",
    "API_HOST",
    "API_PORT",
    "API_TOKEN",
    "API_ALLOW_ANONYMOUS",
    "UI_HOST",
    "UI_PORT",
    "ICEBERG_WAREHOUSE_LOCATION",
    "ICEBERG_CATALOG_NAME",
    "ICEBERG_CATALOG_TYPE",
    "ICEBERG_CATALOG_URI",
    "ICEBERG_CATALOG_PROPERTIES",
]


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests() -> Iterator[None]:
    """A process never forgets a secret that it resolved; what one test calls secret is a plain word to the next."""
    yield
    secrets._seen.clear()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project; the process and its children see it through the environment and the working directory."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config" / "jobs").mkdir(parents=True)
    monkeypatch.setenv("JOB_CONFIG_PATH", str(tmp_path / "config" / "jobs"))
    monkeypatch.setenv("METADATA_PATH", str(tmp_path / "metadata"))
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the running service share a worker, too, so that one service is enough."""
    for item in items:
        if "service" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("service"))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Service]":
    """A whole running service, shared by the tests that need one: they give jobs names of their own."""
    from ingestion_tests.dagster_server import running_service

    with running_service(tmp_path_factory.mktemp("service")) as found:
        yield found
