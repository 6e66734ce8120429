"""Columns by whose values a table's files are kept apart: which may be, their folders, and what an empty text is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.delta.stats import partition_text
from ingestion.plugins import Batch

__all__ = [
    "check_folder",
    "check_present",
    "check_type",
    "folder_of",
    "is_name",
    "without_empty",
    "without_empty_keys",
]

_NULL = "__HIVE_DEFAULT_PARTITION__"
_LONGEST = 255  # bytes of a name, on disks


def check_present(name: str, partition_by: Sequence[str], columns: Iterable[str]) -> None:
    """Raise ConfigError where table *name* lacks one of the columns that it is to be partitioned by."""
    for column in partition_by:
        if column not in columns:
            raise ConfigError(
                f"table {name}: loader.partition_by names {column!r}, which is not among the columns "
                f"{', '.join(columns)}; name one of them"
            )


def check_type(name: str, column: str, dtype: pa.DataType) -> None:
    """Raise ConfigError where values of *dtype* cannot keep partitions of table *name* apart."""
    if t.is_nested(dtype) or t.is_binary(dtype):
        raise ConfigError(
            f"table {name}: loader.partition_by names {column!r}, which holds {dtype}; a Delta table is partitioned "
            f"by plain values other than bytes: name another column, or make one in the transformer"
        )


def folder_of(partition: Mapping[str, Any]) -> str:
    """The folder of a partition with a slash behind, spelled as other writers do: some readers go by nothing else."""
    return "".join(f"{_column_name(name)}={_value(value)}/" for name, value in partition.items())


def _column_name(name: str) -> str:
    """Other writers leave it as it is, even where that makes a folder of another depth or name."""
    return "".join(quote(char, safe="") if char in "%/=\\" or not char.isprintable() else char for char in name)


def _value(value: Any) -> str:
    text = partition_text(value)
    return _NULL if text is None else quote(text, safe="")


def is_name(folder: str) -> bool:
    """Whether each part of *folder* is short enough for disks."""
    return all(len(part.encode()) <= _LONGEST for part in folder.split("/"))


def check_folder(folder: str, where: str) -> None:
    """Raise DataError where values are too long to name a *folder* of the table that is at *where*."""
    if not is_name(folder):
        raise DataError(
            f"{where}: a value in loader.partition_by is too long to name a folder ({folder[:80]}...: more than "
            f"{_LONGEST} bytes, url-encoded); make a shorter column of it in the transformer and name that"
        )


def without_empty(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null in place of each empty text: the log knows no other value for it."""
    if not (t.is_string(values.type) or t.is_large_string(values.type) or t.is_string_view(values.type)):
        return values
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)


def without_empty_keys(batches: Iterator[Batch], keys: Sequence[str]) -> Iterator[Batch]:
    """The batches with null for an empty text in *keys*, so that such a row counts as one without a key."""
    for batch in batches:
        records = batch.records
        for key in keys:
            place = records.schema.get_field_index(key)
            if place >= 0:
                values = records.column(place)
                plain = values.dictionary_decode() if t.is_dictionary(values.type) else values
                found = without_empty(pa.chunked_array([plain])).combine_chunks()
                records = records.set_column(place, key, found)
        yield batch._replace(records=records)
