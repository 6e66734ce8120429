"""The table's schema as this load will leave it: columns are added or widened, never dropped or narrowed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import DataError
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.partitions import check_spec
from ingestion.loaders.iceberg.staging import (
    SchemaMoved,
    check_unmoved,
    creation,
    stage_columns,
    stage_properties,
    staged_table,
)
from ingestion.loaders.iceberg.types import (
    TEXT_DICTIONARY,
    file_schema,
    is_text_dictionary,
    plain,
    relation,
    typed,
    word,
)

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["Evolution"]


@dataclass
class Evolution:
    """Follows the schemas of a stream and plans what the commit will do to the table's."""

    catalog: "Catalog"
    identifier: tuple[str, ...]
    table: "Table | None"
    options: "IcebergLoader"
    planned: "Schema | None" = None
    generation: int = 0
    untyped: dict[str, None] = field(default_factory=dict)  # columns that so far hold nothing but nulls
    undecided: dict[str, None] = field(default_factory=dict)  # columns of batches without rows that have no type
    _changes: list[pa.Schema] = field(default_factory=list)
    _staged: "Table | None" = None
    _fits: dict[pa.Schema, Fit] = field(default_factory=dict)
    _dictionaries: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The table as users call it."""
        return ".".join(self.identifier)

    @property
    def home(self) -> "Table":
        """Where files go: the table, or the one that the commit will create."""
        home = self.table or self._staged
        if home is None:
            raise DataError(f"table {self.name} does not exist and the data has no columns to create it from")
        return home

    def rebase(self, table: "Table | None") -> None:
        """Plan anew upon another state of the table, from all that the stream has brought so far."""
        changes = self._changes
        self.table, self.planned, self._staged = table, None, None
        self._changes, self._fits = [], {}
        for change in changes:
            self._plan(change)

    def fit(self, incoming: pa.Schema) -> Fit:
        """How batches of *incoming* are written; widens the plan first where that is needed."""
        found = self._fits.get(incoming)
        if found is None or found.generation != self.generation:
            self._plan(incoming)
            found = self._fits[incoming] = self._fit(incoming)
        return found

    def decided(self, incoming: pa.Schema) -> pa.Schema:
        """What a batch without rows says: nothing of columns whose type nobody knows yet.

        It says nothing at all where one of them is to partition a table that does not exist.
        """
        unknown = [item.name for item in incoming if pa.types.is_null(item.type)]
        self.undecided.update(dict.fromkeys(unknown))
        if self.table is None and self.planned is None and any(map(self._partitions, unknown)):
            return pa.schema([])
        return pa.schema([item for item in incoming if item.name not in unknown])

    def begin(self) -> None:
        """Have something to create the table from, if only text columns whose type nobody knows."""
        if self.table is None and self.planned is None and self.undecided:
            self.untyped |= self.undecided
            self.settle()

    def settle(self) -> "Schema":
        """The final plan; columns without any value become text."""
        left = [name for name in self.untyped if self.planned is None or name not in self.planned.column_names]
        if left or self.planned is None:
            self._grow([pa.field(name, pa.string()) for name in left])
        if self.planned is None:
            raise DataError(f"table {self.name} does not exist and the data has no columns to create it from")
        return self.planned

    def transaction(self, table: "Table | None") -> "Transaction":
        """A transaction on the table's present state with the planned changes staged; raises SchemaMoved."""
        if self.table is None:
            if table is not None:
                raise SchemaMoved(f"table {self.name} was created meanwhile")
            transaction = creation(self.home)
        elif table is None or table.metadata.table_uuid != self.table.metadata.table_uuid:
            raise SchemaMoved(f"table {self.name} was replaced meanwhile")
        else:
            transaction = table.transaction()
        self._stage(transaction)
        check_unmoved(transaction, self.home, self.settle(), self.name)
        return transaction

    def _stage(self, transaction: "Transaction") -> None:
        if self.table is None:
            stage_columns(transaction, self._changes[1:], self.name)
        else:
            stage_columns(transaction, self._changes, self.name)
            stage_properties(transaction, self.options)

    def _plan(self, incoming: pa.Schema) -> None:
        if self.table is not None and self.planned is None:
            self.planned = self.table.schema()
            check_spec(self.table, self.options.partition_by, self.name)
        present = {item.name: item for item in file_schema(self.planned)} if self.planned else {}
        self._check_names(incoming.names, present)
        needed = []
        for item in incoming:
            dtype = plain(item.type, item.name)
            old = present.get(item.name)
            if dtype == pa.null() and not self._partitions(item.name):
                if old is None:
                    self.untyped[item.name] = None
                continue
            dtype = typed(dtype, None if old is None else old.type)
            if old is None or self._is_wider(item.name, dtype, old.type):
                needed.append(pa.field(item.name, dtype))
        if needed:
            self._grow(needed)

    def _is_wider(self, name: str, data: pa.DataType, table: pa.DataType) -> bool:
        how = relation(data, table)
        if how == "other":
            raise DataError(
                f"table {self.name}: column {name!r} is {word(table)}, the data brings {word(data)}; "
                f"convert it in the transformer (types: {{{name}: {word(table)}}}), or load into another table"
            )
        return how == "wider"

    def _partitions(self, name: str) -> bool:
        return any(item.column == name for item in self.options.partition_by)

    def _grow(self, columns: list[pa.Field]) -> None:
        change = pa.schema(columns)
        self._changes.append(change)
        if self.table is None and self._staged is None:
            self._staged = staged_table(self.catalog, self.identifier, self.options, change)
            self.planned = self._staged.schema()
        else:
            try:
                transaction = self.table.transaction() if self.table is not None else creation(self.home)
                self._stage(transaction)
            except SchemaMoved as error:
                raise DataError(
                    f"table {self.name}: the data does not fit its schema: {error}; load into another table"
                ) from error
            self.planned = transaction.table_metadata.schema()
        self.generation += 1

    def _check_names(self, names: Sequence[str], present: Mapping[str, pa.Field]) -> None:
        by_case = {name.lower(): name for name in present}
        for name in names:
            if not name:
                raise DataError(
                    f"table {self.name}: the data has a column without a name; "
                    f"name it in the source or by transformer.column_mapping"
                )
            other = by_case.setdefault(name.lower(), name)
            if other != name or names.count(name) > 1:
                raise DataError(
                    f"table {self.name}: columns {other!r} and {name!r} differ only in case or not at all, "
                    f"which many engines cannot tell apart; rename one with transformer.column_mapping"
                )

    def _fit(self, incoming: pa.Schema) -> Fit:
        planned = self.planned
        if planned is None:  # nothing but untyped columns so far
            planned = self.settle()
        places = {name: place for place, name in enumerate(incoming.names)}
        missing = [item.name for item in planned.fields if item.required and item.name not in places]
        if missing:
            raise DataError(
                f"table {self.name}: column {missing[0]!r} is required and the data lacks it; bring it in the source "
                f"or name it by transformer.column_mapping, make it optional in the table, or load into another table"
            )
        target = self._file_columns(incoming, planned)  # before the generation is read: this may begin one
        home = self.home.metadata
        return Fit(
            table=self.name,
            generation=self.generation,
            schema=planned,
            spec=home.spec(),
            target=target,
            sources=[places.get(item.name, -1) for item in planned.fields],
            location=home.location,
            properties=home.properties,
        )

    def _file_columns(self, incoming: pa.Schema, planned: "Schema") -> pa.Schema:
        """The columns of the files; a text that came as a dictionary once stays one, in files of a new generation."""
        from pyiceberg.schema import sanitize_column_names

        dictionaries = {item.name for item in incoming if is_text_dictionary(item.type)}
        if not dictionaries <= self._dictionaries:
            self._dictionaries |= dictionaries
            self.generation += 1
        plain_columns = file_schema(sanitize_column_names(planned))
        return pa.schema(
            item.with_type(TEXT_DICTIONARY) if own.name in self._dictionaries and item.type == pa.string() else item
            for own, item in zip(planned.fields, plain_columns, strict=True)
        )
