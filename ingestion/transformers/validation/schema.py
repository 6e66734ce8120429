"""The step that holds the columns to what the job says that they are."""

from collections.abc import Mapping

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.model import nearest
from ingestion.parsing import parse_type, type_name
from ingestion.plugins import Batch
from ingestion.transformers.steps import BatchStep, Seen

__all__ = ["SchemaValidation"]


class SchemaValidation(BatchStep):
    """Fails the run where a column is missing or has another type; one without any value has every type."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = {column: type_name(parse_type(name)) for column, name in types.items()}
        self._checked: pa.Schema | None = None
        self._seen = Seen()

    def change(self, batch: Batch) -> Batch:
        """The same batch; raises DataError where a column has another type."""
        schema = batch.records.schema
        if schema != self._checked:
            self._checked = schema
            self._seen.note(schema.names)
            for field in schema:
                self._compare(field, batch)
        return batch

    def finish(self) -> None:
        """Raise DataError for a column that no batch had; files may differ in their columns."""
        for column in self._seen.missing(self._types):
            hint = nearest(column, self._seen.names, "there are")
            raise DataError.without_values(
                f"transformer.validate_schema: column {column!r} should be {self._types[column]}, but there is none, "
                f"and nothing was loaded; {hint}"
            )

    def _compare(self, field: pa.Field, batch: Batch) -> None:
        dtype = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        expected, found = self._types.get(field.name), type_name(dtype)
        if expected not in {None, found} and not pa.types.is_null(dtype):
            raise DataError.without_values(
                f"transformer.validate_schema: column {field.name!r} should be {expected}, but it is {found} "
                f"({batch.origin.source}); nothing was loaded. Convert it with transformer.types, or mend the source"
            )
