"""overwrite_scope partitions: exactly the partitions that the new rows fall into are replaced, in one snapshot."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.commit import change
from ingestion.loaders.iceberg.merge.live import LiveFile, live_files
from ingestion.loaders.iceberg.merge.reading import Columns, FileReader, Group
from ingestion.loaders.iceberg.partitions import Key, Partitioned, comparable
from ingestion.loaders.iceberg.reach import may_reach
from ingestion.loaders.iceberg.specs import live_fields
from ingestion.loaders.iceberg.staying import Origin, origin_of, with_deletes, write_staying
from ingestion.loaders.iceberg.writer import StreamWriter

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from ingestion.loaders.iceberg import IcebergLoader
    from ingestion.loaders.iceberg.fit import Fit

__all__ = ["PartitionReplacement", "check_scope"]


def check_scope(options: "IcebergLoader", table: "Table | None", name: str) -> None:
    """Raise ConfigError where partitions are to be replaced in a table that has none."""
    given = "partition_by" in options.model_fields_set
    there = bool(options.partition_by) if given or table is None else bool(live_fields(table.spec()))
    if options.overwrite_scope == "partitions" and not there:
        raise _unpartitioned(name)


def _unpartitioned(name: str) -> ConfigError:
    return ConfigError(
        f"loader.overwrite_scope: table {name} is not partitioned, so there are no partitions to replace; "
        f"set loader.partition_by, or overwrite_scope: table"
    )


@dataclass
class PartitionReplacement:
    """Takes out of a table, as it is when the commit is tried, what is in the partitions of the new files.

    Files of the present spec go as a whole. Of files of an older one, which may lie across, the rows in these
    partitions go: what stays of them is written anew.
    """

    fit: "Callable[[TableMetadata], Fit]"  # how rows of the table itself are written
    writer: Callable[[], StreamWriter]
    _kept: "dict[Origin, list[DataFile]]" = field(default_factory=dict)

    def stage(
        self, transaction: "Transaction", summary: dict[str, str], files: "Sequence[DataFile]"
    ) -> "_SnapshotProducer[Any]":
        """Stage one snapshot in which *files* are all that there is in their partitions."""
        metadata, table = transaction.table_metadata, transaction._table  # noqa: SLF001 - the table that it is on
        if not live_fields(metadata.spec()):
            raise _unpartitioned(".".join(table.name()))
        keys = frozenset(_partition(file) for file in files)
        live = list(live_files(table).values())
        gone = [item for item in live if item.file.spec_id == metadata.default_spec_id]
        gone = [item for item in gone if _partition(item.file) in keys]
        inside = partial(_inside, metadata=metadata, keys=keys)
        readers = list(self._across(live, metadata, keys, table)) if keys else []
        across = [reader.live for reader in readers]
        origin = origin_of(across, files, metadata)
        if across and origin not in self._kept:
            self._kept[origin] = write_staying(readers, inside, self.fit(metadata), self.writer(), table)
        kept = self._kept.get(origin, [])
        return change(transaction, summary, [*files, *kept], removed=with_deletes([*gone, *across], live))

    def _across(
        self, live: "Sequence[LiveFile]", metadata: "TableMetadata", keys: frozenset[Key], table: "Table"
    ) -> Iterator[FileReader]:
        """Files of older specs with rows in these partitions."""
        schema, spec = metadata.schema(), metadata.spec()
        columns = Columns(metadata)
        for item in live:
            if item.file.spec_id == spec.spec_id or not may_reach(item.file, schema, spec, keys):
                continue
            reader = FileReader(item, table.io, columns)
            if any(pc.any(_inside(reader, group, metadata, keys)).as_py() for group in reader.groups):
                yield reader


def _partition(file: "DataFile") -> Key:
    return comparable(file.partition[place] for place in range(len(file.partition)))


def _inside(reader: FileReader, group: Group, metadata: "TableMetadata", keys: frozenset[Key]) -> pa.BooleanArray:
    """For each row of a group whether it is in one of the partitions."""
    schema, spec = metadata.schema(), metadata.spec()
    names = {field.source_id: _name(schema, field.source_id) for field in spec.fields}
    rows = reader.read([group], list(dict.fromkeys(names.values())))
    columns = {number: rows.column(name).combine_chunks() for number, name in names.items()}
    return Partitioned(columns, schema, spec).among(keys)


def _name(schema: "Schema", field_id: int) -> str:
    return next(item.name for item in schema.fields if item.field_id == field_id)
