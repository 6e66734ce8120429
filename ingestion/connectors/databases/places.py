"""Where rows come from, as people are told of it."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.relation import Relation
from ingestion.parsing import cast_or_null
from ingestion.plugins import REJECTED, Batch, Origin
from ingestion.secrets import redact

__all__ = ["Places"]

_PARTS_APART = 1 << 40  # rows that no part of a reading has
_REASON = REJECTED.get_field_index("reason")


class Places:
    """The origins of batches: a row stands at its primary key where that is one whole number, else at its turn.

    The source says which: shop/orders[id] has the rows by id, shop/orders by their turn.
    """

    def __init__(self, database: Database, relation: Relation, described: Described, columns: Sequence[Column]) -> None:
        wanted = relation.options.primary_key or described.key
        found = {column.name: index for index, column in enumerate(columns)}
        self._columns = {name: found[name] for name in wanted if name in found}
        numbers = [name for name, index in self._columns.items() if t.is_signed_integer(columns[index].dtype)]
        self.key = numbers[0] if len(wanted) == len(numbers) == 1 else None
        """The column by whose values rows are found again; None = they have no place to be found at."""
        name = f"{relation.name}[{self.key}]" if self.key is not None else relation.name
        self.source = redact(f"{database.place}/{name}")

    def origin(self, selected: pa.RecordBatch, before: int, part: int = 0) -> Origin:
        """That of rows which *before* others of the same *part* came before."""
        if self.key is None:
            return Origin(self.source, part * _PARTS_APART + before + 1)
        return Origin(self.source, positions=selected.column(self._columns[self.key]).cast(pa.int64()))

    def naming(self, batch: Batch, selected: pa.RecordBatch, origin: Origin) -> Batch:
        """*batch*, made of the rows *selected*, with the key in the reasons of rejected rows that stand at no key."""
        rejected = batch.rejected
        if rejected is None or self.key is not None or not self._columns:
            return batch
        rows = pc.subtract(rejected["position"], origin.first)
        texts = [self._told(selected.column(index).take(rows), name) for name, index in self._columns.items()]
        reasons = pc.binary_join_element_wise(
            rejected["reason"], pc.binary_join_element_wise(*texts, ", "), "; in row "
        )
        field = rejected.schema.field(_REASON)
        return batch._replace(rejected=rejected.set_column(_REASON, field, reasons))

    @staticmethod
    def _told(values: pa.Array, name: str) -> pa.Array:
        plain = values.storage if isinstance(values, pa.ExtensionArray) else values
        texts = pc.fill_null(cast_or_null(plain, pa.string()), "null")
        return pc.binary_join_element_wise(name, texts, "=")
