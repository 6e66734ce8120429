"""The option that keeps rows by conditions."""

from collections.abc import Iterator

from ingestion.plugins import Model
from ingestion.transformers.calculating import Filtering
from ingestion.transformers.expressions.fields import ExpressionText
from ingestion.transformers.steps import Step
from ingestion.transformers.transformations.shape import Place

__all__ = ["Filters"]


class Filters(Model):
    """Keeps the rows that meet conditions."""

    filters: list[ExpressionText] = []
    """Conditions that a row has to meet, all of them, as SQL over its columns: quantity > 0. Rows for which one is
    false or null are left out and counted."""

    def filtering_steps(self, place: Place) -> Iterator[Step]:
        """The filters, in order."""
        for index, condition in enumerate(self.filters):
            yield Filtering(condition, place._replace(key=f"{place}.filters[{index}]"))
