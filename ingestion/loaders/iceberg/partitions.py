"""partition_by: from a job's words to an Iceberg spec, and from rows to their partitions."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from ingestion.errors import ConfigError
from ingestion.plugins import Model

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

__all__ = ["FieldInput", "Key", "PartitionField", "as_field", "check_spec", "spec_for", "split"]

Key: TypeAlias = tuple[Any, ...]
"""A partition: its values in Iceberg's representation."""

_PLAIN = ("identity", "year", "month", "day", "hour")
_WITH_NUMBER = re.compile(r"(bucket|truncate)\[([1-9][0-9]*)\]")
_SUFFIX = {"identity": "", "bucket": "_bucket", "truncate": "_trunc"}


class PartitionField(Model):
    """One way in which a table's files are kept apart."""

    column: str
    """The column that decides in which partition a row lies."""
    transform: str = "identity"
    """How: identity, year, month, day, hour, bucket[n] (by hash) or truncate[w] (first w characters, or steps of w)."""

    @field_validator("transform")
    @classmethod
    def _known(cls, value: str) -> str:
        text = value.replace(" ", "").lower()
        if text in _PLAIN or _WITH_NUMBER.fullmatch(text):
            return text
        raise ValueError(f"unknown transform {value!r}; known: {', '.join(_PLAIN)}, bucket[n], truncate[w]")

    @property
    def name(self) -> str:
        """The partition's name, as other engines would call it."""
        kind = self.transform.partition("[")[0]
        return self.column + _SUFFIX.get(kind, f"_{kind}")


FieldInput: TypeAlias = str | PartitionField
"""What may stand in a list of them: a column alone means identity."""


def as_field(value: Any) -> Any:
    """A column alone as the options of a partition field."""
    return {"column": value} if isinstance(value, str) else value


def spec_for(schema: "Schema", wanted: Sequence[PartitionField], table: str) -> "PartitionSpec":
    """The partition spec of a new table; raises ConfigError for a column or transform that does not fit."""
    from pyiceberg import partitioning
    from pyiceberg.transforms import parse_transform

    fields: list[partitioning.PartitionField] = []
    for number, item in enumerate(wanted):
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
        name = item.name
        if item.transform != "identity" and name in schema.column_names:
            name += "_partition"
        fields.append(
            partitioning.PartitionField(
                source_id=source.field_id, field_id=1000 + number, transform=transform, name=name
            )
        )
    return partitioning.PartitionSpec(*fields)


def check_spec(table: "Table", wanted: Sequence[PartitionField], name: str) -> None:
    """Raise ConfigError when the job asks for another partitioning than the table has."""
    if not wanted:
        return
    schema, spec = table.schema(), table.spec()
    has = [(schema.find_column_name(field.source_id), str(field.transform)) for field in spec.fields]
    if has != [(item.column, item.transform) for item in wanted]:
        words = ", ".join(f"{column} by {transform}" for column, transform in has) or "nothing"
        raise ConfigError(
            f"loader.partition_by: table {name} exists and is partitioned by {words}; a load does not change "
            f"that: write partition_by as the table has it, leave it out, or load into a new table"
        )


def split(rows: pa.Table, schema: "Schema", spec: "PartitionSpec") -> Iterator[tuple[Key, pa.Table]]:
    """The rows of each partition, with its key."""
    # One contiguous batch: taking from chunked columns costs a copy of all of them each time.
    whole = rows.combine_chunks().to_batches()[0]
    keys = _keys(whole, schema, spec)
    code = _codes(keys)
    order = pc.sort_indices(code)
    ends = pc.run_end_encode(code.take(order)).run_ends.to_pylist()
    start = 0
    for end in ends:
        # Taken one by one, not sliced from one sorted table: a slice that waits would keep all of that in memory.
        part = whole.take(order.slice(start, end - start)) if len(ends) > 1 else whole
        yield _values(keys, order[start].as_py(), schema, spec), pa.Table.from_batches([part])
        start = end


def _keys(rows: pa.RecordBatch, schema: "Schema", spec: "PartitionSpec") -> list[pa.Array]:
    keys = []
    for field in spec.fields:
        source = schema.find_field(field.source_id)
        place = next(place for place, item in enumerate(schema.fields) if item.field_id == field.source_id)
        values = rows.column(place)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        keys.append(field.transform.pyarrow_transform(source.field_type)(values))
    return keys


def _codes(keys: list[pa.Array]) -> pa.Array:
    """One number per row, equal where all keys are."""
    code = None
    for key in keys:
        encoded = (key.combine_chunks() if isinstance(key, pa.ChunkedArray) else key).dictionary_encode("encode")
        indices = encoded.indices.cast(pa.int64())
        code = indices if code is None else pc.add(pc.multiply(code, len(encoded.dictionary)), indices)
        # Numbered anew, so that many keys cannot overflow.
        code = code.dictionary_encode().indices.cast(pa.int64())
    return code


def _values(keys: list[pa.Array], row: int, schema: "Schema", spec: "PartitionSpec") -> Key:
    from pyiceberg.partitioning import _to_partition_representation

    types = [field.transform.result_type(schema.find_field(field.source_id).field_type) for field in spec.fields]
    return tuple(_to_partition_representation(kind, key[row].as_py()) for kind, key in zip(types, keys, strict=True))
