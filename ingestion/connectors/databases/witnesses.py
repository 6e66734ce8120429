"""What a database tells of the values that could not be selected as what they are."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Told", "told_by"]


class Told(NamedTuple):
    """Values of one column as texts, and in which rows they stand."""

    mask: pa.BooleanArray
    texts: pa.Array  # as many as are true in *mask*


def told_by(witness: pa.Array, names: Sequence[str]) -> Mapping[str, Told]:
    """The texts in *witness*, JSON objects of them by column, for those of *names* that have any."""
    rows = pc.indices_nonzero(pc.is_valid(witness))
    if not len(rows):
        return {}
    import polars as pl

    objects = pl.Series(witness.take(rows).to_pylist(), dtype=pl.String)
    fields = objects.str.json_decode(pl.Struct(dict.fromkeys(names, pl.String))).struct.unnest()
    found = {}
    for name in names:
        texts = fields[name].to_arrow().cast(pa.string())
        if texts.null_count < len(texts):
            there = rows.filter(pc.is_valid(texts))
            mask = pc.is_in(pa.array(range(len(witness)), pa.uint64()), value_set=pc.cast(there, pa.uint64()))
            found[name] = Told(mask, texts.drop_null())
    return found
