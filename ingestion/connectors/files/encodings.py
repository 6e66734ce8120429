"""Bytes in any encoding become UTF-8, or an error that says where they are not what they should be."""

import codecs
from collections.abc import Callable
from typing import Protocol

from ingestion.errors import DataError

__all__ = ["can_start_at_lines", "decoder", "guess", "wrong_encoding"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "mac_roman"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
_AS_GOOD = 0.02  # chaos by which the most frequent of all encodings may lose to a rarer one
_CHUNK = 1 << 20
_NEIGHBOURHOOD = 1 << 16


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes:
        """At most *size* bytes; none at the end."""


def decoder(label: str, encoding: str, errors: str) -> Callable[[bytes], bytes]:
    """A function that turns chunk after chunk into UTF-8; an empty chunk ends the text.

    UTF-8 passes unchecked when *errors* is strict, because whoever parses it checks it too.
    """
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "utf-8-sig") and errors == "strict":
        return _without_bom()
    return _Transcoder(label, name, errors)


def can_start_at_lines(encoding: str) -> bool:
    """Whether what follows any line feed byte can be decoded by itself: in UTF-8, and where a byte is a character."""
    name = codecs.lookup(encoding).name
    every = bytes(range(256))
    return name in ("utf-8", "utf-8-sig") or (
        "\n".encode(name) == b"\n" and len(every.decode(name, "replace")) == len(every)
    )


def _without_bom() -> Callable[[bytes], bytes]:
    first = True

    def strip(data: bytes) -> bytes:
        nonlocal first
        if first and data:
            first = False
            return data.removeprefix(codecs.BOM_UTF8)
        return data

    return strip


class _Transcoder:
    def __init__(self, label: str, encoding: str, errors: str) -> None:
        self._label = label
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._lines = 0
        self._first = True

    def __call__(self, data: bytes) -> bytes:
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(self._encoding, "replace")
            line = self._lines + before.count("\n") + 1
            raise wrong_encoding(self._label, self._encoding, error, line, len(before) - before.rfind("\n")) from error
        self._lines += text.count("\n")
        if self._first and text:
            self._first = False
            text = text.removeprefix("\ufeff")
        return text.encode()


def wrong_encoding(label: str, encoding: str, error: UnicodeDecodeError, line: int, column: int) -> DataError:
    """The error for bytes that are not *encoding*, with the encodings that they may well be."""
    data = error.object[max(error.start - _NEIGHBOURHOOD, 0) : error.start + _NEIGHBOURHOOD]
    likely = [
        name
        for name in dict.fromkeys((_marked(data) or "cp1252", "latin-1", _likely(data)))
        if name and name != encoding
    ]
    byte = error.object[error.start]
    return DataError.without_values(
        f"{label}: line {line}: byte 0x{byte:02X} at position {column} is not {encoding}; "
        f"set source.encoding, for example {', '.join(likely)} or auto"
    )


def guess(raw: _Readable) -> str:
    """The encoding of a text: its byte order mark, else UTF-8 where all of it is, else the likeliest other."""
    head = raw.read(_CHUNK)
    marked = _marked(head)
    if marked is not None:
        return marked
    if b"\x00" in head[:_NEIGHBOURHOOD]:
        return _wide(head)
    checker = codecs.getincrementaldecoder("utf-8")()
    data = head
    while True:
        try:
            checker.decode(data, final=not data)
        except UnicodeDecodeError as error:
            return _likely(head if data is head else error.object[-_NEIGHBOURHOOD:] + head[:_NEIGHBOURHOOD]) or "cp1252"
        if not data:
            return "utf-8"
        data = raw.read(_CHUNK)


def _marked(data: bytes) -> str | None:
    return next((name for mark, name in _BOMS if data.startswith(mark)), None)


def _likely(data: bytes) -> str | None:
    marked = _marked(data)
    if marked is not None:
        return marked
    if b"\x00" in data:
        return _wide(data)
    from charset_normalizer import from_bytes  # loads slowly, and only broken or unknown files need it

    matches = from_bytes(data[:_NEIGHBOURHOOD], cp_isolation=list(_CANDIDATES))
    best = matches.best()
    if best is None:
        return None
    western = data[:_NEIGHBOURHOOD].decode("cp1252", "replace")
    if any(match.chaos <= best.chaos + _AS_GOOD and str(match) == western for match in matches):
        return "cp1252"
    return best.encoding.replace("_", "-")


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: the half that is mostly zero tells the order."""
    return "utf-16-le" if data[1::2].count(0) >= data[::2].count(0) else "utf-16-be"
