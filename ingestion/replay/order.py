"""The order in which rows were rejected, load by load: what is brought anew comes in it, so that the newest is last."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO

import polars as pl

__all__ = ["Turn", "Waiting", "loads_of", "turns"]

Turn = tuple[int, int]
"""Of a row: which load rejected it, counted from the oldest, and which of that load's rows it is."""

_TOGETHER = 1 << 14  # rows of a load that are sorted at once
_LOADS = {"load_id": pl.String(), "load": pl.Int64()}


def loads_of(rows: pl.DataFrame) -> dict[str, int]:
    """The loads that rejected *rows*, and the place of each among them."""
    loads = rows.select(pl.col("load_id").cast(pl.String), "quarantined_at").unique().sort("quarantined_at", "load_id")
    return {load: place for place, load in enumerate(loads["load_id"].unique(maintain_order=True))}


def turns(rows: pl.DataFrame, loads: Mapping[str, int]) -> dict[str, Turn]:
    """The sources of *rows* in order, each with the turn of its first row of the newest load that has some."""
    first = rows.group_by("source", "load_id").agg(pl.col("number").min())
    found: dict[str, Turn] = {}
    for source, load, number in first.iter_rows():
        found[source] = max(found.get(source, (-1, 0)), (loads[load], number))
    return dict(sorted(found.items(), key=lambda item: item[1]))


class Waiting:
    """Rows of a quarantine that wait on disk until it is their turn.

    The file has no name: it is gone with the object or with its process.
    """

    def __init__(self, loads: Mapping[str, int]) -> None:
        self._loads = pl.DataFrame({"load_id": list(loads), "load": list(loads.values())}, _LOADS)
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="ingestion-")  # noqa: SIM115 - closed by `close`
        self._places: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)

    def add(self, rows: pl.DataFrame) -> None:
        """Take *rows*, which have what their ids are made of."""
        known = rows.with_columns(pl.col("load_id").cast(pl.String)).join(self._loads, on="load_id", how="left")
        known = known.with_columns((pl.col("number") // _TOGETHER).alias("block"))
        for (load, block), part in known.partition_by("load", "block", as_dict=True).items():
            start = self._file.seek(0, 2)
            part.drop("block").write_ipc_stream(self._file, compression="lz4")
            self._places[int(load), int(block)].append((start, self._file.tell() - start))

    def rows(self) -> Iterator[pl.DataFrame]:
        """All rows, oldest first, with the place of their load in the column load."""
        for block in sorted(self._places):
            parts = [self._part(*place) for place in self._places[block]]
            yield pl.concat(parts).sort("number", maintain_order=True)

    def _part(self, start: int, size: int) -> pl.DataFrame:
        self._file.seek(start)
        return pl.read_ipc_stream(self._file.read(size))

    def close(self) -> None:
        """Give the space back."""
        with suppress(OSError):  # a full disk takes no last bytes, and nobody will read them
            self._file.close()
