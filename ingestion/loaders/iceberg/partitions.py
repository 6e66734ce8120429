"""partition_by: what a job may say, and from rows to their partitions."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from ingestion.plugins import Model

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema

__all__ = ["FieldInput", "Key", "PartitionField", "as_field", "keys_of", "split"]

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
    def names(self) -> tuple[str, ...]:
        """What the partition may be called, as other engines would call it first."""
        kind, _, number = self.transform.rstrip("]").partition("[")
        name = self.column + _SUFFIX.get(kind, f"_{kind}")
        return (name, *([f"{name}_{number}"] if number else []), f"{name}_partition")


FieldInput: TypeAlias = str | PartitionField
"""What may stand in a list of them: a column alone means identity."""


def as_field(value: Any) -> Any:
    """A column alone as the options of a partition field."""
    return {"column": value} if isinstance(value, str) else value


def split(rows: pa.Table, schema: "Schema", spec: "PartitionSpec") -> Iterator[tuple[Key, pa.Table]]:
    """The rows of each partition, with its key."""
    # One contiguous batch: taking from chunked columns costs a copy of all of them each time.
    whole = rows.combine_chunks().to_batches()[0]
    keys, code = keys_of(whole, schema, spec)
    order = pc.sort_indices(code)
    ends = pc.run_end_encode(code.take(order)).run_ends.to_pylist()
    start = 0
    for end in ends:
        # Taken one by one, not sliced from one sorted table: a slice that waits would keep all of that in memory.
        part = whole.take(order.slice(start, end - start)) if len(ends) > 1 else whole
        yield _values(keys, order[start].as_py(), schema, spec), pa.Table.from_batches([part])
        start = end


def keys_of(rows: pa.RecordBatch, schema: "Schema", spec: "PartitionSpec") -> tuple[list[pa.Array], pa.Array]:
    """The value of each row in each field of *spec*, and one number per row, equal where all values are."""
    keys = _keys(rows, schema, spec)
    return keys, _codes(keys)


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
