"""What becomes of a masked column's values: text in place of text, alike for alike values, null for null."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError

__all__ = ["REDACTED", "Hash", "Hmac", "Masker", "Partial", "Redact"]

REDACTED = "***"
"""What stands for a value of which nothing is shown."""


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)


class Masker(ABC):
    """Masks values; what it makes of one depends on nothing but the value."""

    def mask(self, values: pa.Array, column: str) -> pa.Array:
        """*values* masked, as text; raises ConfigError where *column* has no text form, such as a list."""
        return self.masked(_texts(values, column))

    def mask_any(self, values: pa.Array) -> pa.Array:
        """The same; where there is no text form each value is three asterisks."""
        try:
            return self.mask(values, "")
        except ConfigError:
            return Redact().masked(values)

    @abstractmethod
    def masked(self, texts: pa.Array) -> pa.Array:
        """*texts* masked."""


class Redact(Masker):
    """Shows that there is a value."""

    def mask(self, values: pa.Array, column: str) -> pa.Array:  # noqa: ARG002 - of any type
        """Three asterisks for each value, of whatever type."""
        return self.masked(values)

    def masked(self, texts: pa.Array) -> pa.Array:
        """Three asterisks for each value."""
        return pc.if_else(pc.is_valid(texts), REDACTED, pa.scalar(None, pa.string()))


@dataclass(frozen=True)
class Partial(Masker):
    """Shows the last characters of longer values, and how long they are."""

    keep: int

    def masked(self, texts: pa.Array) -> pa.Array:
        """Asterisks for all characters but the last; for all of a text that has no more than are kept."""
        length = pc.utf8_length(texts)
        if not self.keep:
            return pc.binary_repeat("*", length)
        cut = pc.greater(length, self.keep)
        stars = pc.binary_repeat("*", pc.if_else(cut, pc.subtract(length, self.keep), length))
        tail = pc.if_else(cut, pc.utf8_slice_codeunits(texts, start=-self.keep, stop=None), "")
        return pc.binary_join_element_wise(stars, tail, "")


class _Digest(Masker):
    """Each distinct value of a batch is digested once: nothing in Arrow does it, and Python takes a microsecond."""

    def masked(self, texts: pa.Array) -> pa.Array:
        """The digests in hexadecimal digits."""
        encoded = texts.dictionary_encode()
        distinct = encoded.dictionary.cast(pa.binary()).to_pylist()
        return pa.array(self._digests(distinct), pa.string()).take(encoded.indices)

    @abstractmethod
    def _digests(self, values: Iterable[bytes]) -> list[str]:
        """The digest of each value."""


class Hash(_Digest):
    """SHA-256 of the value's UTF-8; who can guess the value can check the guess."""

    def _digests(self, values: Iterable[bytes]) -> list[str]:
        digest = hashlib.sha256
        return [digest(value).hexdigest() for value in values]


class Hmac(_Digest):
    """HMAC-SHA-256 of the value's UTF-8; nobody can check a guess without the key."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key  # asked for at use alone, and never kept

    def _digests(self, values: Iterable[bytes]) -> list[str]:
        fresh = hmac.new(self._key().encode(), b"", hashlib.sha256)
        digests = []
        for value in values:
            one = fresh.copy()  # the key is scheduled once
            one.update(value)
            digests.append(one.hexdigest())
        return digests


def _texts(values: pa.Array, column: str) -> pa.Array:
    """The text form of *values*: numbers as 1 and 1.5, times in ISO 8601, bytes in base64."""
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if any(kind(values.type) for kind in _BYTES):
        return pa.array(
            [None if value is None else b64encode(value).decode() for value in values.to_pylist()], pa.string()
        )
    try:
        return pc.cast(values, pa.string())
    except pa.ArrowNotImplementedError:
        kind = values.type
    raise ConfigError(
        f"transformer.mask: column {column!r} holds {kind}, which has no text form; use redact, or flatten it first"
    )
