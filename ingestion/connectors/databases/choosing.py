"""Which columns are read, and in which types."""

from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.connectors.databases.columns import Column, Described
from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.plugins import known_type

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["alike", "chosen"]


def alike(name: str) -> ConfigError:
    """The error of a query of which two columns have that name."""
    return ConfigError(f"two columns of source.query are called {name}; name them apart with AS in source.query")


def chosen(described: Described, options: "DatabaseConnector", known: pa.Schema | None) -> list[Column]:
    """The columns that *options* ask for, as text where *known* says so; raises ConfigError for names of none."""
    there: dict[str, Column] = {}
    for column in described.columns:
        if there.setdefault(column.name, column) is not column:
            raise alike(column.name)
    for option in ("columns", "exclude_columns", "primary_key"):
        for name in getattr(options, option) or ():
            if name not in there:
                raise ConfigError(f"source.{option} names {name!r}; {nearest(name, there, 'the columns are')}")
    wanted = options.columns or [name for name in there if name not in set(options.exclude_columns)]
    if not wanted:
        raise ConfigError("source.exclude_columns leaves no column to read; take one out of it")
    return [_as_known(there[name], known) for name in wanted]


def _as_known(column: Column, known: pa.Schema | None) -> Column:
    dtype = known_type(known, column.name)
    if pa.types.is_boolean(column.dtype) and dtype is not None and pa.types.is_integer(dtype):
        return column._replace(dtype=dtype, wire=None, note="numbers in the table")
    if dtype != pa.string() or column.dtype == pa.string():
        return column
    return column._replace(
        dtype=pa.string(), fast=column.text, plain=column.text, wire=None, fits="", differs="", note="text in the table"
    )
