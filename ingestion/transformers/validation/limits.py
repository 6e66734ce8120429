"""What a job file writes as a value becomes a value of the column's type, exactly or not at all."""

from datetime import date, time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Annotated, Any, TypeAlias

import pyarrow as pa
import pyarrow.types as t
from pydantic import BeforeValidator

from ingestion.errors import ConfigError
from ingestion.parsing import cast_text, expectation, type_name
from ingestion.transformers.validation.shape import Site

__all__ = ["Given", "bound", "fits", "typed"]


def _written(value: Any) -> Any:
    """Dates and times, which other readers of YAML make of such texts, as the texts that they were."""
    return str(value) if isinstance(value, date | time) else value


Given: TypeAlias = Annotated[bool | int | float | str, BeforeValidator(_written)]
"""A value as YAML has it; dates and times are text, in ISO 8601."""

_DIGITS = 80  # more than the widest decimal has, and any shift of its point


def fits(dtype: pa.DataType) -> bool:
    """Whether `bound` and `typed` make values of this type, which Arrow compares: no float16, no duration, no list."""
    numbers = (t.is_integer, t.is_float32, t.is_float64, t.is_decimal)
    kinds = (*numbers, t.is_date, t.is_time, t.is_timestamp, t.is_binary, t.is_large_binary)
    return _is_text(dtype) or any(kind(dtype) for kind in kinds)


def typed(value: Given, dtype: pa.DataType, site: Site, option: str) -> pa.Scalar:
    """The *value* in a column's type; raises ConfigError that names the *option* where it does not fit."""
    if _is_text(dtype):
        if isinstance(value, bool | float):
            raise ConfigError(f"{site.key}.{option}: {value!r} is no text, but the column is; write it in quotes")
        return pa.scalar(str(value), dtype)
    if isinstance(value, bool) and not t.is_boolean(dtype):
        raise ConfigError(f"{site.key}.{option}: {value!r} is no value of a column that is {type_name(dtype)}")
    values, misfits = cast_text(pa.array([str(value)]), _readable(dtype), timezone=site.zone)
    if misfits[0].as_py() or not values[0].is_valid:
        raise ConfigError(f"{site.key}.{option}: {value!r} is not {expectation(dtype)}, which the column is")
    try:
        return values.cast(dtype)[0]
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"{site.key}.{option}: {value!r} is beyond {type_name(dtype)}, which the column is"
        ) from error


def bound(value: Given, dtype: pa.DataType, site: Site, *, upper: bool) -> pa.Scalar:
    """The *value* as a limit of a column's values, moved inwards to the next value that the type has."""
    option = "max" if upper else "min"
    if t.is_integer(dtype) or t.is_decimal(dtype):
        return _inwards(value, dtype, site, option)
    if _is_text(dtype) and not isinstance(value, str):
        raise ConfigError(
            f"{site.key}.{option}: {value!r} is a number, but the column is text; make it a number with "
            f"transformer.types or numeric_columns, or write the limit in quotes to compare texts"
        )
    return typed(value, dtype, site, option)


def _inwards(value: Given, dtype: pa.DataType, site: Site, option: str) -> pa.Scalar:
    scale = dtype.scale if t.is_decimal(dtype) else 0
    try:
        exact = Decimal("nan") if isinstance(value, bool) else Decimal(str(value))
        with localcontext(prec=_DIGITS):
            units = exact.scaleb(scale).to_integral_value(ROUND_FLOOR if option == "max" else ROUND_CEILING)
            limit = units.scaleb(-scale)
        own = _scalar(limit if scale else int(limit), dtype)
        return pa.scalar(limit, pa.decimal128(38, scale)) if own is None else own
    except (ArithmeticError, ValueError, pa.ArrowInvalid) as error:
        raise ConfigError(
            f"{site.key}.{option}: {value!r} is no number that {type_name(dtype)} compares with"
        ) from error


def _scalar(value: Decimal | int, dtype: pa.DataType) -> pa.Scalar | None:
    """The value in this type, whose comparisons are fast; None where it is beyond its range."""
    try:
        return pa.scalar(value, dtype)
    except (pa.ArrowInvalid, OverflowError):
        return None


def _is_text(dtype: pa.DataType) -> bool:
    return bool(t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype))


def _readable(dtype: pa.DataType) -> pa.DataType:
    """The type of the job vocabulary that texts are read as on their way to *dtype*."""
    if t.is_integer(dtype):
        return pa.int64()
    if t.is_date64(dtype):
        return pa.date32()
    if t.is_time(dtype):
        return pa.time64("us")
    return dtype
