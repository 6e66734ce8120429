"""Column names that can stand beside each other in a table, whoever reads it."""

from collections.abc import Iterable, Sequence

from ingestion.errors import DataError

__all__ = ["check_apart"]


def check_apart(names: Sequence[str], present: Iterable[str], table: str) -> None:
    """Raise DataError for a column of the data that cannot stand beside the others of the *table*, or of the data."""
    by_case = {name.lower(): name for name in present}
    for name in names:
        if not name:
            raise DataError(
                f"table {table}: the data has a column without a name; "
                f"name it in the source or by transformer.column_mapping"
            )
        other = by_case.setdefault(name.lower(), name)
        if other != name or names.count(name) > 1:
            raise DataError(
                f"table {table}: columns {other!r} and {name!r} differ only in case or not at all, "
                f"which many engines cannot tell apart; rename one with transformer.column_mapping"
            )
