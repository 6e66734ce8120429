"""What a load would do to a table's columns, staged and thrown away."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.iceberg.catalog import asked
from ingestion.loaders.iceberg.columns import needs
from ingestion.loaders.iceberg.names import check_names, renamed
from ingestion.loaders.iceberg.schema import Evolution
from ingestion.loaders.iceberg.staging import layout, with_ids
from ingestion.loaders.iceberg.types import cast, file_schema, plain, typed, word
from ingestion.loaders.tables.comparing import Trial

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["trial_of"]


@contextmanager
def trial_of(options: "IcebergLoader", job: str) -> Iterator[Trial]:
    """The table of *job*, to try things on; none where the catalog is not there yet."""
    identifier = options.identifier(job)
    with asked(options.catalog.model_dump(exclude_none=True), identifier) as table:
        yield _New(options, ".".join(identifier)) if table is None else _There(options, identifier, table)


class _Iceberg(Trial):
    def called(self, dtype: pa.DataType, column: str) -> str:
        stored = plain(dtype, column)
        return "null" if pa.types.is_null(stored) else word(_created(typed(stored, None)))


class _New(_Iceberg):
    """A table that the load would create."""

    def __init__(self, options: "IcebergLoader", name: str) -> None:
        self._options = options
        self._name = name

    def before(self, column: str) -> None:
        del column

    def after(self, column: str, batches: Sequence[pa.RecordBatch]) -> str | None:
        columns = self._columns(batches)
        for batch in batches if columns else ():
            _fill(batch, columns[column].type, self._name)
        return word(_created(columns[column].type)) if columns else None

    def check(self, batches: Sequence[pa.RecordBatch]) -> None:
        for batch in batches:
            check_names(batch.schema.names, (), self._name)
        columns = self._columns(batches)
        if columns:
            layout(pa.schema(columns.values()), self._options, self._name)

    def _columns(self, batches: Sequence[pa.RecordBatch]) -> dict[str, pa.Field]:
        columns: dict[str, pa.Field] = {}
        untyped: list[str] = []
        for batch in batches:
            needed = needs(batch.schema, columns, lambda _: False, self._name)
            columns |= {item.name: item for item in needed.columns}
            untyped += needed.untyped if batch.num_rows else []
        for name in untyped:
            columns.setdefault(name, pa.field(name, pa.string()))
        return columns


class _There(_Iceberg):
    """A table that is there."""

    def __init__(self, options: "IcebergLoader", identifier: tuple[str, ...], table: "Table") -> None:
        self._name = ".".join(identifier)
        self._load = (table.catalog, identifier, table, options)
        self.known = renamed(file_schema(table.schema(), field_ids=False), options.rename_from, self._name)

    def before(self, column: str) -> str | None:
        assert self.known is not None  # noqa: S101 - set above
        return word(self.known.field(column).type) if column in self.known.names else None

    def after(self, column: str, batches: Sequence[pa.RecordBatch]) -> str | None:
        evolution = Evolution(*self._load)
        for batch in batches:
            schema = batch.schema if batch.num_rows else evolution.decided(batch.schema)
            if schema.names:
                evolution.follow(schema)
        columns = file_schema(evolution.settle().schema(), field_ids=False)
        if column not in columns.names:
            return None
        dtype = columns.field(column).type
        for batch in batches:
            _fill(batch, dtype, self._name)
        return word(dtype)

    def check(self, batches: Sequence[pa.RecordBatch]) -> None:
        evolution = Evolution(*self._load)
        for batch in batches:
            if batch.num_rows:
                evolution.fit_of(batch).apply([batch])


def _created(dtype: pa.DataType) -> pa.DataType:
    """The type as it reads once a table has it."""
    field: pa.Field = file_schema(with_ids(pa.schema([("column", dtype)])), field_ids=False).field(0)
    return field.type


def _fill(batch: pa.RecordBatch, dtype: pa.DataType, table: str) -> None:
    """Raise DataError for a value of the only column that *dtype* does not hold."""
    try:
        cast(pa.chunked_array([batch.column(0)]), dtype)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"table {table}: column {batch.schema.names[0]!r} is {word(dtype)} and a value of the data does not fit "
            f"({str(error).splitlines()[0]}); convert it in the transformer, or load into another table"
        ) from error
