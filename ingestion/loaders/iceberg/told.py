"""What a commit changes beside rows, in sentences for whoever reads the report."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.specs import described

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table.metadata import TableMetadata

__all__ = ["changes_told"]


def changes_told(
    before: "TableMetadata", after: "TableMetadata", optional: Iterable[str], table: str
) -> tuple[str, ...]:
    """A sentence for each column that is optional, wider or called otherwise now, and one for another partitioning."""
    said = [f"column {path!r} of table {table} is optional from now on" for path in optional]
    said += _of_columns(before.schema(), after.schema())
    if after.default_spec_id != before.default_spec_id:
        said.append(f"table {table} is partitioned by {described(after.spec(), after.schema())} from now on")
    return tuple(said)


def _of_columns(before: "Schema", after: "Schema") -> Iterator[str]:
    tops = {column.field_id: column.name for column in after.fields}
    for column in before.fields:
        if tops.get(column.field_id, column.name) != column.name:
            yield f"column {column.name} is called {tops[column.field_id]} now"
    for field_id in sorted(before.field_ids & after.field_ids):
        was, now = before.find_field(field_id), after.find_field(field_id)
        if now.field_type.is_primitive and now.field_type != was.field_type:
            yield f"column {after.find_column_name(field_id)} became {now.field_type}, it was {was.field_type}"
