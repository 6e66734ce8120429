"""What a load from a database is compared with: the bare driver into Parquet, and reading and writing on their own.

python benchmarks/database_cases.py CASE SETTINGS          # JSON: source, address, rows, and folder to write to
"""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

QUERY = "SELECT * FROM events"
_HELD = 1_000_000  # rows that are written again and again, where writing alone is measured


def postgresql(address: str) -> Iterator[pa.RecordBatch]:
    import duckdb
    import duckdb_extension_postgres_scanner

    (folder,) = duckdb_extension_postgres_scanner.__path__
    (extension,) = Path(folder).glob("extensions/*/postgres_scanner.duckdb_extension")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{address}' AS server (TYPE postgres, READ_ONLY)")
        with connection.execute(f"FROM postgres_query('server', '{QUERY}')").to_arrow_reader(65_536) as reader:
            yield from reader


def mysql(address: str) -> Iterator[pa.RecordBatch]:
    import connectorx

    yield from connectorx.read_sql(address, QUERY, return_type="arrow_stream", protocol="binary", batch_size=50_000)


def sqlite(address: str) -> Iterator[pa.RecordBatch]:
    from adbc_driver_sqlite import dbapi

    with dbapi.connect(f"file:{address}?mode=ro") as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
        cursor.execute(QUERY)
        with cursor.fetch_record_batch() as reader:
            yield from reader


DRIVERS: dict[str, Callable[[str], Iterator[pa.RecordBatch]]] = {
    "postgresql": postgresql,
    "mysql": mysql,
    "sqlite": sqlite,
}


def limit(settings: dict[str, Any]) -> float:
    """The fast driver, whose batches go into one Parquet file as they are."""
    started = time.perf_counter()
    batches = DRIVERS[settings["source"]["type"]](settings["address"])
    first = next(batches)
    with pyarrow.parquet.ParquetWriter(limit_file(settings["folder"]), first.schema, compression="zstd") as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
    return time.perf_counter() - started


def limit_file(folder: str) -> str:
    return str(Path(folder) / "limit.parquet")


def read(settings: dict[str, Any]) -> float:
    """The connector, whose batches nobody takes."""
    started = time.perf_counter()
    rows = sum(records.num_rows for records in _read(settings))
    seconds = time.perf_counter() - started
    if rows != settings["rows"]:
        raise SystemExit(f"read {rows} of {settings['rows']} rows")
    return seconds


def write(settings: dict[str, Any]) -> float:
    """The loader, whose rows are in memory already; beyond the first of them, the same rows again."""
    from ingestion.loaders import LoaderFactory
    from ingestion.plugins import Batch, Load, Origin, State

    loader = LoaderFactory.create({"type": "iceberg", "database": "bench", "table": "written"})
    held = _held(settings)
    started = time.perf_counter()
    batches = (Batch(records, Origin("memory")) for records in _again(held, settings["rows"]))
    loader.load(Load("written", "run", uuid.uuid4().hex, State()), batches)
    return time.perf_counter() - started


def _read(settings: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    from ingestion.connectors import ConnectorFactory
    from ingestion.plugins import Restart

    for batch in ConnectorFactory.create(settings["source"]).read(None, None):
        if isinstance(batch, Restart):
            raise SystemExit(batch.reason)
        yield batch.records


def _held(settings: dict[str, Any]) -> list[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    for records in _read(settings):
        held.append(records)
        if sum(one.num_rows for one in held) >= _HELD:
            break
    return held


def _again(held: list[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    while rows > 0:
        for records in held:
            if rows > 0:
                yield records.slice(0, rows)
            rows -= records.num_rows


CASES = {"limit": limit, "read": read, "write": write}


def main() -> None:
    case, settings = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps({"duration_seconds": CASES[case](settings)}))


if __name__ == "__main__":
    main()
