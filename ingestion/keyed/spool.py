"""Batches that wait on disk."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import pyarrow as pa

__all__ = ["Spool"]


class Spool:
    """Batches on disk, given back in the order in which they came; schemas may differ from one to the next.

    The file has no name: it is gone with the object or with its process, however that ends. Raises OSError where
    the temporary folder is full.
    """

    def __init__(self) -> None:
        self.bytes = 0  # in memory, were they all there
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="ingestion-")  # noqa: SIM115 - closed by `close`
        self._starts: list[int] = []  # of the streams in the file: one for each change of schema
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Put *batch* behind the others."""
        if self._writer is None or batch.schema != self._schema:
            self._end_stream()
            self._starts.append(self._file.seek(0, 2))
            self._schema = batch.schema
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(self._file, batch.schema, options=options)
        self._writer.write_batch(batch)
        self.bytes += batch.nbytes

    def read(self) -> Iterator[pa.RecordBatch]:
        """All batches so far, from the start; one reader at a time."""
        self._end_stream()
        for start in self._starts:
            self._file.seek(start)
            with pa.ipc.open_stream(self._file) as stream:
                yield from stream

    def close(self) -> None:
        """Give the space back."""
        self._writer = None
        with suppress(OSError):  # a full disk takes no last bytes, and nobody will read them
            self._file.close()

    def _end_stream(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            self._file.flush()
