"""The table as this load will leave it: columns are added, widened or renamed, never dropped or narrowed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.iceberg.columns import needs
from ingestion.loaders.iceberg.fit import Fit, Fits
from ingestion.loaders.iceberg.names import check_names, stage_renames
from ingestion.loaders.iceberg.required import check_may_loosen, has_required, lacking, unfilled
from ingestion.loaders.iceberg.staging import (
    SchemaMoved,
    check_contract,
    check_format,
    check_unmoved,
    creation,
    shape,
    stage,
    stage_columns,
    staged_table,
)
from ingestion.loaders.iceberg.told import changes_told
from ingestion.loaders.iceberg.types import file_schema, plain

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["Evolution"]


@dataclass
class Evolution:
    """Follows the schemas of a stream and plans what the commit will do to the table's."""

    catalog: "Catalog"
    identifier: tuple[str, ...]
    table: "Table | None"
    options: "IcebergLoader"
    untyped: dict[str, None] = field(default_factory=dict)  # columns that so far hold nothing but nulls
    undecided: dict[str, None] = field(default_factory=dict)  # columns of batches without rows that have no type
    _plan: "TableMetadata | None" = None  # of the table as the commit will leave it
    _changes: list[pa.Schema] = field(default_factory=list)
    _optional: dict[str, None] = field(default_factory=dict)  # paths of columns that the table required until now
    _staged: "Table | None" = None
    _brought: dict[pa.Schema, None] = field(default_factory=dict)  # all that the stream has shown

    def __post_init__(self) -> None:
        """Refuse a table that cannot be written, before anything is read for it."""
        self._fits = Fits(self.name, self.options.sort_by)
        self._check_format()

    def _check_format(self) -> None:
        if self.table is not None:
            check_format(self.table, self.name)

    @property
    def name(self) -> str:
        """The table as users call it."""
        return ".".join(self.identifier)

    @property
    def planned(self) -> "Schema | None":
        """The columns as the commit will leave them, as far as they are known."""
        return None if self._plan is None else self._plan.schema()

    @property
    def home(self) -> "Table":
        """Where files go: the table, or the one that the commit will create."""
        home = self.table or self._staged
        if home is None:
            raise DataError(f"table {self.name} does not exist and the data has no columns to create it from")
        return home

    @property
    def before(self) -> list[str]:
        """The columns that the table has already, by the names that they get."""
        found = self._found
        return [item.name for item in found.fields] if found is not None else []

    @property
    def _found(self) -> "Schema | None":
        if self.table is None:
            return None
        transaction = self.table.transaction()
        stage_renames(transaction, self.options.rename_from, self.name)
        return transaction.table_metadata.schema()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the commit changes beside columns and rows, in sentences."""
        if self.table is None or self._plan is None:
            return ()
        return changes_told(self.table.metadata, self._plan, self._optional, self.name)

    @property
    def brought(self) -> set[str]:
        """The columns of the stream that have values, or all where none has."""
        columns = [item for schema in self._brought for item in schema]
        return {item.name for item in columns if not pa.types.is_null(item.type)} or {item.name for item in columns}

    def stands_on(self, table: "Table | None") -> bool:
        """Whether the plan holds for *table*: nothing but its rows has changed."""
        if table is None or self.table is None:
            return table is self.table
        return shape(table.metadata) == shape(self.table.metadata)

    def rebase(self, table: "Table | None") -> None:
        """Plan anew upon another state of the table, from all that the stream has brought so far."""
        before = self._changes if self.table is not None else []
        self.table, self._plan, self._staged = table, None, None
        self._changes = []
        self._fits.begin_another_generation()
        self._check_format()
        there = self._found.column_names if self._found is not None else []
        self._optional = {path: None for path in self._optional if path in there}
        for schema in [*self._brought]:
            self.fit(schema)
        if table is not None:
            check_contract(self.options, self._changes, before, self.name)

    def fit(self, incoming: pa.Schema) -> Fit:
        """How batches of *incoming* are written; widens the plan first where that is needed."""
        self._brought[incoming] = None
        found = self._fits.find(incoming)
        if found is None:
            self.follow(incoming)
            found = self._fit(incoming)
        return found

    def fit_planned(self, columns: pa.Schema) -> Fit:
        """How rows that are in the planned columns already are written; they ask nothing of the table."""
        return self._fits.find(columns) or self._fits.make(columns, self.settle())

    def fit_of(self, records: pa.RecordBatch) -> Fit:
        """How these rows are written; columns that the table requires become optional where they have nulls."""
        fit = self.fit(records.schema)
        required = [item for item in file_schema(fit.schema) if has_required(item)] if fit.has_required else []
        given = [item for item in required if item.name in records.schema.names]
        self._loosen(path for item in given for path in unfilled(records[item.name], item, item.name))
        return self.fit(records.schema)

    def decided(self, incoming: pa.Schema) -> pa.Schema:
        """What a batch without rows says: nothing of columns whose type nobody knows yet.

        It says nothing at all where one of them is to partition or sort a table that does not exist.
        """
        unknown = [item.name for item in incoming if pa.types.is_null(item.type)]
        self.undecided.update(dict.fromkeys(unknown))
        if self.table is None and self._plan is None and any(map(self._lays_out, unknown)):
            return pa.schema([])
        return pa.schema([item for item in incoming if item.name not in unknown])

    def begin(self) -> None:
        """Have something to create the table from, if only text columns whose type nobody knows."""
        if self.table is None and self._plan is None and self.undecided:
            self.untyped |= self.undecided
            self.settle()

    def settle(self) -> "TableMetadata":
        """The final plan; columns without any value become text."""
        there = [] if self._plan is None else self._plan.schema().column_names
        left = [name for name in self.untyped if name not in there]
        if left or self._plan is None:
            self._grow([pa.field(name, pa.string()) for name in left])
        assert self._plan is not None  # noqa: S101 - growing makes one
        return self._plan

    def transaction(self, table: "Table | None") -> "Transaction":
        """A transaction on the table's present state with the planned changes staged; raises SchemaMoved."""
        planned = self.settle()  # first, as it may add to what is staged
        if self.table is None:
            if table is not None:
                raise SchemaMoved(f"table {self.name} was created meanwhile")
            transaction = creation(self.home)
        elif table is None or table.metadata.table_uuid != self.table.metadata.table_uuid:
            raise SchemaMoved(f"table {self.name} was replaced meanwhile")
        else:
            check_format(table, self.name)
            transaction = table.transaction()
        self._stage(transaction)
        check_unmoved(transaction, planned, self.name)
        return transaction

    def _stage(self, transaction: "Transaction") -> None:
        if self.table is None:
            stage_columns(transaction, self._changes[1:], self._optional, self.name)
        else:
            stage(transaction, self.options, self._changes, self._optional, self.name)

    def follow(self, incoming: pa.Schema) -> None:
        """Have a plan with these columns."""
        schema = self.planned or self._found
        present = {item.name: item for item in file_schema(schema)} if schema is not None else {}
        check_names(incoming.names, present, self.name)
        needed = needs(incoming, present, self._lays_out, self.name)
        self.untyped |= dict.fromkeys(needed.untyped)
        if needed.columns or (self._plan is None and self.table is not None):
            self._grow(needed.columns)

    def _lays_out(self, name: str) -> bool:
        options = self.options
        return name in {*(item.column for item in options.partition_by), *(item.column for item in options.sort_by)}

    def _grow(self, columns: list[pa.Field]) -> None:
        if columns:
            self._changes.append(pa.schema(columns))
            if self.table is None and self._staged is None:
                self._staged = staged_table(self.catalog, self.identifier, self.options, self._changes[0])
        self._replan()

    def _loosen(self, paths: Iterable[str]) -> None:
        news = dict.fromkeys(path for path in paths if path not in self._optional)
        if news:
            frozen = self.options.schema_contract.columns == "freeze"
            check_may_loosen(self.settle().schema(), news, self.name, frozen=frozen)
            self._optional |= news
            self._replan()

    def _replan(self) -> None:
        try:
            transaction = self.table.transaction() if self.table is not None else creation(self.home)
            self._stage(transaction)
        except SchemaMoved as error:
            raise DataError(
                f"table {self.name}: the data does not fit its schema: {error}; load into another table"
            ) from error
        self._plan = transaction.table_metadata
        self._fits.begin_another_generation()

    def _fit(self, incoming: pa.Schema) -> Fit:
        plan = self._plan or self.settle()  # without one there were but columns without a type so far
        brought = {item.name: plain(item.type, item.name) for item in incoming}
        columns = file_schema(plan.schema())
        self._loosen(path for item in columns for path in lacking(brought.get(item.name), item, item.name))
        assert self._plan is not None  # noqa: S101 - settled above
        return self._fits.make(incoming, self._plan)
