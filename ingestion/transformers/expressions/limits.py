"""What an expression may cost: its literals decide, so that it is known before any row is."""

import math
import re

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.functions import FUNCTIONS
from ingestion.transformers.expressions.nodes import Call, Like, Node, Value, walk

__all__ = ["check_limits", "quote"]

_LONGEST_PAD = 1_000
_LONGEST_SHOWN = 200
_MOST_GROWTH = 100


def check_limits(text: str, node: Node) -> None:
    """Raise ConfigError for arguments that have to be literals and are not, are too large, or are no pattern."""
    try:
        for part in walk(node):
            if isinstance(part, Call):
                _check_literals(part)
            if isinstance(part, Like) and part.operator.startswith("~"):
                _check_pattern(part.pattern)
            if isinstance(part, Value) and part.kind == "number":
                _check_size(part)
        _check_growth(node)
    except ConfigError as error:
        raise ConfigError(f"expression {quote(text)}: {error}") from error


def _check_size(number: Value) -> None:
    if math.isinf(float(number.value)):
        raise ConfigError(f"{quote(number.text)} is too large for a double")


def quote(text: str) -> str:
    """An expression as errors show it."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")


def _check_literals(node: Call) -> None:
    takes = FUNCTIONS[node.name].takes
    for letter, argument in zip(takes, node.arguments, strict=False):
        if not letter.isupper():
            continue
        wanted = "number" if letter == "N" else "text"
        if not isinstance(argument, Value) or argument.kind != wanted:
            raise ConfigError(f"{node.name} takes a {wanted} as it is written where {argument.text!r} stands")
        if letter == "N" and not (argument.value.isdigit() and int(argument.value) <= _LONGEST_PAD):
            raise ConfigError(f"{node.name} takes a whole number from 0 to {_LONGEST_PAD}, not {argument.text}")
    if node.name in ("LPAD", "RPAD") and len(getattr(node.arguments[-1], "value", "")) != 1:
        raise ConfigError(f"{node.name} fills with one character, such as '0', not {node.arguments[-1].text}")
    if node.name in ("REGEXP_LIKE", "REGEXP_REPLACE"):
        pattern = node.arguments[1]
        assert isinstance(pattern, Value)  # noqa: S101 - just checked
        _check_pattern(pattern.value)
        if node.name == "REGEXP_REPLACE" and "(" in pattern.value:
            _check_groups(getattr(node.arguments[2], "value", ""))


def _check_groups(replacement: str) -> None:
    found = re.search(r"\$\d|\$\{\w+\}", replacement)
    if found is not None:  # polars takes it for text
        raise ConfigError(f"REGEXP_REPLACE would put in {found[0]} as it is written; a group is put in by \\1")


def _check_pattern(pattern: str) -> None:
    import polars as pl

    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        reason = str(error).rpartition("error: ")[2].partition("\n")[0]
        raise ConfigError(f"{pattern!r} is no regular expression: {reason}") from error


def _check_growth(node: Node) -> None:
    if _growth(node) > _MOST_GROWTH:
        raise ConfigError("REPLACE in REPLACE would make texts too long; shorten the replacements")


def _growth(node: Node) -> int:
    """By how much texts may grow at most."""
    inner = max(map(_growth, node.parts), default=1)
    if isinstance(node, Call) and node.name in ("REPLACE", "REGEXP_REPLACE"):
        replacement = node.arguments[2]
        return inner * max(len(replacement.value) if isinstance(replacement, Value) else 1, 1)
    return inner
