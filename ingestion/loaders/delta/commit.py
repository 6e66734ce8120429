"""One version of the table, sent on top of the very version that it was planned on, or not at all.

The driver's own resolution of conflicts is off: it lets a run land that another run of the same job has overtaken.
What became of a request is looked up in the log by load id, never assumed.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from ingestion.errors import ConfigError, IngestionError, OutcomeUnknown, TransientError
from ingestion.loaders.delta.columns import columns_of, delta_schema
from ingestion.loaders.delta.datafile import DataFile
from ingestion.loaders.delta.jobs import LOAD
from ingestion.loaders.delta.log import commit_at
from ingestion.loaders.delta.place import Place, translated

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction, CommitProperties, RemoveAction

__all__ = ["Change", "Landfall", "Landing", "properties_of"]

_TRIES = 60
_FIRST_WAIT_SECONDS = 0.005
_LONGEST_WAIT_SECONDS = 0.5
_REQUEST = "ingestion.request"  # of one load, from 0: a lost one may land while the next is under way


@dataclass
class Change:
    """What one version does."""

    columns: pa.Schema
    partition_by: list[str]
    adds: list[DataFile] = field(default_factory=list)
    removes: list[DataFile] = field(default_factory=list)
    replaces_all: bool = False  # all files that are there go, whatever they are
    transaction: tuple[str, int] | None = None  # application and its number
    notes: Mapping[str, Any] = field(default_factory=dict)  # for the log
    configuration: Mapping[str, str] = field(default_factory=dict)  # of a table that the commit creates
    state_files: Sequence[str] = ()  # that the transaction's number leads to
    is_empty: bool = False  # there is nothing to commit
    counts: Mapping[str, int] = field(default_factory=dict)  # of rows, where it is a merge
    staying: int = 0  # rows of the load that do not delete
    older: int = 0  # rows that lost to newer ones of the table
    added: tuple[str, ...] = ()  # columns
    said: tuple[str, ...] = ()  # sentences for the result


class Landfall(NamedTuple):
    """What became of a load."""

    version: int | None  # that holds it; None = there was nothing to commit
    change: Change  # that the version made: of all that were sent, the one that landed


@dataclass
class Landing:
    """Brings one load into a table's log, or finds that it may not."""

    place: Place
    name: str
    load_id: str
    prepare: "Callable[[DeltaTable | None], Change]"  # raises when it must not land
    tries: int = _TRIES
    landed: bool = False
    _sent: list[tuple[int, Change]] = field(default_factory=list)  # requests, and the versions they were sent on
    _open: set[int] = field(default_factory=set)  # those of them that may land yet

    @property
    def in_doubt(self) -> bool:
        """Whether a request was lost and may land yet, or has."""
        return bool(self._open) and not self.landed

    def land(self) -> Landfall:
        """What landed; raises OutcomeUnknown where a request was lost and many tries do not tell what became of it."""
        last: Exception | None = None
        for attempt in range(self.tries + 1):
            if attempt:
                time.sleep(random.uniform(0, min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS)))  # noqa: S311 - jitter
            found = self._attempt(sending=attempt < self.tries)
            if isinstance(found, Landfall):
                return found
            last = found or last
        raise self._unknown(last)

    def _attempt(self, *, sending: bool) -> Landfall | Exception | None:
        """Find an earlier request, or make one; gives the error where another attempt may go better."""
        try:
            table = self.place.open()
            found = self._found(table)
        except Exception as error:  # while a request may have landed nothing but another look may end the run
            if not self.in_doubt:
                raise
            return error
        if found is not None or not sending:
            return found
        change = self._planned(table)
        if isinstance(change, Exception):
            return change
        return Landfall(None, change) if change.is_empty else self._send(table, change)

    def _found(self, table: "DeltaTable | None") -> Landfall | None:
        """What the log has of the requests that were sent."""
        for number in self._open:
            base, change = self._sent[number]
            said = commit_at(self.place, base + 1) or {}
            if said.get(LOAD) == self.load_id and said.get(_REQUEST) == number:
                self.landed = True
                return Landfall(base + 1, change)
        # What was sent on a version that others have passed meanwhile cannot land any more.
        self._open = {number for number in self._open if self._sent[number][0] >= _version(table)}
        return None

    def _planned(self, table: "DeltaTable | None") -> Change | Exception:
        """The change, or what kept it from being made this time: a version of its own that came too late."""
        from deltalake.exceptions import DeltaError

        try:
            return self.prepare(table)
        except IngestionError:
            raise
        except DeltaError as error:
            return self._passing(error)
        except Exception as error:  # whatever it is, an earlier request may have landed: that is what is to be told
            if not self.in_doubt:
                raise
            raise self._unknown(error) from error

    def _send(self, table: "DeltaTable | None", change: Change) -> Landfall | Exception:
        """Make one request; gives the error where it was overtaken, or its answer is lost."""
        number, base = len(self._sent), _version(table)
        self._sent.append((base, change))
        self._open.add(number)
        try:
            _commit(self.place, table, change, {LOAD: self.load_id, _REQUEST: number})
        except Exception as error:  # noqa: BLE001 - conflict, lost reply, or no way at all: told apart here
            try:
                return self._passing(error)
            except ConfigError:
                self._open.discard(number)  # refused, so it is not on its way
                raise
        self.landed = True
        return Landfall(base + 1, change)

    def _passing(self, error: Exception) -> Exception:
        """The error, where another try may go better; raises what it stands for where not."""
        try:
            with translated(f"table {self.name}"):
                raise error
        except TransientError:
            return error

    def _unknown(self, last: Exception | None) -> IngestionError:
        try:
            with translated(f"table {self.name}"):
                raise last or RuntimeError("no answer")
        except IngestionError as error:
            if not self.in_doubt:
                return error
            unknown = OutcomeUnknown(
                f"table {self.name}: after {self.tries} tries it is unknown whether load {self.load_id} landed "
                f"({error}); run again: the next run finds out, and loads nothing twice"
            )
            unknown.__cause__ = last
            return unknown


def _version(table: "DeltaTable | None") -> int:
    return -1 if table is None else int(table.version())


def properties_of(notes: Mapping[str, Any], transaction: tuple[str, int] | None) -> "CommitProperties":
    """Such that the commit lands on the version at hand or fails."""
    from deltalake.transaction import CommitProperties, Transaction

    transactions = [Transaction(*transaction)] if transaction else None
    return CommitProperties(custom_metadata=dict(notes), max_commit_retries=0, app_transactions=transactions)


def _commit(place: Place, table: "DeltaTable | None", change: Change, own: Mapping[str, Any]) -> None:
    """One request."""
    properties = properties_of({**change.notes, **own}, change.transaction)
    schema = delta_schema(change.columns, table)
    if table is None:
        _create(place, schema, change, properties)
        return
    adds: list[AddAction | RemoveAction] = [file.add() for file in change.adds]
    more: dict[str, Any] = {"partition_by": change.partition_by, "commit_properties": properties}
    if change.replaces_all:
        table.create_write_transaction(adds, "overwrite", schema, **more)
    elif change.columns.names == columns_of(table).names:
        removes = [file.remove() for file in change.removes]
        table.create_write_transaction([*adds, *removes], "append", schema, **more)
    else:
        # Only an overwrite may change the columns; this one replaces the files in which a column is one of none.
        nothing: Any = [(columns_of(table).names[0], "in", [])]
        table.create_write_transaction(adds, "overwrite", schema, partition_filters=nothing, **more)


def _create(place: Place, schema: "Schema", change: Change, properties: "CommitProperties") -> None:
    from deltalake.transaction import create_table_with_add_actions

    create_table_with_add_actions(
        place.uri,
        schema,
        [file.add() for file in change.adds],
        mode="error",
        partition_by=change.partition_by,
        configuration=dict(change.configuration),
        storage_options=place.storage_options,
        commit_properties=properties,
    )
