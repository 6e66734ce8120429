"""Option values as people write them."""

import re
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

__all__ = ["FileSize", "Property"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def _bytes(value: Any) -> Any:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    unit = _UNITS.get(match[2].lower())
    if unit is None:
        raise ValueError(f"unknown unit {match[2]!r}; write a number of bytes, or KiB, MiB, GiB, kB, MB, GB behind it")
    return int(float(match[1]) * unit)


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


FileSize: TypeAlias = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=int | str), Field(ge=1 << 20)]
"""A number of bytes, which may be written as ``512 MiB`` and the like."""

Property: TypeAlias = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int | float | bool)]
"""A text for a driver, which may be written as a number or a truth value."""
