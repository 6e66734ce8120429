"""Batches of one schema as rows of files of another."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.iceberg.partitions import Key
from ingestion.loaders.iceberg.required import has_required
from ingestion.loaders.iceberg.sorting import Order, SortField
from ingestion.loaders.iceberg.types import TEXT_DICTIONARY, cast, file_schema, is_text_dictionary, word

if TYPE_CHECKING:
    from pyiceberg.io.pyarrow import StatisticsCollector
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.locations import LocationProvider
    from pyiceberg.table.metadata import TableMetadata

__all__ = ["Fit", "Fits"]


def _file_columns(schema: "Schema", dictionaries: Container[str]) -> pa.Schema:
    """The columns of files of *schema*; texts among *dictionaries* are written as such."""
    from pyiceberg.schema import sanitize_column_names

    return pa.schema(
        item.with_type(TEXT_DICTIONARY) if own.name in dictionaries and item.type == pa.string() else item
        for own, item in zip(schema.fields, file_schema(sanitize_column_names(schema)), strict=True)
    )


@dataclass(frozen=True)
class Fit:
    """How batches of one schema become rows of files of another."""

    table: str
    generation: int  # fits of the same generation make files of the same columns
    schema: "Schema"
    spec: "PartitionSpec"
    target: pa.Schema
    sources: Sequence[int]  # for each target column its place in the batch, -1 = null
    location: str
    properties: Mapping[str, str]
    order: Order | None = None  # None = rows stay as they come

    @classmethod
    def of(
        cls, plan: "TableMetadata", incoming: Sequence[str], sort_by: Sequence[SortField], target: pa.Schema, **own: Any
    ) -> "Fit":
        """How columns called *incoming* become files with the columns *target* of a table that *plan* describes."""
        schema, places = plan.schema(), {name: place for place, name in enumerate(incoming)}
        return cls(
            schema=schema,
            spec=plan.spec(),
            target=target,
            sources=[places.get(item.name, -1) for item in schema.fields],
            location=plan.location,
            properties=plan.properties,
            order=Order.on(schema, sort_by, plan.default_sort_order_id),
            **own,
        )

    @classmethod
    def whole(cls, plan: "TableMetadata", sort_by: Sequence[SortField], table: str) -> "Fit":
        """How rows in all columns of a table that *plan* describes are written."""
        names = [item.name for item in plan.schema().fields]
        return cls.of(plan, names, sort_by, _file_columns(plan.schema(), ()), table=table, generation=0)

    @cached_property
    def has_required(self) -> bool:
        """Whether a column, or a part of one, must not be null."""
        return any(map(has_required, self.target))

    @cached_property
    def statistics(self) -> "dict[int, StatisticsCollector]":
        """Which statistics of which column go into the commit."""
        from pyiceberg.io.pyarrow import compute_statistics_plan

        return compute_statistics_plan(self.schema, dict(self.properties))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The field id of each column as Parquet calls it."""
        from pyiceberg.io.pyarrow import parquet_path_to_id_mapping
        from pyiceberg.schema import sanitize_column_names

        return parquet_path_to_id_mapping(sanitize_column_names(self.schema))

    @cached_property
    def _locations(self) -> "LocationProvider":
        from pyiceberg.table.locations import load_location_provider

        return load_location_provider(self.location, dict(self.properties))

    def new_path(self, key: Key, name: str) -> str:
        """Where a file called *name* with rows of that partition belongs."""
        from pyiceberg.typedef import Record

        folder = self.spec.partition_to_path(Record(*key), self.schema) if key else ""
        return self._locations.new_data_location(f"{folder}/{name}" if folder else name)

    def apply(self, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """The rows in the file's columns; raises DataError for a value that would change on its way."""
        table = pa.Table.from_batches(list(batches))
        columns = [self._column(table, place, position) for position, place in enumerate(self.sources)]
        return pa.Table.from_arrays(columns, schema=self.target)

    def _column(self, table: pa.Table, place: int, position: int) -> pa.ChunkedArray:
        wanted, name = self.target.field(position), self.schema.fields[position].name
        if place < 0:
            return pa.chunked_array([pa.nulls(table.num_rows, wanted.type)])
        try:
            values = cast(table.column(place), wanted.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"table {self.table}: column {name!r} is {word(wanted.type)} and a value of the data does not fit "
                f"({str(error).splitlines()[0]}); convert it in the transformer, or load into another table"
            ) from error
        if not wanted.nullable and values.null_count:
            raise DataError(
                f"table {self.table}: column {name!r} is required and the data has {values.null_count} nulls in it; "
                f"fill them in the source, make it optional in the table, or load into another table"
            )
        return values


class Fits:
    """How the batches of one load are written, each schema found once in a generation."""

    def __init__(self, table: str, sort_by: Sequence[SortField]) -> None:
        self._table, self._sort_by = table, sort_by
        self._generation = 0
        self._found: dict[pa.Schema, Fit] = {}
        self._dictionaries: set[str] = set()

    def begin_another_generation(self) -> None:
        """Have all fits made anew: files get other columns from now on."""
        self._generation += 1
        self._found.clear()

    def find(self, columns: pa.Schema) -> Fit | None:
        """What `make` gave in this generation."""
        return self._found.get(columns)

    def make(self, columns: pa.Schema, plan: "TableMetadata") -> Fit:
        """The fit of *columns* in a table that *plan* describes."""
        keeps = not self._sort_by  # each piece of rows that wait sorted would bring the whole dictionary
        dictionaries = {item.name for item in columns if keeps and is_text_dictionary(item.type)}
        if not dictionaries <= self._dictionaries:  # a text that came as one once stays one, in files of their own
            self._dictionaries |= dictionaries
            self.begin_another_generation()
        target = _file_columns(plan.schema(), self._dictionaries)
        own = {"table": self._table, "generation": self._generation}
        found = self._found[columns] = Fit.of(plan, columns.names, self._sort_by, target, **own)
        return found
