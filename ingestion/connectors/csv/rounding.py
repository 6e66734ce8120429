"""Which numbers have more digits than a float keeps."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["inexact", "rounded", "scattered"]

_KEPT = {pa.float16(): (5, 1 << 11), pa.float32(): (9, 1 << 24), pa.float64(): (17, 1 << 53)}
"""The most digits that a float of each type needs, and the first whole number of which it may not tell the next."""

_Plain = Callable[[pa.Array], pa.Array]


def inexact(text: pa.Array, values: pa.Array, plain: _Plain) -> pa.BooleanArray | None:
    """Which of *text*, read as *values*, have more digits than is certain to be kept; None where none has.

    *plain* writes numbers with a point alone. Large ones with an exponent are taken as they are meant.
    """
    digits, whole = _KEPT[values.type]
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    if longest < len(str(whole)):
        return None
    sizes = pc.abs(values)
    found = pc.greater_equal(sizes, pa.scalar(whole, values.type))
    if longest > digits + 1:  # a point is among them, or the number is large
        bare = pc.ascii_ltrim(text, characters="+-0. ")
        points = pc.cast(pc.greater(sizes, pa.scalar(1, values.type)), pa.int32())  # counting them takes much longer
        found = pc.or_(found, pc.greater(pc.subtract(pc.binary_length(bare), points), digits))
    found = pc.fill_null(found, fill_value=False)
    if not pc.any(found).as_py():
        return None
    return _scattered_if_any(found, _surely(plain(_trimmed(text, found)), values.filter(found)))


def rounded(text: pa.Array, values: pa.Array, plain: _Plain) -> pa.BooleanArray | None:
    """Which of *text* have another value than their float, and another than what is shown for it; None if none has."""
    found = inexact(text, values, plain)
    if found is None:
        return None
    pairs = zip(plain(_trimmed(text, found)), values.filter(found), strict=True)
    return _scattered_if_any(found, pa.array([not _same(number.as_py(), value) for number, value in pairs], pa.bool_()))


def scattered(mask: pa.BooleanArray, verdicts: pa.BooleanArray) -> pa.BooleanArray:
    """*verdicts* where *mask* is true, and false elsewhere."""
    return pc.replace_with_mask(pa.repeat(pa.scalar(value=False), len(mask)), mask, verdicts)


def _scattered_if_any(mask: pa.BooleanArray, verdicts: pa.BooleanArray) -> pa.BooleanArray | None:
    return scattered(mask, verdicts) if pc.any(verdicts).as_py() else None


def _trimmed(text: pa.Array, mask: pa.BooleanArray) -> pa.Array:
    return pc.utf8_trim_whitespace(text.filter(mask))


def _surely(numbers: pa.Array, values: pa.Array) -> pa.BooleanArray:
    """Which of these numbers, judged by each digit, have too many."""
    digits, whole = _KEPT[values.type]
    mantissas = pc.replace_substring_regex(numbers, r"[eE].*$", "")
    bare = pc.replace_substring(pc.ascii_ltrim(mantissas, characters="+-0."), ".", "")
    large = pc.and_(pc.greater_equal(pc.abs(values), pa.scalar(whole, values.type)), pc.is_finite(values))
    return pc.or_(pc.greater(pc.binary_length(bare), digits), pc.and_(large, pc.equal(mantissas, numbers)))


def _same(number: str, value: pa.Scalar) -> bool:
    try:
        return Decimal(number) in (Decimal(value.as_py()), Decimal(value.cast(pa.string()).as_py()))
    except InvalidOperation:  # written as only those understand who read it
        return True
