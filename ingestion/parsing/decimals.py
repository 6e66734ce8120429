"""Exact decimals of text; Arrow's own cast wraps beyond 38 digits and misreads exponents, both unnoticed."""

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.parsing.matching import cast_or_null, matching

__all__ = ["is_cast_safely", "read_decimals"]

_LONGEST_SAFE = 38  # characters, with the zeros that the scale adds to them
_EXPONENT = r"[eE]"
_SCIENTIFIC = r"^([+-]?)(\d+\.?\d*|\.\d+)[eE]([+-]?\d{1,2})$"
_ZEROS = "0" * 200  # more than a long mantissa and two digits of exponent can need


def is_cast_safely(text: pa.Array, dtype: pa.Decimal128Type) -> bool:
    """Whether Arrow's cast to that decimal is right, or refuses, for every value."""
    if (pc.max(pc.binary_length(text)).as_py() or 0) + dtype.scale > _LONGEST_SAFE:
        return False
    exponents = pc.or_(pc.match_substring(text, "e"), pc.match_substring(text, "E"))
    return not pc.any(exponents).as_py()


def read_decimals(text: pa.Array, dtype: pa.Decimal128Type) -> pa.Array:
    """The decimals that fit precision and scale without rounding, and null."""
    bare = matching(_without_exponents(text), r"^[+-]?(?:\d+\.?\d*|\.\d+)$")
    for pattern, replacement in ((r"^([+-]?)0+", r"\1"), (r"(\.\d*?)0+$", r"\1"), (r"\.$", ""), (r"^[+-]?$", "0")):
        bare = pc.replace_substring_regex(bare, pattern, replacement)
    digits = dtype.precision - dtype.scale
    fraction = rf"(?:\.\d{{1,{dtype.scale}}})?" if dtype.scale else ""
    return cast_or_null(matching(bare, rf"^(?:[+-]?\d{{0,{digits}}}{fraction}|0)$"), dtype)


def _without_exponents(text: pa.Array) -> pa.Array:
    """*text* with numbers such as 1.25e-3 written out as .00125."""
    if not pc.any(pc.match_substring_regex(text, _EXPONENT)).as_py():
        return text
    import polars as pl

    zeros = pl.lit(_ZEROS)
    sign, mantissa, exponent = (pl.col("text").str.extract(_SCIENTIFIC, group) for group in (1, 2, 3))
    whole, rest = (mantissa.str.extract(r"^(\d*)\.?(\d*)$", group) for group in (1, 2))
    decimals = rest.str.len_bytes().cast(pl.Int64) - exponent.cast(pl.Int64)
    digits = zeros + whole + rest + zeros.str.head((-decimals).clip(lower_bound=0))
    after = decimals.clip(lower_bound=0)
    before = digits.str.head(digits.str.len_bytes() - after)
    written = sign + before + pl.lit(".") + digits.str.tail(after)
    frame = pl.DataFrame({"text": pl.from_arrow(text)}).select(pl.coalesce(written, "text"))
    return pc.cast(frame.to_series().to_arrow(), pa.string())
