"""Which quarantined rows a replay brings anew, and from where; which stay, and why."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from ingestion.stream import StartOver

__all__ = ["Doubts", "Plan", "Quarantined", "Unreplayable", "listed", "planned", "sources_to_read"]

PLACE = ("source", "position")
_TEXTS = ("id", "load_id", "stage", "source")
_INDEX = (*_TEXTS, "position", "part", "quarantined_at", "payload_schema")
_TIME = pl.Datetime("us", "UTC")
_ROWS = {
    **dict.fromkeys(_TEXTS, pl.String()),
    **dict.fromkeys(("position", "part"), pl.Int64()),
    "quarantined_at": _TIME,
    "readable": pl.Boolean(),  # there is a payload from which the row as read can be had
}
_GONE = {"source": pl.String, "gone": pl.String}
_DOUBTED = {"id": pl.String, "reason": pl.String}

_NAMELESS = "it has no id, as it was quarantined by an earlier version of this service"
_SEVERAL = "it was made of several rows, or nobody noted where it stood"
_REPLACED = "a later load replaced all that its load brought"
_LATER = "one of an earlier load stood at the same place and goes first; replay again"


class Quarantined(NamedTuple):
    """The rows of a quarantine without what they hold."""

    rows: pl.DataFrame
    schemas: Collection[pa.Schema]  # of the payloads


class Unreplayable(StartOver):
    """Rows that turned out while they were read not to be what was quarantined; without them the replay may go on."""

    def __init__(self, ids: pl.Series, reason: str, *, spoilt: bool = False) -> None:
        super().__init__(reason)
        self.found = pl.DataFrame({"id": ids}).with_columns(pl.lit(reason).alias("reason"))
        self.spoilt = spoilt  # it is the payload that cannot be read; otherwise the source


class Doubts:
    """What was found unreplayable so far."""

    def __init__(self) -> None:
        self.lost = pl.DataFrame(schema=_DOUBTED)
        self.spoilt = pl.DataFrame(schema=_DOUBTED)

    def note(self, error: Unreplayable) -> None:
        """Remember what *error* found."""
        if error.spoilt:
            self.spoilt = pl.concat([self.spoilt, error.found]).unique("id")
        else:
            self.lost = pl.concat([self.lost, error.found]).unique("id")


class Plan(NamedTuple):
    """The rows that are brought anew, and how many stay for which reason."""

    rows: pl.DataFrame  # those of `Quarantined`; column reread says that they are read at their source
    left: Mapping[str, int]
    schemas: Collection[pa.Schema]

    @property
    def ids(self) -> pa.Array:
        """The ids of the rows that are brought anew."""
        return pa.array(self.rows["id"].to_arrow(), pa.string())

    @property
    def places(self) -> dict[str, pa.Array]:
        """Where rows are to be read again."""
        found = self.rows.filter("reread").select(PLACE).unique().sort(PLACE)
        parts = found.partition_by("source", maintain_order=True)
        return {part["source"][0]: pa.array(part["position"].to_arrow(), pa.int64()) for part in parts}

    @property
    def carriers(self) -> pa.Array:
        """Ids of rows whose payloads hold every row as read that is not read again, each once."""
        found = self.rows.filter(~pl.col("reread")).unique(PLACE, keep="first", maintain_order=True)
        return pa.array(found["id"].to_arrow(), pa.string())


def listed(batches: Iterable[pa.RecordBatch]) -> Quarantined:
    """The rows of a quarantine in the order of their loads."""
    frames, schemas = [pl.DataFrame(schema=_ROWS)], dict[bytes, None]()
    for batch in batches:
        frame = pl.from_arrow(batch.select(_INDEX))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that polars declares
        schemas |= dict.fromkeys(frame["payload_schema"].drop_nulls().unique(maintain_order=True))
        known = frame.with_columns(pl.col("payload_schema").is_not_null().alias("readable"))
        frames.append(known.select(pl.col(name).cast(dtype) for name, dtype in _ROWS.items()))
    rows = pl.concat(frames).sort("quarantined_at", "load_id", maintain_order=True)
    return Quarantined(rows, [pa.ipc.read_schema(pa.py_buffer(schema)) for schema in schemas])


def sources_to_read(found: Quarantined) -> list[str]:
    """The sources at which rows stood whose payloads are not to be trusted, or are none."""
    return found.rows.filter(_reread() & pl.col("position").is_not_null())["source"].unique().to_list()


def _reread() -> pl.Expr:
    """Rows that the source is asked for first: what it gives today may differ from what it gave."""
    return (pl.col("stage") == "read") | ~pl.col("readable")


def planned(found: Quarantined, newest: Collection[str] | None, unreadable: Mapping[str, str], doubts: Doubts) -> Plan:
    """What to do; of rows of loads other than the *newest*, where that is given, nothing is left to be replayed into.

    *unreadable* are sources that cannot be read again, with the reason.
    """
    rows = _doubted(found.rows, unreadable, doubts).with_columns(
        _left(newest).alias("left"), (pl.col("reread") & pl.col("gone").is_null()).alias("reread")
    )
    left = rows["left"].drop_nulls().value_counts(sort=True)
    rows = rows.filter(pl.col("left").is_null()).select(*_ROWS, "reread")
    first = rows.unique(PLACE, keep="first").select(*PLACE, "load_id")
    chosen = rows.join(first, on=[*PLACE, "load_id"], how="semi", maintain_order="left")
    later = {_LATER: len(rows) - len(chosen)} if len(chosen) < len(rows) else {}
    mixed = chosen["reread"].any() and not chosen["reread"].all()
    chosen = chosen.with_columns(pl.col("reread").any().over(PLACE)) if mixed else chosen
    return Plan(chosen, dict(left.iter_rows()) | later, found.schemas)


def _doubted(rows: pl.DataFrame, unreadable: Mapping[str, str], doubts: Doubts) -> pl.DataFrame:
    """*rows* with why their source gives nothing (gone) or their payload does not (spoilt); null where all is well."""
    gone = {"source": list(unreadable), "gone": list(unreadable.values())}
    found = _told(rows, pl.DataFrame(gone, schema=_GONE), "source")
    for name, doubt in (("lost", doubts.lost), ("spoilt", doubts.spoilt)):
        found = _told(found, doubt.rename({"reason": name}), "id")
    return found.with_columns(pl.coalesce("gone", "lost").alias("gone"), _reread().alias("reread"))


def _told(rows: pl.DataFrame, reasons: pl.DataFrame, key: str) -> pl.DataFrame:
    if len(reasons):
        return rows.join(reasons, on=key, how="left", maintain_order="left")
    (name,) = set(reasons.columns) - {key}  # a join costs memory by the row, whatever it finds
    return rows.with_columns(pl.lit(None, pl.String).alias(name))


def _left(newest: Collection[str] | None) -> pl.Expr:
    """Why a row stays; null where it does not."""
    replaced = pl.lit(value=False) if newest is None else ~pl.col("load_id").is_in(list(newest))
    nothing = pl.col("reread") & ~pl.col("readable")
    return (
        pl.when(pl.col("id").is_null())
        .then(pl.lit(_NAMELESS))
        .when(pl.col("position").is_null())
        .then(pl.lit(_SEVERAL))
        .when(replaced)
        .then(pl.lit(_REPLACED))
        .when(nothing & pl.col("gone").is_not_null())
        .then("gone")
        .when(pl.col("reread") & pl.col("gone").is_null())
        .then(pl.lit(None, pl.String))
        .otherwise("spoilt")
    )
