"""Which quarantined rows a replay brings anew, and from where; which stay, and why."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.loaders.tables.replayed import Ids
from ingestion.replay.listing import CODE, KEY, PLACE, Quarantined
from ingestion.replay.newest import Newest
from ingestion.replay.order import Turn, loads_of, turns
from ingestion.stream import StartOver

__all__ = ["TWINS", "Doubts", "Plan", "Unreplayable", "planned", "sources_to_read"]

_TOGETHER = 1 << 16  # ids that are texts at a time
_GONE = {"source": CODE, "gone": CODE}
_DOUBTED = {"load_id": CODE, "number": pl.Int64(), "reason": CODE}

_NEW = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in PLACE)
"""Whether a row of sorted ones stands at another place than the one before it."""

_TWIN = ~_NEW & (
    pl.col("part").is_null() | pl.col("part").shift().is_null() | (pl.col("part") == pl.col("part").shift())
)
"""Whether a row of sorted ones stands at the place of the one before it, and is no other part of the same row."""

_NAMELESS = "it has no id, as it was quarantined by an earlier version of this service"
_SEVERAL = "it was made of several rows, or nobody noted where it stood"
TWINS = "others of its load stood at the same place, so that it cannot be told which is which"
_LATER = "one of an earlier load stood at the same place and goes first; replay again"


class Unreplayable(StartOver):
    """Rows that turned out while they were read not to be what was quarantined; without them the replay may go on."""

    def __init__(self, rows: pl.DataFrame, reason: str, wrong: Literal["source", "payload", "both"] = "source") -> None:
        super().__init__(reason)
        self.found = rows.select(pl.col("load_id").cast(CODE), "number", pl.lit(reason, CODE).alias("reason"))
        self.wrong = wrong  # which of them is not to be read


class Doubts:
    """What was found unreplayable so far."""

    def __init__(self) -> None:
        self.lost = pl.DataFrame(schema=_DOUBTED)
        self.spoilt = pl.DataFrame(schema=_DOUBTED)

    def note(self, error: Unreplayable) -> None:
        """Remember what *error* found."""
        if error.wrong != "source":
            self.spoilt = pl.concat([self.spoilt, error.found]).unique(KEY)
        if error.wrong != "payload":
            self.lost = pl.concat([self.lost, error.found]).unique(KEY)


class Plan(NamedTuple):
    """The rows that are brought anew, and how many stay for which reason."""

    rows: pl.DataFrame  # those of `Quarantined`; column reread says that they are read at their source
    left: Mapping[str, int]
    schemas: Collection[pa.Schema]

    @property
    def ids(self) -> pa.Array:
        """The ids of the rows that are brought anew."""
        return pa.concat_arrays([pa.array([], pa.string()), *_ids(self.rows)])

    @property
    def places(self) -> dict[str, pa.Array]:
        """Where rows are to be read again."""
        parts = self.rows.filter("reread").filter(_NEW).partition_by("source", maintain_order=True)
        places = {part["source"][0]: pa.array(_lines(part).to_arrow(), pa.int64()) for part in parts}
        return {source: places[source] for source in self.turns}

    @property
    def loads(self) -> dict[str, int]:
        """The loads that rejected the rows, from the oldest on, and the place of each among them."""
        return loads_of(self.rows)

    @property
    def turns(self) -> dict[str, Turn]:
        """The sources that are read again, in the order in which they should be."""
        return turns(self.rows.filter("reread"), self.loads)

    @property
    def carriers(self) -> Ids:
        """Ids of rows whose payloads hold every row as read that is not read again, each once."""
        carriers = Ids()
        for ids in _ids(self.rows.filter(~pl.col("reread") & (_NEW | pl.col("part").is_null()))):
            carriers.add(ids)
        return carriers


def _lines(rows: pl.DataFrame) -> pl.Series:
    """The positions of *rows*, and those of the further lines that they take up."""
    lines = rows.select(pl.int_ranges("position", pl.col("position") + pl.col("more") + 1).explode())
    return lines.to_series().unique().sort()


def _ids(rows: pl.DataFrame) -> Iterator[pa.Array]:
    for part in rows.iter_slices(_TOGETHER):
        loads, numbers = (part[name].cast(pl.String).to_arrow().cast(pa.string()) for name in KEY)
        yield pc.binary_join_element_wise(loads, numbers, "-")


def sources_to_read(found: Quarantined, doubts: Doubts) -> list[str]:
    """The sources at which rows stood whose payloads are not to be trusted, or are none."""
    rows = _told(found.rows, doubts.spoilt.rename({"reason": "spoilt"}), KEY)
    rows = rows.filter(_reread() & pl.col("position").is_not_null())
    return rows["source"].unique().cast(pl.String).to_list()


def _reread() -> pl.Expr:
    """Rows that the source is asked for: what it gives today may differ from what it gave, or nothing else gives it."""
    return pl.col("unread") | ~pl.col("readable") | pl.col("spoilt").is_not_null()


def planned(found: Quarantined, newest: Newest | None, unreadable: Mapping[str, str], doubts: Doubts) -> Plan:
    """What to do; of rows of loads other than the *newest*, where that is given, nothing is left to be replayed into.

    *unreadable* are sources that cannot be read again, with the reason.
    """
    rows = _doubted(found.rows, unreadable, doubts).with_columns(
        _left(newest).alias("left"), (pl.col("reread") & pl.col("gone").is_null()).alias("reread")
    )
    left = rows["left"].drop_nulls().value_counts(sort=True)
    rows = rows.filter(pl.col("left").is_null()).select(*found.rows.columns, "reread")
    first = pl.when(_NEW).then("load_id").forward_fill()
    chosen = rows.filter(pl.col("load_id") == first)
    later = {_LATER: len(rows) - len(chosen)} if len(chosen) < len(rows) else {}
    mixed = chosen["reread"].any() and not chosen["reread"].all()
    chosen = chosen.with_columns(pl.col("reread").any().over(PLACE)) if mixed else chosen
    rows = _told_apart(chosen)
    twins = {TWINS: len(chosen) - len(rows)} if len(rows) < len(chosen) else {}
    return Plan(rows, dict(left.iter_rows()) | later | twins, found.schemas)


def _told_apart(rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* without those at one place that are no parts of one row, unless payloads hold each of them whole."""
    twins = rows.filter(_TWIN).select(PLACE).unique()
    if not len(twins):
        return rows
    whole = pl.col("part").is_null() & ~pl.col("reread") & pl.col("readable")
    unclear = rows.join(twins, on=PLACE, how="semi").filter(~whole.all().over(PLACE)).select(PLACE).unique()
    return rows.join(unclear, on=PLACE, how="anti", maintain_order="left")


def _doubted(rows: pl.DataFrame, unreadable: Mapping[str, str], doubts: Doubts) -> pl.DataFrame:
    """*rows* with why their source gives nothing (gone) or their payload does not (spoilt); null where all is well."""
    gone = {"source": list(unreadable), "gone": list(unreadable.values())}
    found = _told(rows, pl.DataFrame(gone, schema=_GONE), ("source",))
    for name, doubt in (("lost", doubts.lost), ("spoilt", doubts.spoilt)):
        found = _told(found, doubt.rename({"reason": name}), KEY)
    return found.with_columns(pl.coalesce("gone", "lost").alias("gone"), _reread().alias("reread"))


def _told(rows: pl.DataFrame, reasons: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    if len(reasons):
        return rows.join(reasons, on=key, how="left", maintain_order="left")
    (name,) = set(reasons.columns) - set(key)  # a join costs memory by the row, whatever it finds
    return rows.with_columns(pl.lit(None, CODE).alias(name))


def _left(newest: Newest | None) -> pl.Expr:
    """Why a row stays; null where it does not."""
    replaced = pl.lit(value=False)
    if newest is not None:
        replaced = ~pl.col("load_id").cast(pl.String).is_in(list(newest.loads))
    nothing = pl.col("reread") & ~pl.col("readable")
    return (
        pl.when(pl.col("number").is_null())
        .then(pl.lit(_NAMELESS, CODE))
        .when(pl.col("position").is_null())
        .then(pl.lit(_SEVERAL, CODE))
        .when(replaced)
        .then(pl.lit(newest.others if newest is not None else None, CODE))
        .when(nothing & pl.col("gone").is_not_null())
        .then("gone")
        .when(pl.col("reread") & pl.col("gone").is_null())
        .then(pl.lit(None, CODE))
        .otherwise("spoilt")
    )
