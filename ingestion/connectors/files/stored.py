"""A file on disk, hashed while it is read."""

import io
import os
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from ingestion.connectors.files.listing import Found
from ingestion.errors import ConfigError, TransientError

__all__ = ["Stored", "digest"]

_BUFFER = 1 << 20


class Stored(io.RawIOBase):
    """A file on disk that knows how much of it was read, and the hash of that."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.unpacked = 0  # bytes that came out of it, counted by those who limit them
        self._count = self._counted = 0
        self._hash = xxh3_128()
        try:
            self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by close
        except PermissionError as error:
            raise ConfigError(f"{path} cannot be read (permission denied); give this user read access to it") from error
        except OSError as error:
            raise TransientError(f"{path} cannot be opened ({error.strerror}); run again") from error
        self.found = self._now()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* from the file."""
        count = self._file.readinto(buffer)
        self._hash.update(memoryview(buffer)[:count])
        self._count += count
        return count

    def read(self, size: int = -1) -> bytes:
        """As readinto, without a copy."""
        data = self._file.read(size)
        self._hash.update(data)
        self._count += len(data)
        return data

    def newly_read(self) -> int:
        """Bytes read since the last call."""
        fresh, self._counted = self._count - self._counted, self._count
        return fresh

    def magic(self) -> bytes:
        """The first bytes, unread."""
        return os.pread(self._file.fileno(), 8, 0)

    def digest(self) -> str:
        """The hash of the whole file; raises TransientError if it changed since it was opened."""
        while self.read(_BUFFER):
            pass
        if self._now() != self.found:
            raise TransientError(f"{self.path} changed while it was read; run again once it is complete")
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _now(self) -> Found:
        status = os.fstat(self._file.fileno())
        return Found(self.path, status.st_size, status.st_mtime_ns // 1000)


def digest(path: str) -> str:
    """The hash of a whole file, as the ledger keeps it."""
    with Stored(path) as stored:
        return stored.digest()
