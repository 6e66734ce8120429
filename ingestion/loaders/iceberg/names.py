"""Column names that a table can have, and columns that change theirs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.tables.names import check_apart

if TYPE_CHECKING:
    from pyiceberg.table import Transaction

__all__ = ["check_names", "renamed", "stage_renames"]

_RESERVED = frozenset(
    {
        "_file",
        "_pos",
        "_deleted",
        "_spec_id",
        "_partition",
        "_row_id",
        "_last_updated_sequence_number",
        "_change_type",
        "_change_ordinal",
        "_commit_snapshot_id",
    }
)
"""Columns that Iceberg's readers add to every table."""


def check_names(names: Sequence[str], present: Iterable[str], table: str) -> None:
    """Raise DataError for a column of the data that cannot stand beside the others of the table."""
    check_apart(names, present, table)
    for name in names:
        if name.lower() in _RESERVED:
            raise DataError(
                f"table {table}: {name!r} is the name of one of Iceberg's own columns, which readers of the table "
                f"would show instead; rename it with transformer.column_mapping"
            )


def renamed(schema: pa.Schema, rename_from: Mapping[str, str], table: str) -> pa.Schema:
    """The columns under their new names."""
    news = _news(schema.names, rename_from, table)
    return pa.schema([item.with_name(news.get(item.name, item.name)) for item in schema])


def stage_renames(transaction: "Transaction", rename_from: Mapping[str, str], table: str) -> None:
    """Rename columns, each of which keeps its field id and so its values."""
    present = [field.name for field in transaction.table_metadata.schema().fields]
    news = _news(present, rename_from, table)
    if news:
        with transaction.update_schema() as update:
            for old, new in news.items():
                update.rename_column((old,), new)


def _news(present: Sequence[str], rename_from: Mapping[str, str], table: str) -> dict[str, str]:
    """The new name of each column that has still its old one."""
    for new, old in rename_from.items():
        if new in present and old in present:
            raise ConfigError(
                f"loader.rename_from: table {table} has both {old!r} and {new!r}, so {old!r} cannot be called so; "
                f"leave {new!r} out of rename_from, or choose another name"
            )
    return {old: new for new, old in rename_from.items() if old in present}
