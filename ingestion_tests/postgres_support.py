"""What the tests of the PostgreSQL loader share: a database of one test's own, and loads without a pipeline."""

import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa

from ingestion.loaders.postgres import PostgresLoader
from ingestion.plugins import REJECTED, RUN_ID, Batch, Cursor, Load, LoadResult, Origin, State


class Database:
    """A database of one test's own, read by other means than the loader's."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def table(self, name: str = "default.t") -> pa.Table:
        place = ".".join(f'"{part}"' for part in name.split("."))
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(f"SELECT * FROM {place}")
            names = [column.name for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return pa.Table.from_pylist(rows) if rows else pa.table({name: [] for name in names})

    def loader(self, **options: Any) -> PostgresLoader:
        parts = urlsplit(self.url)
        place = {"host": parts.hostname, "port": parts.port, "username": parts.username, "password": parts.password}
        return PostgresLoader(**{"table": "t", **place, "dbname": parts.path[1:], **options})


def batch(columns: dict[str, Any] | pa.RecordBatch, cursor: Cursor = None, bad: int = 0, source: str = "f") -> Batch:
    """A batch of these columns from *source*, with *bad* rejected rows."""
    records = columns if isinstance(columns, pa.RecordBatch) else pa.RecordBatch.from_pydict(columns)
    row = {"stage": "read", "rule": "type", "reason": "no number", "source": "f.csv", "payload": "{}"}
    rejected = pa.RecordBatch.from_pylist([{**row, "position": number} for number in range(bad)], schema=REJECTED)
    return Batch(records, Origin(source), rejected if bad else None, {}, cursor)


def land(
    loader: PostgresLoader,
    batches: Iterable[Batch],
    job: str = "a",
    since: State | None = None,
    run_id: str = "",
) -> LoadResult:
    """Load *batches* as a run of *job* would; where *run_id* is given each row has it."""
    state = loader.state(job) if since is None else since
    admitted = loader.admit(iter(batches), state.schema)
    stamped = (_stamped(item, run_id) for item in admitted) if run_id else admitted
    return loader.load(Load(job, run_id or "run", uuid.uuid4().hex, state, "hash"), stamped)


def _stamped(item: Batch, run_id: str) -> Batch:
    records = item.records.append_column(RUN_ID, pa.repeat(pa.scalar(run_id), item.records.num_rows))
    return item._replace(records=records)
