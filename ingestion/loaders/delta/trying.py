"""What a load would do to a table's columns, planned and thrown away."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.delta.columns import columns_of, strict_columns_of
from ingestion.loaders.delta.layout import check_layout
from ingestion.loaders.delta.place import translated
from ingestion.loaders.delta.plan import Plan
from ingestion.loaders.delta.types import DELTA, word
from ingestion.loaders.tables.comparing import Trial

if TYPE_CHECKING:
    from ingestion.loaders.delta import DeltaLoader

__all__ = ["trial_of"]


@contextmanager
def trial_of(options: "DeltaLoader", job: str) -> Iterator[Trial]:
    """The table of *job*, to try things on."""
    with translated(f"table {options.name(job)}"):
        yield _Delta(options, job)


class _Delta(Trial):
    def __init__(self, options: "DeltaLoader", job: str) -> None:
        self._options = options
        self._name = options.name(job)
        self._place = options.place(job)
        self._table = self._place.open()
        there = self._table
        self._partitions = options.partition_by if there is None else list(there.metadata().partition_columns)
        self.known = None if there is None else columns_of(there)

    def before(self, column: str) -> str | None:
        if self.known is None or column not in self.known.names:
            return None
        return word(self.known.field(column).type)

    def called(self, dtype: pa.DataType, column: str) -> str:
        return word(DELTA.plain(dtype, column))

    def after(self, column: str, batches: Sequence[pa.RecordBatch]) -> str | None:
        lenient = None if self.known is None else pa.schema([item.with_nullable(nullable=True) for item in self.known])
        plan = Plan(self._name, lenient, [name for name in self._partitions if name == column])
        for batch in batches:
            plan.take(batch.schema, rows=bool(batch.num_rows))
        if self.known is None and not plan.settled:
            return None
        dtype = plan.settle().field(column).type if column in plan.settle().names else None
        for batch in batches if dtype is not None else ():
            plan.column(column, pa.chunked_array([batch.column(0)]), dtype)
        return None if dtype is None else word(dtype)

    def check(self, batches: Sequence[pa.RecordBatch]) -> None:
        if self._table is not None:  # without one its folder would be made to look into it
            check_layout(self._place, self._table, self._options, self._name)
        left_out = frozenset([self._options.delete_column] if self._options.delete_column else [])
        strict = None if self._table is None else strict_columns_of(self._table)
        plan = Plan(self._name, self.known, self._partitions, left_out, strict)
        for batch in batches:
            plan.take(batch.schema, rows=bool(batch.num_rows))
        if plan.settled:
            plan.settle()
            for batch in batches:
                if batch.num_rows:
                    plan.shape(batch)
