"""partition_by as an Iceberg partition spec: of a new table, and of one that is partitioned otherwise."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.partitions import PartitionField

if TYPE_CHECKING:
    from pyiceberg import partitioning
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.transforms import Transform

__all__ = ["described", "live_fields", "spec_for", "stage_spec"]


class _Wanted(NamedTuple):
    source_id: int
    transform: "Transform[Any, Any]"
    names: tuple[str, ...]  # the first that no other column or field has

    @property
    def key(self) -> tuple[int, str]:
        return self.source_id, str(self.transform)


def spec_for(schema: "Schema", wanted: Sequence[PartitionField], table: str) -> "partitioning.PartitionSpec":
    """The partition spec of a new table; raises ConfigError for a column or transform that does not fit."""
    from pyiceberg import partitioning

    taken: set[str] = set()
    bound = _bound(schema, wanted, table)
    return partitioning.PartitionSpec(*(_new(item, 1000 + n, schema, taken) for n, item in enumerate(bound)))


def stage_spec(transaction: "Transaction", wanted: Sequence[PartitionField], table: str) -> None:
    """Partition the table so from now on; files that are there stay as they are.

    pyiceberg's own update refuses two times of one column, and another number of buckets.
    """
    from pyiceberg.table.update import (
        AddPartitionSpecUpdate,
        AssertDefaultSpecId,
        AssertLastAssignedPartitionId,
        SetDefaultSpecUpdate,
    )

    metadata = transaction.table_metadata
    bound = _bound(metadata.schema(), wanted, table)
    if sorted(item.key for item in bound) == sorted(map(_key, live_fields(metadata.spec()))):
        return
    spec = _evolved(metadata, bound)
    there = next((old for old in metadata.specs().values() if old.fields == spec.fields), None)
    updates = (
        (AddPartitionSpecUpdate(spec=spec), SetDefaultSpecUpdate(spec_id=-1))
        if there is None
        else (SetDefaultSpecUpdate(spec_id=there.spec_id),)
    )
    unmoved = (
        AssertLastAssignedPartitionId(last_assigned_partition_id=metadata.last_partition_id),
        AssertDefaultSpecId(default_spec_id=metadata.default_spec_id),
    )
    transaction._stage(updates, unmoved)  # noqa: SLF001 - its public update is what the docstring says


def described(spec: "partitioning.PartitionSpec", schema: "Schema") -> str:
    """The spec in the words of partition_by."""
    words = []
    for field in live_fields(spec):
        column, transform = schema.find_column_name(field.source_id), str(field.transform)
        words.append(f"{column}" if transform == "identity" else f"{transform} of {column}")
    return ", ".join(words) or "nothing"


def _bound(schema: "Schema", wanted: Sequence[PartitionField], table: str) -> list[_Wanted]:
    """The wanted fields with their columns' ids; raises ConfigError for one that does not fit."""
    from pyiceberg.transforms import parse_transform

    found = []
    for item in wanted:
        source = next((field for field in schema.fields if field.name == item.column), None)
        if source is None:
            known = ", ".join(schema.column_names)
            raise ConfigError(
                f"loader.partition_by: table {table} gets no column {item.column!r}; its columns: {known}"
            )
        transform = parse_transform(item.transform)
        if not transform.can_transform(source.field_type):
            raise ConfigError(
                f"loader.partition_by: {item.transform} does not work on {item.column!r}, a {source.field_type}"
            )
        found.append(_Wanted(source.field_id, transform, item.names))
    if len({item.key for item in found}) < len(found):
        raise ConfigError("loader.partition_by: the same column is given twice with the same transform; keep one")
    return found


def _evolved(metadata: "TableMetadata", wanted: Sequence[_Wanted]) -> "partitioning.PartitionSpec":
    """The spec of these fields, each with the id that it had in an earlier spec of the table."""
    from pyiceberg import partitioning

    earlier = {_key(field): field for spec in metadata.specs().values() for field in live_fields(spec)}
    taken = {field.name for field in earlier.values()}
    last = metadata.last_partition_id or partitioning.PARTITION_FIELD_ID_START - 1
    spec_id = 1 + max(metadata.specs())
    fields = _kept_in_place(metadata, {item.key for item in wanted}) if metadata.format_version == 1 else []
    there = {_key(field) for field in fields}
    for item in wanted:
        field = earlier.get(item.key) if metadata.format_version > 1 else None
        if field is None and item.key not in there:
            last += 1
            field = _new(item, last, metadata.schema(), taken)
        if field is not None:
            fields.append(field)
    return partitioning.PartitionSpec(*fields, spec_id=spec_id)


def _kept_in_place(metadata: "TableMetadata", wanted: set[tuple[int, str]]) -> "list[partitioning.PartitionField]":
    """The present fields, those that are not wanted void: format version 1 finds fields by their place."""
    from pyiceberg import partitioning
    from pyiceberg.transforms import VoidTransform

    earlier = {field.field_id: field for spec in metadata.specs().values() for field in live_fields(spec)}
    fields = []
    for field in metadata.spec().fields:
        was = earlier.get(field.field_id, field)
        transform = was.transform if _key(was) in wanted else VoidTransform()
        fields.append(partitioning.PartitionField(field.source_id, field.field_id, transform, field.name))
    return fields


def _new(item: _Wanted, field_id: int, schema: "Schema", taken: set[str]) -> "partitioning.PartitionField":
    from pyiceberg import partitioning

    own = schema.find_column_name(item.source_id) if str(item.transform) == "identity" else None
    others = {name for name in schema.column_names if name != own} | taken
    name = next((name for name in item.names if name not in others), f"{item.names[-1]}_{field_id}")
    taken.add(name)
    return partitioning.PartitionField(item.source_id, field_id, item.transform, name)


def live_fields(spec: "partitioning.PartitionSpec") -> "list[partitioning.PartitionField]":
    """The fields that keep rows apart; those that format version 1 has left in place of former ones do not."""
    return [field for field in spec.fields if str(field.transform) != "void"]


def _key(field: "partitioning.PartitionField") -> tuple[int, str]:
    return field.source_id, str(field.transform)
