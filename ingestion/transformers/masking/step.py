"""The step that masks columns."""

from collections.abc import Mapping

import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.plugins import Batch
from ingestion.transformers.masking.methods import Masker
from ingestion.transformers.steps import BatchStep

__all__ = ["MaskColumns", "lacking"]


class MaskColumns(BatchStep):
    """Masks columns of every batch; rows that lack one of them go no further, for it may have another name there."""

    def __init__(self, maskers: Mapping[str, Masker]) -> None:
        self._maskers = maskers
        self._seen: set[str] = set()
        self._read = False  # whether any column was seen

    def change(self, batch: Batch) -> Batch:
        """The batch with masked columns as text; raises ConfigError where rows lack one of them."""
        records = batch.records
        self._read = True
        for column, masker in self._maskers.items():
            place = records.schema.get_field_index(column)
            if place >= 0:
                self._seen.add(column)
                field = records.schema.field(place).with_type(pa.string()).with_nullable(nullable=True)
                records = records.set_column(place, field, masker.mask(records[place], column))
            elif records.num_rows:
                raise lacking(column, f" in {batch.origin.source}")
        return batch._replace(records=records)

    def finish(self) -> None:
        """Raise ConfigError for a column that no batch had."""
        for column in self._maskers if self._read else ():
            if column not in self._seen:
                raise lacking(column, "")


def lacking(column: str, place: str) -> ConfigError:
    """What to raise; it does not name the columns that there are: in a file without its header they are values."""
    return ConfigError.without_values(
        f"transformer.mask: there is no column {column!r}{place}, and under another name it would not be masked; "
        f"correct the name in mask, which is the one after column_mapping and transformations, or mend the source"
    )
