"""The texts of a load's files, opened, with their column names read."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ingestion.connectors.csv.blocks import Blocks, Care
from ingestion.connectors.csv.dialect import unique
from ingestion.connectors.files import Text, wrong_encoding
from ingestion.errors import DataError

if TYPE_CHECKING:
    from ingestion.connectors.csv.connector import CsvConnector

__all__ = ["headed"]

_SNIFFED = 1 << 16


def headed(
    texts: Iterator[Text], source: "CsvConnector", care: Mapping[str, Care]
) -> Iterator[tuple[Blocks, list[str]]]:
    """The blocks of each text, behind its header, and its column names; texts of blanks alone are left out."""
    for text in texts:
        blocks = Blocks(text, source.dialect, care=care.get(text.label, "lines"), skip_footer=source.skip_footer)
        blocks.skip(source.skip_rows)
        if source.delimiter == "auto":
            blocks.dialect = source.dialect.sniffed(blocks.head(_SNIFFED)[:_SNIFFED])
        first = blocks.header(take=source.header is True)
        if not first:
            continue
        names = list(source.header) if isinstance(source.header, list) else _names(blocks, first)
        if len(names) == 1 and source.header is True:
            _check_delimiter(blocks, first)
        blocks.width = len(names)
        yield blocks, names if source.header else unique([""] * len(names))


def _names(blocks: Blocks, first: bytes) -> list[str]:
    label = blocks.text.label
    if b"\x00" in first:
        raise DataError(f"{label}: NUL bytes in the header; set source.encoding, for example utf-16-le or auto")
    try:
        return blocks.dialect.header(first)
    except UnicodeDecodeError as error:
        line = max(blocks.line - first.count(b"\n"), 1)
        raise wrong_encoding(label, "utf-8", error, line, error.start + 1) from error


def _check_delimiter(blocks: Blocks, first: bytes) -> None:
    """A file that is written with another delimiter would load as one column of nonsense."""
    other = blocks.dialect.doubted(first + blocks.head(_SNIFFED)[:_SNIFFED])
    if other is not None:
        raise DataError(
            f"{blocks.text.label}: the header is one cell by the delimiter {blocks.dialect.delimiter!r}, "
            f"and {other!r} splits every line evenly; set source.delimiter to {other!r} or auto "
            f"(if it is one column, give source.header its name, and skip_rows: 1)"
        )
