"""A block of CSV text as columns of text, and the lines that are no rows."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ingestion.connectors.csv.blocks import Block
from ingestion.connectors.csv.dialect import Dialect
from ingestion.connectors.csv.lexer import Record, records
from ingestion.connectors.files import wrong_encoding
from ingestion.errors import DataError

__all__ = ["BadLine", "Cells", "StrayQuoteError", "read_cells"]


class StrayQuoteError(Exception):
    """The block ends inside quotes: it was cut in the wrong place."""


class BadLine(NamedTuple):
    """A line that is no row."""

    line: int
    text: str
    rule: str
    reason: str


class Cells(NamedTuple):
    """The rows of a block, all text, the line of each (None = one after the other), and the lines that are no rows."""

    rows: pa.RecordBatch
    lines: pa.Array | None
    bad: list[BadLine]
    blank: int = 0


class _Read(NamedTuple):
    rows: pa.RecordBatch
    invalid: list[pa_csv.InvalidRow]

    @property
    def total(self) -> int:
        return int(self.rows.num_rows) + len(self.invalid)


def read_cells(block: Block, names: list[str], dialect: Dialect, label: str) -> Cells:
    """The cells of *block* under these column *names*.

    Raises StrayQuoteError where its end is inside quotes and more follows, DataError where nothing does or the text
    is not UTF-8.
    """
    try:
        if dialect.comment is not None and _has_comment(block.data, dialect.comment):
            return _lexed(block, names, dialect, label)
        read = _arrow(block.data, names, dialect)
        if read is None or not _is_counted(read, block, dialect):
            return _lexed(block, names, dialect, label)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _refused(block, label, error) from error
    if read.total == block.lines:
        return _cells(read, range(block.first_line, block.first_line + block.lines), label)
    lines = _lines(read.rows, block)
    return Cells(read.rows, lines, []) if lines is not None else _lexed(block, names, dialect, label)


def _is_counted(read: _Read, block: Block, dialect: Dialect) -> bool:
    """Whether the lines of the rows can be told by counting line ends."""
    if dialect.multiline:
        return read.total == block.lines or not read.invalid
    data = bytes(block.data)
    return read.total == block.lines and data.count(b"\r") == data.count(b"\r\n")


def _arrow(data: memoryview | bytes, names: list[str], dialect: Dialect) -> _Read | None:
    """What Arrow reads; None where *data* ends inside quotes. Raises UnicodeDecodeError or ArrowInvalid.

    A row of nothing but delimiters is put at the end: quotes that are still open swallow it.
    """
    text = b"".join((data, dialect.delimiter.encode() * (len(names) - 1), b"\n"))
    invalid: list[pa_csv.InvalidRow] = []
    try:
        table = _table(text, names, dialect, invalid if text.isascii() else None)
    except pa.ArrowInvalid:
        text.decode()  # Arrow hands over no row that is not UTF-8, and says so on stderr alone
        table = _table(text, names, dialect, invalid)
    total = table.num_rows + len(invalid)
    swallowed = not table.num_rows or (invalid and invalid[-1].number == total) or table.columns[-1][-1].as_py()
    if swallowed:
        return None
    (batch,) = table.combine_chunks().to_batches()  # one block is one chunk: nothing is copied
    return _Read(batch.slice(0, batch.num_rows - 1), invalid)


def _table(text: bytes, names: list[str], dialect: Dialect, invalid: list[pa_csv.InvalidRow] | None) -> pa.Table:
    """*text* as Arrow reads it; rows of other lengths are added to *invalid*, or raise ArrowInvalid without it."""

    def note(row: pa_csv.InvalidRow) -> str:
        if invalid is not None:
            invalid.append(row)
        return "skip"

    return pa_csv.read_csv(
        pa.BufferReader(text),
        pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        pa_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            escape_char=dialect.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=note if invalid is not None else None,
        ),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=list(dialect.null_values),
        ),
    )


def _lexed(block: Block, names: list[str], dialect: Dialect, label: str) -> Cells:
    """The same where lines cannot simply be counted: every record is found by itself first."""
    data = bytes(block.data)
    found = list(records(data, dialect))
    opened = [record for record in found if not record.closed]
    if opened and dialect.multiline:
        if not block.last:
            raise StrayQuoteError
        raise DataError.without_values(
            f"{label}: line {block.first_line + opened[0].line}: a quoted cell of this row is never closed; "
            f"close it, or set source.multiline: false to put only this line to quarantine"
        )
    kept = [record for record in found if record.closed and not record.comment]
    read = _arrow(b"".join(data[record.start : record.end] for record in kept), names, dialect)
    if read is None:
        raise DataError.without_values(
            f"{label}: lines {block.first_line} ff. cannot be cut into rows; check their quotes"
        )
    bad = [_unclosed(record, data, block) for record in opened]
    cells = _cells(read, [block.first_line + record.line for record in kept], label)
    return cells._replace(bad=sorted([*cells.bad, *bad]))


def _cells(read: _Read, lines: "list[int] | range", label: str) -> Cells:
    if len(lines) != read.total:
        raise DataError.without_values(
            f"{label}: lines {lines[0]} ff. cannot be told apart; check the line ends and quotes there"
        )
    if not read.invalid:
        return Cells(read.rows, None if isinstance(lines, range) else pa.array(lines, pa.int64()), [])
    numbers = {row.number - 1 for row in read.invalid}
    kept = [line for index, line in enumerate(lines) if index not in numbers]
    bad, blank = [], 0
    for row in read.invalid:
        if row.text.strip():
            line = lines[row.number - 1]
            reason = f"line {line} has {_count(row.actual_columns)}, the header has {row.expected_columns}"
            bad.append(BadLine(line, row.text, "ragged", reason))
        else:
            blank += 1
    return Cells(read.rows, pa.array(kept, pa.int64()), bad, blank)


def _count(cells: int) -> str:
    return f"{cells} cell" if cells == 1 else f"{cells} cells"


def _unclosed(record: Record, data: bytes, block: Block) -> BadLine:
    line = block.first_line + record.line
    text = data[record.start : record.end].decode(errors="replace").rstrip("\r\n")
    return BadLine(line, text, "quote", f"line {line} has a quoted cell that is never closed")


def _lines(rows: pa.RecordBatch, block: Block) -> pa.Array | None:
    """The line of each row, from the line ends inside its cells; None where that does not add up."""
    inner = pa.repeat(pa.scalar(0, pa.int64()), rows.num_rows)
    for column in rows.columns:
        count = pc.count_substring(column, "\n")
        inner = pc.add(inner, pc.fill_null(pc.cast(count, pa.int64()), 0))
    if rows.num_rows + (pc.sum(inner).as_py() or 0) != block.lines:
        return None
    ends = pc.cumulative_sum(pc.add(inner, 1))
    return pc.add(pc.subtract(pc.subtract(ends, inner), 1), block.first_line)


def _has_comment(data: memoryview, comment: str) -> bool:
    text, mark = bytes(data), comment.encode()
    return text.startswith(mark) or b"\n" + mark in text or b"\r" + mark in text


def _refused(block: Block, label: str, error: Exception) -> DataError:
    data = bytes(block.data)
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        line = block.first_line + data.count(b"\n", 0, wrong.start)
        return wrong_encoding(label, "utf-8", wrong, line, wrong.start - data.rfind(b"\n", 0, wrong.start))
    place = f"{label}: lines {block.first_line} to {block.first_line + block.lines} cannot be read"
    advice = "check the quotes and line ends there, and source.quote_char and escape_char"
    return DataError(f"{place}: {error}; {advice}", veiled=f"{place}; {advice}")
