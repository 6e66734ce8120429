"""Rows made of the items of lists."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.errors import ConfigError
from ingestion.plugins import Batch
from ingestion.quarantine import concat, reject
from ingestion.stream import is_list
from ingestion.transformers.pieces import pieces, weights
from ingestion.transformers.steps import Seen, Step

__all__ = ["RowsOfItems"]

_EXPLODE = "explode"


class RowsOfItems(Step):
    """Makes a row of each item, in batches of bounded size; a row without items stays, with null."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._seen = Seen()

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield one batch or more for each; raises ConfigError for a column that no batch had, or that has no lists."""
        for batch in batches:
            names = batch.records.schema.names
            self._seen.note(names)
            columns = [name for name in self._columns if name in names]
            yield from _exploded(_even(batch, columns), columns) if columns else (batch,)
        self._seen.require(self._columns, _EXPLODE)


class _Lists(NamedTuple):
    """A column of lists: the items of all rows behind each other, and how many belong to each row."""

    items: pa.Array
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, records: pa.RecordBatch, name: str) -> "_Lists":
        values = records[name]
        if t.is_null(values.type):  # no list has come yet
            return cls(values.slice(0, 0), np.zeros(len(values), np.int64))
        if not is_list(values.type):
            raise ConfigError(
                f"transformer.explode: column {name!r} has values of type {values.type} and no lists; take it out, or "
                f"name a column that has some"
            )
        lengths = pc.cast(pc.list_value_length(values), pa.int64()).fill_null(0)
        return cls(values.flatten(), lengths.to_numpy())

    def at(self, rows: npt.NDArray[np.int64], parts: npt.NDArray[np.int64]) -> pa.Array:
        """Of each of these rows the item with that number, from 1; null where the row has none."""
        starts = np.cumsum(self.lengths) - self.lengths
        return self.items.take(pa.array(starts[rows] + parts - 1, mask=self.lengths[rows] == 0))


def _even(batch: Batch, columns: Sequence[str]) -> Batch:
    """The batch without the rows whose lists differ in length, which are rejected."""
    lengths = [_Lists.of(batch.records, name).lengths for name in columns]
    even = np.logical_and.reduce([lengths[0] == other for other in lengths])
    if even.all():
        return batch
    bad = pa.array(np.flatnonzero(~even))
    counts = [pc.cast(pa.array(length).take(bad), pa.string()) for length in lengths]
    texts = [
        pc.binary_join_element_wise(f"{name} has", count, " ") for name, count in zip(columns, counts, strict=True)
    ]
    reasons = pc.binary_join_element_wise(
        pc.binary_join_element_wise(*texts, ", "), "items; what is exploded together needs equally many", " "
    )
    rejected = reject(batch.records, bad, batch.origin, stage="transform", rule=_EXPLODE, reasons=reasons)
    rows = pa.array(np.flatnonzero(even))
    return batch._replace(
        records=batch.records.take(rows), origin=batch.origin.take(rows), rejected=concat([batch.rejected, rejected])
    )


def _exploded(batch: Batch, columns: Sequence[str]) -> Iterator[Batch]:
    """The rows of the items; the news of the batch come with the first of them, its cursor with the last."""
    lists = {name: _Lists.of(batch.records, name) for name in columns}
    counts = np.maximum(lists[columns[0]].lengths, 1)
    added = int(counts.sum()) - batch.records.num_rows
    removed = Counter(batch.removed)
    if added:
        removed[_EXPLODE] -= added
    made: Batch | None = None
    for rows, parts in pieces(counts, weights(batch.records.drop_columns(list(columns)))):
        if made is not None:
            yield made
        records = _beside(batch.records, {name: values.at(rows, parts) for name, values in lists.items()}, rows)
        origin = batch.origin.divided(pa.array(rows), pa.array(parts))
        news = batch._replace(removed=removed) if made is None else Batch(batch.records, batch.origin)
        made = news._replace(records=records, origin=origin, cursor=None)
    if made is not None:
        yield made._replace(cursor=batch.cursor)


def _beside(records: pa.RecordBatch, items: dict[str, pa.Array], rows: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The *items* as rows, with what the other columns have in the rows that they come from."""
    indices = pa.array(rows)
    columns = [items[name] if name in items else records[name].take(indices) for name in records.schema.names]
    fields = [
        field.with_type(values.type).with_nullable(field.nullable or field.name in items)
        for field, values in zip(records.schema, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, records.schema.metadata))
