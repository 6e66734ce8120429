"""Many small files parsed as one text, because calls cost more than their rows do."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from ingestion.connectors.csv.blocks import Block
from ingestion.connectors.csv.cells import StrayQuoteError, read_cells
from ingestion.connectors.csv.conversion import typed
from ingestion.connectors.csv.parse import Layout, Parsed, complete, empty, parse, tidy
from ingestion.connectors.files import Chosen
from ingestion.errors import DataError
from ingestion.plugins import Batch, Origin

__all__ = ["Part", "bundled", "parse_all"]

_SMALL = 1 << 18
_BUNDLE = 4 << 20


class Part(NamedTuple):
    """A block of a file, or a file that has none."""

    chosen: Chosen
    layout: Layout
    block: Block | None
    stored: int = 0  # bytes taken from the stored file where there is no block

    @property
    def small(self) -> bool:
        """Whether others may join it."""
        return self.block is not None and self.block.last and len(self.block.data) <= _SMALL

    def parse(self) -> Parsed:
        """The part's batch."""
        return empty(self.layout, self.stored) if self.block is None else parse(self.block, self.layout)


def bundled(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """*parts* in order; small ones of the same layout together."""
    waiting: list[Part] = []
    for part in parts:
        if waiting and not (part.small and part.layout.like(waiting[0].layout)):
            yield waiting
            waiting = []
        waiting.append(part)
        if not part.small or sum(len(one.block.data) for one in waiting if one.block) >= _BUNDLE:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def parse_all(parts: list[Part]) -> list[Parsed]:
    """The batch of each part; one by one where anything about any of them is out of the ordinary."""
    together = _parse_together(parts) if len(parts) > 1 else None
    return together or [part.parse() for part in parts]


def _parse_together(parts: list[Part]) -> list[Parsed] | None:
    layout = parts[0].layout
    blocks = [part.block for part in parts if part.block is not None]
    lines = [block.lines for block in blocks]
    joined = Block(memoryview(b"".join(block.data for block in blocks)), 1, sum(lines), last=False, stored=0)
    try:
        cells = tidy(read_cells(joined, layout.names, layout.dialect, layout.label), layout.dialect, 1)
    except (StrayQuoteError, DataError):
        return None
    if cells.lines is not None or cells.bad or cells.blank:
        return None
    result = typed(cells.rows.columns, layout.columns, layout.source.rules)
    if result.wider or result.misfits:
        return None
    records = complete(result.columns, layout)
    starts = accumulate(lines, initial=0)
    parsed = []
    for part, block, start in zip(parts, blocks, starts, strict=False):
        origin = Origin(part.layout.label, block.first_line, None, part.layout.file.modified_at)
        rows = part.layout.with_metadata(records.slice(start, block.lines), origin)
        parsed.append(Parsed(Batch(rows, origin, bytes_read=block.stored)))
    return parsed
