"""All the abstractions: a Connector reads, a Transformer changes, a Loader commits; a Batch is what flows.

A plugin is its configuration: one frozen pydantic model whose fields are what YAML may say and whose
methods do the work. Validation is construction; nothing maps configurations to implementations.

The stream between them is an iterator of `Batch`.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from typing_extensions import Self

from ingestion.errors import ConfigError
from ingestion.loads import (
    Check,
    Checked,
    Comparison,
    Difference,
    Landed,
    Load,
    LoadResult,
    Part,
    RolledBack,
    State,
    Watched,
)
from ingestion.model import Model
from ingestion.stream import (
    BAD_ROW,
    INGESTED_AT,
    REJECTED,
    RUN_ID,
    AsRead,
    Batch,
    Cursor,
    Origin,
    Restart,
    bad_rows,
    known_type,
    remembering,
)

__all__ = [
    "BAD_ROW",
    "INGESTED_AT",
    "REJECTED",
    "RUN_ID",
    "AsRead",
    "Batch",
    "Check",
    "Checked",
    "Comparison",
    "Connector",
    "Cursor",
    "Difference",
    "Landed",
    "Load",
    "LoadResult",
    "Loader",
    "Model",
    "Origin",
    "Part",
    "Plugin",
    "Restart",
    "RolledBack",
    "State",
    "Transformer",
    "Watched",
    "bad_rows",
    "known_type",
    "remembering",
]


class Plugin(Model):
    """Something a job file names by its ``type``; subclasses narrow that field to a Literal with a default."""

    type: str


class Connector(Plugin):
    """Reads what is new at a source."""

    @property
    def watchable(self) -> bool:
        """Whether `watch` can tell without reading that something is new."""
        return False

    def beside(self, loader: "Loader") -> Self:  # noqa: ARG002 - named for those who implement it
        """The same source with the defaults that follow from where its rows go."""
        return self

    @abstractmethod
    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch | Restart]:
        """Yield what is new since *cursor*, oldest first.

        *known* holds the columns whose types are settled already: those of the target table, and those
        that a transformer wants as text; `known_type` finds the one of a column. A value that does not fit its
        known type is a rejected row.
        Column order and presence are the source's own. The last batch carries the new cursor.
        Raises ConfigError, DataError or TransientError.
        """

    def check(self, cursor: Cursor, known: pa.Schema | None) -> Checked | None:
        """What the source says of itself without loading a row; None = only what `read` yields first tells."""
        del cursor, known
        return None

    def unreadable(self, sources: Sequence[str], cursor: Cursor) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """Those of *sources* that `reread` would refuse, each with the reason."""
        return dict.fromkeys(sources, f"{self.type} sources cannot be read again at a place")

    def reread(
        self, places: Mapping[str, pa.Array], cursor: Cursor, known: pa.Schema | None
    ) -> Iterator[Batch | Restart]:
        """Yield the rows that stand at these positions of these sources, as `read` would; no cursor is carried.

        Sources come in the order of *places*. Each origin tells when its source was written, which tells whether it is
        what it was; where *cursor* knows that only that time has changed, it is the time of then.
        Rows that do not fit are rejected. A place where nothing is found yields nothing. Raises ConfigError where the
        source cannot be read at a place, DataError where it is gone or, as far as *cursor* tells, has changed since.
        """
        del places, cursor, known
        raise ConfigError(f"{self.type} sources cannot be read again at a place")

    @property
    def reads_changes(self) -> bool:
        """Whether `read` gives a row once more that has changed since it was read; `overtaken` then tells which."""
        return False

    def overtaken(self, places: Mapping[str, pa.Array], cursor: Cursor) -> Mapping[str, pa.Array]:  # noqa: ARG002 - as above
        """Those of *places* whose rows `read` gives from *cursor* on; asked only where `reads_changes`."""
        return {}

    def watch(self, cursor: Cursor) -> Watched:  # noqa: ARG002 - named for those who implement it
        """What `read` would find; called only where `watchable`."""
        raise TypeError(f"{self.type} sources cannot be watched")


class Transformer(Plugin):
    """Changes a stream of batches; whole-load rules such as deduplication may hold it back."""

    def wants(self, known: pa.Schema | None) -> pa.Schema | None:
        """The columns as they should arrive so that what leaves fits *known*; columns left out may have any type."""
        return known

    @property
    def checks(self) -> tuple[Check, ...]:
        """The rules that rows are held to."""
        return ()

    @property
    def combines(self) -> str | None:
        """The option, as ``transformations[0]``, by which it may make a row of several; None = no row is.

        What it makes of a few rows of a load is then not what it would have made of all, so that none can be replayed.
        """
        return None

    @abstractmethod
    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the changed batches; every row taken out is rejected or counted as removed, with its reason.

        Rejected rows, removals, emptied and noted values, bytes and cursors of the incoming batches are passed on.
        """


class Loader(Plugin):
    """Commits a stream of batches to a target, together with the cursor, or not at all."""

    database: str = "default"
    """The target's namespace: Iceberg namespace, PostgreSQL schema, Delta folder."""
    table: str = ""
    """The target table; the job's id where it is not given."""
    add_ingestion_metadata: bool = True
    """Add the columns _ingestion_run_id and _ingested_at to every row."""

    @property
    def merges(self) -> bool:
        """Whether a row that comes again takes the place of the one that came before."""
        return False

    @property
    def replaces_all(self) -> bool:
        """Whether what a load does not bring is gone afterwards, so that it needs all that the source has."""
        return False

    @property
    def deletes_missing(self) -> bool:
        """Whether rows of the table that a load does not bring are taken for gone at the source."""
        return False

    def admit(self, batches: Iterator[Batch], known: pa.Schema | None) -> Iterator[Batch]:  # noqa: ARG002 - for those who implement it
        """The stream as the target takes it, *known* being its columns: rows that it refuses are rejected.

        It runs before rows are counted and the error budget is judged; `load` gets what it yields.
        Raises DataError for what no row can mend.
        """
        return batches

    @abstractmethod
    def state(self, job: str) -> State:
        """What the target knows of *job* now. Raises ConfigError or TransientError if it cannot be asked."""

    @abstractmethod
    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        """Land all rows and the last cursor in one commit; an error means that none of it landed.

        Rejected rows land in that commit or just before it, under the load's id; where the load then does not land,
        they are taken out again by it or by the job's next one.
        Nothing is committed before *batches* is exhausted: an error that it raises undoes the load.
        Raises Superseded when the job's state is no longer ``load.since``.
        """

    def compare(self, job: str, given: Sequence[pa.RecordBatch], admitted: Sequence[pa.RecordBatch]) -> Comparison:
        """What a load of *job* would do to the target's columns; nothing is changed, or created.

        *given* are rows as they come from the transformer, *admitted* what `admit` made of them. Raises ConfigError
        where the target cannot tell, ConfigError or TransientError where it cannot be asked.
        """
        del given, admitted
        raise ConfigError(f"{job}: loader type {self.type!r} cannot tell what a load would do to the target's columns")

    def target(self, job: str) -> tuple[str, ...]:
        """What tells the target of *job* from all others: loaders that give the same answer load one table."""
        return (self.model_dump_json(), self.table or job)

    def history(self, job: str) -> list[Landed]:
        """The loads of every job that the table of *job* remembers, newest first.

        Raises ConfigError where the target keeps none.
        """
        raise ConfigError(f"{job}: loader type {self.type!r} keeps no history of its loads")

    def quarantined(self, job: str) -> Iterator[pa.RecordBatch]:
        """The rejected rows of *job* whose loads landed, less those that were replayed since.

        Columns: id, those of REJECTED, load_id, run_id, job, config_hash, quarantined_at (UTC, microseconds). Nothing
        where there is no quarantine yet. Raises ConfigError where the target keeps none.
        """
        raise ConfigError(f"{job}: loader type {self.type!r} keeps no quarantine that could be read")

    def adding(self) -> Self:
        """The same target for rows that come late: they are merged where it merges, else added, and nothing goes."""
        return self

    def rollback(self, job: str, run_id: str) -> RolledBack:
        """Make the table what it was before that run of *job*, cursor included, so that its range is loaded again.

        Raises ConfigError, with the reason, where commits of others would be lost or the past is gone.
        """
        raise ConfigError(f"{job}: loader type {self.type!r} cannot take run {run_id} back")

    def careful(self, others: Sequence["Loader"]) -> Self:  # noqa: ARG002 - named for those whose upkeep has options
        """The same loader, whose upkeep throws away nothing that one of *others*, of the same target, would keep."""
        return self

    def upkeep(self, job: str) -> dict[str, int]:
        """Compact and clean up the table of *job* without changing a row; says what was done, by name.

        Only what it did is named: an empty answer means that nothing was due.
        """
        del job
        return {}
