"""Schema changes staged in a transaction, and the proof that files written for them still fit."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.catalog import make_namespace
from ingestion.loaders.iceberg.partitions import spec_for

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = ["SchemaMoved", "check_unmoved", "creation", "stage_columns", "stage_properties", "staged_table"]


class SchemaMoved(Exception):
    """Another commit took field ids or changed the partitioning that files were written with."""


def staged_table(
    catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", columns: pa.Schema
) -> "Table":
    """A table that does not exist yet, from which every attempt to create it starts."""
    from pyiceberg.table import Transaction

    name = ".".join(identifier)
    schema = _with_ids(columns)
    spec = spec_for(schema, options.partition_by, name)
    try:
        make_namespace(catalog, identifier[:-1])
        transaction: Transaction = catalog.create_table_transaction(
            identifier, schema, partition_spec=spec, properties=dict(options.table_properties)
        )
        _ = transaction.table_metadata  # worked out only now, and refused where pyiceberg cannot write it
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"table {name} cannot be created: {error}; "
            f"correct loader.database, loader.table, loader.table_properties or loader.catalog"
        ) from error
    return transaction._table  # noqa: SLF001 - the staged table, which no public method gives


def creation(staged: "Table") -> "Transaction":
    """A transaction that creates what `staged_table` gave."""
    from pyiceberg.table import CreateTableTransaction, StagedTable

    assert isinstance(staged, StagedTable)  # noqa: S101 - there is no table, so this is the staged one
    return CreateTableTransaction(staged)


def stage_columns(transaction: "Transaction", changes: Iterable[pa.Schema], name: str) -> None:
    """Add or widen columns, one change after the other; raises SchemaMoved where the table refuses one."""
    from pyiceberg.exceptions import ResolveError, ValidationError

    try:
        for change in changes:
            with transaction.update_schema() as update:
                update.union_by_name(change)
    except (ResolveError, ValidationError, ValueError) as error:
        raise SchemaMoved(f"table {name}: {error}") from error


def stage_properties(transaction: "Transaction", options: "IcebergLoader") -> None:
    """Set the properties that the table has otherwise."""
    current = transaction.table_metadata.properties
    news = {key: value for key, value in options.table_properties.items() if current.get(key) != value}
    if news:
        transaction.set_properties(news)


def check_unmoved(transaction: "Transaction", home: "Table", planned: "Schema", name: str) -> None:
    """Files refer to field ids and are laid out by one partition spec: both must be what they were."""
    if transaction.table_metadata.default_spec_id != home.metadata.default_spec_id:
        raise SchemaMoved(f"table {name}: its partitioning changed meanwhile")
    now = transaction.table_metadata.schema()
    for field_id, path in planned._lazy_id_to_name.items():  # noqa: SLF001 - the only list of nested fields by id
        mine = planned.find_field(field_id).field_type
        if now.find_column_name(field_id) != path or (
            mine.is_primitive and now.find_field(field_id).field_type != mine
        ):
            raise SchemaMoved(f"table {name}: field {field_id} ({path}) was taken meanwhile")


def _with_ids(columns: pa.Schema) -> "Schema":
    """An Iceberg schema as a table creation numbers it."""
    from pyiceberg.io.pyarrow import _ConvertToIcebergWithoutIDs, visit_pyarrow
    from pyiceberg.schema import Schema, assign_fresh_schema_ids

    schema = visit_pyarrow(columns, _ConvertToIcebergWithoutIDs())
    assert isinstance(schema, Schema)  # noqa: S101 - the visitor's result for a schema
    return assign_fresh_schema_ids(schema)
