"""Cursors that are tables, as files hold them."""

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["encoded"]


def encoded(table: pa.Table) -> pa.Buffer:
    """*table* as a Parquet file; sorted texts such as paths shrink best as differences to the one before."""
    texts = [item.name for item in table.schema if pa.types.is_string(item.type) or pa.types.is_large_string(item.type)]
    sink = pa.BufferOutputStream()
    encoding = dict.fromkeys(texts, "DELTA_BYTE_ARRAY")
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, column_encoding=encoding)
    return sink.getvalue()
