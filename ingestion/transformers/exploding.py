"""The option that makes a row of each item of a list."""

from collections.abc import Iterator

from ingestion.model import Names
from ingestion.transformers.flattening import Flattening
from ingestion.transformers.items import RowsOfItems
from ingestion.transformers.steps import Step

__all__ = ["Exploding"]


class Exploding(Flattening):
    """Makes a row of each item of a list."""

    explode: Names = []
    """A column with lists, or several: each item becomes a row of its own, beside the other columns' values. Several
    have equally many items in each row, or the row is rejected. No list, or one without items, is one row with null."""

    def exploding_steps(self) -> Iterator[Step]:
        """The rows of the items, and the columns of their fields where flatten is set."""
        if self.explode:
            yield RowsOfItems(self.explode)
            yield from self.flattening_steps(self.explode)

    def exploding_written(self) -> frozenset[str]:
        """The columns that hold items afterwards."""
        return frozenset(self.explode)

    def exploding_contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        for name in sorted(set(self.explode)):
            if self.explode.count(name) > 1:
                yield f"explode: column {name!r} is named {self.explode.count(name)} times; name it once"
