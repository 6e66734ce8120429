"""Batches as they came, in memory up to a limit and on disk beyond it."""

from collections.abc import Iterator

import pyarrow as pa

from ingestion.keyed.spool import Spool

__all__ = ["Arrivals", "Runs"]

Runs = list[tuple[int, int]]
"""Where the rows of a batch come from, in order: source and number of rows."""

_ROWS_TOGETHER = 1 << 16  # small batches of one schema are joined up to here: each costs its overhead but once
_BYTES_TOGETHER = 8 << 20


class Arrivals:
    """Batches of any schemas with the sources of their rows, given back in order as often as is asked."""

    def __init__(self, limit: int) -> None:
        self.bytes = 0
        self._limit = limit
        self._runs: list[Runs] = []  # of each batch held or spooled
        self._held: list[pa.RecordBatch] = []
        self._spool: Spool | None = None
        self._open: list[pa.RecordBatch] = []  # to be joined
        self._open_runs: Runs = []
        self._open_rows = 0
        self._open_bytes = 0

    def add(self, records: pa.RecordBatch, source: int) -> None:
        """Put rows behind the others."""
        if self._open and records.schema != self._open[0].schema:
            self._settle()
        self._open.append(records)
        self._open_rows += records.num_rows
        self._open_bytes += records.nbytes
        if self._open_runs and self._open_runs[-1][0] == source:
            self._open_runs[-1] = (source, self._open_runs[-1][1] + records.num_rows)
        else:
            self._open_runs.append((source, records.num_rows))
        if self._open_rows >= _ROWS_TOGETHER or self._open_bytes >= _BYTES_TOGETHER:
            self._settle()

    def read(self) -> Iterator[tuple[pa.RecordBatch, Runs]]:
        """All of them, from the first; one reader at a time."""
        self._settle()
        yield from zip(self._spool.read() if self._spool is not None else self._held, self._runs, strict=True)

    def close(self) -> None:
        """Give memory and disk back."""
        self._held, self._open = [], []
        if self._spool is not None:
            self._spool.close()

    def _settle(self) -> None:
        if not self._open:
            return
        batch = self._open[0] if len(self._open) == 1 else pa.concat_batches(self._open)
        self.bytes += self._open_bytes
        self._runs.append(self._open_runs)
        self._open, self._open_runs, self._open_rows, self._open_bytes = [], [], 0, 0
        if self._spool is None and self.bytes <= self._limit:
            self._held.append(batch)
            return
        if self._spool is None:
            self._spool = Spool()
        held, self._held = self._held, []
        for waiting in [*held, batch]:
            self._spool.write(waiting)
