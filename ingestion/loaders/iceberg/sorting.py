"""sort_by: what a job may say, the table's sort order, and rows brought into it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.plugins import Model

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.sorting import SortOrder

__all__ = [
    "Order",
    "SortField",
    "SortInput",
    "as_sort_field",
    "fields_of",
    "order_for",
    "sort_keys",
    "sorted_rows",
    "stage_order",
]

_VALID, _NAN, _VALUE = "vnk"


class SortField(Model):
    """One column that the rows of a file are sorted by."""

    column: str
    """The column."""
    direction: Literal["asc", "desc"] = "asc"
    """asc from the least to the greatest, desc the other way round."""
    nulls: Literal["first", "last"] | None = None
    """Where nulls go; first where ascending and last where descending, unless it is given."""

    @property
    def ascending(self) -> bool:
        """Whether the least comes first."""
        return self.direction == "asc"

    @property
    def nulls_first(self) -> bool:
        """Whether nulls come before all values."""
        return self.nulls == "first" if self.nulls else self.ascending


SortInput: TypeAlias = str | SortField
"""What may stand in a list of them: a column alone means ascending."""


class Order(NamedTuple):
    """How the rows of a file are sorted."""

    order_id: int  # by which the table knows it
    keys: tuple[tuple[int, SortField], ...]  # places of the columns in the file

    @property
    def directions(self) -> list[tuple[str, str]]:
        """The columns of `sort_keys`, each ascending or descending."""
        return [
            (f"{kind}{number}", "ascending" if way else "descending")
            for number, (_, item) in enumerate(self.keys)
            for kind, way in ((_VALID, item.nulls_first), (_NAN, item.ascending), (_VALUE, item.ascending))
        ]

    @classmethod
    def on(cls, schema: "Schema", wanted: Sequence[SortField], order_id: int) -> "Order | None":
        """The order of files of *schema*; None where rows stay as they come."""
        places = {item.name: place for place, item in enumerate(schema.fields)}
        return cls(order_id, tuple((places[item.column], item) for item in wanted)) if wanted else None


def as_sort_field(value: Any) -> Any:
    """A column alone as the options of a sort field."""
    return {"column": value} if isinstance(value, str) else value


def order_for(schema: "Schema", wanted: Sequence[SortField], table: str, order_id: int = 1) -> "SortOrder":
    """The sort order of a table; raises ConfigError for a column that it lacks or that has no order."""
    from pyiceberg.table import sorting
    from pyiceberg.transforms import IdentityTransform

    fields = []
    for item in wanted:
        source = next((field for field in schema.fields if field.name == item.column), None)
        if source is None:
            known = ", ".join(field.name for field in schema.fields)
            raise ConfigError(f"loader.sort_by: table {table} gets no column {item.column!r}; its columns: {known}")
        if not source.field_type.is_primitive:
            raise ConfigError(f"loader.sort_by: {item.column!r}, a {source.field_type}, has no order")
        fields.append(
            sorting.SortField(
                source_id=source.field_id,
                transform=IdentityTransform(),
                direction=sorting.SortDirection.ASC if item.ascending else sorting.SortDirection.DESC,
                null_order=sorting.NullOrder.NULLS_FIRST if item.nulls_first else sorting.NullOrder.NULLS_LAST,
            )
        )
    return sorting.SortOrder(*fields, order_id=order_id) if fields else sorting.UNSORTED_SORT_ORDER


def fields_of(order: "SortOrder", schema: "Schema") -> list[SortField]:
    """A table's sort order as a job would say it; none where a job cannot, as with one of another engine."""
    from pyiceberg.table.sorting import NullOrder, SortDirection
    from pyiceberg.transforms import IdentityTransform

    names = {item.field_id: item.name for item in schema.fields}
    if not all(isinstance(item.transform, IdentityTransform) and item.source_id in names for item in order.fields):
        return []
    return [
        SortField(
            column=names[item.source_id],
            direction="asc" if item.direction == SortDirection.ASC else "desc",
            nulls="first" if item.null_order == NullOrder.NULLS_FIRST else "last",
        )
        for item in order.fields
    ]


def stage_order(transaction: "Transaction", wanted: Sequence[SortField], table: str) -> None:
    """Have the table say that its files are sorted so from now on."""
    from pyiceberg.table.update import AddSortOrderUpdate, AssertDefaultSortOrderId, SetDefaultSortOrderUpdate

    metadata = transaction.table_metadata
    present = metadata.default_sort_order_id
    free = 1 + max(order.order_id for order in metadata.sort_orders)
    order = order_for(metadata.schema(), wanted, table, free)
    there = next((old for old in metadata.sort_orders if old.fields == order.fields), None)
    if there is not None and there.order_id == present:
        return
    number = order.order_id if there is None else there.order_id
    added = (AddSortOrderUpdate(sort_order=order),) if there is None else ()
    unmoved = AssertDefaultSortOrderId(default_sort_order_id=present)
    transaction._stage((*added, SetDefaultSortOrderUpdate(sort_order_id=number)), (unmoved,))  # noqa: SLF001 - its public update cannot go back to no order


def sorted_rows(rows: pa.Table, order: Order) -> pa.Table:
    """The same rows as *order* wants them; equal ones stay in their order."""
    keys = sort_keys(rows, order)
    needed = [(name, way) for name, way in order.directions if name[0] == _VALUE or _tells(keys.column(name))]
    return rows.take(pc.sort_indices(keys.select([name for name, _ in needed]), needed))


def sort_keys(rows: pa.Table, order: Order) -> pa.Table:
    """What decides the order of *rows*, to be sorted by `Order.directions`.

    Nulls and NaN have columns of their own, because Arrow would put them elsewhere than Iceberg does.
    """
    keys = {}
    for number, (place, _) in enumerate(order.keys):
        values = rows.column(place)
        if isinstance(values.type, pa.BaseExtensionType):
            values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
        floating = pa.types.is_floating(values.type)
        keys[f"{_VALID}{number}"] = pc.is_valid(values)
        keys[f"{_NAN}{number}"] = pc.is_nan(values) if floating else pa.nulls(rows.num_rows, pa.bool_())
        keys[f"{_VALUE}{number}"] = values
    return pa.table(keys)


def _tells(column: pa.ChunkedArray) -> bool:
    """Whether a column of truth values holds both."""
    return bool(column.null_count < len(column) and pc.any(column).as_py() != pc.all(column).as_py())
