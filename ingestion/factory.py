"""A type name becomes a plugin: from the built-in table, an entry point, or `register`."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.plugins import Plugin

__all__ = ["Factory"]

P = TypeVar("P", bound=Plugin)


class Factory(Generic[P]):
    """Knows every plugin of one kind by name; imports each on first use.

    *builtins* maps a type name to ``module:Class``; several names may share a class. Other packages
    add theirs by entry points of *group*, tests and notebooks by `register`.
    """

    def __init__(self, kind: str, group: str, base: type[P], builtins: Mapping[str, str]) -> None:
        self.kind = kind
        self._group = group
        self._base = base
        self._builtins = builtins
        self._registered: dict[str, type[P]] = {}

    def names(self) -> list[str]:
        """Every known type name, sorted."""
        return sorted({*self._builtins, *self._registered, *self._entry_points()})

    def get(self, name: str) -> type[P]:
        """The plugin class called *name*; raises ConfigError for a name that none or two provide."""
        registered = self._registered.get(name)
        if registered is not None:
            return registered
        found = [path for path in (self._builtins.get(name), *self._entry_points().get(name, ())) if path]
        if len(found) > 1:
            raise ConfigError(
                f"{self.kind} type {name!r} is provided twice ({', '.join(found)}); uninstall one of them"
            )
        if not found:
            raise ConfigError(self._unknown(name))
        return self._load(name, found[0])

    def create(self, config: Mapping[str, Any]) -> P:
        """The plugin that *config* describes; raises pydantic's ValidationError for a wrong option."""
        cls = self.get(str(config.get("type", "")))
        return cls.model_validate({**config, "type": cls.model_fields["type"].default})

    def register(self, name: str, cls: type[P]) -> None:
        """Make *cls* available as *name* in this process."""
        if name in self.names():
            raise ConfigError(f"{self.kind} type {name!r} exists already; choose another name")
        self._registered[name] = cls

    def unregister(self, name: str) -> None:
        """Take back a `register`."""
        self._registered.pop(name, None)

    def _entry_points(self) -> Mapping[str, list[str]]:
        return _installed(self._group, tuple(sys.path))

    def _load(self, name: str, path: str) -> type[P]:
        module, _, attribute = path.partition(":")
        try:
            cls = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self.kind} type {name!r}: cannot import {path} ({error}); install what it needs"
            ) from error
        if not (isinstance(cls, type) and issubclass(cls, self._base)):
            raise ConfigError(f"{self.kind} type {name!r}: {path} is not a {self._base.__name__}")
        return cls

    def _unknown(self, name: str) -> str:
        known = f"known types: {', '.join(self.names())}"
        hint = nearest(name, self.names(), "known types")
        return f"unknown {self.kind} type {name!r}; {hint if hint == known else f'{hint} {known}'}"


@lru_cache(maxsize=16)  # reading every package's metadata takes longer than reading a job file
def _installed(group: str, _path: tuple[str, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point.value)
    return found
