"""The options that tidy values: blanks at the ends of texts, and values that are missing."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Discriminator, Field, Tag

from ingestion.model import Names
from ingestion.plugins import Batch, Model
from ingestion.transformers.missing import Filling
from ingestion.transformers.steps import BatchStep, Seen, Step, kept

__all__ = ["Cleaning"]

_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u180e\u200b\u200c\u200d\u2060\ufeff"
_RULE = "handle_missing_values"


class DropMissing(Model):
    """Leaves rows out."""

    drop: Names = Field(min_length=1)
    """The column or columns that a row needs a value in."""


class FillMissing(Model):
    """Puts values where none are."""

    fill_null: dict[str, bool | int | float | str] | bool | int | float | str
    """The value, for all columns whose type it fits; or {column: value}."""


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "word"
    keys = value.keys() if isinstance(value, dict) else {key for key in ("fill_null",) if hasattr(value, key)}
    return "fill" if "fill_null" in keys else "drop"


Missing: TypeAlias = Annotated[
    Annotated[Literal["none", "drop"], Tag("word")]
    | Annotated[DropMissing, Tag("drop")]
    | Annotated[FillMissing, Tag("fill")],
    Discriminator(_form),
]


class Cleaning(Model):
    """Tidies values."""

    trim: bool | list[str] = False
    """Take blanks off both ends of texts, those that nobody sees included: in all columns of text, or in those of a
    list. A text of blanks alone becomes the empty text, not null."""
    handle_missing_values: Missing = "none"
    """What becomes of nulls: none leaves them, drop leaves out rows that have any, {drop: [columns]} those that have
    one there, {fill_null: value} or {fill_null: {column: value}} puts a value in their place."""

    def cleaning_steps(self) -> Iterator[Step]:
        """Trimming, then what becomes of nulls."""
        if self.trim:
            yield _Trimming(None if self.trim is True else self.trim)
        missing = self.handle_missing_values
        if missing == "drop":
            yield _Dropping(None)
        elif isinstance(missing, DropMissing):
            yield _Dropping(missing.drop)
        elif isinstance(missing, FillMissing):
            yield Filling(missing.fill_null)


class _Columns(BatchStep):
    """Looks at some columns, or all; files may differ in what they have."""

    option: str

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = columns
        self._seen = Seen()

    def _present(self, records: pa.RecordBatch) -> list[str]:
        names = records.schema.names
        self._seen.note(names)
        return [name for name in names if self._columns is None or name in self._columns]

    def finish(self) -> None:
        """Raise ConfigError for a column that no batch had."""
        self._seen.require(self._columns or (), self.option)


class _Trimming(_Columns):
    option = "trim"

    def change(self, batch: Batch) -> Batch:
        """The batch without blanks at the ends of its texts."""
        records = batch.records
        for name in self._present(records):
            index = records.schema.get_field_index(name)
            values = _trimmed(records.column(index))
            if values is not None:
                records = records.set_column(index, records.schema.field(index), values)
        return batch._replace(records=records)


def _trimmed(values: pa.Array) -> pa.Array | None:
    """The texts without blanks at the ends; None where the values are no texts."""
    if pa.types.is_dictionary(values.type):
        inner = _trimmed(values.dictionary)
        return None if inner is None else pc.cast(inner.take(values.indices), values.type)
    if pa.types.is_string_view(values.type):
        return pc.cast(pc.utf8_trim(pc.cast(values, pa.string()), characters=_BLANKS), values.type)
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return pc.utf8_trim(values, characters=_BLANKS) if is_text else None


class _Dropping(_Columns):
    option = "handle_missing_values.drop"

    def change(self, batch: Batch) -> Batch:
        """The batch with the rows that have all their values."""
        rows = pa.repeat(pa.scalar(value=True), batch.records.num_rows)
        for name in self._present(batch.records):
            rows = pc.and_(rows, pc.is_valid(batch.records.column(name)))
        return kept(batch, rows, _RULE)
