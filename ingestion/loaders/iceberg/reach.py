"""Whether a data file of an older partition spec can have rows in some partitions of the present one."""

import struct
from collections.abc import Collection
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema

    from ingestion.loaders.iceberg.partitions import Key

__all__ = ["may_reach"]


def may_reach(file: "DataFile", schema: "Schema", spec: "PartitionSpec", keys: "Collection[Key]") -> bool:
    """Whether the file's statistics allow for a row in one of *keys*, partitions of *spec*; never no where one is."""
    return all(
        _meets(file, schema, field, {key[place] for key in keys})
        for place, field in enumerate(spec.fields)
        if field.transform.preserves_order
    )


def _meets(file: "DataFile", schema: "Schema", field: "PartitionField", values: set[Any]) -> bool:
    if None in values and (file.null_value_counts or {}).get(field.source_id) != 0:
        return True
    wanted = values - {None}
    ends = _ends(file, schema, field)
    if ends is None or not all(type(value) is type(ends[0]) for value in wanted):
        return True
    return any(ends[0] <= value <= ends[1] for value in wanted)


def _ends(file: "DataFile", schema: "Schema", field: "PartitionField") -> tuple[Any, Any] | None:
    """The least and the greatest partition that the file's values fall into, where its statistics tell."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import PrimitiveType

    kind, number = schema.find_type(field.source_id), field.source_id
    low, high = (file.lower_bounds or {}).get(number), (file.upper_bounds or {}).get(number)
    if low is None or high is None or not isinstance(kind, PrimitiveType):
        return None
    of = field.transform.transform(kind)
    try:
        ends = of(from_bytes(kind, low)), of(from_bytes(kind, high))
    except (ValueError, TypeError, struct.error):  # written when the column was narrower, or cut within a character
        return None
    return ends if isinstance(ends[0], int | str | Decimal) and type(ends[0]) is type(ends[1]) else None
