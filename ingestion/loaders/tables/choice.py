"""Which of several rows with the same key stays."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from ingestion.errors import DataError
from ingestion.plugins import INGESTED_AT, RUN_ID

__all__ = ["SOURCE", "Choice", "frame_of"]

SOURCE = "\0source"
"""The column by which rows of one source are known: an index into the sources' names. It is never stored."""

_ROW = "row"
_OURS = frozenset({SOURCE, RUN_ID, INGESTED_AT})  # may differ between rows that are equal
_SHOWN = 60  # characters of a value in a message


def frame_of(rows: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    """These columns, called 0, 1, ...: names of the data never meet those used here."""
    values = [_decoded(rows.column(name)) for name in columns]
    return pl.DataFrame({str(place): pl.Series(pl.from_arrow(value)) for place, value in enumerate(values)})


@dataclass(frozen=True)
class Choice:
    """The rule by which one row of each key is chosen; choosing among what was chosen gives the same again.

    With *order_by* the row with the greatest value, null being the least, and the later of equals. Without it the
    later row: it may differ from the one before it only if they come from different sources.
    """

    keys: Sequence[str]
    order_by: Sequence[str]
    table: str

    def apply(self, rows: pa.Table, sources: Sequence[str]) -> pa.Table:
        """One row of each key in order of arrival; the very table where no key comes twice.

        Raises DataError for two different rows with the same key in one source.
        """
        keys = frame_of(rows, self.keys)
        if keys.hash_rows().n_unique() == keys.height:  # equal keys have equal hashes: none comes twice
            return rows
        twice = keys.is_duplicated()
        rivals = keys.with_row_index(_ROW).filter(twice)
        if not self.order_by:
            self._compare(rows, rivals, sources)
        winners = self._ordered(rows, rivals).unique(subset=keys.columns, keep="last")[_ROW]
        stays = pl.DataFrame({"alone": ~twice}).with_row_index(_ROW)
        chosen = stays.select(pl.col("alone") | pl.col(_ROW).is_in(winners.implode()))
        return rows.filter(chosen.to_series().to_arrow())

    def _ordered(self, rows: pa.Table, rivals: pl.DataFrame) -> pl.DataFrame:
        """Those that win behind those that lose to them."""
        if not self.order_by:
            return rivals
        order = frame_of(rows, self.order_by)
        order.columns = [f"by{name}" for name in order.columns]
        worth = order.select(pl.all().gather(rivals[_ROW]))
        return rivals.hstack(worth.get_columns()).sort([*order.columns, _ROW], nulls_last=False)

    def _compare(self, rows: pa.Table, rivals: pl.DataFrame, sources: Sequence[str]) -> None:
        keys = rivals.columns[1:]
        source = pl.Series(pl.from_arrow(rows.column(SOURCE)))
        pairs = rivals.with_columns(before=pl.col(_ROW).shift(1).over(keys)).drop_nulls("before")
        pairs = pairs.filter(source.gather(pairs[_ROW]) == source.gather(pairs["before"]))
        if not pairs.height:
            return
        for name in rows.column_names:
            if name in _OURS or name in self.keys:
                continue
            values = pl.Series(pl.from_arrow(_decoded(rows.column(name))))
            differ = values.gather(pairs[_ROW]).ne_missing(values.gather(pairs["before"])).arg_true()
            if differ.len():
                place = int(pairs[_ROW][int(differ[0])])
                raise self._refusal(rows.slice(place, 1), name, sources)

    def _refusal(self, row: pa.Table, column: str, sources: Sequence[str]) -> DataError:
        key = ", ".join(f"{name}={_short(row.column(name)[0].as_py())}" for name in self.keys)
        source = sources[row.column(SOURCE)[0].as_py()]
        return DataError(
            f"{f'table {self.table}: ' if self.table else ''}the key {key} comes twice in {source} with different "
            f"values in column {column!r}; set loader.order_by to the column that says which row is newer, or leave "
            f"one of them out by transformer.deduplicate"
        )


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionaries as what they stand for: polars would compare each chunk's own categories."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
