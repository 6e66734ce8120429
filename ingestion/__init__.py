"""Jobs described in YAML, loaded into tables exactly once.

The names below are the public surface; each is imported on first use, so that ``import ingestion`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingestion.config import JobConfig, SourceConfig, load_all, load_job, parse_job
    from ingestion.connectors import ConnectorFactory
    from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
    from ingestion.loaders import LoaderFactory
    from ingestion.pipeline import run
    from ingestion.plugins import Batch, Connector, Loader, Origin, Plugin, Transformer
    from ingestion.report import RunReport
    from ingestion.transformers import TransformerFactory

__all__ = [
    "Batch",
    "ConfigError",
    "Connector",
    "ConnectorFactory",
    "DataError",
    "IngestionError",
    "JobConfig",
    "Loader",
    "LoaderFactory",
    "Origin",
    "Plugin",
    "RunReport",
    "SourceConfig",
    "Transformer",
    "TransformerFactory",
    "TransientError",
    "load_all",
    "load_job",
    "parse_job",
    "run",
]

_HOMES = {
    "config": "JobConfig SourceConfig load_all load_job parse_job",
    "connectors": "ConnectorFactory",
    "errors": "ConfigError DataError IngestionError TransientError",
    "loaders": "LoaderFactory",
    "pipeline": "run",
    "plugins": "Batch Connector Loader Origin Plugin Transformer",
    "report": "RunReport",
    "transformers": "TransformerFactory",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'ingestion' has no attribute {name!r}")
    return getattr(import_module(f"ingestion.{module}"), name)


def __dir__() -> list[str]:
    return __all__
