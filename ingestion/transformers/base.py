"""The transformer that every job has unless it names another: its options are those of its parts, in order."""

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pydantic import model_validator
from typing_extensions import Self

from ingestion.plugins import Batch, Check, Transformer, remembering
from ingestion.secrets import placeholders
from ingestion.stream import by_cleaned_names
from ingestion.transformers.cleaning import Cleaning
from ingestion.transformers.converting import Converting
from ingestion.transformers.deduplicating import Deduplicating
from ingestion.transformers.exploding import Exploding
from ingestion.transformers.filtering import Filters
from ingestion.transformers.masking import Masking
from ingestion.transformers.naming import Naming
from ingestion.transformers.steps import Step
from ingestion.transformers.transformations.shape import Place
from ingestion.transformers.transforming import Transforming
from ingestion.transformers.validation.validating import Validating

__all__ = ["BaseTransformer"]


class BaseTransformer(
    Validating, Deduplicating, Masking, Exploding, Transforming, Filters, Cleaning, Converting, Naming, Transformer
):
    """Renames columns, makes dates, numbers and booleans of text, filters, calculates and validates, in that order.

    All options but column_mapping use the new names. Rows with a value that does not fit go to quarantine, unless
    on_conversion_error says otherwise; none is ever lost.
    """

    type: Literal["base"] = "base"

    def wants(self, known: pa.Schema | None) -> pa.Schema | None:
        """Columns to convert as text, those that pass as they are as *known* has them; all as the source names them."""
        old_names = {new: old for old, new in self.column_mapping.items()}
        written = self.written()
        passing = () if known is None or written is None else (field for field in known if field.name not in written)
        wanted = {field.name: field.type for field in passing}
        wanted |= dict.fromkeys([*self.converted(), *self._masked_as_read()], pa.string())
        moved = self.column_mapping.keys() - old_names.keys()
        fields = [(old_names.get(name, name), dtype) for name, dtype in wanted.items() if name not in moved]
        if not fields:
            return None
        return by_cleaned_names(pa.schema(fields)) if self.clean_column_names else pa.schema(fields)

    def written(self) -> frozenset[str] | None:
        """The columns that steps other than conversions create or change; None = any."""
        made = self._made()
        return None if made is None else made | self.mask.keys()

    def _made(self) -> frozenset[str] | None:
        """Those that they create or change before columns are masked; None = any."""
        parts = [self.transforming_written(), self.flattening_written(self.mask), self.exploding_written()]
        return None if None in parts else frozenset().union(*(part for part in parts if part))

    def _masked_as_read(self) -> list[str]:
        """The masked columns that no step makes; as text, so that a value is masked alike whatever its neighbours."""
        made = self._made()
        return [] if made is None else [column for column in self.mask if column not in made]

    @property
    def checks(self) -> tuple[Check, ...]:
        """The rules of `validation`."""
        return self.validation_checks()

    @property
    def combines(self) -> str | None:
        """The transformation that may make a row of several."""
        return self.transforming_combines()

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches after every step."""
        return self.curtained(remembering(batches), self._changed, self.renamed, self._made())

    def _changed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for step in self.steps():
            batches = step.apply(batches)
        return batches

    def steps(self) -> Iterator[Step]:
        """What happens to the rows, in order; made anew for each run."""
        yield from self.naming_steps()
        yield from self.conversion_steps()
        yield from self.cleaning_steps()
        yield from self.filtering_steps(self._place)
        yield from self.transforming_steps(self._place)
        yield from self.flattening_steps()
        yield from self.exploding_steps()
        yield from self.masking_steps()
        yield from self.deduplicating_steps()
        yield from self.validation_steps(self.timezone)

    @property
    def _place(self) -> Place:
        return Place("transformer", self.on_conversion_error, self.hidden(self._made()), self.timezone)

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if placeholders({**self.as_written(), "mask_key": None}):
            return self
        for problem in self._contradictions():
            raise ValueError(problem)
        return self

    def _contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        yield from self.naming_contradictions()
        yield from self.conversion_contradictions()
        yield from self.transforming_contradictions(masked=bool(self.mask))
        yield from self.exploding_contradictions()
        yield from self.masking_contradictions()
        yield from self.deduplicating_contradictions()
        yield from self.validation_contradictions()
