"""Arrow types as a Delta table holds them: texts stand for times of day and UUIDs, bytes for bytes of one length."""

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.loaders.tables import types
from ingestion.loaders.tables.types import Storage

__all__ = ["DELTA", "cast", "word"]

DELTA = Storage(
    "a Delta table",
    own=(
        (t.is_time, lambda _: pa.string()),
        (lambda dtype: dtype == pa.uuid(), lambda _: pa.string()),
        (t.is_fixed_size_binary, lambda _: pa.binary()),
    ),
)
_WORDS = {
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp_ntz",
    pa.timestamp("us", "UTC"): "timestamp",
}
_DASHED = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def word(dtype: pa.DataType) -> str:
    """The type as Delta calls it."""
    return _WORDS.get(dtype) or str(dtype).replace("decimal128", "decimal")


def cast(values: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """*values* as *dtype*; raises ArrowInvalid where a value would change."""
    if values.type == pa.uuid() and t.is_string(dtype):
        return _uuid_texts(values)
    return types.cast(values, dtype)


def _uuid_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    content = pa.chunked_array([chunk.storage.cast(pa.binary()) for chunk in values.chunks], pa.binary())
    digits = pl.Series(pl.from_arrow(content)).bin.encode("hex").to_arrow().cast(pa.string())
    texts = pc.binary_join_element_wise(*[pc.utf8_slice_codeunits(digits, *bounds) for bounds in _DASHED], "-")
    return pa.chunked_array([texts])
