"""Columns of text become typed columns; what does not fit is rejected, or asks for a wider type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.csv.inference import Rules, infer, join
from ingestion.connectors.csv.rounding import inexact, rounded, scattered
from ingestion.parsing import expectation, misfit_reasons, type_name

__all__ = ["Column", "Misfit", "Typed", "typed"]

_ZERO = r"^\s*-?0\d|^\s*-0\s*$"
_ZERO_OF_DOUBLE = r"^\s*-?0\d"


@dataclass(frozen=True)
class Column:
    """A column and its type: hinted by the job, known from the target, or free to become wider.

    A free one of which no value was seen is text where there are rows, and of no type yet where there are none.
    """

    name: str
    dtype: pa.DataType
    settled: Literal["free", "known", "hinted"]
    seen: bool = True


class Misfit(NamedTuple):
    """The rows of one column whose text does not fit, and why."""

    column: str
    mask: pa.BooleanArray
    reasons: pa.Array


class _Cast(NamedTuple):
    values: pa.Array
    misfits: pa.BooleanArray | None
    rounded: pa.BooleanArray | None  # those of the misfits that are numbers with too many digits


class Typed(NamedTuple):
    """The columns of a block, typed; *wider* names the types that free columns need instead."""

    columns: list[pa.Array]
    misfits: list[Misfit]
    wider: Mapping[str, pa.DataType]


def typed(texts: list[pa.Array], columns: tuple[Column, ...], rules: Rules) -> Typed:
    """*texts* as the types of *columns*."""
    result = Typed([], [], {})
    wider: dict[str, pa.DataType] = {}
    for text, column in zip(texts, columns, strict=True):
        if column.dtype == pa.string():
            result.columns.append(text)
            continue
        values, mask, rounds = _cast(text, column, rules)
        result.columns.append(values)
        if mask is None:
            continue
        if column.settled == "free":
            wider[column.name] = _wider(column.dtype, text.filter(mask), rules)
        else:
            result.misfits.append(Misfit(column.name, mask, _reasons(text, column, rounds)))
    return result._replace(wider=wider)


def _cast(text: pa.Array, column: Column, rules: Rules) -> _Cast:
    values, mask = rules.cast(text, column.dtype, free=column.settled == "free")
    bent = rounds = None
    if column.settled != "hinted" and _is_number(column.dtype):
        bent = _leading_zeros(text, values.type) if rules.leading_zeros else None
        if column.settled == "free":
            bent = _either(bent, _signed(text))
        if pa.types.is_floating(values.type):
            rounds = (rounded if column.settled == "known" else inexact)(text, values, rules.plain)
    for found in (bent, rounds):
        if found is not None:
            mask = pc.or_(mask, pc.fill_null(found, fill_value=False))
    return _Cast(values, mask if pc.any(mask).as_py() else None, rounds)


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype))


def _either(one: pa.BooleanArray | None, other: pa.BooleanArray | None) -> pa.BooleanArray | None:
    return other if one is None else one if other is None else pc.or_(one, other)


def _wider(dtype: pa.DataType, misfits: pa.Array, rules: Rules) -> pa.DataType:
    found = join(dtype, infer(misfits, rules))
    return pa.string() if found is None or found == dtype else found


def _signed(text: pa.Array) -> pa.BooleanArray | None:
    """Which texts have a plus that a number would lose."""
    signed = pc.starts_with(text, "+")
    return signed if pc.any(signed).as_py() else None


def _leading_zeros(text: pa.Array, dtype: pa.DataType) -> pa.BooleanArray | None:
    """Which texts have zeros that a number would lose; the regular expression sees only the few that may."""
    whole = pa.types.is_integer(dtype)
    found = None
    for start in ("0", "-0", " "):
        here = pc.starts_with(text, start)
        if pc.any(here).as_py():
            here = here if whole else pc.and_(here, pc.invert(pc.starts_with(text, f"{start}.")))
            found = _either(found, here)
    if found is None or not pc.any(found).as_py():
        return None
    found = pc.fill_null(found, fill_value=False)
    verdicts = pc.match_substring_regex(text.filter(found), _ZERO if whole else _ZERO_OF_DOUBLE)
    return scattered(found, verdicts)


def _reasons(text: pa.Array, column: Column, rounds: pa.BooleanArray | None) -> pa.Array:
    plain = misfit_reasons(text, expectation(column.dtype))
    if rounds is not None:
        digits = f"' has more digits than a {type_name(column.dtype)} keeps"
        plain = pc.if_else(rounds, pc.binary_join_element_wise("'", text, digits, ""), plain)
    if pa.types.is_temporal(column.dtype) or pa.types.is_boolean(column.dtype):
        return plain
    zeros = pc.binary_join_element_wise("'", text, "' would lose its leading zeros as a number", "")
    return pc.if_else(pc.fill_null(pc.match_substring_regex(text, _ZERO_OF_DOUBLE), fill_value=False), zeros, plain)
