"""Columns of text become typed columns; what does not fit is rejected, or asks for a wider type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.connectors.csv.inference import Rules, exact_as_double, infer, join
from ingestion.parsing import expectation, misfit_reasons

__all__ = ["Column", "Misfit", "Typed", "typed"]

_ZERO = r"^\s*-?0\d|^\s*-0\s*$"
_ZERO_OF_DOUBLE = r"^\s*-?0\d"
_EXACT_IN_DOUBLE = float(1 << 53)


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
        values, mask = _cast(text, column, rules)
        result.columns.append(values)
        if mask is None:
            continue
        if column.settled == "free":
            wider[column.name] = _wider(column.dtype, text.filter(mask), rules)
        else:
            result.misfits.append(Misfit(column.name, mask, _reasons(text, column)))
    return result._replace(wider=wider)


def _cast(text: pa.Array, column: Column, rules: Rules) -> tuple[pa.Array, pa.BooleanArray | None]:
    values, mask = rules.cast(text, column.dtype, free=column.settled == "free")
    bent = _bent(text, values, column, rules)
    if bent is not None:
        mask = pc.or_(mask, pc.fill_null(bent, fill_value=False))
    return values, mask if pc.any(mask).as_py() else None


def _wider(dtype: pa.DataType, misfits: pa.Array, rules: Rules) -> pa.DataType:
    found = join(dtype, infer(misfits, rules))
    return pa.string() if found is None or found == dtype else found


def _bent(text: pa.Array, values: pa.Array, column: Column, rules: Rules) -> pa.BooleanArray | None:
    """Which texts would come back otherwise than they went in, though they are numbers."""
    dtype = values.type
    if not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)):
        return None
    if column.settled == "hinted":
        return None
    bent = None
    if rules.leading_zeros:
        bent = _leading_zeros(text, dtype)
    if column.settled == "known":
        return bent
    signed = pc.starts_with(text, "+")
    if pc.any(signed).as_py():
        bent = signed if bent is None else pc.or_(bent, signed)
    if pa.types.is_floating(dtype):
        large = pc.and_(pc.greater_equal(pc.abs(values), _EXACT_IN_DOUBLE), pc.is_finite(values))
        if pc.any(large).as_py() and not exact_as_double(pc.utf8_trim_whitespace(text.filter(large))):
            bent = large if bent is None else pc.or_(bent, large)
    return bent


def _leading_zeros(text: pa.Array, dtype: pa.DataType) -> pa.BooleanArray | None:
    """Which texts have zeros that a number would lose; the regular expression sees only the few that may."""
    whole = pa.types.is_integer(dtype)
    suspects = None
    for start in ("0", "-0", " "):
        found = pc.starts_with(text, start)
        if pc.any(found).as_py():
            found = found if whole else pc.and_(found, pc.invert(pc.starts_with(text, f"{start}.")))
            suspects = found if suspects is None else pc.or_(suspects, found)
    if suspects is None or not pc.any(suspects).as_py():
        return None
    suspects = pc.fill_null(suspects, fill_value=False)
    verdicts = pc.match_substring_regex(text.filter(suspects), _ZERO if whole else _ZERO_OF_DOUBLE)
    return pc.replace_with_mask(pa.repeat(pa.scalar(value=False), len(text)), suspects, verdicts)


def _reasons(text: pa.Array, column: Column) -> pa.Array:
    plain = misfit_reasons(text, expectation(column.dtype))
    if pa.types.is_temporal(column.dtype) or pa.types.is_boolean(column.dtype):
        return plain
    zeros = pc.binary_join_element_wise("'", text, "' would lose its leading zeros as a number", "")
    return pc.if_else(pc.fill_null(pc.match_substring_regex(text, _ZERO_OF_DOUBLE), fill_value=False), zeros, plain)
