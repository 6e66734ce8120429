"""Mappings over mappings: later wins, mappings merge, everything else is replaced."""

from collections.abc import Mapping
from typing import Any

from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.factory import Factory
from ingestion.loaders import LoaderFactory
from ingestion.transformers import TransformerFactory

__all__ = ["PLUGINS", "canonical", "deep_merge"]

PLUGINS: Mapping[str, tuple[Factory[Any], str | None]] = {
    "source": (ConnectorFactory, None),
    "transformer": (TransformerFactory, "base"),
    "loader": (LoaderFactory, "iceberg"),
}
"""The sections of a job that hold a plugin: who builds it, and the type where none is given."""


def deep_merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """*above* laid over *below*; neither changes."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        mappings = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(under or {}, value) if mappings else value
    return merged


def canonical(config: Mapping[str, Any], *below: Mapping[str, Any]) -> dict[str, Any]:
    """*config* with other names of plugin options replaced, so that it meets the same option in the layers *below*."""
    result = dict(config)
    for section, (factory, default) in PLUGINS.items():
        options = result.get(section)
        if isinstance(options, Mapping):
            result[section] = _renamed(options, factory, _type_of(section, default, config, *below))
    return result


def _type_of(section: str, default: str | None, *layers: Mapping[str, Any]) -> Any:
    for layer in layers:
        options = layer.get(section)
        if isinstance(options, Mapping) and "type" in options:
            return options["type"]
    return default


def _renamed(options: Mapping[str, Any], factory: Factory[Any], name: Any) -> dict[str, Any]:
    try:
        aliases = factory.get(str(name)).aliases()
    except ConfigError:
        return dict(options)  # an unknown type is refused, in its place, when the job is built
    return {key if aliases.get(key) in options else aliases.get(key, key): value for key, value in options.items()}
