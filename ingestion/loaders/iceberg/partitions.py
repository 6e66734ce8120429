"""partition_by: what a job may say, and from rows to their partitions."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from ingestion.plugins import Model

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema

__all__ = ["FieldInput", "Key", "PartitionField", "Partitioned", "as_field", "comparable", "plain_values", "split"]

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
    places = {item.field_id: place for place, item in enumerate(schema.fields)}
    found = Partitioned({field_id: whole.column(place) for field_id, place in places.items()}, schema, spec)
    order = pc.sort_indices(found.code)
    ends = pc.run_end_encode(found.code.take(order)).run_ends.to_pylist()
    start = 0
    for end in ends:
        # Taken one by one, not sliced from one sorted table: a slice that waits would keep all of that in memory.
        part = whole.take(order.slice(start, end - start)) if len(ends) > 1 else whole
        yield found.key(order[start].as_py()), pa.Table.from_batches([part])
        start = end


class Partitioned:
    """The partition of each row of some columns, given by their field ids."""

    def __init__(self, columns: Mapping[int, pa.Array], schema: "Schema", spec: "PartitionSpec") -> None:
        kinds = [schema.find_field(field.source_id).field_type for field in spec.fields]
        pairs = list(zip(spec.fields, kinds, strict=True))
        self._kinds = [field.transform.result_type(kind) for field, kind in pairs]
        self._values = [
            field.transform.pyarrow_transform(kind)(plain_values(columns[field.source_id])) for field, kind in pairs
        ]
        self.code = _codes(self._values)  # one number per row, equal where the partition is

    def key(self, row: int) -> Key:
        """The partition of one row."""
        from pyiceberg.partitioning import _to_partition_representation

        pairs = zip(self._kinds, self._values, strict=True)
        return tuple(_to_partition_representation(kind, values[row].as_py()) for kind, values in pairs)

    def among(self, keys: Container[Key]) -> pa.BooleanArray:
        """For each row whether its partition is one of *keys*, which are as `comparable` gives them."""
        numbers, rows = np.unique(self.code.to_numpy(), return_index=True)  # numbered from 0 without gaps
        found = np.zeros(len(numbers), np.bool_)
        for number, row in zip(numbers.tolist(), rows.tolist(), strict=True):
            found[number] = comparable(self.key(row)) in keys
        return pa.array(found[self.code.to_numpy()])


def comparable(key: Iterable[Any]) -> Key:
    """A partition so that it equals the same one read from elsewhere: NaN is itself, and UUIDs are bytes."""
    return tuple(map(_comparable, key))


def _comparable(value: Any) -> Any:
    if isinstance(value, UUID):  # as manifests are read; they are written as bytes
        return value.bytes
    return _NAN if value != value else value  # noqa: PLR0124 - only NaN differs from itself


_NAN = "NaN"


def plain_values(values: pa.Array) -> pa.Array:
    """*values* as transforms take them: neither as a dictionary nor in a type of their own."""
    if isinstance(values.type, pa.BaseExtensionType):
        return values.storage
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _codes(keys: list[pa.Array]) -> pa.Array:
    code = None
    for key in keys:
        encoded = (key.combine_chunks() if isinstance(key, pa.ChunkedArray) else key).dictionary_encode("encode")
        indices = encoded.indices.cast(pa.int64())
        code = indices if code is None else pc.add(pc.multiply(code, len(encoded.dictionary)), indices)
        # Numbered anew, so that many keys cannot overflow.
        code = code.dictionary_encode().indices.cast(pa.int64())
    return code
