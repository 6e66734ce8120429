"""Position delete files: which rows of a data file are gone."""

import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile

    from ingestion.loaders.iceberg.merge.live import LiveFile

__all__ = ["Positions", "dead_rows", "write_deletes"]

Positions: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Rows of a data file by their place in it, from 0, in ascending order."""

_PATH_ID, _POSITION_ID = 2147483546, 2147483545  # reserved by the specification
_COLUMNS = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(_PATH_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(_POSITION_ID)}),
    ]
)


def dead_rows(live: "LiveFile", io: "FileIO", *, own: bool = False) -> Positions:
    """The rows of a data file that its delete files name, or those alone that are about no other file."""
    found = [_positions(io, file, live.path) for file in (live.own if own else (*live.own, *live.shared))]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _positions(io: "FileIO", file: "DataFile", path: str) -> Positions:
    from pyiceberg.io.pyarrow import _read_deletes

    positions = _read_deletes(io, file).get(path)
    return np.empty(0, np.int64) if positions is None else positions.to_numpy().astype(np.int64, copy=False)


def write_deletes(io: "FileIO", path: str, data: "DataFile", positions: Positions) -> "DataFile":
    """A delete file at *path* that names *positions* of *data*, and nothing of other files."""
    with io.new_output(path).create(overwrite=True) as sink:
        with pq.ParquetWriter(sink, _COLUMNS, compression="zstd", use_dictionary=["file_path"], **_PLAIN) as writer:
            names = pa.repeat(pa.scalar(data.file_path), len(positions))
            writer.write_table(pa.table([names, pa.array(positions, pa.int64())], schema=_COLUMNS))
        size = int(sink.tell())
    return _described(path, size, data, positions)


_PLAIN: dict[str, Any] = {"column_encoding": {"pos": "DELTA_BINARY_PACKED"}, "store_schema": False}


def _described(path: str, size: int, data: "DataFile", positions: Positions) -> "DataFile":
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    name = data.file_path.encode()
    count = len(positions)
    described = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=data.partition,
        record_count=count,
        file_size_in_bytes=size,
        value_counts={_PATH_ID: count, _POSITION_ID: count},
        null_value_counts={_PATH_ID: 0, _POSITION_ID: 0},
        # The whole path in both bounds is what tells readers that the file is about this one alone.
        lower_bounds={_PATH_ID: name, _POSITION_ID: struct.pack("<q", positions[0])},
        upper_bounds={_PATH_ID: name, _POSITION_ID: struct.pack("<q", positions[-1])},
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
    )
    described.spec_id = data.spec_id  # from_args ignores it
    return described
