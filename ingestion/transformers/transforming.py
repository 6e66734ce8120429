"""The option that changes rows and columns step by step, in the order of a list."""

from collections.abc import Iterator

from ingestion.plugins import Model
from ingestion.transformers.steps import Step
from ingestion.transformers.transformations.kinds import AnyTransformation
from ingestion.transformers.transformations.shape import Place

__all__ = ["Transforming"]


class Transforming(Model):
    """Changes rows and columns, one transformation after the other."""

    transformations: list[AnyTransformation] = []
    """Changes in order, each {type: ...} with its options, or {add_column: {...}} for short: add_column,
    rename_columns, filter, drop_columns, select, sql, python."""

    def transforming_steps(self, place: Place) -> Iterator[Step]:
        """What the transformations do, in order."""
        for index, transformation in enumerate(self.transformations):
            yield from transformation.steps(place._replace(key=f"{place}.transformations[{index}]"))

    def transforming_combines(self) -> str | None:
        """The first transformation that may make a row of several, as ``transformations[0]``; None = none does."""
        combining = (index for index, each in enumerate(self.transformations) if each.combines_rows)
        return next((f"transformations[{index}]" for index in combining), None)

    def transforming_contradictions(self, *, masked: bool) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        for index, transformation in enumerate(self.transformations):
            if masked and transformation.holds_rows:
                yield (
                    f"transformations[{index}]: over: load has all rows wait on disk before mask has changed them; "
                    f"say over: batch, or do without mask"
                )

    def transforming_written(self) -> frozenset[str] | None:
        """The columns that they create or change; None = any."""
        written: frozenset[str] = frozenset()
        for transformation in self.transformations:
            columns = transformation.written()
            if columns is None:
                return None
            written |= columns
        return written
