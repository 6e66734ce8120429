"""Why a text is no number, where more is known than the type that was expected."""

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.parsing import expectation, keep, misfit_reasons
from ingestion.transformers.dates import advised

__all__ = ["number_reasons"]

_LIKE_A_NUMBER = r"^[^\p{L}\p{Sc}]*\d[^\p{L}\p{Sc}]*(?:[eE][+-]?\d+)?\s*$|^\s*[+-]?(?i:nan|inf|infinity)\s*$"
_BY_COMMA = "decimals are separated by a comma here, as transformer.decimal_separator says"
_BY_POINT = "decimals are separated by a point; where a comma does, set transformer.decimal_separator: ','"
_HINTS = {  # by the separator that is set: what else was written
    ",": (r"^[^,]*\.[^.,]*$", _BY_COMMA),
    ".": (r"^[^.]*,[^.,]*$", _BY_POINT),
}


def number_reasons(text: pa.Array, dtype: pa.DataType, decimal: str | None) -> pa.Array:
    """One sentence for each text that is no number of *dtype*; *decimal* separates decimals, None = what fits."""
    expected = expectation(dtype)
    if decimal == ",":
        expected = expected.replace("after the point", "after the comma")
    reasons = misfit_reasons(text, expected)
    if pa.types.is_integer(dtype):
        return reasons
    like = pc.match_substring_regex(text, _LIKE_A_NUMBER)
    reasons = pc.if_else(like, reasons, misfit_reasons(text, "a number"))
    if decimal not in _HINTS:
        return reasons
    pattern, hint = _HINTS[decimal]
    other = pc.and_(like, pc.match_substring_regex(text, pattern))
    return advised(reasons, keep(pa.repeat(pa.scalar(hint, pa.string()), len(text)), other))
