"""The table's schema as this load will leave it: columns are added or widened, never dropped or narrowed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.iceberg.catalog import make_namespace
from ingestion.loaders.iceberg.fit import Fit
from ingestion.loaders.iceberg.partitions import PartitionField, check_spec, spec_for
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

__all__ = ["Evolution", "SchemaMoved"]


class SchemaMoved(Exception):
    """Another commit took field ids or changed the partitioning that files were written with."""


@dataclass
class Evolution:
    """Follows the schemas of a stream and plans what the commit will do to the table's."""

    catalog: "Catalog"
    identifier: tuple[str, ...]
    table: "Table | None"
    partition_by: Sequence[PartitionField]
    properties: Mapping[str, str]
    planned: "Schema | None" = None
    generation: int = 0
    untyped: dict[str, None] = field(default_factory=dict)  # columns that so far hold nothing but nulls
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
            transaction = self._creation()
        elif table is None or table.metadata.table_uuid != self.table.metadata.table_uuid:
            raise SchemaMoved(f"table {self.name} was replaced meanwhile")
        else:
            transaction = table.transaction()
            self._stage(transaction)
        self._check(transaction)
        return transaction

    def _check(self, transaction: "Transaction") -> None:
        """Files refer to field ids and are laid out by one partition spec: both must be what they were."""
        if transaction.table_metadata.default_spec_id != self.home.metadata.default_spec_id:
            raise SchemaMoved(f"table {self.name}: its partitioning changed meanwhile")
        now = transaction.table_metadata.schema()
        planned = self.settle()
        for field_id, path in planned._lazy_id_to_name.items():  # noqa: SLF001 - the only list of nested fields by id
            mine = planned.find_field(field_id).field_type
            if now.find_column_name(field_id) != path or (
                mine.is_primitive and now.find_field(field_id).field_type != mine
            ):
                raise SchemaMoved(f"table {self.name}: field {field_id} ({path}) was taken meanwhile")

    def _creation(self) -> "Transaction":
        from pyiceberg.table import CreateTableTransaction, StagedTable

        staged = self.home
        assert isinstance(staged, StagedTable)  # noqa: S101 - there is no table, so home is the staged one
        transaction = CreateTableTransaction(staged)
        self._stage(transaction)
        return transaction

    def _stage(self, transaction: "Transaction") -> None:
        from pyiceberg.exceptions import ResolveError, ValidationError

        changes = self._changes if self.table is not None else self._changes[1:]
        try:
            for change in changes:
                with transaction.update_schema() as update:
                    update.union_by_name(change)
        except (ResolveError, ValidationError, ValueError) as error:
            raise SchemaMoved(f"table {self.name}: {error}") from error
        if self.table is not None:
            current = transaction.table_metadata.properties
            news = {key: value for key, value in self.properties.items() if current.get(key) != value}
            if news:
                transaction.set_properties(news)

    def _plan(self, incoming: pa.Schema) -> None:
        if self.table is not None and self.planned is None:
            self.planned = self.table.schema()
            check_spec(self.table, self.partition_by, self.name)
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
        return any(item.column == name for item in self.partition_by)

    def _grow(self, columns: list[pa.Field]) -> None:
        change = pa.schema(columns)
        self._changes.append(change)
        if self.table is None and self._staged is None:
            self._staged = self._create(change)
            self.planned = self._staged.schema()
        else:
            try:
                transaction = self.table.transaction() if self.table is not None else self._creation()
                if self.table is not None:
                    self._stage(transaction)
            except SchemaMoved as error:
                raise DataError(
                    f"table {self.name}: the data does not fit its schema: {error}; load into another table"
                ) from error
            self.planned = transaction.table_metadata.schema()
        self.generation += 1

    def _create(self, columns: pa.Schema) -> "Table":
        from pyiceberg.table import Transaction

        schema = _with_ids(columns)
        spec = spec_for(schema, self.partition_by, self.name)
        try:
            make_namespace(self.catalog, self.identifier[:-1])
            transaction: Transaction = self.catalog.create_table_transaction(
                self.identifier, schema, partition_spec=spec, properties=dict(self.properties)
            )
            _ = transaction.table_metadata  # worked out only now, and refused where pyiceberg cannot write it
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(
                f"table {self.name} cannot be created: {error}; "
                f"correct loader.database, loader.table, loader.table_properties or loader.catalog"
            ) from error
        return transaction._table  # noqa: SLF001 - the staged table, from which every attempt starts

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
        from pyiceberg.schema import sanitize_column_names

        planned = self.planned
        if planned is None:  # nothing but untyped columns so far
            planned = self.settle()
        places = {name: place for place, name in enumerate(incoming.names)}
        missing = [item.name for item in planned.fields if item.required and item.name not in places]
        if missing:
            raise DataError(f"table {self.name}: column {missing[0]!r} is required and the data lacks it")
        dictionaries = {item.name for item in incoming if is_text_dictionary(item.type)}
        if not dictionaries <= self._dictionaries:
            self._dictionaries |= dictionaries
            self.generation += 1
        target = [
            item.with_type(TEXT_DICTIONARY) if own.name in self._dictionaries and item.type == pa.string() else item
            for own, item in zip(planned.fields, file_schema(sanitize_column_names(planned)), strict=True)
        ]
        sources = [places.get(item.name, -1) for item in planned.fields]
        home = self.home.metadata
        return Fit(
            table=self.name,
            generation=self.generation,
            schema=planned,
            spec=home.spec(),
            target=pa.schema(target),
            sources=sources,
            location=home.location,
            properties=home.properties,
        )


def _with_ids(columns: pa.Schema) -> "Schema":
    """An Iceberg schema as a table creation numbers it."""
    from pyiceberg.io.pyarrow import _ConvertToIcebergWithoutIDs, visit_pyarrow
    from pyiceberg.schema import Schema, assign_fresh_schema_ids

    schema = visit_pyarrow(columns, _ConvertToIcebergWithoutIDs())
    assert isinstance(schema, Schema)  # noqa: S101 - the visitor's result for a schema
    return assign_fresh_schema_ids(schema)
