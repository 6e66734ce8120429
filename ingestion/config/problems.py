"""What is wrong with a configuration, as sentences with their YAML paths."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.secrets import is_secret_key, redact

__all__ = ["InvalidConfig", "Problem", "explain", "yaml_path"]

_LONGEST_SHOWN = 60
_SENTENCES = {
    "missing": "is missing; add it",
    "string_type": "should be text",
    "dict_type": "should be a mapping of options",
    "model_type": "should be a mapping of options",
    "list_type": "should be a list",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
}


class Problem(NamedTuple):
    """One thing that is wrong: where in the YAML, and what to do."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{yaml_path(self.path)}: {self.message}" if self.path else self.message


class InvalidConfig(ConfigError):
    """A configuration that does not validate; *problems* say where and why, one each."""

    def __init__(self, text: str, problems: Sequence[Problem]) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


def yaml_path(path: Sequence[str | int]) -> str:
    """*path* as people write it: ``source.header[0]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def explain(error: ValidationError, config: Any) -> list[Problem]:
    """The problems that *error* found in *config*, one per place, in the order of the file's model."""
    found: dict[tuple[str | int, ...], dict[str, str]] = {}
    for line in error.errors(include_url=False):
        path = _real_path(line["loc"], config, line["type"])
        text, ending = _sentence(line, path)
        found.setdefault(path, {})[text] = ending
    return [Problem(path, redact(_joined(told))) for path, told in found.items()]


def _joined(told: Mapping[str, str]) -> str:
    """The alternatives of a union as one sentence: the second 'should be' is dropped."""
    first, *others = told
    return " or ".join([first, *(text.removeprefix("should be ") for text in others)]) + list(told.values())[-1]


def _real_path(loc: Sequence[str | int], config: Any, kind: str) -> tuple[str | int, ...]:
    """*loc* without the names of union members and functions that pydantic puts between the keys."""
    path: list[str | int] = []
    value = config
    for index, step in enumerate(loc):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        elif not (kind.startswith("missing") and index == len(loc) - 1):
            continue
        path.append(step)
    return tuple(path)


def _sentence(line: Any, path: tuple[str | int, ...]) -> tuple[str, str]:
    """What is wrong, and an ending that tells the value and how to mend it."""
    kind, value = line["type"], line["input"]
    if kind in ("dict_type", "model_type") and value is None:
        return "is empty; give it options, or delete the key", ""
    text = _SENTENCES.get(kind) or str(line["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if not text.startswith("should "):
        return text, ""
    ending = _shown(value, path)
    if kind == "string_type" and isinstance(value, int | float):
        ending += "; put it in quotes if it is text"
    if kind == "literal_error" and isinstance(value, str):
        hint = nearest(value, text.split("'")[1::2], "")
        ending += f"; {hint}" if hint.startswith("did you mean") else ""
    return text, ending


def _shown(value: Any, path: tuple[str | int, ...]) -> str:
    """`, not 'x'` for a short plain value that is no secret."""
    secret = any(isinstance(step, str) and is_secret_key(step) for step in path)
    if secret or not isinstance(value, str | int | float) or len(str(value)) > _LONGEST_SHOWN:
        return ""
    return f", not {str(value).lower() if isinstance(value, bool) else repr(value)}"
