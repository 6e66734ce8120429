"""Which type each column has: hinted, known, or inferred from the head, the middle and the tail of the files."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from ingestion.connectors.csv.blocks import Block, Blocks
from ingestion.connectors.csv.cells import Cells, StrayQuoteError, read_cells
from ingestion.connectors.csv.conversion import Column
from ingestion.connectors.csv.inference import Rules, infer, join
from ingestion.connectors.csv.lexer import complete
from ingestion.connectors.csv.parse import tidy
from ingestion.connectors.files import Found
from ingestion.errors import ConfigError, DataError
from ingestion.parsing import parse_type
from ingestion.plugins import known_type

__all__ = ["Plan", "sample_of"]

_NAMES_SHOWN = 50
_PROBE = 1 << 16
_LARGEST_SAMPLE = 16 << 20
_MORE_THAN_ENOUGH = 1.2


class Plan:
    """The columns of a load in the order of their first appearance; only the reading thread changes it."""

    def __init__(self, hints: Mapping[str, str], known: pa.Schema | None, *, infer: bool) -> None:
        self._infer = infer
        self._settled: dict[str, Column] = {}
        self._known = known
        for name, type_name in hints.items():
            self._settled[name] = Column(name, parse_type(type_name), "hinted")
        self._hints = list(hints)
        self._free: dict[str, pa.DataType | None] = {}
        self._order: list[str] = []

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column seen so far."""
        return tuple(self._settled.get(name) or self._free_column(name) for name in self._order)

    def columns_of(self, names: Sequence[str]) -> tuple[Column, ...]:
        """The columns with these names."""
        return tuple(self._settled.get(name) or self._free_column(name) for name in names)

    def undecided(self, names: Sequence[str]) -> list[str]:
        """Those of the columns whose type is for samples to tell."""
        return [name for name in names if name not in self._settled]

    def note(self, names: Sequence[str]) -> list[str]:
        """Take over the columns of a file; those that are new."""
        present = set(self._order)
        fresh = [name for name in names if name not in present]
        for name in fresh:
            dtype = known_type(self._known, name)
            if dtype is not None and name not in self._settled:
                self._settled[name] = Column(name, _plain(dtype), "known")
        self._order.extend(fresh)
        return fresh

    def learn(self, types: Mapping[str, pa.DataType | None]) -> None:
        """Make free columns wide enough for *types* too."""
        for name, dtype in types.items():
            self._free[name] = join(self._free.get(name), dtype)

    def check_hints(self) -> None:
        """Raise ConfigError for a hint whose column is nowhere."""
        known = self._known.names if self._known is not None else []
        unknown = [name for name in self._hints if name not in self._order and name not in known]
        if unknown and self._order:
            text = f"source.schema_hints: no column {unknown[0]!r}"
            header = ", ".join(map(repr, self._order[:_NAMES_SHOWN]))
            raise ConfigError(f"{text}; the header has {header}", veiled=f"{text} in the header")

    def _free_column(self, name: str) -> Column:
        dtype = self._free.get(name)
        return Column(name, dtype or pa.string(), "free", seen=dtype is not None or not self._infer)


def _plain(dtype: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype) else dtype


def sample_of(
    blocks: Blocks, file: Found, names: list[str], columns: Sequence[str], *, count: int, rules: Rules
) -> dict[str, pa.DataType | None]:
    """The types of *columns* in about *count* rows from the head, the middle and the tail of a file."""
    types: dict[str, pa.DataType | None] = dict.fromkeys(columns)
    for block in _places(blocks, file, count):
        cells = _cells(block, names, blocks)
        if cells is None:
            continue
        if block.first_line == 0 and (cells.bad or cells.lines is not None):
            continue  # cells span lines, or lines are no rows: this part may have begun inside quotes
        begin = 0 if block.first_line else max(cells.rows.num_rows - count, 0)
        rows = tidy(cells, blocks.dialect, block.first_line).rows.slice(begin, count)
        for name in columns:
            types[name] = join(types[name], infer(rows[name], rules))
    return types


def _cells(block: Block, names: list[str], blocks: Blocks) -> Cells | None:
    """The cells of a sample, cut shorter if it ends inside quotes; None where reading will tell what is wrong."""
    try:
        return read_cells(block, names, blocks.dialect, blocks.text.label)
    except StrayQuoteError:
        whole = bytes(block.data)[: complete(bytes(block.data), blocks.dialect)]
        return _cells(_block(whole, block.first_line), names, blocks) if 0 < len(whole) < len(block.data) else None
    except DataError:
        return None


def _places(blocks: Blocks, file: Found, count: int) -> Iterator[Block]:
    probe = blocks.head(_PROBE)
    size = int(min(len(probe) / max(probe.count(b"\n"), 1) * count * _MORE_THAN_ENOUGH, _LARGEST_SAMPLE))
    head = blocks.head(max(size, _PROBE))
    whole = blocks.ended
    yield _block(head[: blocks.end_of_rows(head)] if whole else head[: head.rfind(b"\n") + 1], first_line=1)
    if whole or not blocks.text.seekable:
        return
    for start in (file.size // 2, file.size - size):
        if start > len(head):
            yield _part(file, start, size, blocks)


def _part(file: Found, start: int, size: int, blocks: Blocks) -> Block:
    with Path(file.path).open("rb") as stored:
        text = os.pread(stored.fileno(), size, start)
    begin, end = text.find(b"\n") + 1, blocks.end_of_rows(text[: text.rfind(b"\n") + 1])
    if blocks.text.encoding != "utf-8":
        text = text[begin:end].decode(blocks.text.encoding, "replace").encode()
        begin, end = 0, len(text)
    return _block(text[begin:end], first_line=0)


def _block(data: bytes, first_line: int) -> Block:
    data += b"" if data.endswith(b"\n") or not data else b"\n"
    return Block(memoryview(data), first_line, data.count(b"\n"), last=False, stored=0)
