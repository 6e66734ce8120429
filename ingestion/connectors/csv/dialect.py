"""How a CSV file is written: its separators, its marks, and what its words mean."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from typing_extensions import Self

__all__ = ["Dialect"]

_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_LINES = 50


@dataclass(frozen=True)
class Dialect:
    """The options of a CSV source that the parser needs, with every default settled."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    comment: str | None = None
    multiline: bool = True
    null_values: tuple[str, ...] = ("",)
    trim: bool = False
    skip_blank_rows: bool = True

    @property
    def empty_is_null(self) -> bool:
        """Whether an unquoted empty cell is null."""
        return "" in self.null_values

    def doubted(self, text: bytes) -> str | None:
        """Another delimiter that splits every line of *text*, where this one mostly splits none."""
        lines = self._lines(text)
        if len(lines) < 2 or self._evenness(lines, self.delimiter)[0]:
            return None
        others = (delimiter for delimiter in _DELIMITERS if self._evenness(lines, delimiter)[0] == 1)
        return next(others, None)

    def sniffed(self, text: bytes) -> Self:
        """The same dialect with the delimiter that splits the lines of *text* most evenly."""
        lines = self._lines(text)
        scores = {delimiter: self._evenness(lines, delimiter) for delimiter in _DELIMITERS}
        return replace(self, delimiter=max(_DELIMITERS, key=lambda delimiter: scores[delimiter]))

    def _lines(self, text: bytes) -> list[str]:
        lines = io.StringIO(text.decode(errors="replace"), newline="")  # str.splitlines ends lines elsewhere too
        return [line for line in islice(lines, _SNIFFED_LINES) if line.strip()]

    def _evenness(self, lines: Sequence[str], delimiter: str) -> tuple[float, int]:
        counts = [len(cells) for cells in self._cells(lines, delimiter)]
        if not counts:
            return 0.0, 0
        usual = max(set(counts), key=lambda count: (counts.count(count), count))
        return (counts.count(usual) / len(counts) if usual > 1 else 0.0), usual

    def _cells(self, lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
        return csv.reader(
            lines,
            delimiter=delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )

    def header(self, line: bytes) -> list[str]:
        """The column names of a header line: trimmed, never empty, never twice the same."""
        cells: list[str] = next(self._cells(io.StringIO(line.decode(), newline=""), self.delimiter), [])
        return unique([self._name(cell) for cell in cells])

    def _name(self, cell: str) -> str:
        name = cell.strip()
        quoted = self.quote is not None and len(name) > 1 and name[0] == name[-1] == self.quote
        return name[1:-1].strip() if quoted else name


def unique(names: Sequence[str]) -> list[str]:
    """*names* where a blank one becomes column_<n> and a repeated one name_2, name_3 and so on."""
    taken = set(names)
    seen: set[str] = set()
    result = []
    for number, given in enumerate(names, 1):
        name = base = given or f"column_{number}"
        count = 1
        while name in seen or (name != given and name in taken):
            count += 1
            name = f"{base}_{count}"
        seen.add(name)
        result.append(name)
    return result
