"""Settings come from the environment, when they are asked for."""

from pathlib import Path

import pytest

from ingestion.errors import ConfigError
from ingestion.settings import current
from ingestion_tests.conftest import Project


def test_defaults_lie_below_the_working_directory(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOB_CONFIG_PATH", "METADATA_PATH"):
        monkeypatch.delenv(name)
    found = current()
    assert found.job_config_path == project.path / "config" / "jobs"
    assert found.config_path == project.path / "config"
    assert found.metadata_path == project.path / "metadata"
    assert found.iceberg_warehouse_location == str(project.path / "metadata" / "warehouse")
    assert found.iceberg_catalog_uri == f"sqlite:///{project.path / 'metadata' / 'catalog.db'}"
    assert (found.api_host, found.api_port, found.api_token, found.api_allow_anonymous) == (
        "0.0.0.0",
        8000,
        None,
        False,
    )
    assert (found.ui_host, found.ui_port, found.dagster_url) == ("127.0.0.1", 3000, "http://127.0.0.1:3000")


def test_a_setting_is_read_when_it_is_asked_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METADATA_PATH", str(project.path / "m"))
    monkeypatch.setenv("ICEBERG_WAREHOUSE_LOCATION", "s3://bucket/lake")
    monkeypatch.setenv("API_ALLOW_ANONYMOUS", "Yes")
    monkeypatch.setenv("ICEBERG_CATALOG_PROPERTIES", '{"a": 1}')
    monkeypatch.setenv("DAGSTER_URL", "http://dagster:3000/")
    found = current()
    assert found.iceberg_catalog_uri.endswith("/m/catalog.db")
    assert found.iceberg_warehouse_location == "s3://bucket/lake"
    assert found.api_allow_anonymous is True
    assert found.iceberg_catalog_properties == {"a": "1"}
    assert found.dagster_url == "http://dagster:3000"


def test_relative_paths_start_where_config_lies(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    found = current()
    assert found.absolute("data/x") == str(project.path / "data" / "x")
    assert found.absolute("/data/x") == "/data/x"
    assert found.absolute("s3://bucket/x") == "s3://bucket/x"
    assert found.absolute("~/x") == str(Path.home() / "x")
    monkeypatch.setenv("JOB_CONFIG_PATH", str(project.path / "config" / "jobs.yaml"))
    assert current().absolute("data") == str(project.path / "data")


@pytest.mark.parametrize(("name", "value", "message"), [
    ("API_PORT", "http", "API_PORT: 'http' is not a port; set a number from 1 to 65535"),
    ("UI_PORT", "70000", "UI_PORT: '70000' is not a port"),
    ("ICEBERG_CATALOG_PROPERTIES", "{", "ICEBERG_CATALOG_PROPERTIES is not JSON"),
    ("ICEBERG_CATALOG_PROPERTIES", "[]", "ICEBERG_CATALOG_PROPERTIES is not a JSON object"),
])  # fmt: skip
def test_a_setting_that_cannot_be_read_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        current()
    assert str(caught.value).startswith(message)
