"""Where records begin and end, exactly: for the few blocks where counting quotes does not tell."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ingestion.connectors.csv.dialect import Dialect

__all__ = ["Record", "complete", "records"]


class Record(NamedTuple):
    """One record of a block: its bytes, the number of line ends before it, and whether its quotes are closed."""

    start: int
    end: int
    line: int
    closed: bool
    comment: bool


def records(data: bytes, dialect: Dialect) -> Iterator[Record]:
    """Every record of *data* in order, as Arrow's parser would cut them; the last one may be open."""
    scanned = _without_escapes(data, dialect)
    comment = dialect.comment.encode() if dialect.comment else None
    start = position = lines = first = 0
    open_ = False
    for line in scanned.splitlines(keepends=True):
        if not open_:
            start, first = position, lines
        position += len(line)
        lines += line.endswith(b"\n")
        if not open_ and comment is not None and line.startswith(comment):
            yield Record(start, position, first, closed=True, comment=True)
            continue
        open_ = _open_after(line, dialect, open_=open_)
        if open_ and (dialect.multiline or not line.endswith(b"\n")):  # a bare carriage return in quotes ends nothing
            continue
        yield Record(start, position, first, closed=not open_, comment=False)
        open_ = False
    if open_:
        yield Record(start, position, first, closed=False, comment=False)


def complete(data: bytes, dialect: Dialect) -> int:
    """The length of the complete records at the start of *data*."""
    end = 0
    for record in records(data, dialect):
        if not record.closed or not data.endswith((b"\n", b"\r"), 0, record.end):
            break
        end = record.end
    return end


def _without_escapes(data: bytes, dialect: Dialect) -> bytes:
    """*data* in the same length with every escaped character made harmless."""
    if dialect.escape is None:
        return data
    return re.sub(re.escape(dialect.escape.encode()) + b".", b"xx", data, flags=re.DOTALL)


def _open_after(line: bytes, dialect: Dialect, *, open_: bool) -> bool:
    """Whether a quoted cell goes on past the end of *line*."""
    if dialect.quote is None:
        return False
    quote, delimiter = dialect.quote.encode(), dialect.delimiter.encode()
    at = line.find(quote)
    while at >= 0:
        following = at + 1
        if open_:
            if line[following : following + 1] == quote:
                following += 1
            else:
                open_ = False
        elif at == 0 or line[at - 1 : at] == delimiter:
            open_ = True
        at = line.find(quote, following)
    return open_
