"""An expression for the columns of one schema: stages that add a column each, and where the result stands."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.transformers.expressions.nodes import Node
from ingestion.transformers.expressions.stages import Fault, Stage

__all__ = ["Program", "framed"]

HEIGHT = "rows"
"""A column that is always there, so that a frame knows its height."""


class Program(NamedTuple):
    """What to do to a frame."""

    columns: Mapping[str, str]  # name in the rows, name in the frame
    stages: Sequence[Stage]
    result: str
    dtype: pa.DataType

    def run(self, records: pa.RecordBatch) -> tuple[pa.Array, list[Fault]]:
        """The result for every row, null at the faults."""
        frame = framed(records, self.columns)
        faults: list[Fault] = []
        for stage in self.stages:
            frame, found = stage.run(frame)
            faults += found
        return as_arrow(frame[self.result], self.dtype), faults

    def refuse(self, node: Node, size: float) -> tuple[pa.Array, list[Fault]]:
        """Null, and the fault, for one row alone whose texts would have this *size* in bytes."""
        reason = f"its texts would take up to {size / 2**20:.0f} MiB, which is more than one row may have"
        return pa.nulls(1, self.dtype), [Fault(pl.Series([True]), node, reason)]


def framed(records: pa.RecordBatch, columns: Mapping[str, str]) -> pl.DataFrame:
    """The *columns* of the rows as a frame."""
    series = [pl.Series(inner, pl.from_arrow(_plain(records.column(name)))) for name, inner in columns.items()]
    height = pl.repeat(value=True, n=records.num_rows, eager=True).alias(HEIGHT)
    return pl.DataFrame([height, *series])


def _plain(values: pa.Array) -> pa.Array:
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_uint64(values.type):  # beside other whole numbers polars makes doubles of them
        return pc.cast(values, pa.decimal128(20, 0))
    if pa.types.is_timestamp(values.type) or (pa.types.is_duration(values.type) and values.type.unit == "ns"):
        return pc.cast(values, _moment(values.type), safe=False)
    return pc.cast(values, values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _moment(dtype: pa.DataType) -> pa.DataType:
    """Nanoseconds end in the year 2262, past which polars wraps round; moments of two zones it does not compare."""
    unit = "us" if dtype.unit == "ns" else dtype.unit
    return pa.timestamp(unit, dtype.tz and "UTC") if pa.types.is_timestamp(dtype) else pa.duration(unit)


def as_arrow(values: pl.Series, dtype: pa.DataType) -> pa.Array:
    """The values as Arrow has them."""
    found = values.to_arrow()
    return found if found.type == dtype else pc.cast(found, dtype)
