"""Arithmetic in which nothing is silent: a result that does not fit, or a division by zero, is a fault of its row.

Whole numbers are calculated as longs, with a decimal column or decimal literals exactly, else as doubles.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ingestion.transformers.expressions.stages import Fault, Guarded, nulled

__all__ = ["Decimals", "Doubles", "Moved", "Wholes"]

_SMALLEST, _GREATEST = -(2**63), 2**63 - 1
_ZERO = "division by zero"
_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@dataclass(frozen=True)
class _Arithmetic(Guarded):
    operator: str
    left: str
    right: str

    def _with(self, frame: pl.DataFrame, values: pl.Series, faults: list[Fault]) -> tuple[pl.DataFrame, list[Fault]]:
        return frame.with_columns(nulled(values, faults).alias(self.name)), faults

    def _zeros(self, frame: pl.DataFrame) -> list[Fault]:
        """Where a number is divided by zero."""
        zero = frame[self.right] == 0
        return self.faults(frame, zero & frame[self.left].is_not_null(), _ZERO) if zero.any() else []


@dataclass(frozen=True)
class Wholes(_Arithmetic):
    """+ - * // % of whole numbers; the last two drop the fraction, so that -7 // 2 is -3 and -7 % 2 is -1."""

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        left, right = frame[self.left], frame[self.right]
        if self.operator in _OPERATIONS:
            calculate = _OPERATIONS[self.operator]
            if self._fits(left, right):
                return self._with(frame, calculate(left.cast(pl.Int64), right.cast(pl.Int64)), [])
            values = calculate(left.cast(pl.Int128), right.cast(pl.Int128)).cast(pl.Int64, strict=False)
        else:
            values = self._divided(left, right)
        zeros = self._zeros(frame) if self.operator in ("//", "%") else []
        rows = values.is_null() & left.is_not_null() & right.is_not_null()
        for fault in zeros:
            rows = rows & ~fault.rows
        return self._with(frame, values, zeros + self.faults(frame, rows, "the result has more than 64 bits"))

    def _fits(self, left: pl.Series, right: pl.Series) -> bool:
        ends = [(series.min(), series.max()) for series in (left, right)]
        if any(low is None for low, _ in ends):
            return True
        calculate = _OPERATIONS[self.operator]
        corners = [calculate(int(one), int(other)) for one in ends[0] for other in ends[1]]  # type: ignore[arg-type]
        return all(_SMALLEST <= value <= _GREATEST for value in [*corners, *map(int, [*ends[0], *ends[1]])])  # type: ignore[arg-type]

    def _divided(self, left: pl.Series, right: pl.Series) -> pl.Series:
        """Null where polars would give the whole batch up: at zeros, and at the one quotient that has 65 bits."""
        both = pl.DataFrame({"l": left.cast(pl.Int64, strict=False), "r": right.cast(pl.Int64, strict=False)})
        possible = pl.col("r") != 0
        if self.operator == "//":
            possible &= (pl.col("r") != -1) | (pl.col("l") != _SMALLEST)
        both = both.with_columns(pl.when(possible).then("r").alias("r"))
        return both.select(pl.sql_expr(f"l {self.operator} r")).to_series()


@dataclass(frozen=True)
class Doubles(_Arithmetic):
    """+ - * / // % where one is a double; // drops the fraction, % has the sign of the left one."""

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        left, right = (frame[name].cast(pl.Float64) for name in (self.left, self.right))
        values = self._calculated(left, right)
        if values.is_finite().all():
            return self._with(frame, values, [])
        zeros = self._zeros(frame) if self.operator in ("/", "//", "%") else []
        rows = ~values.is_finite() & left.is_finite() & right.is_finite()
        for fault in zeros:
            rows = rows & ~fault.rows
        return self._with(frame, values, zeros + self.faults(frame, rows, "the result is too large for a double"))

    def _calculated(self, left: pl.Series, right: pl.Series) -> pl.Series:
        if self.operator in _OPERATIONS:
            return _OPERATIONS[self.operator](left, right)  # type: ignore[no-any-return]  # of two series a series
        if self.operator == "/":
            return left / right
        both = pl.DataFrame({"l": left, "r": right})
        return both.select(pl.sql_expr("TRUNC(l / r)" if self.operator == "//" else "l % r")).to_series()


@dataclass(frozen=True)
class Decimals(_Arithmetic):
    """+ - * / // % where one is a decimal and the other no double; what has more than 38 digits is a fault."""

    scale: int  # of the result

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column; polars would give the whole batch up for one row."""
        dividing = self.operator in ("/", "//", "%")
        faults = self._zeros(frame) if dividing else []
        left, right = (frame[name].cast(pl.Float64).abs() for name in (self.left, self.right))
        size = {"*": left * right, "/": left / right, "//": left / right, "%": left}.get(self.operator, left + right)
        large = (size * 10**self.scale >= 0.99e38).fill_null(value=False)
        for fault in faults:
            large = large & ~fault.rows
        if large.any():
            faults = faults + self.faults(frame, large, "the result has more than 38 digits")
        one, other = frame[self.left], frame[self.right]
        bad = large | (other == 0).fill_null(value=False) if dividing else large
        if bad.any():
            one, other = one.set(bad, None), other.set(bad, None)
        both = pl.DataFrame({"l": one, "r": other})
        values = both.select(pl.sql_expr(f"l {self.operator} r")).to_series()
        return self._with(frame, values, faults)


@dataclass(frozen=True)
class Moved(Guarded):
    """Dates and times with an interval, or the interval between two; years go from 1 to 9999."""

    result: pl.Expr

    def run(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The frame with the column."""
        frame = frame.with_columns(self.result.alias(self.name))
        values = frame[self.name]
        if not isinstance(values.dtype, pl.Date | pl.Datetime):
            return frame, []
        years = values.dt.year()
        faults = self.faults(frame, (years < 1) | (years > 9999), "the result is outside of the years 1 to 9999")
        return frame.with_columns(nulled(values, faults)), faults
