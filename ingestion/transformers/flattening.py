"""The option that makes columns of the fields within columns."""

from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Literal, NamedTuple

import pyarrow as pa
from pydantic import Discriminator, Field, Tag

from ingestion.errors import ConfigError
from ingestion.plugins import Batch, Model
from ingestion.transformers.steps import BatchStep, Step

__all__ = ["Flatten", "Flattened", "Flattening"]


class Flatten(Model):
    """How columns are named that were fields, and how deep they may have been."""

    separator: str = "_"
    """What stands between the names: address and city become address_city."""
    max_depth: Annotated[int, Field(ge=1)] | None = None
    """How many levels become columns, counted from the outside; what is deeper stays as it is. All, if not given."""


FlattenOption = Annotated[
    Annotated[Literal["none"], Tag("none")] | Annotated[Flatten, Tag("options")],
    Discriminator(
        lambda value: "none" if isinstance(value, str) else "options",
        custom_error_type="none_or_map",
        custom_error_message="should be none, or a map with separator and max_depth, which may be empty: {}",
    ),
]


class Flattening(Model):
    """Makes columns of the fields within columns."""

    flatten: FlattenOption = "none"
    """Make a column of each field within a column, address_city of city in address: {separator, max_depth}, or {} for
    the defaults. Lists and maps stay as they are."""

    def flattening_steps(self, columns: Collection[str] | None = None) -> Iterator[Step]:
        """The flattening of these columns, or of all, where it is asked for."""
        if isinstance(self.flatten, Flatten):
            yield Flattened(self.flatten, columns)

    def flattening_written(self, columns: Iterable[str]) -> frozenset[str]:
        """Those of *columns* that may be made by it, with the columns that they may be made of."""
        if not isinstance(self.flatten, Flatten):
            return frozenset()
        between = self.flatten.separator
        cuts = [(name, cut) for name in columns for cut in range(1, len(name)) if name[cut:].startswith(between)]
        return frozenset([name for name, _ in cuts] + [name[:cut] for name, cut in cuts])


class Flattened(BatchStep):
    """Puts the fields of struct columns in the place of these, by the schema alone."""

    def __init__(self, options: Flatten, columns: Collection[str] | None = None) -> None:
        self._options = options
        self._columns = columns  # None = all of them

    def change(self, batch: Batch) -> Batch:
        """The batch with its columns flat; raises ConfigError where two of them would have one name."""
        records = batch.records
        if not any(self._opens(field, 0) for field in records.schema if self._meant(field)):
            return batch
        found: dict[str, _Column] = {}
        for field, values in zip(records.schema, records.columns, strict=True):
            column = _Column(field, values, field.name)
            for flat in self._flat(column, 0) if self._meant(field) else [column]:
                other = found.setdefault(flat.field.name, flat)
                if other is not flat:
                    raise _taken(flat, other)
        schema = pa.schema([flat.field for flat in found.values()], records.schema.metadata)
        flat_records = pa.RecordBatch.from_arrays([flat.values for flat in found.values()], schema=schema)
        return batch._replace(records=flat_records)

    def _meant(self, field: pa.Field) -> bool:
        return self._columns is None or field.name in self._columns

    def _opens(self, field: pa.Field, depth: int) -> bool:
        """Whether fields take the place of this one; one without fields has nothing to give."""
        most = self._options.max_depth
        return bool(pa.types.is_struct(field.type) and field.type.num_fields and (most is None or depth < most))

    def _flat(self, column: "_Column", depth: int) -> Iterator["_Column"]:
        if not self._opens(column.field, depth):
            yield column
            return
        for inner, values in zip(column.field.type, column.values.flatten(), strict=True):
            name = f"{column.field.name}{self._options.separator}{inner.name}"
            field = inner.with_name(name).with_nullable(column.field.nullable or inner.nullable)
            yield from self._flat(_Column(field, values, f"{column.path}.{inner.name}"), depth + 1)


class _Column(NamedTuple):
    field: pa.Field
    values: pa.Array
    path: str  # as the source has it


def _taken(column: _Column, other: _Column) -> ConfigError:
    return ConfigError(
        f"transformer.flatten: {column.path} and {other.path} would both become column {column.field.name!r}; "
        f"choose another separator, or rename or drop one of them by transformations"
    )
