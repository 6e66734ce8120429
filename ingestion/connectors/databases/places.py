"""Where rows come from, as people are told of it."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.connectors.databases.columns import Column, Described
from ingestion.connectors.databases.database import Database
from ingestion.connectors.databases.relation import Relation
from ingestion.parsing import cast_or_null
from ingestion.plugins import Origin

__all__ = ["Places"]

_PARTS_APART = 1 << 40  # rows that no part of a reading has


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
        self.source = f"{database.place}/{name}"  # for ever: what is a secret differs from run to run

    def origin(self, records: pa.RecordBatch, before: int, part: int = 0) -> Origin:
        """That of rows which *before* others of the same *part* came before; a row whose key does not fit has none."""
        if self.key is None:
            return Origin(self.source, part * _PARTS_APART + before + 1)
        return Origin(self.source, positions=records.column(self._columns[self.key]).cast(pa.int64()))

    def told(self, reasons: pa.Array, read: pa.RecordBatch) -> pa.Array:
        """*reasons* to reject the rows *read*, with their keys where no position says them."""
        if self.key is not None or not self._columns:
            return reasons
        texts = [self._value(read.column(index), name) for name, index in self._columns.items()]
        return pc.binary_join_element_wise(reasons, pc.binary_join_element_wise(*texts, ", "), "; in row ")

    @staticmethod
    def _value(values: pa.Array, name: str) -> pa.Array:
        plain = values.storage if isinstance(values, pa.ExtensionArray) else values
        texts = pc.fill_null(cast_or_null(plain, pa.string()), "null")
        return pc.binary_join_element_wise(name, texts, "=")
