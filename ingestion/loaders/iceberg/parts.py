"""A part of the table that the load names is replaced by the load's rows, in one snapshot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ingestion.loaders.iceberg.commit import change
from ingestion.loaders.iceberg.merge.live import LiveFile, live_files
from ingestion.loaders.iceberg.merge.reading import Columns, FileReader, Group
from ingestion.loaders.iceberg.staying import Origin, origin_of, with_deletes, write_staying
from ingestion.loaders.iceberg.types import file_schema
from ingestion.loaders.iceberg.writer import StreamWriter
from ingestion.loaders.tables.parts import Bound, bounds, inside
from ingestion.plugins import Part

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg.fit import Fit

__all__ = ["PartReplacement", "has_rows_in"]


@dataclass
class PartReplacement:
    """Takes the rows in *parts* out of a table, as it is when the commit is tried.

    Files whose statistics say that they hold nothing else go as a whole; of others the rows that stay are written anew.
    """

    parts: Sequence[Part]
    fit: "Callable[[TableMetadata], Fit]"  # how rows of the table itself are written
    writer: Callable[[], StreamWriter]
    _kept: "dict[Origin, list[DataFile]]" = field(default_factory=dict)

    def stage(
        self, transaction: "Transaction", summary: dict[str, str], files: "Sequence[DataFile]"
    ) -> "_SnapshotProducer[Any]":
        """Stage one snapshot in which *files* are all that there is in the parts."""
        metadata, table = transaction.table_metadata, transaction._table  # noqa: SLF001 - the table that it is on
        limits = _limits(self.parts, metadata)
        live, whole, readers = _found(table, metadata, limits)
        inside = partial(_inside, limits=limits)
        across = [reader.live for reader in readers]
        origin = origin_of(across, files, metadata)
        if across and origin not in self._kept:
            self._kept[origin] = write_staying(readers, inside, self.fit(metadata), self.writer(), table)
        gone = with_deletes([*whole, *across], live)
        return change(transaction, summary, [*files, *self._kept.get(origin, [])], removed=gone)


def has_rows_in(table: "Table", parts: Sequence[Part]) -> bool:
    """Whether *table* has rows that are in all of *parts*."""
    _, whole, readers = _found(table, table.metadata, _limits(parts, table.metadata))
    return bool(whole or readers)


def _limits(parts: Sequence[Part], metadata: "TableMetadata") -> Sequence[Bound]:
    return bounds(parts, file_schema(metadata.schema(), field_ids=False))


def _found(
    table: "Table", metadata: "TableMetadata", limits: Sequence[Bound]
) -> tuple[list[LiveFile], list[LiveFile], list[FileReader]]:
    """All files, those that are wholly within *limits*, and those some of whose rows are."""
    live = list(live_files(table).values())
    whole, perhaps = _sorted_out(live, metadata.schema(), limits)
    readers = [FileReader(item, table.io, Columns(metadata)) for item in perhaps]
    some = [
        reader for reader in readers if any(pc.any(_inside(reader, item, limits)).as_py() for item in reader.groups)
    ]
    return live, whole, some


def _sorted_out(
    live: Sequence[LiveFile], schema: "Schema", limits: Sequence[Bound]
) -> tuple[list[LiveFile], list[LiveFile]]:
    """The files that are wholly within *limits*, and those of which only their rows can tell."""
    from pyiceberg.expressions import And
    from pyiceberg.expressions.visitors import _InclusiveMetricsEvaluator, _StrictMetricsEvaluator

    wanted = reduce(And, map(_expression, limits))
    always, ever = _StrictMetricsEvaluator(schema, wanted), _InclusiveMetricsEvaluator(schema, wanted)
    whole = [item for item in live if always.eval(item.file)]
    taken = {item.path for item in whole}
    return whole, [item for item in live if item.path not in taken and ever.eval(item.file)]


def _expression(limit: Bound) -> Any:
    import pyiceberg.expressions

    ask: Any = pyiceberg.expressions  # mypy takes their constructors for pydantic's
    if not limit.spans:
        return ask.In(limit.column, {_literal(value) for value in limit.values})
    spans = [
        ask.And(ask.GreaterThanOrEqual(limit.column, _literal(low)), ask.LessThan(limit.column, _literal(high)))
        for low, high in limit.spans
    ]
    return reduce(ask.Or, spans)


def _literal(value: pa.Scalar) -> Any:
    return value.as_py().isoformat() if t.is_temporal(value.type) else value.as_py()


def _inside(reader: FileReader, group: Group, limits: Sequence[Bound]) -> pa.Array:
    rows = reader.read([group], list(dict.fromkeys(limit.column for limit in limits))).combine_chunks()
    return inside(limits, rows.to_batches()[0]) if rows.num_rows else pa.array([], pa.bool_())
