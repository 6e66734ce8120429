"""Whether a value is what somebody wrote down in YAML: by value, not by type."""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["difference"]

_DIGITS = 1e-9


def difference(expected: Any, got: Any) -> str:
    """What is wrong with *got*, in words; nothing where it is what *expected* says."""
    return "" if _equal(expected, got) else f"expected {_shown(expected)}, got {_shown(got)}"


def _equal(expected: Any, got: Any) -> bool:
    if expected is None or got is None or isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(got, int | float | Decimal):
        return _equal_number(expected, got)
    if isinstance(got, date | time):
        return isinstance(expected, str) and _equal_time(expected, got)
    if isinstance(got, Mapping):
        return (
            isinstance(expected, Mapping)
            and expected.keys() == got.keys()
            and all(_equal(value, got[key]) for key, value in expected.items())
        )
    if isinstance(got, Sequence) and not isinstance(got, str | bytes):
        return (
            isinstance(expected, Sequence)
            and not isinstance(expected, str)
            and len(expected) == len(got)
            and all(map(_equal, expected, got))
        )
    return bool(expected == _plain(got))


def _equal_number(expected: Any, got: float | Decimal) -> bool:
    """A decimal may be written as text, so that YAML does not round it."""
    if isinstance(expected, str) and isinstance(got, Decimal):
        try:
            return Decimal(expected) == got
        except InvalidOperation:
            return False
    if not isinstance(expected, int | float):
        return False
    if isinstance(got, float):
        return math.isclose(expected, got, rel_tol=_DIGITS) or (math.isnan(expected) and math.isnan(got))
    return Decimal(str(expected)) == got


def _equal_time(expected: str, got: date | time) -> bool:
    if expected == got.isoformat():
        return True
    if isinstance(got, date) and not isinstance(got, datetime):
        return False
    text = f"{expected[:-1]}+00:00" if expected.endswith("Z") else expected
    try:
        return type(got).fromisoformat(text) == got
    except ValueError:
        return False


def _plain(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    """A value as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | time):
        return value.isoformat()
    return repr(value) if isinstance(value, str) else str(_plain(value))
