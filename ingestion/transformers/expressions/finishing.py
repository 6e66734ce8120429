"""The program of a whole expression, and the type of its result."""

import polars as pl
import pyarrow as pa

from ingestion.transformers.expressions.compiling import Compiler, Misfit
from ingestion.transformers.expressions.kinds import shown
from ingestion.transformers.expressions.nodes import Node
from ingestion.transformers.expressions.program import Program

__all__ = ["compiled"]


def compiled(node: Node, schema: pa.Schema, zone: str | None = None) -> Program:
    """The program of *node* for rows of *schema*; raises ConfigError for what does not go together.

    Times that are written without an offset stand in *zone*.
    """
    made = Compiler(node, schema, zone)
    found = made.ref(node)
    if found.kind == "interval":
        raise Misfit(node, "the result is an interval, which no table holds; take EXTRACT(EPOCH FROM ...) of both ends")
    if found.kind == "other":
        raise Misfit(node, f"the result is {shown(found.dtype)}; a formula gives plain values")
    name = made.name(found)
    return Program(made.columns, made.stages, name, _arrow_type(made.frame.schema[name]))


def _arrow_type(dtype: pl.DataType) -> pa.DataType:
    found = pl.Series([], dtype=dtype).to_arrow().type
    if pa.types.is_large_string(found) or pa.types.is_string_view(found):
        return pa.string()
    if pa.types.is_timestamp(found):
        return pa.timestamp("us", found.tz)
    return pa.time64("us") if pa.types.is_time(found) else found
