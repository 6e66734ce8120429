"""The only reader of the process environment; it is read when asked, never at import."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ingestion.errors import ConfigError

__all__ = ["Settings", "current", "environment"]

_NIGHTLY = "30 3 * * *"


def environment() -> Mapping[str, str]:
    """The live environment, for placeholders."""
    return os.environ


@dataclass(frozen=True)
class Settings:
    """Every setting of the service, with absolute paths; fields are named after their variables."""

    job_config_path: Path
    metadata_path: Path
    iceberg_warehouse_location: str
    iceberg_catalog_name: str
    iceberg_catalog_type: str
    iceberg_catalog_uri: str
    iceberg_catalog_properties: Mapping[str, str]
    dagster_url: str
    api_host: str
    api_port: int
    api_token: str | None
    api_allow_anonymous: bool
    ui_host: str
    ui_port: int
    dagster_home: Path
    upkeep_schedule: str | None
    python_transform_modules: tuple[str, ...]
    slack_webhook_url: str | None
    smtp_host: str | None
    smtp_port: int
    smtp_username: str | None
    smtp_password: str | None
    alert_email_from: str | None

    @property
    def config_path(self) -> Path:
        """The folder that holds jobs, sources and templates."""
        return self.job_config_path.parent

    @property
    def base_path(self) -> Path:
        """Where relative paths inside job files start: the folder that holds config/."""
        return self.config_path.parent

    def absolute(self, path: str) -> str:
        """*path* as the job file means it; URLs and absolute paths stay as they are."""
        return path if "://" in path else str(self.base_path / Path(path).expanduser())


def current() -> Settings:
    """The settings as the environment has them now; raises ConfigError for one that cannot be read."""
    env = os.environ
    metadata = Path(env.get("METADATA_PATH") or "metadata").absolute()
    return Settings(
        job_config_path=Path(env.get("JOB_CONFIG_PATH") or "config/jobs").absolute(),
        metadata_path=metadata,
        iceberg_warehouse_location=_location(env.get("ICEBERG_WAREHOUSE_LOCATION") or str(metadata / "warehouse")),
        iceberg_catalog_name=env.get("ICEBERG_CATALOG_NAME") or "default",
        iceberg_catalog_type=env.get("ICEBERG_CATALOG_TYPE") or "sql",
        iceberg_catalog_uri=env.get("ICEBERG_CATALOG_URI") or f"sqlite:///{metadata / 'catalog.db'}",
        iceberg_catalog_properties=_properties(env.get("ICEBERG_CATALOG_PROPERTIES") or "{}"),
        dagster_url=(env.get("DAGSTER_URL") or "http://127.0.0.1:3000").rstrip("/"),
        api_host=env.get("API_HOST") or "0.0.0.0",  # noqa: S104 - the documented default; the sidecar guards itself
        api_port=_port("API_PORT", env.get("API_PORT") or "8000"),
        api_token=env.get("API_TOKEN") or None,
        api_allow_anonymous=(env.get("API_ALLOW_ANONYMOUS") or "false").lower() in {"1", "true", "yes", "on"},
        ui_host=env.get("UI_HOST") or "127.0.0.1",
        ui_port=_port("UI_PORT", env.get("UI_PORT") or "3000"),
        dagster_home=Path(env.get("DAGSTER_HOME") or metadata / "dagster").expanduser().absolute(),
        upkeep_schedule=_schedule(env.get("UPKEEP_SCHEDULE") or _NIGHTLY),
        python_transform_modules=_names(env.get("PYTHON_TRANSFORM_MODULES") or ""),
        slack_webhook_url=env.get("SLACK_WEBHOOK_URL") or None,
        smtp_host=env.get("SMTP_HOST") or None,
        smtp_port=_port("SMTP_PORT", env.get("SMTP_PORT") or "587"),
        smtp_username=env.get("SMTP_USERNAME") or None,
        smtp_password=env.get("SMTP_PASSWORD") or None,
        alert_email_from=env.get("ALERT_EMAIL_FROM") or None,
    )


def _location(value: str) -> str:
    return value if "://" in value else str(Path(value).absolute())


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _schedule(value: str) -> str | None:
    return None if value.strip().lower() in {"off", "false", "no", "0"} else value


def _port(name: str, value: str) -> int:
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise ConfigError(f"{name}: {value!r} is not a port; set a number from 1 to 65535")
    return int(value)


def _properties(value: str) -> Mapping[str, str]:
    try:
        properties = json.loads(value)
    except json.JSONDecodeError as error:
        raise ConfigError(f'ICEBERG_CATALOG_PROPERTIES is not JSON ({error}); write {{"key": "value"}}') from error
    if not isinstance(properties, dict):
        raise ConfigError('ICEBERG_CATALOG_PROPERTIES is not a JSON object; write {"key": "value"}')
    return {str(key): str(item) for key, item in properties.items()}
