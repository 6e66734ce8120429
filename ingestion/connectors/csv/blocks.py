"""A text cut into blocks of whole records, small enough to parse side by side."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ingestion.connectors.csv.dialect import Dialect
from ingestion.connectors.csv.lexer import Record, complete, records
from ingestion.connectors.files import Text
from ingestion.errors import DataError

__all__ = ["Block", "Blocks", "Care"]

Care = Literal["lines", "quotes", "records"]

_BLOCK = 8 << 20
_LARGEST_RECORD = 64 << 20
_LOOK_BACK = 1 << 16
_LINES_TO_TRUST = 12
_STEPS = 10_000  # quotes to look back over for a line end outside quotes, before the block is lexed instead


class Block(NamedTuple):
    """Whole records of one text; every line is ended."""

    data: memoryview
    first_line: int
    lines: int
    last: bool  # nothing follows in this text
    stored: int  # bytes taken from the stored file for it


class Blocks:
    """The blocks of *text*, after `skip` and `header` took what comes before the rows.

    With *care* "lines", blocks are cut after a few lines that look like rows of `width` cells; with "quotes", where
    the number of quotes so far is even; with "records", after a record that was lexed. Only the last is
    always right; whoever parses a block notices a wrong cut, and reads the text again with more care.
    """

    def __init__(self, text: Text, dialect: Dialect, *, care: Care = "lines", skip_footer: int = 0) -> None:
        self.text = text
        self.dialect = dialect
        self.width = 1
        self._line = 1
        self._care: Care = care if dialect.escape is None else "records"
        self._footer = skip_footer
        self._rest = b""
        self._old_mac: bool | None = None
        self._ended = False

    @property
    def line(self) -> int:
        """The physical line that comes next."""
        return self._line

    @property
    def ended(self) -> bool:
        """Whether the text was read to its end."""
        return self._ended

    def head(self, size: int) -> bytes:
        """At least *size* bytes from here on, where there are so many; they stay unread."""
        while len(self._rest) < size and not self._ended:
            more = self._more(size - len(self._rest))
            self._rest = self._rest + more if self._rest else more
        return self._rest

    def skip(self, lines: int) -> None:
        """Leave out physical lines."""
        for _ in range(lines):
            while b"\n" not in self._rest and not self._ended:
                self._rest += self._more(1 << 16)
            _, _, self._rest = self._rest.partition(b"\n")
            self._line += 1

    def header(self, *, take: bool) -> bytes:
        """The first record that is neither blank nor a comment; empty where there is none. *take* reads past it."""
        size = 1 << 16
        while True:
            self.head(size)
            found = self._first_record()
            if found is not None:
                content = self._rest[found.start : found.end]
                if take:
                    self._line += found.line + content.count(b"\n")
                    self._rest = self._rest[found.end :]
                return content
            if self._ended:
                return b""
            if len(self._rest) > _LARGEST_RECORD:
                raise self._endless()
            size *= 4

    def end_of_rows(self, data: bytes) -> int:
        """Where the footer begins, if *data* ends as the text does."""
        end = len(data)
        for _ in range(self._footer):
            end = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
        return end

    def __iter__(self) -> Iterator[Block]:
        while True:
            held = len(self._rest)
            buffer = self.head(min(held + max(held, _BLOCK), _LARGEST_RECORD + _BLOCK))
            if self._ended:
                yield from self._final(buffer)
                return
            end = self._end(buffer)
            self._rest = buffer[end:]
            if end:
                yield self._block(buffer, end, last=False)
            elif len(buffer) > _LARGEST_RECORD:
                raise self._endless()
            elif len(buffer) > 2 * _BLOCK:
                self._care = "records"

    def _first_record(self) -> Record | None:
        quick = self._rest.find(b"\n") + 1
        signs = [
            sign.encode() for sign in (self.dialect.quote, self.dialect.comment, self.dialect.escape, "\r") if sign
        ]
        if self._rest[:quick].strip() and not any(sign in self._rest[: max(quick - 2, 0)] for sign in signs):
            return Record(0, quick, 0, closed=True, comment=False)
        for record in records(self._rest, self.dialect):
            content = self._rest[record.start : record.end]
            if not self._ended and not (record.closed and content.endswith(b"\n")):
                return None
            if content.strip() and not record.comment:
                return record
        return None

    def _more(self, size: int) -> bytes:
        data = self.text.read(size)
        if not data:
            self._ended = True
        elif self._old_mac is None:
            self._old_mac = b"\r" in data[:-1] and b"\n" not in data
        return data.replace(b"\r", b"\n") if self._old_mac else data

    def _end(self, buffer: bytes) -> int:
        """Where the last whole record of *buffer* ends that is surely no footer."""
        end = self.end_of_rows(buffer[: buffer.rfind(b"\n") + 1]) if self._footer else buffer.rfind(b"\n") + 1
        if self.dialect.quote is None or not self.dialect.multiline:
            return end
        if self._care == "lines" and self._like_rows(buffer[max(end - _LOOK_BACK, 0) : end]):
            return end
        if self._care == "records":
            return complete(buffer[:end], self.dialect)
        quote = self.dialect.quote.encode()
        return end if buffer.count(quote, 0, end) % 2 == 0 else _last_even(buffer, quote, end)

    def _like_rows(self, tail: bytes) -> bool:
        """Whether the last lines of *tail* all have as many cells as the header."""
        lines = tail.split(b"\n")[1:-1][-_LINES_TO_TRUST:]
        delimiter, quote = (sign.encode() for sign in (self.dialect.delimiter, self.dialect.quote or '"'))
        if len(lines) < _LINES_TO_TRUST or self.width == 1:
            return False
        quoted = re.compile(rb"%b[^%b]*%b" % (quote, quote, quote))
        bare = [quoted.sub(b"", line) for line in lines]
        return all(quote not in line and line.count(delimiter) == self.width - 1 for line in bare)

    def _final(self, buffer: bytes) -> Iterator[Block]:
        if buffer and not buffer.endswith(b"\n"):
            buffer += b"\n"
        end = self.end_of_rows(buffer)
        if end:
            yield self._block(buffer, end, last=True)

    def _block(self, buffer: bytes, end: int, *, last: bool) -> Block:
        lines = buffer.count(b"\n", 0, end)
        block = Block(memoryview(buffer)[:end], self._line, lines, last, self.text.stored.newly_read())
        self._line += lines
        return block

    def _endless(self) -> DataError:
        return DataError.without_values(
            f"{self.text.label}: the record that starts in line {self._line} is larger than "
            f"{_LARGEST_RECORD >> 20} MB; most likely a quote in it is never closed: "
            f"close it, or set source.multiline: false"
        )


def _last_even(buffer: bytes, quote: bytes, end: int) -> int:
    """The end of the last line before *end* that an even number of quotes precedes; the number before *end* is odd."""
    for _ in range(_STEPS):
        later = buffer.rfind(quote, 0, end)
        earlier = buffer.rfind(quote, 0, max(later, 0))
        line_end = buffer.rfind(b"\n", earlier + 1, max(later, 0))
        if line_end >= 0 or earlier < 0:
            return line_end + 1
        end = earlier
    return 0
