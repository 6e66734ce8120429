"""Schema changes staged in a transaction, and the proof that files written for them still fit."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import ConfigError, TransientError
from ingestion.loaders.iceberg.catalog import make_namespace
from ingestion.loaders.iceberg.names import stage_renames
from ingestion.loaders.iceberg.sorting import order_for, stage_order
from ingestion.loaders.iceberg.specs import spec_for, stage_spec
from ingestion.plugins import INGESTED_AT, RUN_ID

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.sorting import SortOrder

    from ingestion.loaders.iceberg import IcebergLoader

__all__ = [
    "SchemaMoved",
    "check_contract",
    "check_format",
    "check_unmoved",
    "creation",
    "layout",
    "shape",
    "stage",
    "stage_columns",
    "staged_table",
    "with_ids",
]

_NEWEST_FORMAT = 2  # that pyiceberg can write


class SchemaMoved(Exception):
    """Another commit took field ids or changed the partitioning that files were written with."""


def staged_table(
    catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", columns: pa.Schema
) -> "Table":
    """A table that does not exist yet, from which every attempt to create it starts."""
    from pyiceberg.table import Transaction

    name = ".".join(identifier)
    schema, spec, order = layout(columns, options, name)
    try:
        make_namespace(catalog, identifier[:-1])
        transaction: Transaction = catalog.create_table_transaction(
            identifier, schema, partition_spec=spec, sort_order=order, properties=dict(options.table_properties)
        )
        _ = transaction.table_metadata  # worked out only now, and refused where pyiceberg cannot write it
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"table {name} cannot be created: {error}; "
            f"correct loader.database, loader.table, loader.table_properties or loader.catalog"
        ) from error
    return transaction._table  # noqa: SLF001 - the staged table, which no public method gives


def layout(columns: pa.Schema, options: "IcebergLoader", name: str) -> "tuple[Schema, PartitionSpec, SortOrder]":
    """What a new table of these columns is; raises ConfigError where an option names a column that is not there."""
    schema = with_ids(columns)
    return schema, spec_for(schema, options.partition_by, name), order_for(schema, options.sort_by, name)


def creation(staged: "Table") -> "Transaction":
    """A transaction that creates what `staged_table` gave."""
    from pyiceberg.table import CreateTableTransaction, StagedTable

    assert isinstance(staged, StagedTable)  # noqa: S101 - there is no table, so this is the staged one
    return CreateTableTransaction(staged)


def check_format(table: "Table", name: str) -> None:
    """Raise ConfigError for a table of a newer format than can be written here."""
    version = table.metadata.format_version
    if version > _NEWEST_FORMAT:
        raise ConfigError(
            f"table {name} is of Iceberg format version {version}, and this service writes up to version "
            f"{_NEWEST_FORMAT}; load into another table, or have this one written by an engine that knows its format"
        )


def stage(
    transaction: "Transaction",
    options: "IcebergLoader",
    changes: Iterable[pa.Schema],
    optional: Iterable[str],
    name: str,
) -> None:
    """All that the job's options and the data's columns change in a table that is there."""
    stage_renames(transaction, options.rename_from, name)
    stage_columns(transaction, changes, optional, name)
    if "partition_by" in options.model_fields_set:
        stage_spec(transaction, options.partition_by, name)
    if "sort_by" in options.model_fields_set:
        stage_order(transaction, options.sort_by, name)
    _stage_properties(transaction, options)


def stage_columns(transaction: "Transaction", changes: Iterable[pa.Schema], optional: Iterable[str], name: str) -> None:
    """Add or widen columns, one change after the other; raises SchemaMoved where the table refuses one."""
    from pyiceberg.exceptions import ResolveError, ValidationError

    try:
        for change in changes:
            with transaction.update_schema() as update:
                update.union_by_name(change)
        if optional:
            with transaction.update_schema() as update:
                for path in optional:
                    update.make_column_optional(path)
    except (ResolveError, ValidationError, ValueError) as error:
        raise SchemaMoved(f"table {name}: {error}") from error


def _stage_properties(transaction: "Transaction", options: "IcebergLoader") -> None:
    current = transaction.table_metadata.properties
    news = {key: value for key, value in options.table_properties.items() if current.get(key) != value}
    if news:
        transaction.set_properties(news)


def check_contract(
    options: "IcebergLoader", changes: Iterable[pa.Schema], before: Iterable[pa.Schema], name: str
) -> None:
    """Raise TransientError for *changes* that the contract would have judged, had the table been so *before*."""
    known = {(item.name, item.type) for change in before for item in change}
    news = {item for change in changes for item in change if item.name not in {RUN_ID, INGESTED_AT}}
    held = options.schema_contract.columns != "evolve" or options.schema_contract.data_type != "widen"
    if held and not {(item.name, item.type) for item in news} <= known:
        raise TransientError(
            f"table {name}: its columns were changed while rows were brought for them, and loader.schema_contract "
            f"says which rows fit; run again"
        )


def check_unmoved(transaction: "Transaction", planned: "TableMetadata", name: str) -> None:
    """Files refer to field ids and are laid out by one spec and order: all must be what they were planned to be."""
    metadata = transaction.table_metadata
    if metadata.spec() != planned.spec() or metadata.default_spec_id != planned.default_spec_id:
        raise SchemaMoved(f"table {name}: its partitioning changed meanwhile")
    if metadata.sort_order_by_id(metadata.default_sort_order_id) != planned.sort_order_by_id(
        planned.default_sort_order_id
    ):
        raise SchemaMoved(f"table {name}: its sort order changed meanwhile")
    mine, now = planned.schema(), metadata.schema()
    for field_id, path in mine._lazy_id_to_name.items():  # noqa: SLF001 - the only list of nested fields by id
        dtype = mine.find_field(field_id).field_type
        if now.find_column_name(field_id) != path or (
            dtype.is_primitive and now.find_field(field_id).field_type != dtype
        ):
            raise SchemaMoved(f"table {name}: field {field_id} ({path}) was taken meanwhile")


def shape(metadata: "TableMetadata") -> tuple[Any, ...]:
    """All that a plan for columns and layout depends on: equal for two states where the same plan holds for both."""
    return (
        metadata.table_uuid,
        metadata.schema(),
        metadata.last_column_id,
        metadata.specs(),
        metadata.default_spec_id,
        metadata.sort_orders,
        metadata.default_sort_order_id,
    )


def with_ids(columns: pa.Schema) -> "Schema":
    """An Iceberg schema as a table creation numbers it."""
    from pyiceberg.io.pyarrow import _ConvertToIcebergWithoutIDs, visit_pyarrow
    from pyiceberg.schema import Schema, assign_fresh_schema_ids

    schema = visit_pyarrow(columns, _ConvertToIcebergWithoutIDs())
    assert isinstance(schema, Schema)  # noqa: S101 - the visitor's result for a schema
    return assign_fresh_schema_ids(schema)
