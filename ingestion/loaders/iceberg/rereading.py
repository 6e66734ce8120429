"""Files of a load that is under way, read once more."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.loaders.iceberg.merge.projection import field_id

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema

__all__ = ["rows_of_files"]


def rows_of_files(
    files: "Sequence[DataFile]", io: "FileIO", schema: "Schema", names: Collection[str]
) -> Iterator[pa.RecordBatch]:
    """The rows of *files*, written for *schema*: of its columns those in *names*, and no others."""
    called = {item.field_id: item.name for item in schema.fields if item.name in names}
    for file in files:
        with io.new_input(file.file_path).open() as source:
            parquet = pq.ParquetFile(source)
            held = [called.get(field_id(column)) for column in parquet.schema_arrow]
            for batch in parquet.iter_batches():
                columns = {name: batch.column(place) for place, name in enumerate(held) if name is not None}
                yield pa.RecordBatch.from_pydict(columns)
