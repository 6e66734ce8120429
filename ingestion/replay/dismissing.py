"""Quarantined rows that nobody will bring anew leave the quarantine for good, in one commit."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

import polars as pl
import pyarrow as pa

from ingestion.config import JobConfig
from ingestion.plugins import Load
from ingestion.replay.choosing import asked_for
from ingestion.replay.newest import REPLAY, newest_of

__all__ = ["DISMISSAL", "Dismissed", "dismiss", "replaced"]

DISMISSAL = f"{REPLAY}dismissal-"
"""How the ids of these loads begin: among the replays, as they replace nothing."""

_TOLD = ["id", "load_id", "column", "rule", "reason"]


class Dismissed(NamedTuple):
    """What became of the rows that were to be dismissed."""

    rows: int
    nameless: int  # that stay, as they have no id


def dismiss(job: JobConfig, run_id: str, text: str = "", *, old: bool = False) -> Dismissed:
    """Take the rows of *job* with *text* in rule or reason out of quarantine, exactly once; its position stays.

    Where *old*, those alone that are of loads which later ones replaced.
    Raises ConfigError, DataError or TransientError: then every row is where it was.
    """
    job = job.resolved()
    state = job.loader.state(job.id)  # first: whatever lands from here on supersedes this
    parts = [frame["id"].to_arrow().cast(pa.string()) for frame in (_old if old else _asked)(job, text)]
    found = pa.concat_arrays([pa.array([], pa.string()), *parts])
    ids = found.drop_null()
    if len(ids):
        load_id = f"{DISMISSAL}{uuid4().hex}"
        load = Load(job.id, run_id, load_id, state, job.config_hash, replays=ids)
        job.loader.adding().load(load, iter(()))
    return Dismissed(len(ids), len(found) - len(ids))


def replaced(job: JobConfig, text: str = "") -> int:
    """How many quarantined rows of *job*, which is resolved, are of loads that later ones replaced."""
    return sum(map(len, _old(job, text)))


def _old(job: JobConfig, text: str) -> Iterator[pl.DataFrame]:
    newest = newest_of(job, job.loader.state(job.id))
    if newest is not None:
        old = ~pl.col("load_id").is_in(list(newest.loads))
        yield from (frame.filter(old) for frame in _asked(job, text))


def _asked(job: JobConfig, text: str) -> Iterator[pl.DataFrame]:
    for batch in job.loader.quarantined(job.id):
        yield pl.DataFrame(batch.select(_TOLD)).filter(asked_for(text))
