"""Rows of a table that go, in little room."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ingestion.loaders.iceberg.merge.reading import FileReader
from ingestion.loaders.iceberg.merge.search import Hits, none_of_the_pass

__all__ = ["Gone", "note"]


@dataclass
class Gone:
    """The rows of one file that go."""

    reader: FileReader
    count: int = 0
    _exact: list[Hits] = field(default_factory=list)
    _bits: npt.NDArray[np.uint8] | None = None  # of each row of the file

    def add(self, hits: Hits) -> None:
        """Have these go, too, none of which does yet."""
        self.count += len(hits.positions)
        self._exact.append(hits)

    def pack(self) -> None:
        """Forget which rows of a pass stand for them."""
        if not self._exact:
            return
        gone = self._mask()
        for hits in self._exact:
            gone[hits.positions] = True
        self._bits, self._exact = np.packbits(gone), []

    def hits(self) -> Hits:
        """All of them in order; the row of the pass is -1 where there is none, or where it was forgotten."""
        if self._bits is not None:
            self.pack()
            positions = np.flatnonzero(self._mask())
            return Hits(self.reader, positions, none_of_the_pass(len(positions)))
        if len(self._exact) == 1:
            return self._exact[0]
        positions = np.concatenate([hits.positions for hits in self._exact])
        order = np.argsort(positions, kind="stable")
        return Hits(self.reader, positions[order], np.concatenate([hits.rows for hits in self._exact])[order])

    def _mask(self) -> npt.NDArray[np.bool_]:
        if self._bits is None:
            return np.zeros(self.reader.live.rows, np.bool_)
        return np.unpackbits(self._bits, count=self.reader.live.rows).view(np.bool_)


def note(found: dict[str, Gone], hits: Iterable[Hits]) -> None:
    """Add *hits* to those of their files."""
    for item in hits:
        path = item.reader.live.path
        if path not in found:
            found[path] = Gone(item.reader)
        found[path].add(item)
