"""Which numbers have more digits than a float keeps."""

from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["inexact", "rounded", "scattered", "suspects"]

_KEPT = {pa.float16(): (5, 1 << 11), pa.float32(): (9, 1 << 24), pa.float64(): (17, 1 << 53)}
"""The most digits that a float of each type needs, and the first whole number of which it may not tell the next."""


def suspects(text: pa.Array, values: pa.Array) -> pa.BooleanArray | None:
    """Which of *text*, read as *values*, may have too many digits; None where none has, which lengths mostly tell."""
    digits, whole = _KEPT[values.type]
    lengths = pc.binary_length(text)
    if (pc.max(lengths).as_py() or 0) < len(str(whole)):
        return None
    large = pc.greater_equal(pc.abs(values), pa.scalar(whole, values.type))
    long = pc.greater(lengths, digits + 1)  # a point is among them, or the number is large
    found = pc.fill_null(pc.and_(pc.or_(large, long), pc.is_finite(values)), fill_value=False)
    return found if pc.any(found).as_py() else None


def inexact(numbers: pa.Array, values: pa.Array) -> pa.BooleanArray:
    """Which of *numbers* have more digits than is certain to be kept; large ones with an exponent are taken as meant.

    None may be null; *values* are the same numbers, read.
    """
    digits, whole = _KEPT[values.type]
    large = pc.greater_equal(pc.abs(values), pa.scalar(whole, values.type))
    bare = pc.ascii_ltrim(numbers, characters="+-0.")
    found = pc.or_(pc.greater(_digits(bare), digits), large)
    if not pc.any(found).as_py():
        return found
    bare, large = bare.filter(found), large.filter(found)
    mantissas = pc.replace_substring_regex(bare, r"[eE].*$", "")
    plain = pc.equal(pc.binary_length(mantissas), pc.binary_length(bare))
    return scattered(found, pc.or_(pc.greater(_digits(mantissas), digits), pc.and_(large, plain)))


def rounded(numbers: pa.Array, values: pa.Array) -> pa.BooleanArray:
    """Which of *numbers* have another value than the float, and another than what is shown for it."""
    found = inexact(numbers, values)
    kept = zip(numbers.filter(found), values.filter(found), strict=True)
    verdicts = [not _same(number.as_py(), value) for number, value in kept]
    return scattered(found, pa.array(verdicts, pa.bool_()))


def scattered(mask: pa.BooleanArray, verdicts: pa.BooleanArray) -> pa.BooleanArray:
    """*verdicts* where *mask* is true, and false elsewhere."""
    return pc.replace_with_mask(pa.repeat(pa.scalar(value=False), len(mask)), mask, verdicts)


def _digits(bare: pa.Array) -> pa.Array:
    return pc.subtract(pc.binary_length(bare), pc.count_substring(bare, "."))


def _same(number: str, value: pa.Scalar) -> bool:
    try:
        return Decimal(number) in (Decimal(value.as_py()), Decimal(value.cast(pa.string()).as_py()))
    except InvalidOperation:  # written as only those understand who read it
        return True
