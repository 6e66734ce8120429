"""The type names that job files use, and how a type is described to people."""

import re
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError

__all__ = ["expectation", "misfit_reasons", "parse_type", "type_name"]

_TYPES: dict[str, pa.DataType] = {
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
}
_ALIASES = {"integer": "int", "bigint": "long", "text": "string", "bool": "boolean"}
_KNOWN = "int, long, float, double, decimal(p,s), string, boolean, date, time, timestamp, timestamptz, binary"
_DECIMAL = re.compile(r"decimal\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_MAX_PRECISION = 38

_EXPECTED = {
    "int": "a whole number from -2147483648 to 2147483647",
    "long": "a whole number of at most 64 bits",
    "float": "a number",
    "double": "a number",
    "string": "text in UTF-8",
    "boolean": "true or false",
    "date": "a date (YYYY-MM-DD)",
    "time": "a time of day (HH:MM:SS)",
    "timestamp": "a timestamp without time zone (YYYY-MM-DD HH:MM:SS)",
    "timestamptz": "a timestamp with time zone (YYYY-MM-DDTHH:MM:SSZ)",
}
_ODD_CHARACTERS = (
    (r"[\p{Cf}\x00-\x08]", "it holds a character that cannot be seen"),
    (r"[\x{2010}-\x{2015}\x{2212}]", "it holds a dash that is not the - of keyboards"),
    (r"[\x{0660}-\x{0669}\x{06F0}-\x{06F9}\x{0966}-\x{096F}\x{FF10}-\x{FF19}]", "its digits are not 0 to 9"),
)


def parse_type(name: str) -> pa.DataType:
    """The Arrow type that *name* means in a job file; raises ConfigError with the known names for any other."""
    key = name.strip().lower()
    known = _TYPES.get(_ALIASES.get(key, key))
    if known is not None:
        return known
    decimal = _DECIMAL.fullmatch(key)
    if decimal is None:
        near = get_close_matches(key, [*_TYPES, *_ALIASES, "decimal(p,s)"], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown column type {name!r}; {hint}known types: {_KNOWN}")
    precision, scale = int(decimal[1]), int(decimal[2])
    if not 1 <= precision <= _MAX_PRECISION or scale > precision:
        raise ConfigError(
            f"column type {name!r}: precision goes from 1 to {_MAX_PRECISION} and scale up to the precision"
        )
    return pa.decimal128(precision, scale)


def type_name(dtype: pa.DataType) -> str:
    """What job files call *dtype*; Arrow's own name for a type that they cannot ask for."""
    if pa.types.is_decimal(dtype):
        return f"decimal({dtype.precision},{dtype.scale})"
    if pa.types.is_timestamp(dtype):
        return "timestamp" if dtype.tz is None else "timestamptz"
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return "string"
    return next((name for name, known in _TYPES.items() if known == dtype), str(dtype))


def expectation(dtype: pa.DataType) -> str:
    """What a text must look like to become *dtype*, to follow "is not" in a sentence."""
    if pa.types.is_decimal(dtype):
        return f"a number with at most {dtype.precision - dtype.scale} digits before and {dtype.scale} after the point"
    name = type_name(dtype)
    return _EXPECTED.get(name, name)


def misfit_reasons(values: pa.Array, expected: str) -> pa.Array:
    """One sentence for each text of *values* that is not *expected*, and what the eye may miss in it."""
    reasons = pc.binary_join_element_wise("'", values, f"' is not {expected}", "")
    for pattern, finding in _ODD_CHARACTERS:
        odd = pc.match_substring_regex(values, pattern)
        if pc.any(odd).as_py():
            reasons = pc.if_else(odd, pc.binary_join_element_wise(reasons, finding, "; "), reasons)
    return reasons
