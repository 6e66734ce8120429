"""`<table>__quarantine`: rejected rows with their reasons, under the load id of the run that rejected them.

They are appended just before the data. Rows of a load that never landed are deleted by the job's next landing: from
then on it cannot land any more. Until then readers know them by a load id that the table's own log does not have.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.loaders.delta.columns import columns_of
from ingestion.loaders.delta.commit import Change, Landing, properties_of
from ingestion.loaders.delta.jobs import LOAD
from ingestion.loaders.delta.log import commits, known_since
from ingestion.loaders.delta.place import Place, translated
from ingestion.loaders.delta.plan import Plan
from ingestion.loaders.delta.writer import TableWriter
from ingestion.loaders.tables.rejected import Stamp
from ingestion.plugins import Load
from ingestion.secrets import redact

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ingestion.loaders.delta import DeltaLoader

__all__ = ["Quarantine", "beside", "remove_loads"]

_log = logging.getLogger(__name__)
_FILE_SIZE = 128 << 20
_JOB = "ingestion.job"
_REMOVED = "ingestion.removed-loads"
_LOOK_BACK = 100  # commits of the quarantine in which leftovers are looked for


class Quarantine:
    """The rejected rows of one load, and its marks of those that it brings anew."""

    def __init__(self, options: "DeltaLoader", load: Load) -> None:
        self._place = beside(options.place(load.job))
        self._name = f"{options.name(load.job)}__quarantine"
        self._load = load
        self._stamp = Stamp(load)
        self._writer: TableWriter | None = None
        self._plan: Plan | None = None
        self._landing: Landing | None = None
        self._others: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """Rejected rows; marks are none."""
        return self._stamp.count

    @property
    def idle(self) -> bool:
        """Whether there is nothing to land."""
        return self._stamp.idle

    def write(self, rejected: pa.RecordBatch) -> None:
        """Take rows of schema REJECTED."""
        for rows in self._stamp.rows(rejected):
            self._take(rows)

    def _take(self, rows: pa.RecordBatch) -> None:
        if self._plan is None or self._writer is None:
            table = self._place.open()
            self._plan = Plan(self._name, columns_of(table) if table is not None else None, ())
            self._writer = TableWriter(self._place, self._load.load_id, (), _FILE_SIZE)
        self._plan.take(rows.schema)
        self._writer.write(self._plan.shape(rows))

    def land(self) -> None:
        """Commit rows and marks, if there are any."""
        for marks in self._stamp.marks():
            self._take(marks)
        if self._writer is None or self._plan is None:
            return
        plan, files = self._plan, self._writer.finish()
        notes = {_JOB: self._load.job, "ingestion.run-id": self._load.run_id}

        def prepare(table: "DeltaTable | None") -> Change:
            return Change(plan.rebased(table).settle(), [], files, notes=notes)

        self._landing = Landing(self._place, self._name, self._load.load_id, prepare)
        self._landing.land()

    def abort(self) -> None:
        """Stop, and take back what was written or committed, but for what may have been."""
        self.leave()
        if self._landing is not None and self._landing.landed:
            self._remove({self._load.load_id})
        elif self._writer is not None and not (self._landing is not None and self._landing.in_doubt):
            self._place.remove(self._writer.paths)

    def leave(self) -> None:
        """Stop, and keep what was committed: the load itself may still land."""
        if self._writer is not None:
            self._writer.stop()

    def survey(self) -> None:
        """Note which other loads of the job have rows here; to be called before the load itself lands.

        Once it has landed, none of them can any more. A load that comes to be seen only later may have begun after
        that landing, and be sound.
        """
        if self._load.alone:
            return
        with translated(f"table {self._name}"):
            table = self._place.open()
            newest = table.version() if table is not None else -1
            history = list(commits(self._place, newest, max(newest - _LOOK_BACK, -1)))
        removed = {load_id for item in history for load_id in str(item.get(_REMOVED, "")).split(",")}
        for item in history:
            load_id = str(item.get(LOAD, ""))
            ours = item.get(_JOB) == self._load.job and load_id not in removed
            if load_id and ours and load_id not in (self._load.load_id, self._load.since.load_id):
                self._others[load_id] = int(item["timestamp"])

    def clean(self, place: Place, target: "DeltaTable") -> None:
        """Delete rows of the surveyed loads that *target* never saw; only after the load has landed."""
        if not self._others:
            return
        history = list(commits(place, int(target.version())))
        landed = {item.get(LOAD) for item in history}
        # What is older than all that the log still tells of may have landed.
        first = known_since(history)
        strays = {load for load, at in self._others.items() if load not in landed and at > first}
        if strays:
            self._remove(strays)

    def _remove(self, doomed: set[str]) -> None:
        remove_loads(self._place, self._load.job, doomed)


def beside(target: Place) -> Place:
    """The quarantine of the table that is at *target*."""
    return replace(target, uri=f"{target.uri}__quarantine")


def remove_loads(place: Place, job: str, doomed: set[str]) -> None:
    """Take the rows of these loads out of a quarantine; where that fails, for whatever reason, they stay."""
    try:
        table = place.open()
        if table is not None:
            listed = ", ".join(f"'{load_id}'" for load_id in sorted(doomed))
            notes = {_REMOVED: ",".join(sorted(doomed))}
            table.delete(f"load_id IN ({listed})", commit_properties=properties_of(notes, None))
    except Exception as error:  # noqa: BLE001 - how the load itself went is settled, and not to be hidden by this
        reason = redact(f"{type(error).__name__}: {error}").splitlines()[0]
        _log.warning("%s: quarantined rows of loads that never landed are still there: %s", job, reason)
