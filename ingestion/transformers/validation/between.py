"""The rule that values lie within limits."""

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.transformers.validation.limits import Given, bound, fits
from ingestion.transformers.validation.shape import ColumnJudge, ColumnRule, Site, shown

__all__ = ["Between"]


class Between(ColumnRule):
    """Asks for a value within limits."""

    rule: Literal["between"] = "between"
    """The value is at least min and at most max."""
    min: Given | None = None
    """The least value that is fine; dates and times are written in ISO 8601, and compared in the column's type."""
    max: Given | None = None
    """The greatest value that is fine; a date means the very start of its day where the column is a timestamp."""

    @property
    def demand(self) -> str:
        """The limits."""
        limits = (("at least", self.min), ("at most", self.max))
        return "is " + " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)

    def column_judge(self, column: str, site: Site) -> ColumnJudge:
        """What compares the values."""
        return _Comparing(column, site, self)

    def contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        yield from super().contradictions()
        if self.min is None and self.max is None:
            yield "give min, max or both"
        numbers = [limit for limit in (self.min, self.max) if isinstance(limit, int | float)]
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            yield f"min ({self.min}) is more than max ({self.max})"


class _Comparing(ColumnJudge):
    def __init__(self, column: str, site: Site, rule: Between) -> None:
        super().__init__(column, site)
        self._rule = rule
        self._least: pa.Scalar | None = None
        self._greatest: pa.Scalar | None = None

    def meet(self, dtype: pa.DataType) -> None:
        if not fits(dtype):
            raise self.unfit(dtype, "between compares numbers, dates, times and texts", "use another rule")
        least, greatest = self._rule.min, self._rule.max
        self._least = None if least is None else bound(least, dtype, self.site, upper=False)
        self._greatest = None if greatest is None else bound(greatest, dtype, self.site, upper=True)

    def kept(self, values: pa.Array) -> pa.BooleanArray:
        if self._greatest is None:
            return pc.greater_equal(values, self._least)
        fine = pc.less_equal(values, self._greatest)
        return fine if self._least is None else pc.and_(fine, pc.greater_equal(values, self._least))

    def complaints(self, values: pa.Array) -> pa.Array:
        too_much = pa.repeat(pa.scalar(value=False), len(values))
        too_little = too_much
        if self._greatest is not None:
            too_much = pc.greater(values, self._greatest)
        if self._least is not None:
            too_little = pc.less(values, self._least)
        limits = pc.case_when(
            pa.StructArray.from_arrays([too_much, too_little], ["much", "little"]),
            f", more than {self._rule.max}",
            f", less than {self._rule.min}",
            ", which nothing compares with",  # NaN
        )
        return pc.binary_join_element_wise("is ", shown(values), limits, "")
