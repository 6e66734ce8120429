"""The rows of one load, one per key."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeAlias

import pyarrow as pa
from typing_extensions import Self

from ingestion.keyed.arrivals import Arrivals, Runs
from ingestion.keyed.buckets import Buckets, joined
from ingestion.keyed.choice import SOURCE, Choice

__all__ = ["LIMIT", "KeyedRows"]

LIMIT = 192 << 20
"""Bytes of rows in memory, where nobody says otherwise."""

Shape: TypeAlias = Callable[[pa.RecordBatch], pa.Table]

_PER_ROW = 48  # bytes that finding a row's place among others takes for a while, however narrow it is
_MOST_BUCKETS = 64  # files open at once
_MOST_SPLITS = 3  # of a bucket; what is too large even then is one row, or a limit that no row fits into


class KeyedRows:
    """The rows of one load, one per key, within a fixed amount of memory; the rest waits on disk.

    Of rows with the same key the one with the greatest *order_by* stays, null being the least, and the later of
    equals. Without *order_by* the later one stays; rows with the same key that follow each other from one source have
    to be equal. *limit* is in bytes of Arrow data, LIMIT where it is not given; *name* is the table's, for messages.
    """

    def __init__(self, keys: Sequence[str], order_by: Sequence[str], limit: int | None = None, name: str = "") -> None:
        self.limit = LIMIT if limit is None else limit
        self.rows = 0  # given
        self.superseded = 0  # left out, known once passes() was exhausted
        self._choice = Choice(keys, order_by, name)
        self._sources: dict[str, int] = {}
        self._arrivals = Arrivals(self.limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, records: pa.RecordBatch, source: str) -> None:
        """Take rows that came from *source*; their keys are not null. Schemas may differ from batch to batch.

        Raises OSError where the temporary folder is full.
        """
        if records.num_rows:
            ranked = bool(self._choice.order_by)  # then no source matters
            self._arrivals.add(records, 0 if ranked else self._sources.setdefault(source, len(self._sources)))
            self.rows += records.num_rows

    def passes(self, shape: Shape) -> Iterator[pa.Table]:
        """The rows in tables with disjoint keys, each with one row per key in order of arrival.

        *shape* brings a batch into the table's columns, the same for all. There is one table where everything fits
        into the limit, and none without rows. May be called again, but not while a call is under way.
        Raises DataError where one source has two different rows with the same key, OSError where the disk is full.
        """
        superseded = self.rows
        for table in self._chosen(self._shaped(shape), 0):
            superseded -= table.num_rows
            yield table.drop_columns([SOURCE])
        self.superseded = superseded

    def close(self) -> None:
        """Give memory and disk back."""
        self._arrivals.close()

    def _shaped(self, shape: Shape) -> Iterator[pa.Table]:
        for batch, runs in self._arrivals.read():
            yield shape(batch).append_column(SOURCE, _column_of(runs))

    def _chosen(self, rows: Iterator[pa.Table], splits: int) -> Iterator[pa.Table]:
        """One row per key; where they do not fit into memory together, bucket after bucket by a hash of the key."""
        held: list[pa.Table] = []
        size = 0
        for table in rows:
            held.append(table)
            size += _weight(table)
            if size > self.limit:
                held = [self._one_per_key(held)]
                size = _weight(held[0])
                if size > self.limit // 2 and held[0].num_rows > 1 and splits < _MOST_SPLITS:
                    yield from self._split(_emptying(held, rows), splits)
                    return
        if held:
            held = [self._one_per_key(held)]
            yield held.pop()

    def _split(self, rows: Iterator[pa.Table], splits: int) -> Iterator[pa.Table]:
        fits = 2 * (self._arrivals.bytes + self.rows * _PER_ROW) // max(self.limit, 1) + 2
        buckets = Buckets(self._choice.keys, _MOST_BUCKETS if splits else min(fits, _MOST_BUCKETS), splits)
        with closing(buckets):
            for table in joined(rows, self.limit // 8):
                buckets.write(table)
            for bucket in buckets.read():
                yield from self._chosen(bucket, splits + 1)

    def _one_per_key(self, tables: list[pa.Table]) -> pa.Table:
        return self._choice.apply(pa.concat_tables(tables), list(self._sources))


def _weight(table: pa.Table) -> int:
    return int(table.nbytes + table.num_rows * _PER_ROW)


def _column_of(runs: Runs) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(pa.scalar(source, pa.int32()), rows) for source, rows in runs])


def _emptying(held: list[pa.Table], rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """All of *held*, of which nothing is kept in memory after it was taken, then *rows*."""
    while held:
        yield held.pop(0)
    yield from rows
