"""Each way to merge, in a process of its own; prints how long it took once everything was imported.

python benchmarks/merge_cases.py NAME '{"changes": "changes.parquet", ...}'
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Settings = dict[str, Any]
TABLE = {"database": "bench", "table": "events", "add_ingestion_metadata": False}

DRIVERS = {
    "iceberg": (
        "polars",
        "pyiceberg.catalog.sql",
        "ingestion.loaders.iceberg.loading",
        "ingestion.loaders.iceberg.merge.target",
    ),
    "delta": ("polars", "deltalake"),
    "postgres": ("polars", "adbc_driver_postgresql.dbapi", "psycopg"),
}


def through_loader(settings: Settings, **options: Any) -> Callable[[], None]:
    """The merge of this project, without connector and transformer."""
    from ingestion.loaders import LoaderFactory
    from ingestion.plugins import Load

    keyed = {"write_mode": "merge", "merge_keys": ["id"]}
    loader = LoaderFactory.create({**TABLE, **keyed, **settings["loader"], **options})
    warm(loader.type)

    def merge() -> None:
        state = loader.state("bench")
        load = Load("bench", "run", f"load-{time.time_ns()}", state)
        loader.load(load, loader.admit(batches(settings["changes"]), state.schema))

    return merge


def warm(kind: str) -> None:
    """Import what the loader of this type imports when it is used."""
    for name in DRIVERS[kind]:
        import_module(name)


def batches(path: str) -> Iterator[Any]:
    from ingestion.plugins import Batch, Origin

    for records in pq.ParquetFile(path).iter_batches():
        yield Batch(records, Origin(path))


def iceberg_table(settings: Settings) -> Any:
    from pyiceberg.catalog.sql import SqlCatalog

    metadata = settings["metadata"]
    catalog = SqlCatalog("default", uri=f"sqlite:///{metadata}/catalog.db", warehouse=f"{metadata}/warehouse")
    return catalog.load_table("bench.events")


def limit(settings: Settings) -> Callable[[], None]:
    """Read the ids of the whole table in two threads, find the changed ones, write the changes as one file."""
    table = iceberg_table(settings)

    def found(path: str, changed: pa.Array) -> int:
        ids = pq.read_table(path, columns=["id"])["id"]
        return int(pc.sum(pc.is_in(ids, value_set=changed)).as_py() or 0)

    def merge() -> None:
        files = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
        changes = pq.read_table(settings["changes"])
        changed = changes["id"].combine_chunks()
        with ThreadPoolExecutor(2) as pool:
            matched = sum(pool.map(lambda path: found(path, changed), files))
        assert matched, "no changed row is in the table"
        pq.write_table(changes, settings["changes"] + ".limit", compression="zstd")

    return merge


def pyiceberg_upsert(settings: Settings) -> Callable[[], None]:
    """The upsert that pyiceberg has."""
    table = iceberg_table(settings)
    names = [field.name for field in table.schema().fields]
    return lambda: table.upsert(pq.read_table(settings["changes"]).select(names), join_cols=["id"]) and None


def delta_plain(settings: Settings) -> Callable[[], None]:
    """The merge of delta-rs as its documentation shows it."""
    from deltalake import DeltaTable

    def merge() -> None:
        changes = pq.read_table(settings["changes"])
        merger = DeltaTable(settings["location"]).merge(
            changes, predicate="t.id = s.id", source_alias="s", target_alias="t"
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()

    return merge


def postgres_plain(settings: Settings) -> Callable[[], None]:
    """COPY into a temporary table, then INSERT ... ON CONFLICT, in one transaction."""
    import adbc_driver_postgresql.dbapi as adbc

    def merge() -> None:
        changes = pq.read_table(settings["changes"])
        names = ", ".join(changes.schema.names)
        updates = ", ".join(f"{name} = excluded.{name}" for name in changes.schema.names if name != "id")
        with adbc.connect(settings["url"]) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("staged", changes, mode="create", temporary=True)
            cursor.execute(
                f"INSERT INTO bench.events ({names}) SELECT {names} FROM staged "
                f"ON CONFLICT (id) DO UPDATE SET {updates}"
            )
            connection.commit()

    return merge


CASES: dict[str, Callable[[Settings], Callable[[], None]]] = {
    "iceberg.limit": limit,
    "iceberg.auto": through_loader,
    "iceberg.copy_on_write": lambda settings: through_loader(settings, merge_strategy="copy_on_write"),
    "iceberg.merge_on_read": lambda settings: through_loader(settings, merge_strategy="merge_on_read"),
    "iceberg.pyiceberg_upsert": pyiceberg_upsert,
    "delta.plain": delta_plain,
    "delta.merge": through_loader,
    "postgres.plain": postgres_plain,
    "postgres.merge": through_loader,
}


def main() -> None:
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    merge = CASES[name](settings)
    started = time.perf_counter()
    merge()
    print(json.dumps({"duration_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
