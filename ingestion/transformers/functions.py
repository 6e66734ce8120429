"""Functions of other people, by the name that a job gives them."""

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeAlias

from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.settings import current

__all__ = ["GROUP", "Function", "find", "register", "require_known", "unregister"]

GROUP = "ingestion.functions"
"""The group of entry points by which packages register functions."""

Function: TypeAlias = Callable[..., Any]

_registered: dict[str, Function] = {}


def register(name: str, function: Function) -> None:
    """Make *function* available to jobs of this process as *name*; raises ConfigError for a name that is taken."""
    if not name.isidentifier():
        raise ConfigError(f"function {name!r}: a name has letters, digits and _ only, and begins with a letter")
    if name in _names():
        raise ConfigError(f"function {name!r} exists already; choose another name")
    _registered[name] = function


def unregister(name: str) -> None:
    """Take back a `register`."""
    _registered.pop(name, None)


def require_known(name: str) -> None:
    """Raises ConfigError for a function that jobs may not call; nothing is imported.

    They may call what is registered, and module:function of the modules that PYTHON_TRANSFORM_MODULES lists.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        _require_registered(name)
        return
    if not (attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigError(f"{name!r} is not module:function, as in acme.cleaning:tidy")
    if not _is_allowed(module):
        allowed = ", ".join(current().python_transform_modules) or "nothing"
        raise ConfigError(
            f"module {module} is not allowed; the operator lists modules in PYTHON_TRANSFORM_MODULES, "
            f"which holds {allowed} now"
        )


def find(name: str) -> Function:
    """The function that a job calls *name*; raises ConfigError for one that it may not call, or that is not there."""
    require_known(name)
    if name in _registered:
        return _registered[name]
    path = name if ":" in name else _installed(tuple(sys.path))[name][0]
    module, _, attribute = path.partition(":")
    try:
        home = import_module(module)
        found = getattr(home, attribute, None)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"function {name!r}: cannot import {path} ({error}); install what it needs") from error
    if found is None:
        raise ConfigError(f"function {name!r}: module {module} has none of that name{_meant(attribute, home)}")
    if not callable(found):
        raise ConfigError(f"function {name!r}: {path} cannot be called; name a function")
    # An allowed module has imported others: their functions, such as os.system, are none of its own.
    if ":" in name and not _is_allowed(origin := str(inspect.unwrap(found).__module__)):
        raise ConfigError(f"function {name!r} comes from module {origin}, which PYTHON_TRANSFORM_MODULES does not list")
    return found  # type: ignore[no-any-return]  # callable, as was just asked


def _meant(name: str, module: ModuleType) -> str:
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [known for known, value in functions if value.__module__ == module.__name__ and known[0] != "_"]
    return f"; {nearest(name, own, 'it has')}" if own else ""


def _is_allowed(module: str) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in current().python_transform_modules)


def _require_registered(name: str) -> None:
    paths = _installed(tuple(sys.path)).get(name, [])
    if len(paths) > 1:
        raise ConfigError(f"function {name!r} is provided twice ({', '.join(paths)}); uninstall one of them")
    if not paths and name not in _registered:
        known = nearest(name, _names(), "registered") if _names() else "none is registered"
        raise ConfigError(f"there is no function {name!r}; {known}; or write module:function")


def _names() -> list[str]:
    return sorted({*_registered, *_installed(tuple(sys.path))})


@lru_cache(maxsize=16)  # reading every package's metadata takes longer than reading a job file
def _installed(_path: tuple[str, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point.value)
    return found
