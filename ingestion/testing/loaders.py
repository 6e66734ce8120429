"""The contract of loaders."""

import uuid
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from ingestion.errors import DataError, Superseded
from ingestion.plugins import REJECTED, Batch, Cursor, Load, Loader, LoadResult, Origin, State
from ingestion.testing.contract import check_configuration, require

__all__ = ["check_loader"]

_JOB = "contract"


def check_loader(loader: Loader, table: Callable[[], pa.Table]) -> None:
    """Raise AssertionError unless *loader*, which appends to a table that does not exist yet, keeps the contract.

    *table* reads the target by other means than the loader's own.
    """
    check_configuration(loader)
    require(loader.state(_JOB) == State(), "a table that does not exist has a state")
    _check_landing(loader, table)
    _check_quiet_runs(loader, table)
    _check_failures(loader, table)
    _check_jobs_apart(loader, table)
    _check_schema(loader, table)
    if type(loader).quarantined is not Loader.quarantined:  # others keep none that could be read
        _check_quarantine(loader)


def _batch(numbers: Iterable[int], cursor: Cursor = None, bad: int = 0, **more: pa.Array) -> Batch:
    records = pa.RecordBatch.from_pydict({"n": pa.array(list(numbers), pa.int64()), **more})
    row = {"stage": "read", "rule": "contract", "reason": "bad", "source": "memory", "payload": "{}"}
    rejected = pa.RecordBatch.from_pylist([row] * bad, schema=REJECTED) if bad else None
    return Batch(records, Origin("memory"), rejected, {}, cursor)


def _load(
    loader: Loader,
    batches: Iterable[Batch],
    job: str = _JOB,
    since: State | None = None,
    replays: pa.Array | None = None,
) -> LoadResult:
    state = loader.state(job) if since is None else since
    return loader.load(Load(job, "run", uuid.uuid4().hex, state, replays=replays), iter(batches))


def _numbers(table: pa.Table) -> list[int]:
    return sorted(table.column("n").drop_null().to_pylist())


def _check_landing(loader: Loader, table: Callable[[], pa.Table]) -> None:
    result = _load(loader, [_batch([1, 2], bad=1), _batch([3], cursor={"next": 4})])
    require((result.rows, result.quarantined) == (3, 1), f"3 rows and 1 rejected were given, the result says {result}")
    require(result.snapshot is not None, "rows landed, and the result names no snapshot")
    require(_numbers(table()) == [1, 2, 3], f"the rows 1, 2, 3 were given and {_numbers(table())} landed")
    state = loader.state(_JOB)
    require(state.cursor == {"next": 4}, f"the cursor was given as {{'next': 4}} and is {state.cursor}")
    require(state.schema is not None and "n" in state.schema.names, "the state does not know the table's columns")


def _check_quiet_runs(loader: Loader, table: Callable[[], pa.Table]) -> None:
    before = loader.state(_JOB)
    require(_load(loader, []).snapshot is None, "a run without batches committed something")
    same = _load(loader, [_batch([], cursor={"next": 4})])
    require(same.snapshot is None, "a run without rows whose cursor is the old one committed something")
    require(loader.state(_JOB) == before, "a run with nothing to say changed the state")
    ledger = pa.table({"path": ["a", "b"], "size": pa.array([1, None], pa.int64())})
    _load(loader, [_batch([], cursor=ledger)])
    kept = loader.state(_JOB).cursor
    require(isinstance(kept, pa.Table) and kept.equals(ledger), f"a ledger was given as cursor and came back as {kept}")
    require(_numbers(table()) == [1, 2, 3], "a run without rows changed the rows")
    _load(loader, [_batch([4])])
    kept = loader.state(_JOB).cursor
    require(isinstance(kept, pa.Table) and kept.equals(ledger), "rows without a cursor must leave the cursor as it was")


def _check_failures(loader: Loader, table: Callable[[], pa.Table]) -> None:
    before = loader.state(_JOB)

    def breaks() -> Iterator[Batch]:
        yield _batch([5], cursor=5, bad=1)
        raise DataError("the source broke")

    try:
        _load(loader, breaks())
    except DataError:
        pass
    else:
        raise AssertionError("an error of the stream was swallowed")
    require(loader.state(_JOB) == before, "a stream that broke changed the state")
    require(_numbers(table()) == [1, 2, 3, 4], "a stream that broke left rows behind")
    _load(loader, [_batch([5], cursor=6)])
    try:
        _load(loader, [_batch([6], cursor=7)], since=before)
    except Superseded:
        pass
    else:
        raise AssertionError("a run landed although another run of its job had landed since it began")
    require(_numbers(table()) == [1, 2, 3, 4, 5], "a superseded run left rows behind")


def _check_jobs_apart(loader: Loader, table: Callable[[], pa.Table]) -> None:
    before = loader.state(_JOB)
    since = loader.state("other")
    require(since.cursor is None and since.load_id is None, "another job's state is not its own")
    _load(loader, [_batch([6], cursor="x")], job="other")
    after = loader.state(_JOB)
    require((after.cursor, after.load_id) == (before.cursor, before.load_id), "a job's commit changed another's cursor")
    _load(loader, [_batch([7])], since=before)
    require(loader.state("other").cursor == "x", "a commit lost the cursor of another job")
    require(_numbers(table()) == [1, 2, 3, 4, 5, 6, 7], "rows of two jobs do not add up")


def _check_schema(loader: Loader, table: Callable[[], pa.Table]) -> None:
    _load(loader, [_batch([8], later=pa.array(["x"])), _batch([9])])
    require(_numbers(table()) == list(range(1, 10)), "rows were lost when a column was added")
    require(table().column("later").drop_null().to_pylist() == ["x"], "a new column did not land with its rows")
    wrong = Batch(pa.RecordBatch.from_pydict({"n": ["text"]}), Origin("memory"))
    try:
        _load(loader, [wrong])
    except DataError as error:
        require("n" in str(error), f"the error does not name the column: {error}")
    else:
        raise AssertionError("text landed in a column of numbers")


def _check_quarantine(loader: Loader) -> None:
    rows = pa.Table.from_batches(loader.quarantined(_JOB), _quarantined())
    count = rows.num_rows
    require(count == 1, f"of all loads that landed one row was rejected, and {count} are listed as quarantined")
    require(rows.column("id").null_count == 0, "a quarantined row has no id")
    require(not list(loader.quarantined("other")), "a job's quarantined rows are listed as another's")
    ids = rows.column("id").combine_chunks()
    result = _load(loader, [_batch([], bad=1)], replays=ids)
    require(result.quarantined == 1, f"1 row was rejected when it was brought anew, the result says {result}")
    again = pa.Table.from_batches(loader.quarantined(_JOB), _quarantined()).column("id")
    require(len(again) == 1 and again[0] != ids[0], "a row that was brought anew is not listed by its newest rejection")
    try:
        _load(loader, [], replays=ids)
    except Superseded:
        pass
    else:
        raise AssertionError("a row was brought anew twice")
    require(
        _load(loader, [], replays=again.combine_chunks()).snapshot, "a load that only brings rows anew did not land"
    )
    require(not list(loader.quarantined(_JOB)), "a row that was brought anew is still listed as quarantined")


def _quarantined() -> pa.Schema:
    stamps = [(name, pa.string()) for name in ("load_id", "run_id", "job", "config_hash")]
    place = REJECTED.get_field_index("payload_schema")
    rejected = REJECTED.set(place, pa.field("payload_schema", pa.binary()))
    return pa.schema([("id", pa.string()), *rejected, *stamps, ("quarantined_at", pa.timestamp("us", "UTC"))])
