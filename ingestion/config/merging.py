"""Mappings over mappings: later wins, mappings merge, everything else is replaced."""

from collections.abc import Mapping
from typing import Any

from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.factory import Factory
from ingestion.loaders import LoaderFactory
from ingestion.plugins import Plugin
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


def canonical(config: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    """*config* with options that *others*, later ones first, call by another name under their canonical one."""
    result = dict(config)
    for section, (factory, default) in PLUGINS.items():
        options = result.get(section)
        if isinstance(options, Mapping):
            sections = [layer[section] for layer in (*others, config) if isinstance(layer.get(section), Mapping)]
            aliases = _aliases(factory, next((part["type"] for part in sections if "type" in part), default))
            spellings = {(aliases.get(key, key), key) for part in sections for key in part}
            names = [name for name, _ in spellings]
            result[section] = {
                aliases[key]
                if key in aliases and names.count(aliases[key]) > 1 and aliases[key] not in options
                else key: value
                for key, value in options.items()
            }
    return result


def _aliases(factory: Factory[Any], name: Any) -> Mapping[str, str]:
    try:
        plugin: type[Plugin] = factory.get(str(name))
    except ConfigError:
        return {}  # an unknown type is refused, in its place, when the job is built
    return plugin.aliases()
