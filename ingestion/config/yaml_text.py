"""YAML as job files mean it: the core schema of YAML 1.2, no key twice, and the place of every key.

`no`, `on` and `12:30` stay text; numbers with leading zeros too. Dates stay text.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ingestion.errors import ConfigError

__all__ = ["Document", "looks_like_number", "parse_yaml", "read_yaml", "yaml_scalar"]

Steps = tuple[str | int, ...]

_BASE: Any = getattr(yaml, "CLoader", yaml.Loader)  # both only compose here; nothing is constructed from tags
_WORDS = {
    word: value
    for text, value in (("true", True), ("false", False), ("null", None))
    for word in (text, text.capitalize(), text.upper())
} | {"": None, "~": None}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_STANDARD = "tag:yaml.org,2002:"
_HINTS = (
    ("tab character", "indent with spaces"),
    ("cannot start any token", "put the value in quotes, and indent with spaces"),
    ("while scanning an alias", 'a value that starts with * needs quotes, such as "*/5 * * * *"'),
    ("alphabetic or numeric character", 'a value that starts with * or & needs quotes, such as "*/5 * * * *"'),
    ("mapping values are not allowed", "check the indentation, and put values that hold ': ' in quotes"),
    ("could not find expected ':'", "each line of a mapping is 'key: value'"),
    ("unexpected end of stream", "close the quote"),
    ("another document", "keep one job per file and remove the '---' in the middle"),
)


class _Loader(_BASE):  # type: ignore[misc]  # the C loader where libyaml is there, the Python one otherwise
    """Composes nodes and leaves it to us what a plain scalar means."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode:
            return "plain" if implicit[0] else f"{_STANDARD}str"
        return super().resolve(kind, value, implicit)


@dataclass(frozen=True)
class Document:
    """One YAML file: its value, and where its keys stand."""

    name: str
    """The file as messages name it."""
    value: Any
    node: Any

    def where(self, path: Steps) -> str:
        """``file:line:column`` of the key or item at *path*, or of the nearest one above it."""
        if self.node is None:
            return self.name
        line, column = self.position(path)
        return f"{self.name}:{line}:{column}"

    def position(self, path: Steps) -> tuple[int, int]:
        """Line and column of the key or item at *path*, counted from 1; 0, 0 where there is no file."""
        return _position(self.node, path) if self.node is not None else (0, 0)

    def holds(self, path: Steps) -> bool:
        """Whether something stands at *path*."""
        value = self.value
        for step in path:
            in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
            if not in_list and not (isinstance(value, dict) and step in value):
                return False
            value = value[step]
        return True

    def within(self, *path: str) -> "Document":
        """The part of the document below *path*, which must be there."""
        node, value = self.node, self.value
        for step in path:
            node = next(item for key, item in node.value if key.value == step)
            value = value[step]
        return Document(self.name, value, node)


def read_yaml(path: Path, name: str) -> Document:
    """The YAML file at *path*; raises ConfigError that names line and column."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Document:
    """*text* as a document called *name*; raises ConfigError that names line and column."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_sentence(error, name)) from error
    return Document(name, None if node is None else _value(node, name, ()), node)


def yaml_scalar(text: str) -> Any:
    """*text* as the value after ``key:``; text that is not YAML stays text."""
    try:
        return parse_yaml(text, "value").value
    except ConfigError:
        return text


def _syntax_sentence(error: yaml.YAMLError, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    words = ", ".join(part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    words = words or " ".join(str(error).split())
    hint = next((hint for symptom, hint in _HINTS if symptom in words), "see the line above too")
    place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return f"{place}: this is not YAML: {words}; {hint}"


def _value(node: Any, name: str, above: tuple[int, ...]) -> Any:
    if id(node) in above:
        raise ConfigError(f"{_at(node, name)}: an alias refers to what holds it; write the value out")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, name)
    if not node.tag.startswith(_STANDARD):
        raise ConfigError(f"{_at(node, name)}: the tag {node.tag} is unknown; remove it")
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, name, above) for item in node.value]
    return _mapping(node, name, above)


def _mapping(node: Any, name: str, above: tuple[int, ...]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    merged: list[dict[Any, Any]] = []
    for key_node, value_node in node.value:
        if key_node.tag == "plain" and key_node.value == "<<":
            parts = _value(value_node, name, above)
            merged += parts if isinstance(parts, list) else [parts]
            continue
        key = _key(key_node, name)
        if key in found:
            raise ConfigError(f"{_at(key_node, name)}: the key {key!r} is given twice; keep one of them")
        found[key] = _value(value_node, name, above)
    for part in merged:
        if not isinstance(part, dict):
            raise ConfigError(f"{_at(node, name)}: '<<' takes a mapping; give it an alias of one")
        found = {**part, **found}
    return found


def _key(node: Any, name: str) -> Hashable:
    """Keys are text, whatever they look like: a column may be called 2024 or true."""
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{_at(node, name)}: a key must be text, not a list or a mapping; put it in quotes")
    return str(node.value)


def _scalar(node: Any, name: str) -> Any:
    text = node.value
    if node.tag == "plain":
        return _plain(text)
    if node.tag in (f"{_STANDARD}str", "!"):
        return text
    if node.tag in (f"{_STANDARD}int", f"{_STANDARD}float", f"{_STANDARD}bool", f"{_STANDARD}null"):
        return _plain(text)
    raise ConfigError(f"{_at(node, name)}: the tag {node.tag} is unknown; remove it")


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL.fullmatch(text)
    return float(f"{special[1] or ''}{special[2] or 'nan'}") if special else text


def looks_like_number(text: str) -> bool:
    """Whether *text* without quotes would not stay text."""
    return not isinstance(_plain(text), str)


def _at(node: Any, name: str) -> str:
    return f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _position(node: Any, path: Steps) -> tuple[int, int]:
    mark = node.start_mark
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            mark = node.start_mark
        else:
            break
    return mark.line + 1, mark.column + 1
