"""Columns that the table requires and the data does not always bring."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ingestion.errors import DataError
from ingestion.loaders.tables.required import has_required, lacking, unfilled

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

__all__ = ["check_may_loosen", "has_required", "lacking", "unfilled"]


def check_may_loosen(schema: "Schema", paths: Iterable[str], table: str, *, frozen: bool) -> None:
    """Raise DataError where columns that the data lacks or has nulls in must stay required."""
    for path in paths:
        what = (
            f"table {table}: column {path!r} is required and the data lacks it or has nulls in it; "
            f"bring it in the source"
        )
        if frozen:
            raise DataError(f"{what}, or let it become optional by loader.schema_contract.columns: evolve")
        if schema.find_field(path).field_id in schema.identifier_field_ids:
            raise DataError(f"{what}: the table's rows are identified by it, so it cannot become optional")
