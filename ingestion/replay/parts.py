"""Of rows that were divided, a replay brings only the parts that were quarantined; the others are there already."""

from collections import Counter

import polars as pl
import pyarrow as pa

from ingestion.plugins import Batch
from ingestion.replay.listing import CODE, PLACE

__all__ = ["Parts"]

_LOADED = "loaded before"
_PER_PART = "told once for each part"


class Parts:
    """The parts that are wanted of the places where not all are."""

    def __init__(self, rows: pl.DataFrame) -> None:
        rows = rows.select(pl.col("source").cast(CODE), "position", "part")
        parts = rows.filter(pl.col("part").is_not_null())
        whole = rows.filter(pl.col("part").is_null()) if len(parts) else parts
        self._wanted = parts.join(whole, on=PLACE, how="anti").unique()
        self._limited = self._wanted.select(*PLACE).unique()

    def of(self, batch: Batch) -> Batch:
        """The batch without the other parts; a row rejected before it was divided is rejected for each part of it."""
        if not len(self._wanted):
            return batch
        removed = Counter(batch.removed)
        count = batch.records.num_rows
        places = pl.DataFrame(
            {
                "position": _series(batch.origin.at(pa.array(range(count), pa.int64()))),
                "part": _series(pa.nulls(count, pa.int64()) if batch.origin.parts is None else batch.origin.parts),
            }
        ).with_columns(pl.lit(batch.origin.source, CODE).alias("source"))
        kept = self._kept(places)["row"].to_arrow()
        removed[_LOADED] += count - len(kept)
        rejected = self._rejected(batch.rejected, removed) if batch.rejected is not None else None
        changed = {name: number for name, number in removed.items() if number}
        return batch._replace(
            records=batch.records.take(kept), origin=batch.origin.take(kept), rejected=rejected, removed=changed
        )

    def _kept(self, places: pl.DataFrame) -> pl.DataFrame:
        """Those that are wanted, and those of which nobody knows which part they are."""
        rows = places.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        others = rows.join(self._limited, on=PLACE, how="semi").filter(pl.col("part").is_not_null())
        others = others.join(self._wanted, on=[*PLACE, "part"], how="anti")
        return rows.join(others, on="row", how="anti", maintain_order="left")

    def _rejected(self, rejected: pa.RecordBatch, removed: Counter[str]) -> pa.RecordBatch:
        places = pl.DataFrame({name: _series(rejected[name]) for name in (*PLACE, "part")}).with_columns(
            pl.col("source").cast(CODE)
        )
        kept = self._kept(places)
        removed[_LOADED] += rejected.num_rows - len(kept)
        whole = kept.filter(pl.col("part").is_null()).drop("part").join(self._wanted, on=PLACE, how="left")
        told = pl.concat([kept.filter(pl.col("part").is_not_null()), whole.select(kept.columns)]).sort("row", "part")
        removed[_PER_PART] -= len(told) - len(kept)
        place, parts = rejected.schema.get_field_index("part"), pa.array(told["part"].to_arrow(), pa.int64())
        return rejected.take(told["row"].to_arrow()).set_column(place, rejected.schema.field(place), parts)


def _series(values: pa.Array) -> pl.Series:
    return pl.Series(pl.from_arrow(values))
