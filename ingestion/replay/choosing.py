"""Which of the rows that could be replayed are meant: those that were asked for, and no other row's duplicates."""

from collections.abc import Collection, Iterable

import polars as pl
import pyarrow as pa

from ingestion.replay.listing import CODE, keyed
from ingestion.replay.plan import Plan

__all__ = ["asked_for", "chosen", "held_back"]

_KEY = ("load_id", "number")
_HELD = {"load_id": CODE, "number": pl.Int64(), "reason": CODE}
_DOUBLED = (
    "it is the duplicate of a row that a replay does not see; take the rule out of the job, or dismiss it: "
    "ingestion quarantine JOB --dismiss --reason TEXT"
)
_LABEL = pl.concat_str(pl.col("column") + ": ", "rule", ignore_nulls=True)


def asked_for(text: str) -> pl.Expr:
    """Whether a quarantined row has *text*, in any case, in "column: rule" or reason."""
    told = pl.concat_str(_LABEL, "reason", separator="\n", ignore_nulls=True).str.to_lowercase()
    return told.str.contains(text.lower(), literal=True)


def held_back(batches: Iterable[pa.RecordBatch], among_rows: Collection[str], text: str) -> pl.DataFrame:
    """The rows of a quarantine that stay, with the reason; those without *text* in rule or reason have none.

    *among_rows* are the labels ("column: rule") of rules that a row breaks for another one of its load.
    """
    frames = [pl.DataFrame(schema=_HELD)]
    for batch in batches if among_rows or text else ():
        rows = keyed(pl.DataFrame(batch.select(["id", "load_id", "column", "rule", "reason"])))
        doubled, asked = _LABEL.is_in(list(among_rows)), asked_for(text)
        why = pl.when(asked).then(pl.lit(_DOUBLED, CODE)).alias("reason")
        frames.append(rows.filter(doubled | ~asked).select(*_KEY, why))
    return pl.concat(frames).rechunk()


def chosen(plan: Plan, held: pl.DataFrame) -> Plan:
    """*plan* without the rows that are *held* back, which it tells of where they were asked for."""
    if not len(held):
        return plan
    doubled = plan.rows.join(held.filter(pl.col("reason").is_not_null()), on=_KEY, how="semi")
    left = {_DOUBLED: len(doubled)} if len(doubled) else {}
    rows = plan.rows.join(held, on=_KEY, how="anti", maintain_order="left")
    return plan._replace(rows=rows, left={**plan.left, **left})
