"""The bytes of a file: hashed as stored, decompressed, and handed over as UTF-8 text."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any, Literal, NamedTuple, Protocol

import pyarrow as pa

from ingestion.connectors.files.encodings import can_start_at_lines, decoder, guess
from ingestion.connectors.files.stored import Stored
from ingestion.errors import DataError, TransientError
from ingestion.secrets import redact

__all__ = ["Compression", "Opening", "Text"]

Compression = Literal["auto", "none", "gzip", "bz2", "xz", "zstd", "zip"]

_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_BUFFER = 1 << 20


class Readable(Protocol):
    """What decompressors read from and are."""

    def read(self, size: int = -1, /) -> bytes:
        """At most *size* bytes; none at the end."""


class Opening(NamedTuple):
    """How files are opened: the options that turn stored bytes into text."""

    compression: Compression = "auto"
    member_pattern: str | None = None
    encoding: str = "utf-8"
    errors: str = "strict"
    max_bytes: int | None = None

    def compression_of(self, stored: Stored) -> Compression:
        """How this file is compressed; its first bytes decide, not its name."""
        if self.compression != "auto":
            return self.compression
        magic = stored.magic()
        return next((name for start, name in _MAGIC if magic.startswith(start)), "none")

    @contextmanager
    def open(self, path: str) -> Iterator[tuple[Stored, Iterator["Text"]]]:
        """The stored file, and its texts: one, or one for each member of an archive."""
        with Stored(path) as stored:
            yield stored, self._texts(stored)

    def _texts(self, stored: Stored) -> Iterator["Text"]:
        compression = self.compression_of(stored)
        if compression == "zip":
            yield from self._members(stored)
            return
        with _damage(stored.path, compression):
            raw = self._limited(_decompressed(stored, compression), stored)
        encoding = self._encoding(stored, None)
        yield Text(raw, self, stored, label=stored.path, compression=compression, encoding=encoding)

    def _members(self, stored: Stored) -> Iterator["Text"]:
        with _damage(stored.path, "zip"), zipfile.ZipFile(stored.path) as archive:
            stored.digest()
            found = [info for info in archive.infolist() if not info.is_dir() and self._is_member(info.filename)]
            if not found:
                what = f" matching {self.member_pattern!r}" if self.member_pattern else ""
                raise DataError.without_values(f"{stored.path} holds no file{what}; set source.archive_member_pattern")
            for info, name in zip(found, _told_apart([info.filename for info in found]), strict=True):
                encoding = self._encoding(stored, info)
                with archive.open(info) as member:
                    label = stored.path if len(found) == 1 else f"{stored.path}!{name}"
                    raw = self._limited(member, stored)
                    yield Text(raw, self, stored, label=label, compression="zip", encoding=encoding)

    def _is_member(self, name: str) -> bool:
        base = name.rpartition("/")[2]
        hidden = base.startswith(".") or name.startswith("__MACOSX/")
        return (
            fnmatch(base, self.member_pattern) or fnmatch(name, self.member_pattern)
            if self.member_pattern
            else not hidden
        )

    def _encoding(self, stored: Stored, member: zipfile.ZipInfo | None) -> str:
        if self.encoding != "auto":
            return self.encoding
        with Stored(stored.path) as again:
            compression = self.compression_of(again)
            with _damage(stored.path, compression):
                if member is None:
                    return guess(self._limited(_decompressed(again, compression), again))
                with zipfile.ZipFile(stored.path) as archive, archive.open(member) as raw:
                    return guess(self._limited(raw, again))

    def _limited(self, raw: Readable, stored: Stored) -> Readable:
        return raw if self.max_bytes is None else _Limited(raw, stored, self.max_bytes)


def _told_apart(names: Sequence[str]) -> Iterator[str]:
    """*names*, of which those that recur are numbered from the second on: an archive may hold several of one name."""
    taken: set[str] = set()
    for name in names:
        told, number = name, 1
        while told in taken or (number > 1 and told in names):
            number += 1
            told = f"{name}#{number}"
        taken.add(told)
        yield told


class _Limited:
    """What a file holds, up to a limit that counts for all its members together."""

    def __init__(self, raw: Readable, stored: Stored, limit: int) -> None:
        self._raw = raw
        self._stored = stored
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        """At most *size* bytes; raises DataError beyond the limit."""
        data = self._raw.read(size)
        self._stored.unpacked += len(data)
        if self._stored.unpacked > self._limit:
            raise DataError.without_values(
                f"{self._stored.path} is larger than source.max_decompressed_bytes ({self._limit:,}); "
                f"raise it, or split the file"
            )
        return data


class Text:
    """One text of a file, as UTF-8 bytes without a byte order mark."""

    def __init__(
        self, raw: Readable, how: Opening, stored: Stored, *, label: str, compression: Compression, encoding: str
    ) -> None:
        self.label = redact(label)  # it stands in quarantines and tables
        self.stored = stored
        self.compression = compression
        self.encoding = encoding
        self._raw = raw
        self._decode = decoder(label, encoding, how.errors)
        self._ended = False

    @property
    def seekable(self) -> bool:
        """Whether a part in the middle of the file can be read by itself."""
        return self.compression == "none" and can_start_at_lines(self.encoding)

    def read(self, size: int) -> bytes:
        """About *size* bytes; none only at the end. Raises DataError for damaged data or a wrong encoding."""
        while not self._ended:
            with _damage(self.label, self.compression):
                data = self._raw.read(size)
            self._ended = not data
            text = self._decode(data)
            if text:
                return text
        return b""


def _decompressed(stored: Stored, compression: Compression) -> Readable:
    if compression == "none":
        return stored
    decompressed: Readable = _DECOMPRESSORS[compression](io.BufferedReader(stored, _BUFFER))
    return decompressed


_DECOMPRESSORS: dict[str, Callable[[Any], Any]] = {
    "gzip": lambda stored: gzip.GzipFile(fileobj=stored),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zstd": lambda stored: pa.CompressedInputStream(pa.PythonFile(stored, mode="r"), "zstd"),
}


@contextmanager
def _damage(label: str, compression: Compression) -> Iterator[None]:
    """Turn what decompressors raise into a DataError, and what disks raise into a TransientError."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError.without_values(_damaged(label, compression, error)) from error
    except OSError as error:
        if error.errno is None:
            raise DataError.without_values(_damaged(label, compression, error)) from error
        raise TransientError(f"{label} cannot be read ({error.strerror}); run again") from error


def _damaged(label: str, compression: Compression, error: Exception) -> str:
    return (
        f"{label}: the {compression} data is damaged or cut short ({error}); "
        f"nothing was loaded: transfer the file again"
    )
