"""Every place that loads may land in, behind one face: how to make its loader, read it otherwise and break its commit."""

import threading
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.rejected import QUARANTINED
from ingestion.plugins import REJECTED, Batch, Cursor, Load, LoadResult, Origin, State
from ingestion_tests.proxies import proxied, proxied_apart, tunnelled

Row = dict[str, Any]
LATE = 3_000_000
"""Numbers from here on are those that `numbers` has rejected, brought by a replay."""


def batch(
    columns: dict[str, Any], cursor: Cursor = None, bad: int = 0, source: str = "f.csv", position: int = 1
) -> Batch:
    """A batch of these columns, with *bad* rejected rows, the first of which stood at *position*."""
    row = {"stage": "read", "rule": "type", "reason": "no number", "source": source, "payload": "{}"}
    rows = [{**row, "position": position + number} for number in range(bad)]
    rejected = pa.RecordBatch.from_pylist(rows, schema=REJECTED) if bad else None
    return Batch(pa.RecordBatch.from_pydict(columns), Origin(source), rejected, {}, cursor)


def numbers(start: int, stop: int, run_id: str = "r", step: int = 100) -> Iterator[Batch]:
    """Rows start..stop-1, one rejected row with each batch, far above them; the cursor is the next number."""
    for first in range(start, stop, step):
        last = min(first + step, stop)
        columns = {"n": list(range(first, last)), "_ingestion_run_id": [run_id] * (last - first)}
        yield batch(columns, last if last == stop else None, bad=1, position=LATE + first)


def overlapping(start: int, stop: int) -> Iterator[Batch]:
    """Rows for a merge by n: those of `numbers`, and the 500 before them anew; v says which load brought them."""
    first = max(start - 500, 0)
    yield batch({"n": list(range(first, stop)), "v": [stop] * (stop - first)}, stop)


def land(
    loader: TableLoader,
    batches: Iterable[Batch],
    job: str = "a",
    since: State | None = None,
    run_id: str = "r",
) -> LoadResult:
    """Load *batches* as a run of *job* would."""
    state = loader.state(job) if since is None else since
    return loader.load(Load(job, run_id, uuid.uuid4().hex, state, "hash"), iter(batches))


def listed(loader: TableLoader, job: str = "a") -> list[Row]:
    """The quarantined rows of *job* that count, in the order of their positions."""
    rows = pa.Table.from_batches(loader.quarantined(job), QUARANTINED).to_pylist()
    return sorted(rows, key=lambda row: row["position"])


def anew(rows: Iterable[Row], run_id: str = "again") -> Iterator[Batch]:
    """What a replay makes of these quarantined rows, one by one: their positions as numbers; each third fails again."""
    for row in rows:
        fails = row["position"] // 100 % 3 == 0
        columns = {"n": [] if fails else [row["position"]], "_ingestion_run_id": [] if fails else [run_id]}
        types = {"n": pa.int64(), "_ingestion_run_id": pa.string()}
        arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
        yield batch(arrays, bad=int(fails), position=row["position"])


def replay(
    loader: TableLoader,
    batches: Iterable[Batch] | None = None,
    rows: Iterable[Row] | None = None,
    since: State | None = None,
    *,
    job: str = "a",
    run_id: str = "again",
) -> LoadResult:
    """Bring quarantined rows anew, all that count where no *rows* are given."""
    state = loader.state(job) if since is None else since
    wanted = listed(loader, job) if rows is None else list(rows)
    ids = pa.array([row["id"] for row in wanted], pa.string())
    load = Load(job, run_id, uuid.uuid4().hex, state, "hash", replays=ids)
    return loader.load(load, iter(anew(wanted, run_id) if batches is None else batches))


def at_once(*calls: Callable[[], Any]) -> list[str]:
    """Make these calls at the same time; "ok" or the error's name for each, in their order."""
    barrier, ends = threading.Barrier(len(calls)), [""] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - how it ended is the answer
            ends[number] = f"{type(error).__name__}"
            traceback.print_exc()  # for whoever expected another end
        else:
            ends[number] = "ok"

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@dataclass(frozen=True)
class Target(ABC):
    """One loader with a place of its own; *options* are the loader's."""

    kind: ClassVar[str]
    keeps_history: ClassVar[bool] = True  # merges and overwrites can be taken back
    renames: ClassVar[bool] = True
    strategies: ClassVar[list[Row]] = [{}]
    options: Row = field(default_factory=dict)

    def loader(self, **options: Any) -> TableLoader:
        """The loader of table t."""
        return self.plugin(self.kind)(table="t", **self.options, **options)

    @staticmethod
    def plugin(name: str) -> type[TableLoader]:
        """The class that job files call *name*."""
        from ingestion.loaders import LoaderFactory

        found = LoaderFactory.get(name)
        assert issubclass(found, TableLoader)
        return found

    @abstractmethod
    def table(self, suffix: str = "") -> pa.Table:
        """The table as its own tools read it."""

    def rows(self, suffix: str = "") -> list[Row]:
        """Its rows without the service's own columns, sorted."""
        found = self.table(suffix).to_pylist()
        own = [{name: value for name, value in row.items() if not name.startswith("_")} for row in found]
        return sorted(own, key=lambda row: [str(value) for value in row.values()])

    def numbers(self) -> list[int]:
        """Column n, sorted."""
        return sorted(self.table()["n"].to_pylist())

    def quarantined(self) -> int:
        """How many rejected rows the target has."""
        return self.table("__quarantine").num_rows

    @abstractmethod
    def losing_a_reply(self) -> "AbstractContextManager[Target]":
        """The same place, where the answer to the next commit is lost."""


class IcebergTarget(Target):
    kind = "iceberg"
    strategies = [{"merge_strategy": name} for name in ("auto", "copy_on_write", "merge_on_read")]

    @property
    def catalog(self) -> Row:
        return dict(self.options["catalog"])

    def table(self, suffix: str = "") -> pa.Table:
        from pyiceberg.catalog import load_catalog

        given = self.catalog
        if str(given.get("uri", "")).startswith("postgresql://"):
            given["uri"] = given["uri"].replace("postgresql://", "postgresql+psycopg://")
        with load_catalog("default", **given) as catalog:
            return catalog.load_table(f"{self.options['database']}.t{suffix}").scan().to_arrow()

    @contextmanager
    def losing_a_reply(self) -> Iterator[Target]:
        given = self.catalog
        if given["type"] == "sql":
            from ingestion_tests.iceberg_support import FaultyCatalog

            del given["type"]
            impl = f"{FaultyCatalog.__module__}.FaultyCatalog"
            yield self._with({**given, "py-catalog-impl": impl, "fault": "lost_reply"})
            return
        address = "uri" if given["type"] == "rest" else "glue.endpoint"
        with proxied(given[address], "lost_reply") as proxy:
            yield self._with({**given, address: proxy.url})

    def _with(self, catalog: Row) -> "IcebergTarget":
        return IcebergTarget({**self.options, "catalog": catalog})


class DeltaTarget(Target):
    kind = "delta"
    renames = False

    def table(self, suffix: str = "") -> pa.Table:
        from deltalake import DeltaTable

        where = f"{self.options['location']}/{self.options['database']}/t{suffix}"
        found = DeltaTable(where, storage_options=self.options.get("storage_options"))
        return pa.RecordBatchReader.from_stream(found.scan()).read_all()

    @contextmanager
    def losing_a_reply(self) -> Iterator[Target]:
        storage = self.options["storage_options"]
        with proxied_apart(storage["aws_endpoint_url"], "lost_reply") as address:
            lossy = {**storage, "aws_endpoint_url": address}
            yield DeltaTarget({**self.options, "storage_options": lossy})


class PostgresTarget(Target):
    kind = "postgres"
    keeps_history = False

    def table(self, suffix: str = "") -> pa.Table:
        import psycopg
        from psycopg.rows import dict_row

        given = self.options
        address = {name: given[name] for name in ("host", "port", "password", "dbname")}
        with psycopg.connect(user=given["username"], row_factory=dict_row, **address) as connection:
            cursor = connection.execute(f'SELECT * FROM "{given["database"]}"."t{suffix}"')
            names = [column.name for column in cursor.description or ()]
            found = cursor.fetchall()
        return pa.table({name: [row[name] for row in found] for name in names})

    @contextmanager
    def losing_a_reply(self) -> Iterator[Target]:
        with tunnelled(self.options["port"], b"COMMIT\x00", at=1) as port:  # the first has the schema ready
            yield PostgresTarget({**self.options, "port": port})
