"""What is told of loads: what they start from, what they did, and what would become of one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from ingestion.stream import Cursor

__all__ = [
    "Check",
    "Checked",
    "CheckedColumn",
    "Comparison",
    "Difference",
    "Landed",
    "Load",
    "LoadResult",
    "Part",
    "RolledBack",
    "State",
    "Watched",
]


class State(NamedTuple):
    """What a target knows of a job: read before a run, compared again at its commit."""

    cursor: Cursor = None
    load_id: str | None = None  # the job's newest landed load
    schema: pa.Schema | None = None  # of the target table; None = it does not exist


class Part(NamedTuple):
    """Rows of a table by the values of one column: those that it names, or where it has a time those of the spans."""

    column: str
    values: tuple[str, ...]  # as text
    spans: tuple[tuple[datetime, datetime], ...] = ()  # with a zone; up to, but not with, the second of each


class Load(NamedTuple):
    """One attempt of one job to land rows."""

    job: str
    run_id: str
    load_id: str  # unique per attempt; found again in the target's history
    since: State  # what the run read; the commit is refused when the job's state has moved
    config_hash: str = ""
    replaces: tuple[Part, ...] = ()  # where given, the rows in all of these go, and no others, whatever the mode
    alone: bool = False  # no cursor is kept, so that nothing supersedes it and `since` is not looked at
    once: str = ""  # load_id begins with it: of loads whose ids do so only one lands, the others answer with that one
    replays: pa.Array | None = None  # ids of quarantined rows that this load brings anew: where it lands, they are gone


class LoadResult(NamedTuple):
    """What one load did to the target."""

    rows: int  # rows of the data that are in the target now, or have done there what they were to do
    quarantined: int
    files: int
    bytes_written: int
    snapshot: str | None  # None = nothing was committed, because there was nothing to say
    schema: pa.Schema | None
    commit_seconds: float
    table: str  # as the target's own tools name it
    location: str | None = None
    added: tuple[str, ...] = ()  # columns that a table which was there already got by this load
    absent: tuple[str, ...] = ()  # columns of the table that no batch brought, although rows were loaded
    table_rows: int | None = None  # all rows of the table afterwards, where it knows without counting
    removed: Mapping[str, int] = {}  # rows of the data left out on purpose, by reason; not among `rows`
    changes: Mapping[str, int] = {}  # what a merge did: rows inserted, updated, unchanged, deleted, missing
    notes: tuple[str, ...] = ()  # sentences: what else the commit changed, such as a column that became optional


class Landed(NamedTuple):
    """One load as the target's history has it."""

    job: str
    run_id: str
    load_id: str
    at: datetime
    mode: str  # append, overwrite, merge
    rows: int | None = None
    files: int | None = None
    snapshot: str | None = None
    cursor: Any = None  # after it, as `describe_cursor` would show it


class RolledBack(NamedTuple):
    """What a rollback did."""

    undone: Sequence[Landed]  # newest first; the last of them is the run that was named
    snapshot: str | None  # what the target shows now


class Check(NamedTuple):
    """A rule that a transformer holds every row to, as people are told of it."""

    name: str  # unlike all others of the job: letters, digits and _
    label: str  # "column: rule", by which rejected rows, `Batch.removed` behind BAD_ROW and `Batch.noted` are counted
    on_fail: str  # quarantine, drop, warn or fail
    description: str
    among_rows: bool = False  # a row breaks it for another of its load: alone, as in a replay, it would keep it


class Difference(NamedTuple):
    """How one column of the data meets the target's; types are called as the target calls them."""

    column: str
    grade: Literal["new", "same", "widening", "kept", "left out", "conflict", "absent"]
    data: str | None  # None = the data lacks it
    before: str | None  # None = the target lacks it
    after: str | None  # None = the target lacks it, or nobody knows
    reason: str = ""  # a sentence, where there is more to say


class Comparison(NamedTuple):
    """How the columns of the data meet the target's, and what a load would fail on beside them."""

    exists: bool  # whether there is a table
    columns: Sequence[Difference]
    problem: str | None = None


class Watched(NamedTuple):
    """What waits at a watched source: how many items, in words, and a key that changes when they do."""

    items: int
    summary: str
    key: str


class CheckedColumn(NamedTuple):
    """One column of a source, and what it becomes."""

    name: str
    dtype: pa.DataType
    declared: str | None = None  # its type as the source calls it; None = it has no word for it
    note: str = ""  # a sentence on why it becomes what it does, where there is a choice


class Checked(NamedTuple):
    """What a source says of itself before a row of it is loaded."""

    source: str  # where rows come from, as `Origin` has it
    columns: Sequence[CheckedColumn] = ()
    server: str | None = None  # what answers there, with its version
    key: Sequence[str] = ()  # the columns that identify a row, where the source knows
    cursor: Cursor = None  # what the next run would commit; None = as before
    told: Mapping[str, Any] = {}  # as `Batch.told`
