"""Data files read by row group, only the columns that are asked for, as the table has them now."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import DataError
from ingestion.loaders.iceberg.merge.deletes import Positions, dead_rows
from ingestion.loaders.iceberg.merge.footers import Footer, Footers, Group
from ingestion.loaders.iceberg.merge.projection import field_id, project, with_ids
from ingestion.loaders.iceberg.types import file_schema

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table.metadata import TableMetadata

    from ingestion.loaders.iceberg.merge.live import LiveFile

__all__ = ["Columns", "FileReader", "Group"]


class Columns:
    """The table's columns as the load will leave them, and how old files are to be understood."""

    def __init__(self, planned: "TableMetadata") -> None:
        self.schema = planned.schema()
        self.specs = planned.specs()
        self.arrow = file_schema(self.schema)
        self.names = planned.name_mapping()
        self.footers = Footers()

    def constant(self, live: "LiveFile", column: pa.Field) -> Any:
        """What a file without *column* has in it: its partition's value, if it is partitioned by that column."""
        from pyiceberg.transforms import IdentityTransform

        spec = self.specs[live.file.spec_id]
        for place, field in enumerate(spec.fields):
            if field.source_id == field_id(column) and isinstance(field.transform, IdentityTransform):
                return live.file.partition[place]
        return None


class FileReader:
    """One data file; methods may be called from several threads."""

    def __init__(self, live: "LiveFile", io: "FileIO", columns: Columns) -> None:
        self.live = live
        self._io = io
        self._columns = columns

    @cached_property
    def dead(self) -> Positions:
        """The rows that delete files name."""
        return dead_rows(self.live, self._io)

    @property
    def footer(self) -> pq.FileMetaData:
        """What the file says of itself."""
        return self._known.metadata

    @property
    def held(self) -> pa.Schema:
        """The file's own columns, with field ids."""
        return self._known.held

    @property
    def groups(self) -> list[Group]:
        """All row groups."""
        return self._known.groups

    @property
    def _known(self) -> Footer:
        return self._columns.footers.get(self.live.path, self._read_footer)

    def _read_footer(self) -> Footer:
        from pyiceberg.manifest import FileFormat

        if self.live.file.file_format != FileFormat.PARQUET:
            raise DataError(
                f"data file {self.live.path} is {self.live.file.file_format.value}, and a merge reads Parquet alone; "
                f"rewrite the table's files as Parquet in the engine that wrote them, then run again"
            )
        with self._io.new_input(self.live.path).open() as source:
            metadata = pq.read_metadata(source)
        groups, first = [], 0
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            groups.append(Group(number, first, rows))
            first += rows
        return Footer(metadata, with_ids(metadata.schema.to_arrow_schema(), self._columns.names), groups)

    def leaf(self, name: str) -> int | None:
        """Where Parquet has the single-valued column *name* in its list of leaves, if it has it in the same type."""
        wanted = self._columns.arrow.field(name)
        metadata, held, _ = self._known
        place = _places(held).get(field_id(wanted))
        if place is None or held.field(place).type != wanted.type:
            return None
        path = held.field(place).name
        return next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == path)

    def read(self, groups: Sequence[Group], names: Sequence[str]) -> pa.Table:
        """The columns *names* of all rows of *groups*, dead ones included."""
        wanted = [self._columns.arrow.field(name) for name in names]
        footer = self._known
        known = _places(footer.held)
        places = [known.get(field_id(column)) for column in wanted]
        own = [footer.held.field(place).name for place in places if place is not None]
        with self._opened(footer) as file:
            table = file.read_row_groups([group.number for group in groups], columns=own, use_threads=False)
        arrays = []
        for column, place in zip(wanted, places, strict=True):
            if place is None:
                value = self._columns.constant(self.live, column)
                arrays.append(_repeated(value, column.type, sum(group.rows for group in groups)))
            else:
                held = footer.held.field(place)
                arrays.append(project(table.column(held.name), held, column))
        return pa.table(arrays, names=list(names))

    def at(self, positions: Positions, names: Sequence[str]) -> Iterator[tuple[slice, pa.Table]]:
        """The rows at *positions*, row group by row group, with the part of *positions* that each is for."""
        for group in self.groups:
            start, stop = np.searchsorted(positions, [group.first, group.first + group.rows])
            if start < stop:
                rows = self.read([group], names)
                yield slice(start, stop), rows.take(pa.array(positions[start:stop] - group.first))

    @contextmanager
    def _opened(self, footer: Footer) -> Iterator[pq.ParquetFile]:
        with self._io.new_input(self.live.path).open() as source:
            yield pq.ParquetFile(source, metadata=footer.metadata, pre_buffer=True)


def _places(held: pa.Schema) -> dict[int, int]:
    return {field_id(column): place for place, column in enumerate(held) if field_id(column) >= 0}


def _repeated(value: Any, dtype: pa.DataType, count: int) -> pa.ChunkedArray:
    """A partition's value is in Iceberg's own form: dates and times are numbers."""
    if value is None:
        return pa.chunked_array([pa.nulls(count, dtype)])
    form = pa.int32() if pa.types.is_date(dtype) else pa.int64() if pa.types.is_temporal(dtype) else None
    scalar = pa.scalar(value, form).cast(dtype) if form is not None else pa.scalar(value, dtype)
    return pa.chunked_array([pa.repeat(scalar, count)])
