"""A table as three engines read it, which must see the same rows."""

import warnings
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from pyiceberg.table import Table

__all__ = ["agreed_rows", "by_duckdb"]


def agreed_rows(table: Table) -> list[dict[str, Any]]:
    """All rows, in some fixed order, once pyiceberg, polars and DuckDB have agreed on them."""
    rows = _sorted(table.scan().to_arrow().to_pylist())
    assert _sorted(_by_polars(table)) == rows
    assert _sorted(by_duckdb(table)) == rows
    return rows


def _by_polars(table: Table) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Iceberg scan planning")
        return pl.scan_iceberg(table).collect().to_dicts()


def by_duckdb(table: Table) -> list[dict[str, Any]]:
    """All rows as DuckDB's extension reads them."""
    packages = Path(duckdb.__file__).parents[1]
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as database:
        for name in ("avro", "iceberg"):
            (extension,) = (packages / f"duckdb_extension_{name}").rglob(f"{name}.duckdb_extension")
            database.execute(f"LOAD '{extension}'")
        database.execute("SET TimeZone = 'UTC'")
        return database.sql(f"FROM iceberg_scan('{table.metadata_location}')").to_arrow_table().to_pylist()


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row.values()])
