"""The transformer that every job has unless it names another: its options are those of its parts, in order."""

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pydantic import model_validator
from typing_extensions import Self

from ingestion.plugins import Batch, Transformer, remembering
from ingestion.secrets import placeholders
from ingestion.transformers.converting import Converting
from ingestion.transformers.naming import Naming
from ingestion.transformers.steps import Step

__all__ = ["BaseTransformer"]


class BaseTransformer(Converting, Naming, Transformer):
    """Renames columns, then makes dates, numbers and booleans of text; a value that does not fit is never lost.

    All options but column_mapping use the new names. Rows with such a value go to quarantine, unless
    on_conversion_error says otherwise.
    """

    type: Literal["base"] = "base"

    def wants(self, known: pa.Schema | None) -> pa.Schema | None:
        """Columns to convert as text, all others as *known* has them; under the names that the source gives them."""
        old_names = {new: old for old, new in self.column_mapping.items()}
        wanted = {field.name: field.type for field in known or ()}
        wanted |= dict.fromkeys(self.converted(), pa.string())
        moved = self.column_mapping.keys() - old_names.keys()
        fields = [(old_names.get(name, name), dtype) for name, dtype in wanted.items() if name not in moved]
        return pa.schema(fields) if fields else None

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches after every step."""
        batches = remembering(batches)
        for step in self.steps():
            batches = step.apply(batches)
        return batches

    def steps(self) -> Iterator[Step]:
        """What happens to the rows, in order; made anew for each run."""
        yield from self.naming_steps()
        yield from self.conversion_steps()

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if placeholders(self.as_written()):
            return self
        for problem in self._contradictions():
            raise ValueError(problem)
        return self

    def _contradictions(self) -> Iterator[str]:
        """Sentences on options that cannot all hold."""
        yield from self.naming_contradictions()
        yield from self.conversion_contradictions()
