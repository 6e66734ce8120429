"""One version of the table, sent on top of the very version that it was planned on, or not at all.

The driver's own resolution of conflicts is off: it lets a run land that another run of the same job has overtaken.
What became of a request is looked up in the log by load id, never assumed.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.errors import ConfigError, IngestionError, OutcomeUnknown, TransientError
from ingestion.loaders.delta.datafile import DataFile
from ingestion.loaders.delta.jobs import LOAD
from ingestion.loaders.delta.log import commit_at
from ingestion.loaders.delta.place import Place, translated
from ingestion.loaders.delta.plan import columns_of, delta_schema

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, CommitProperties, RemoveAction

__all__ = ["Change", "Landing", "properties_of"]

_TRIES = 60
_FIRST_WAIT_SECONDS = 0.005
_LONGEST_WAIT_SECONDS = 0.5


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
    is_empty: bool = False  # no row and no column changes


@dataclass
class Landing:
    """Brings one load into a table's log, or finds that it may not."""

    place: Place
    name: str
    load_id: str
    prepare: "Callable[[DeltaTable | None], Change]"  # raises when it must not land
    in_doubt: bool = False  # a request was lost and may land yet
    _bases: list[int] = field(default_factory=list)  # versions on which requests were sent

    def land(self) -> "tuple[DeltaTable, int]":
        """The table and its version that holds the load; raises OutcomeUnknown after many tries."""
        last: Exception | None = None
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(random.uniform(0, min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS)))  # noqa: S311 - jitter
            try:
                table = self.place.open()
                found = self._found()
                if table is not None and found is not None:
                    self.in_doubt = False
                    return table, found
                # What was sent on a version that others have passed meanwhile cannot land any more.
                self.in_doubt = any(base >= _version(table) for base in self._bases)
                change = self.prepare(table)
                self._send(table, change)
            except IngestionError:
                raise
            except Exception as error:  # noqa: BLE001 - conflict, lost reply, or no way at all: told apart here
                self._raise_if_hopeless(error)
                last = error
        raise self._unknown(last)

    def _found(self) -> int | None:
        """The version that holds the load: the next one after one of those that it was sent on, or none."""
        versions = (base + 1 for base in self._bases)
        return next((at for at in versions if (commit_at(self.place, at) or {}).get(LOAD) == self.load_id), None)

    def _send(self, table: "DeltaTable | None", change: Change) -> None:
        self._bases.append(_version(table))
        self.in_doubt = True
        _commit(self.place, table, change, self.load_id)

    def _raise_if_hopeless(self, error: Exception) -> None:
        try:
            with translated(f"table {self.name}"):
                raise error
        except TransientError:
            return
        except ConfigError:
            self.in_doubt = False  # refused, so it is not on its way
            raise

    def _unknown(self, last: Exception | None) -> IngestionError:
        try:
            with translated(f"table {self.name}"):
                raise last or RuntimeError("no answer")
        except IngestionError as error:
            if not self.in_doubt:
                return error
            unknown = OutcomeUnknown(
                f"table {self.name}: after {_TRIES} tries it is unknown whether load {self.load_id} landed ({error}); "
                f"run again: the next run finds out, and loads nothing twice"
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


def _commit(place: Place, table: "DeltaTable | None", change: Change, load_id: str) -> None:
    """One request."""
    from deltalake.transaction import create_table_with_add_actions

    properties = properties_of({**change.notes, LOAD: load_id}, change.transaction)
    schema = delta_schema(change.columns, table)
    adds: list[AddAction | RemoveAction] = [file.add() for file in change.adds]
    if table is None:
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
        return
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
