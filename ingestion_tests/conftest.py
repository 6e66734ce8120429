"""A project of its own for every test: config, metadata and warehouse in a temporary folder."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import settings

from ingestion import secrets

if TYPE_CHECKING:
    from ingestion_tests.dagster_server import Service
    from ingestion_tests.servers import AwsServer, MariaServer, PostgresServer, RestCatalogServer


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
    "UPKEEP_SCHEDULE",
    "PYTHON_TRANSFORM_MODULES",
    "ICEBERG_WAREHOUSE_LOCATION",
    "ICEBERG_CATALOG_NAME",
    "ICEBERG_CATALOG_TYPE",
    "ICEBERG_CATALOG_URI",
    "ICEBERG_CATALOG_PROPERTIES",
]


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so. Dagster gives SIGTERM the handler of SIGINT, so that children would not end.
    signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile("here", deadline=None)  # what an example takes depends on what else the machine does
settings.load_profile("here")


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


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """A PostgreSQL server of this session."""
    from ingestion_tests.servers import running_postgres

    with running_postgres() as found:
        yield found


@pytest.fixture
def postgres_url(postgres_server: "PostgresServer") -> str:
    """The address of a database that nothing was done to."""
    return postgres_server.fresh_database()


@pytest.fixture(scope="session")
def mysql_server() -> "Iterator[MariaServer]":
    """A MariaDB server of this session."""
    from ingestion_tests.servers import running_mariadb

    with running_mariadb() as found:
        yield found


@pytest.fixture
def mysql_url(mysql_server: "MariaServer") -> str:
    """The address of a database that nothing was done to."""
    return mysql_server.fresh_database()


@pytest.fixture(scope="session")
def s3_server() -> "Iterator[AwsServer]":
    """An S3 endpoint of this session; it plays Glue, too."""
    from ingestion_tests.servers import running_aws

    with running_aws() as found:
        yield found


@pytest.fixture(scope="session")
def glue_endpoint(s3_server: "AwsServer") -> Iterator[str]:
    """A Glue that refuses an update whose version is not the newest, as AWS does and moto alone does not."""
    from ingestion_tests.proxies import proxied

    with proxied(s3_server.endpoint) as proxy:
        yield proxy.url


@pytest.fixture
def s3_bucket(s3_server: "AwsServer") -> str:
    """The name of an empty bucket."""
    return s3_server.fresh_bucket()


@pytest.fixture(scope="session")
def rest_catalog() -> "Iterator[RestCatalogServer]":
    """Iceberg's own REST catalog with a local warehouse; tests take namespaces of their own."""
    from ingestion_tests.servers import running_rest_catalog

    with running_rest_catalog() as found:
        yield found


@pytest.fixture(scope="session")
def rest_catalog_on_s3(s3_server: "AwsServer") -> "Iterator[RestCatalogServer]":
    """The same with its warehouse in a bucket."""
    from ingestion_tests.servers import running_rest_catalog

    with running_rest_catalog(s3_server) as found:
        yield found
