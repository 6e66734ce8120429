"""The columns of a table or query: what the database calls them, and what they become."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import pyarrow as pa

__all__ = ["Column", "Described", "Order", "decimal_of"]

Order = Literal["", "none", "words", "whole numbers", "whole minutes"]
"""How values follow each other, where their type in tables does not say it.

"none": in no order that this package could ask for, which the order of their texts is not. "words": as somebody has
listed them, so that a new one may come before others. "whole numbers": as these, whatever they become. "whole
minutes": as times of which the server keeps no seconds.
"""

_MOST_DIGITS = 38
_FREE_SCALE = 18  # of decimals whose type says neither how many digits they have nor where the point is


class Column(NamedTuple):
    """One column; `{}` in *fast* and *plain* stands for its quoted name."""

    name: str
    declared: str  # its type as the database writes it
    dtype: pa.DataType  # what it becomes
    fast: str = "{}"  # what the fast path selects: values of *dtype*, or texts of them
    plain: str = "{}"  # what the portable path selects, likewise
    wire: pa.DataType | None = None  # of what is selected; None = as the driver gives it
    fits: str = ""  # a condition, true where the value can be selected at all; empty = always
    text: str = "{}"  # the value as text, to be told where it does not fit
    note: str = ""  # a sentence on why it becomes what it does, where there is a choice
    differs: str = ""  # a condition, true where what is selected is not the value, which is then told as a text
    advice: str = ""  # how to read values that do not fit, for those who have some
    advised: str = ""  # a regular expression found in the values that it is for
    order: Order = ""  # of its values, where *dtype* does not say it
    compared: str = ""  # what has that order; empty = the column itself, or what is selected where that is a text
    unplaced: str = ""  # a condition, true where a value has no place in that order

    @property
    def witnessed(self) -> bool:
        """Whether there may be values that are told beside what is selected."""
        return bool(self.fits or self.differs)

    @property
    def sound(self) -> str:
        """A condition, true where what is selected is the value."""
        return self.fits or (f"NOT ({self.differs})" if self.differs else "1 = 1")


class Described(NamedTuple):
    """What is to be read."""

    columns: Sequence[Column]
    key: Sequence[str] = ()  # the primary key, where all of it is among the columns; empty = none is known
    unique: frozenset[tuple[str, ...]] = frozenset()  # other columns that are unique together

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)


def decimal_of(precision: int | None, scale: int | None) -> pa.DataType:
    """The decimal type for a declared precision and scale; values that need more digits than it has do not fit.

    Tables keep 38 digits; 18 of them are behind the point where neither is declared.
    """
    if precision is None:
        return pa.decimal128(_MOST_DIGITS, _FREE_SCALE)
    scale = scale or 0
    if scale < 0:  # 1,200 with scale -2 has no hundreds behind the point
        return pa.decimal128(min(precision - scale, _MOST_DIGITS), 0)
    return pa.decimal128(min(max(precision, scale), _MOST_DIGITS), min(scale, _MOST_DIGITS))
