"""Types of polars that no table holds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import ConfigError
from ingestion.transformers.transformations.shape import Place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["arrow_schema"]


def arrow_schema(made: "Mapping[str, pl.DataType]", place: Place) -> pa.Schema:
    """What polars makes of its types for Arrow; raises ConfigError for a column that it would make nonsense of."""
    import polars as pl

    for name, dtype in made.items():
        if _is_foreign(dtype):
            raise ConfigError(
                f"{place}: column {name!r} came back as {dtype}, which no table holds; cast it to another type there, "
                f"or leave it out"
            )
    return pl.Schema(made).to_frame().to_arrow().schema


def _is_foreign(dtype: "pl.DataType | pl.datatypes.DataTypeClass") -> bool:
    """Whether the values are Python's, of which Arrow would get the addresses, or wider than its numbers."""
    import polars as pl

    if isinstance(dtype, pl.Struct):
        return any(_is_foreign(field.dtype) for field in dtype.fields)
    inner = getattr(dtype, "inner", None)
    return _is_foreign(inner) if inner is not None else dtype in (pl.Object, pl.Int128, pl.UInt128)
