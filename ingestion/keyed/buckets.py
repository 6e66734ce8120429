"""Rows kept apart on disk by a hash of their key."""

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa

from ingestion.keyed.choice import frame_of
from ingestion.keyed.spool import Spool

__all__ = ["Buckets", "joined"]


class Buckets:
    """Tables of one schema, taken apart so that all rows of one key are in one bucket, in order of arrival."""

    def __init__(self, keys: Sequence[str], count: int, seed: int) -> None:
        self._keys = keys
        self._count = count
        self._seed = seed
        self._spools: dict[int, Spool] = {}
        self._schema = pa.schema([])

    def write(self, rows: pa.Table) -> None:
        """Put each row into its bucket."""
        self._schema = rows.schema
        hashes = frame_of(rows, self._keys).hash_rows(self._seed)
        places = pl.DataFrame({"bucket": hashes % self._count}).with_row_index("row")
        plain = _decoded(rows)
        for (bucket,), part in places.partition_by("bucket", as_dict=True, maintain_order=True).items():
            self._spool(int(bucket)).write(plain.take(part["row"].to_arrow()))

    def read(self) -> Iterator[Iterator[pa.Table]]:
        """Bucket after bucket, each of them gone once the next is asked for."""
        for bucket in sorted(self._spools):
            spool = self._spools[bucket]
            yield (_encoded(batch, self._schema) for batch in spool.read())
            spool.close()

    def close(self) -> None:
        """Give the space back."""
        for spool in self._spools.values():
            spool.close()

    def _spool(self, bucket: int) -> Spool:
        if bucket not in self._spools:
            self._spools[bucket] = Spool()
        return self._spools[bucket]


def joined(tables: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of at least *size* bytes."""
    held: list[pa.Table] = []
    total = 0
    for table in tables:
        held.append(table)
        total += table.nbytes
        if total >= size:
            together, held, total = held, [], 0
            yield pa.concat_tables(together)
    if held:
        yield pa.concat_tables(held)


def _decoded(rows: pa.Table) -> pa.RecordBatch:
    """Texts instead of dictionaries: each part of the rows would carry a whole dictionary."""
    columns = [
        values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
        for values in rows.columns
    ]
    joined_columns = [values.combine_chunks() if values.num_chunks != 1 else values.chunk(0) for values in columns]
    return pa.RecordBatch.from_arrays(joined_columns, names=rows.column_names)


def _encoded(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """The same rows with the dictionaries of *schema*."""
    columns = [_as(values, field.type) for values, field in zip(batch.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _as(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(dtype):
        return values
    encoded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(dtype.index_type), encoded.dictionary)
