"""The texts of a load's files, opened, with their column names read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ingestion.connectors.csv.blocks import Blocks, Care
from ingestion.connectors.csv.dialect import Dialect, unique
from ingestion.connectors.csv.inference import Rules
from ingestion.connectors.files import Opening, Text, wrong_encoding
from ingestion.errors import DataError

__all__ = ["How", "headed"]

_SNIFFED = 1 << 16


@dataclass(frozen=True)
class How:
    """The options of a CSV source, settled."""

    opening: Opening
    dialect: Dialect
    sniff: bool
    header: bool | tuple[str, ...]
    skip_rows: int
    skip_footer: int
    hints: Mapping[str, str]
    infer: Literal["sample", "full", "none"]
    sample_rows: int
    rules: Rules
    on_bad_row: Literal["quarantine", "fail", "drop"]
    metadata: bool


def headed(texts: Iterator[Text], how: How, care: Mapping[str, Care]) -> Iterator[tuple[Blocks, list[str]]]:
    """The blocks of each text, behind its header, and its column names; texts of blanks alone are left out."""
    for text in texts:
        blocks = Blocks(text, how.dialect, care=care.get(text.label, "lines"), skip_footer=how.skip_footer)
        blocks.skip(how.skip_rows)
        if how.sniff:
            blocks.dialect = how.dialect.sniffed(blocks.head(_SNIFFED)[:_SNIFFED])
        first = blocks.header(take=how.header is True)
        if not first:
            continue
        names = list(how.header) if isinstance(how.header, tuple) else _names(blocks, first)
        if len(names) == 1 and how.header is True:
            _check_delimiter(blocks, first)
        blocks.width = len(names)
        yield blocks, names if how.header else unique([""] * len(names))


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
