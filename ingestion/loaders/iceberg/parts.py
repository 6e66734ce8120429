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
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg.fit import Fit

__all__ = ["PartReplacement"]


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
        schema = metadata.schema()
        limits = bounds(self.parts, file_schema(schema, field_ids=False))
        live = list(live_files(table).values())
        whole, perhaps = _sorted_out(live, schema, limits)
        readers = [FileReader(item, table.io, Columns(metadata)) for item in perhaps]
        inside = partial(_inside, limits=limits)
        readers = [
            reader for reader in readers if any(pc.any(inside(reader, group)).as_py() for group in reader.groups)
        ]
        across = [reader.live for reader in readers]
        origin = origin_of(across, files, metadata)
        if across and origin not in self._kept:
            self._kept[origin] = write_staying(readers, inside, self.fit(metadata), self.writer(), table)
        gone = with_deletes([*whole, *across], live)
        return change(transaction, summary, [*files, *self._kept.get(origin, [])], removed=gone)


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
