"""The rule that a condition over the columns of a row is true."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.plugins import Origin
from ingestion.secrets import redact
from ingestion.transformers.expressions import Expression, Results
from ingestion.transformers.expressions.fields import ExpressionText
from ingestion.transformers.validation.shape import Judge, Rule, Site, shown

__all__ = ["Condition"]

_SHOWN = 100  # characters of a condition


class Condition(Rule):
    """Asks for rows that meet a condition."""

    whole: ClassVar[bool] = True

    rule: Literal["expression"] = "expression"
    """A condition over the columns of the row is not false; column may say which one it is about."""
    expression: ExpressionText
    """The condition, as SQL over the columns of a row: price > 0. A row for which it is null keeps the rule, one for
    which it has no result, as after a division by zero, breaks it."""

    @property
    def demand(self) -> str:
        """The condition, without secrets."""
        text = redact(self.expression)
        return f"meets {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"

    def judge(self, columns: tuple[str, ...], site: Site) -> Judge:
        """What evaluates the condition."""
        del columns
        expression = Expression.parse(self.expression, site.zone)
        return _Meeting(expression, f"does not meet {self.demand.removeprefix('meets ')}", site)

    def subjects(self) -> Iterator[tuple[str, ...]]:
        """The column that it is said to be about, if one is."""
        yield (self.column,) if self.column else ()

    def contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        if self.columns:
            yield "columns: an expression names its columns itself; take columns out, or name one in column"


class _Meeting(Judge):
    def __init__(self, expression: Expression, complaint: str, site: Site) -> None:
        self._expression = expression
        self._complaint = complaint
        self._place = f"{site.key}.expression"
        self._origin = Origin("")

    def stand(self, origin: Origin) -> None:
        self._origin = origin

    def broken(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        results = self._results(rows)
        false = pc.invert(pc.fill_null(results.values, fill_value=True))
        return false if not len(results.faulty) else pc.or_(false, _mask(results.faulty, rows.num_rows))

    def reasons(self, rows: pa.RecordBatch) -> pa.Array:
        results = self._results(rows)
        operands = [
            pc.binary_join_element_wise(f"{name} = ", pc.fill_null(shown(rows.column(name)), "null"), "")
            for name in self._expression.columns
        ]
        if operands:
            told = pc.binary_join_element_wise(*operands, ", ")
            sentences = pc.binary_join_element_wise(f"{self._complaint} (", told, ")", "")
        else:
            sentences = pa.array([self._complaint] * rows.num_rows, pa.string())
        faults = pc.binary_join_element_wise("cannot be judged, ", results.reasons, "")
        return pc.replace_with_mask(sentences, _mask(results.faulty, rows.num_rows), faults)

    def _results(self, rows: pa.RecordBatch) -> Results:
        return self._expression.decide(rows, self._place, self._origin)


def _mask(rows: pa.Array, count: int) -> pa.BooleanArray:
    return pc.is_in(pa.array(range(count), pa.int64()), value_set=pc.cast(rows, pa.int64()))
