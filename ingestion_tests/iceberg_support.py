"""What the tests of the Iceberg loader share: loads without a pipeline, and a catalog that fails on request."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
from sqlalchemy.exc import OperationalError

from ingestion.loaders.iceberg import IcebergLoader
from ingestion.plugins import REJECTED, Batch, Cursor, Load, LoadResult, Origin, State


def batch(columns: dict[str, Any] | pa.RecordBatch, cursor: Cursor = None, bad: int = 0) -> Batch:
    """A batch of these columns, with *bad* rejected rows."""
    records = columns if isinstance(columns, pa.RecordBatch) else pa.RecordBatch.from_pydict(columns)
    row = {"stage": "read", "rule": "type", "reason": "no number", "source": "f.csv", "payload": "{}"}
    rejected = pa.RecordBatch.from_pylist([{**row, "position": number} for number in range(bad)], schema=REJECTED)
    return Batch(records, Origin("f.csv"), rejected if bad else None, {}, cursor)


def land(
    loader: IcebergLoader,
    batches: Iterable[Batch],
    job: str = "a",
    since: State | None = None,
    load_id: str | None = None,
) -> LoadResult:
    """Load *batches* as a run of *job* would."""
    state = loader.state(job) if since is None else since
    return loader.load(Load(job, f"run-of-{job}", load_id or uuid.uuid4().hex, state, "hash"), iter(batches))


def numbers(start: int, stop: int, step: int = 100) -> Iterator[Batch]:
    """Rows start..stop-1 with a rejected one in each batch; the cursor is the next number."""
    for first in range(start, stop, step):
        last = min(first + step, stop)
        yield batch({"n": list(range(first, last))}, cursor=last if last == stop else None, bad=1)


class FaultyCatalog(SqlCatalog):
    """An SQLite catalog whose commit number `fault-at` (0 = the first) goes wrong as `fault` says."""

    hooks: ClassVar[dict[str, Callable[[], None]]] = {}
    _commits = 0

    def commit_table(self, table: Any, requirements: Any, updates: Any) -> Any:
        number, self._commits = self._commits, self._commits + 1
        if number != int(self.properties.get("fault-at", "0")):
            return super().commit_table(table, requirements, updates)
        return getattr(self, "_" + self.properties["fault"])(table, requirements, updates)

    def _lost_request(self, *_: Any) -> Any:
        raise OperationalError("UPDATE", {}, TimeoutError("timed out"))

    def _lost_reply(self, *commit: Any) -> Any:
        super().commit_table(*commit)
        raise OperationalError("UPDATE", {}, TimeoutError("timed out"))

    def _called_conflict(self, *commit: Any) -> Any:
        super().commit_table(*commit)
        raise CommitFailedException("409 to a transport's own second try")

    def _gone(self, *commit: Any) -> Any:
        super().commit_table(*commit)
        self._silent = True
        raise OperationalError("UPDATE", {}, TimeoutError("timed out"))

    def close(self) -> None:
        late = getattr(self, "_late_one", None)
        if late is not None:
            late.join()
        super().close()

    def load_table(self, identifier: Any) -> Any:
        self.hooks.get("load", int)()
        loads = self._loads = getattr(self, "_loads", 0) + 1
        if getattr(self, "_silent", False) or loads > int(self.properties.get("silent-after", "1000")):
            raise OperationalError("SELECT", {}, TimeoutError("timed out"))
        return super().load_table(identifier)

    def _conflict(self, *_: Any) -> Any:
        raise CommitFailedException("conflict")

    def _before(self, *commit: Any) -> Any:
        self.hooks["before"]()
        return super().commit_table(*commit)

    def _after(self, *commit: Any) -> Any:
        response = super().commit_table(*commit)
        self.hooks["after"]()
        return response

    def _late(self, *commit: Any) -> Any:
        def afterwards() -> None:
            time.sleep(0.02)
            try:
                SqlCatalog.commit_table(self, *commit)
            except (CommitFailedException, TableAlreadyExistsError):
                return

        self._late_one = threading.Thread(target=afterwards)
        self._late_one.start()
        raise OperationalError("UPDATE", {}, TimeoutError("timed out"))

    def _kill_before(self, *_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def _kill_after(self, *commit: Any) -> Any:
        super().commit_table(*commit)
        os.kill(os.getpid(), signal.SIGKILL)

    def _kill_inside(self, *commit: Any) -> Any:
        self._dying = True
        super().commit_table(*commit)

    def _write_metadata(self, *arguments: Any, **options: Any) -> None:
        SqlCatalog._write_metadata(*arguments, **options)
        if getattr(self, "_dying", False):
            os.kill(os.getpid(), signal.SIGKILL)


def faulty(path: Any, fault: str, at: int = 0, silent_after: int = 1000, **options: Any) -> IcebergLoader:
    """A loader into table default.t of the project at *path* whose catalog fails once."""
    catalog = {
        "py-catalog-impl": f"{FaultyCatalog.__module__}.FaultyCatalog",
        "uri": f"sqlite:///{path}/metadata/catalog.db",
        "warehouse": f"{path}/metadata/warehouse",
        "fault": fault,
        "fault-at": str(at),
        "silent-after": str(silent_after),
    }
    return IcebergLoader(table="t", catalog=catalog, **options)
