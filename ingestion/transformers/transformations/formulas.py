"""Transformations that calculate."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from ingestion.plugins import Batch
from ingestion.transformers.calculating import Filtering, settled
from ingestion.transformers.expressions import Expression
from ingestion.transformers.expressions.fields import ExpressionText
from ingestion.transformers.steps import Step, cut
from ingestion.transformers.transformations.shape import Place, Transformation

__all__ = ["AddColumn", "Filter"]


class AddColumn(Transformation):
    """Adds a column that is calculated from the others of its row."""

    main: ClassVar[str] = "formula"

    type: Literal["add_column"] = "add_column"
    """Add a column that is calculated."""
    name: str = Field(min_length=1)
    """The name of the column; one that is there already is replaced."""
    formula: ExpressionText
    """An SQL expression over the columns of the row, such as price * quantity."""

    def steps(self, place: Place) -> Iterator[Step]:
        """The calculation."""
        yield _Added(self.name, self.formula, place.at("formula"))

    def written(self) -> frozenset[str]:
        """The column."""
        return frozenset([self.name])


class Filter(Transformation):
    """Keeps rows."""

    main: ClassVar[str] = "condition"

    type: Literal["filter"] = "filter"
    """Keep the rows for which a condition is true."""
    condition: ExpressionText
    """An SQL expression over the columns of the row, such as quantity > 0."""

    def steps(self, place: Place) -> Iterator[Step]:
        """The filter."""
        yield Filtering(self.condition, place.at("condition"))

    def written(self) -> frozenset[str]:
        """None: what stays is as it was."""
        return frozenset()


class _Added(Step):
    def __init__(self, name: str, formula: str, place: Place) -> None:
        self._name = name
        self._expression = Expression.parse(formula, place.zone)
        self._place = place

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield each batch with the column; in pieces where the texts in it are long."""
        for batch in batches:
            yield from map(self._changed, cut(batch, self._expression.places(batch.records)))

    def _changed(self, batch: Batch) -> Batch:
        if not batch.records.num_columns:
            return batch
        results = self._expression.evaluate(batch.records, self._place, batch.origin, self._place.hidden)
        batch, values = settled(batch, results, self._place, self._name)
        records = batch.records
        added = pa.field(self._name, values.type)
        if self._name in records.schema.names:
            index = records.schema.get_field_index(self._name)
            records = records.set_column(index, added, values)
        else:
            records = records.append_column(added, values)
        return batch._replace(records=records)
