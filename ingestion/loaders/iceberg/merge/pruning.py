"""Which files and row groups can hold none of the keys, by partitions and by statistics."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.loaders.iceberg.merge.keys import physical
from ingestion.loaders.iceberg.partitions import comparable, plain_values

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionField, PartitionSpec

    from ingestion.loaders.iceberg.merge.live import LiveFile
    from ingestion.loaders.iceberg.merge.reading import Columns, FileReader, Group

__all__ = ["Pruning"]

_MOST_SORTED = 100_000  # values that are not numbers; of more only the ends are known, as sorting them costs too much
_MOST_HASHED = 100_000  # values whose buckets are computed: more of them fall into every bucket anyway


class _Spread:
    """The values of one key column, asked whether any lies between two others."""

    def __init__(self, values: pa.ChunkedArray) -> None:
        column = physical(values)
        self.type = column.type
        self._always = False
        if t.is_floating(column.type):
            self._always = bool(pc.any(pc.is_nan(column)).as_py())  # statistics leave NaN out
        self._values: Any  # in order
        if t.is_primitive(column.type) and not t.is_boolean(column.type):
            self._values = np.sort(column.to_numpy())
        elif len(column) <= _MOST_SORTED:
            self._values = _Ordered(column.combine_chunks().sort())
        else:
            ends = pc.min_max(column)
            self._values = [ends["min"].as_py(), ends["max"].as_py()]
        self._sparse = len(self._values) == len(column)

    def any_between(self, low: Any, high: Any) -> bool:
        """Whether one of the values may be at least *low* and at most *high*."""
        if self._always or not self._sparse:
            return self._always or not (high < self._values[0] or low > self._values[-1])
        place = bisect_left(self._values, low)
        return place < len(self._values) and bool(self._values[place] <= high)


class _Ordered(Sequence[Any]):
    """An Arrow array as bisect wants it."""

    def __init__(self, values: pa.Array) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: Any) -> Any:
        return self._values[place].as_py()


class Pruning:
    """Says of files and row groups whether one of some keys may be in them; never no where one is."""

    def __init__(self, columns: "Columns", keys: pa.Table) -> None:
        self._schema, self._specs = columns.schema, columns.specs
        self._keys = {columns.schema.find_field(name).field_id: name for name in keys.column_names}
        self._columns = keys
        self._spreads = {name: _Spread(keys.column(name)) for name in keys.column_names}
        self._partitions: dict[tuple[int, str], frozenset[Any] | None] = {}

    def may_hold(self, live: "LiveFile") -> bool:
        """Whether the file's partition and its statistics in the commit allow for one of the keys."""
        return self._in_partition(live) and all(
            self._in_bounds(live, number, name) for number, name in self._keys.items()
        )

    def groups(self, reader: "FileReader") -> "list[Group]":
        """The row groups of a file whose statistics allow for one of the keys."""
        leaves = {name: reader.leaf(name) for name in self._spreads}
        return [
            group
            for group in reader.groups
            if all(leaf is None or self._in_group(reader, group, name, leaf) for name, leaf in leaves.items())
        ]

    def _in_group(self, reader: "FileReader", group: "Group", name: str, leaf: int) -> bool:
        statistics = reader.footer.row_group(group.number).column(leaf).statistics
        dtype = self._spreads[name].type
        if statistics is None or not statistics.has_min_max or t.is_decimal(dtype) or t.is_boolean(dtype):
            return True
        low, high = statistics.min_raw, statistics.max_raw
        if t.is_string(dtype):
            low, high = statistics.min, statistics.max
        return self._spreads[name].any_between(low, high)

    def _in_bounds(self, live: "LiveFile", number: int, name: str) -> bool:
        low, high = (live.file.lower_bounds or {}).get(number), (live.file.upper_bounds or {}).get(number)
        if low is None or high is None:
            return True
        kind = self._schema.find_type(number)
        least, greatest = _value(kind, low), _value(kind, high)
        return least is None or greatest is None or self._spreads[name].any_between(least, greatest)

    def _in_partition(self, live: "LiveFile") -> bool:
        spec = self._specs[live.file.spec_id]
        for place, field in enumerate(spec.fields):
            allowed = self._allowed(spec, field) if field.source_id in self._keys else None
            if allowed is not None and comparable([live.file.partition[place]])[0] not in allowed:
                return False
        return True

    def _allowed(self, spec: "PartitionSpec", field: "PartitionField") -> frozenset[Any] | None:
        """The partitions that the keys fall into; None where that is not worth knowing."""
        place = (spec.spec_id, field.name)
        if place not in self._partitions:
            self._partitions[place] = self._transformed(field)
        return self._partitions[place]

    def _transformed(self, field: "PartitionField") -> frozenset[Any] | None:
        from pyiceberg.partitioning import _to_partition_representation
        from pyiceberg.transforms import BucketTransform, UnknownTransform, VoidTransform

        if isinstance(field.transform, VoidTransform | UnknownTransform):
            return None
        values = plain_values(self._columns.column(self._keys[field.source_id]).combine_chunks()).unique()
        if len(values) > _MOST_HASHED and isinstance(field.transform, BucketTransform):
            return None
        source = self._schema.find_type(field.source_id)
        found = pc.unique(field.transform.pyarrow_transform(source)(values))
        if len(found) > _MOST_SORTED:
            return None
        kind = field.transform.result_type(source)
        return frozenset(comparable(_to_partition_representation(kind, value) for value in found.to_pylist()))


def _value(kind: Any, raw: bytes) -> Any:
    """A bound as `physical` has values; None where it cannot be read as the column's present type."""
    import struct
    from decimal import Decimal
    from uuid import UUID

    from pyiceberg.conversions import from_bytes

    try:
        value = from_bytes(kind, raw)
    except (ValueError, TypeError, struct.error, UnicodeDecodeError):
        return None  # written when the column was narrower, or cut within a character
    if isinstance(value, UUID):
        return value.bytes
    return value if isinstance(value, int | float | str | bytes | Decimal) and value == value else None  # noqa: PLR0124 - NaN bounds nothing
