"""The table's columns as a load will leave them: added or widened, never dropped or narrowed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import DataError, TransientError
from ingestion.loaders.delta.columns import columns_of
from ingestion.loaders.delta.partitions import check_present, check_type, without_empty
from ingestion.loaders.delta.types import DELTA, cast, word
from ingestion.loaders.tables.admission import deletes
from ingestion.loaders.tables.names import check_apart
from ingestion.loaders.tables.options import DELETED_AT
from ingestion.loaders.tables.required import has_required, unfilled
from ingestion.loaders.tables.types import joined, relation, typed

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Plan"]

_RESERVED = frozenset({"_change_type", "_commit_version", "_commit_timestamp"})


@dataclass
class Plan:
    """Follows the schemas of a stream."""

    name: str
    base: pa.Schema | None  # of the table; None = it does not exist
    partition_by: Sequence[str]
    left_out: frozenset[str] = frozenset()  # columns of the data that are not stored
    strict: pa.Schema | None = None  # the table's columns, with all that must not be null within them
    columns: dict[str, pa.DataType] = field(default_factory=dict)
    brought: dict[str, None] = field(default_factory=dict)
    _untyped: dict[str, bool] = field(default_factory=dict)  # columns without a type: whether rows have them
    _known: set[pa.Schema] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.base is not None:
            self.columns = {item.name: item.type for item in self.base}

    @property
    def schema(self) -> pa.Schema:
        """All columns, in the table's order, new ones behind."""
        return pa.schema(self.columns.items())

    @property
    def settled(self) -> bool:
        """Whether there is a table, or data that says what it will look like."""
        return self.base is not None or bool(self.columns) or any(self._untyped.values())

    @property
    def added(self) -> tuple[str, ...]:
        """Columns that the table lacks."""
        return tuple(name for name in self.columns if self.base is not None and name not in self.base.names)

    @property
    def widened(self) -> bool:
        """Whether a column of the table gets another type, so that all its files are to be written again."""
        return self.base is not None and any(self.columns[item.name] != item.type for item in self.base)

    @property
    def absent(self) -> tuple[str, ...]:
        """Columns of the table that the data does not have."""
        own = {*self.brought, DELETED_AT}
        return tuple(name for name in (self.base.names if self.base is not None else ()) if name not in own)

    def take(self, incoming: pa.Schema, *, rows: bool = True) -> None:
        """Have room for data of *incoming*; columns without a type wait for one. Raises DataError where it cannot."""
        if incoming in self._known:
            return
        self._check_names([name for name in incoming.names if name not in self.left_out])
        for item in incoming:
            if item.name in self.left_out:
                continue
            self.brought[item.name] = None
            if item.type == pa.null():
                self._untyped[item.name] = self._untyped.get(item.name, False) or rows
            else:
                self._take_column(item.name, DELTA.plain(item.type, item.name))
        if rows:
            self._check_required()
            self._known.add(incoming)

    def settle(self) -> pa.Schema:
        """The final columns: text where rows have no value in one; without rows it waits for a load that has some."""
        typed_ones = bool(self.columns)
        for name, in_rows in self._untyped.items():
            if in_rows or not typed_ones or name in self.partition_by:
                self.columns.setdefault(name, pa.string())
        if not self.columns:
            raise DataError(f"table {self.name} does not exist and the data has no columns to create it from")
        check_present(self.name, self.partition_by, self.columns)
        return self.schema

    def shape(self, records: pa.RecordBatch) -> pa.Table:
        """Rows in the columns of the plan; raises DataError for a value, or none, that does not fit its column."""
        check_present(self.name, self.partition_by, self.columns)
        table = pa.Table.from_batches([records])
        held = set(table.column_names)
        values = [
            self.column(name, table.column(name), dtype)
            if name in held
            else pa.chunked_array([pa.nulls(len(table), dtype)])
            for name, dtype in self.columns.items()
        ]
        shaped = pa.Table.from_arrays(values, schema=self.schema)
        self._check_filled(records, shaped)
        return shaped

    def rebased(self, table: "DeltaTable | None") -> "Plan":
        """The same plan on what the table is now; raises TransientError where written files would not fit it."""
        base = columns_of(table) if table is not None else None
        laid_out = list(table.metadata().partition_columns) if table is not None else list(self.partition_by)
        if base == self.base and laid_out == list(self.partition_by):
            return self
        moved = f"table {self.name}: its columns changed while the run was under way; run again"
        if base is None or laid_out != list(self.partition_by):
            raise TransientError(moved)
        plan = Plan(self.name, base, self.partition_by, self.left_out, brought=self.brought)
        try:
            plan.take(self.schema)
        except DataError as error:
            raise TransientError(moved) from error
        if any(plan.columns[name] != dtype for name, dtype in self.columns.items()):
            raise TransientError(moved)
        return plan

    def _take_column(self, name: str, dtype: pa.DataType) -> None:
        old = self.columns.get(name)
        dtype = typed(dtype, old)
        if old is None:
            if name in self.partition_by:
                check_type(self.name, name, dtype)
            self.columns[name] = dtype
            return
        how = relation(dtype, old)
        if how == "other":
            raise DataError(
                f"table {self.name}: column {name!r} is {word(old)}, the data brings {word(dtype)}; "
                f"convert it in the transformer (types: {{{name}: {word(old)}}}), or load into another table"
            )
        if how == "wider":
            if name in self.partition_by:
                raise DataError(
                    f"table {self.name}: column {name!r} is {word(old)} and keeps the table's partitions apart, so it "
                    f"cannot become {word(dtype)}; convert it in the transformer, or load into another table"
                )
            self.columns[name] = joined(dtype, old, name)

    def column(self, name: str, values: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
        """A column's values in its type; raises DataError for one that does not fit."""
        try:
            found = cast(values, dtype)
            return without_empty(found) if name in self.partition_by else found
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"table {self.name}: column {name!r} is {word(dtype)}, and a value of the data does not fit: {error}; "
                f"correct the data, or convert the column in the transformer"
            ) from error

    def _check_required(self) -> None:
        for item in self.base if self.base is not None else ():
            if not item.nullable and item.name not in self.brought:
                raise self._lacking(item.name)

    def _check_filled(self, records: pa.RecordBatch, shaped: pa.Table) -> None:
        """Of rows that delete nothing is stored, so that they need not fill anything."""
        required = [item for item in self.strict or () if has_required(item)]
        if not required:
            return
        for name in self.left_out.intersection(records.schema.names):
            shaped = shaped.filter(pc.invert(deletes(records[name])))
        for item in required:
            for values in shaped.column(item.name).chunks:
                for path in unfilled(values, item, item.name):
                    raise self._lacking(path)

    def _lacking(self, path: str) -> DataError:
        return DataError(
            f"table {self.name}: column {path!r} is required and the data lacks it or has nulls in it; fill it in the "
            f"source or by transformer.handle_missing_values, name it by transformer.column_mapping, or load into "
            f"another table"
        )

    def _check_names(self, names: Sequence[str]) -> None:
        check_apart(names, self.columns, self.name)
        for name in names:
            if name.lower() in _RESERVED and name not in self.columns:
                raise DataError(
                    f"table {self.name}: {name!r} is the name of a column of Delta's change data feed, which a table "
                    f"that has one cannot turn on; rename it with transformer.column_mapping"
                )
