"""Decimals that a database keeps as doubles."""

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.parsing import cast_text, keep

__all__ = ["exact_decimals"]

_MOST_DIGITS = 15  # of a decimal that no other one of as many digits shares its double with
_EXACT_POWER = 22  # of ten, the greatest that is a double itself


def exact_decimals(values: pa.Array, dtype: pa.Decimal128Type) -> pa.Array:
    """The decimals that were stored as these doubles: those of their shortest texts; null where one has more digits."""
    found = _of_few_digits(values, dtype)
    if found.null_count == values.null_count:
        return found
    rest = pc.and_(pc.is_valid(values), pc.is_null(found))
    texts, _ = cast_text(pc.cast(values.filter(rest), pa.string()), dtype)
    return pc.replace_with_mask(found, rest, texts)


def _of_few_digits(values: pa.Array, dtype: pa.Decimal128Type) -> pa.Array:
    """By arithmetic, which is exact as long as all of it fits a double's 53 bits; null for what may not be."""
    if dtype.scale > _EXACT_POWER:
        return pa.nulls(len(values), dtype)
    power = pa.scalar(10.0**dtype.scale)
    units = pc.round(pc.multiply(pc.cast(values, pa.float64()), power))
    small = pc.less(pc.abs(units), 10.0 ** min(_MOST_DIGITS, dtype.precision))
    same = pc.equal(pc.divide(units, power), values)
    counted = pc.cast(keep(units, pc.and_(small, same)), pa.int64())
    # The same digits with the point where the type has it.
    return pa.Array.from_buffers(dtype, len(counted), pc.cast(counted, pa.decimal128(19, 0)).buffers())
