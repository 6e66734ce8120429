"""Batches that wait on disk."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

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
            self.end()
            self._starts.append(self._file.seek(0, 2))
            self._schema = batch.schema
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(self._file, batch.schema, options=options)
        self._writer.write_batch(batch)
        self.bytes += batch.nbytes

    def read(self) -> Iterator[pa.RecordBatch]:
        """All batches so far, from the start; several readers do not disturb each other."""
        self.end()
        for start in self._starts:
            with io.BufferedReader(_From(self._file.fileno(), start)) as file, pa.ipc.open_stream(file) as stream:
                yield from stream

    def close(self) -> None:
        """Give the space back."""
        self._writer = None
        with suppress(OSError):  # a full disk takes no last bytes, and nobody will read them
            self._file.close()

    def end(self) -> None:
        """See to it that all batches can be read, in other threads too."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            self._file.flush()


class _From(io.RawIOBase):
    """An open file from *place* on, whatever others read or write there."""

    def __init__(self, file: int, place: int) -> None:
        self._file = os.dup(file)  # a reader may outlive the spool
        self._place = place

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._file, [buffer], self._place)
        self._place += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()
