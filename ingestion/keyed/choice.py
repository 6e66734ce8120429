"""Which of several rows with the same key stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ingestion.errors import DataError
from ingestion.plugins import INGESTED_AT, RUN_ID

__all__ = ["SOURCE", "Choice", "frame_of"]

SOURCE = "\0source"
"""The column by which rows of one source are known: an index into the sources' names. It is never stored."""

Places: TypeAlias = npt.NDArray[np.integer[npt.NBitBase]]
Mask: TypeAlias = npt.NDArray[np.bool_]

_ROW = "row"
_CODE = "code"
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
        codes = keys.hash_rows()
        if codes.n_unique() == keys.height:  # equal keys have equal hashes: none comes twice
            return rows
        rivals = self._rivals(rows, codes)
        if rivals.differ_in(keys):
            rivals = self._rivals(rows, _exact(keys))
        if not self.order_by:
            self._compare(rows, rivals, sources)
        stays = np.ones(rows.num_rows, np.bool_)
        stays[rivals.before] = False
        return rows.filter(pa.array(stays))

    def _rivals(self, rows: pa.Table, codes: pl.Series) -> "_Rivals":
        frame = pl.DataFrame({_CODE: codes}).with_row_index(_ROW)
        if self.order_by:
            frame = self._ordered(rows, frame.filter(codes.is_duplicated()))
        frame = frame.sort(_CODE, maintain_order=True)
        code, row = frame[_CODE].to_numpy(), frame[_ROW].to_numpy()
        same = np.flatnonzero(code[1:] == code[:-1])
        return _Rivals(row[same], row[same + 1])

    def _ordered(self, rows: pa.Table, frame: pl.DataFrame) -> pl.DataFrame:
        """Those that win behind those that lose to them."""
        order = frame_of(rows, self.order_by)
        order.columns = [f"by{name}" for name in order.columns]
        worth = order.select(pl.all().gather(frame[_ROW]))
        # Stable, so that the later of equals is behind; by the key only afterwards, as that is two to three times as
        # fast as by both at once.
        found = frame.hstack(worth.get_columns()).sort(order.columns, nulls_last=False, maintain_order=True)
        return found.select(_ROW, _CODE)

    def _compare(self, rows: pa.Table, rivals: "_Rivals", sources: Sequence[str]) -> None:
        source = rows.column(SOURCE).to_numpy()
        pairs = rivals.among(source[rivals.before] == source[rivals.after])
        if not len(pairs.after):
            return
        for name in rows.column_names:
            if name in _OURS or name in self.keys:
                continue
            differ = pairs.differ(frame_of(rows, [name]).to_series())
            if differ.any():
                place = int(pairs.after[differ].min())
                raise self._refusal(rows.slice(place, 1), name, sources)

    def _refusal(self, row: pa.Table, column: str, sources: Sequence[str]) -> DataError:
        key = ", ".join(f"{name}={_short(row.column(name)[0].as_py())}" for name in self.keys)
        source = sources[row.column(SOURCE)[0].as_py()]
        return DataError(
            f"{f'table {self.table}: ' if self.table else ''}the key {key} comes twice in {source} with different "
            f"values in column {column!r}; set loader.order_by to the column that says which row is newer, or leave "
            f"one of them out by transformer.deduplicate"
        )


class _Rivals(NamedTuple):
    """Rows with the same key as pairs of neighbours: all but the last of each key lose."""

    before: Places
    after: Places

    def among(self, chosen: Mask) -> "_Rivals":
        """Those pairs that are *chosen*."""
        return _Rivals(self.before[chosen], self.after[chosen])

    def differ(self, values: pl.Series) -> Mask:
        """For each pair whether its rows have different *values*."""
        return values.gather(self.before).ne_missing(values.gather(self.after)).to_numpy()

    def differ_in(self, keys: pl.DataFrame) -> bool:
        """Whether different keys were taken for one."""
        return any(self.differ(values).any() for values in keys)


def _exact(keys: pl.DataFrame) -> pl.Series:
    """A number for each row, the same for equal keys alone."""
    return keys.select(pl.struct(pl.all()).rank("dense")).to_series()


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionaries as what they stand for: polars would compare each chunk's own categories."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
