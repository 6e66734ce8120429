"""Random loads into an Iceberg table while others change it, held against a plain dictionary of rows."""

import random
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.history import rows_of
from ingestion.loaders.iceberg.merge import strategy as merge_strategy
from ingestion.loaders.iceberg.upkeep import choice
from ingestion.plugins import Batch
from ingestion_tests.iceberg_support import FaultyCatalog, batch, faulty, land

STRATEGIES = ["auto", "copy_on_write", "merge_on_read"]
SPECS: list[list[Any]] = [
    [],
    ["g"],
    [{"column": "id", "transform": "bucket[3]"}],
    [{"column": "g", "transform": "truncate[1]"}, "id"],
]
KINDS = ["append", "merge", "merge", "merge", "delete", "part", "missing", "upkeep", "rename"]


@pytest.fixture(autouse=True)
def _nothing_is_cheap(monkeypatch):
    monkeypatch.setattr(merge_strategy, "_CHEAP", 0)
    monkeypatch.setattr(choice, "_FEWEST", 2)


class World:
    """A table, what it should hold, and operations that others may get in the way of."""

    def __init__(self, project: Any, seed: int) -> None:
        self.project, self.rng = project, random.Random(seed)
        self.rows: dict[int, dict[str, Any]] = {}
        self.columns = {"id", "g", "v"}
        self.fresh = 1000
        self.done: list[tuple[Any, ...]] = []
        land(IcebergLoader(table="t"), [batch({"id": [0, 1], "g": ["a", "b"], "v": pa.array([0, 0], pa.int32())})])
        self.rows = {0: {"id": 0, "g": "a", "v": 0}, 1: {"id": 1, "g": "b", "v": 0}}

    def step(self, job: str, *, others: bool) -> None:
        """One operation of *job*; with *others* some of other jobs land within it."""
        rng, kind = self.rng, self.rng.choice(KINDS)
        options: dict[str, Any] = {}
        if rng.random() < 0.25 and kind != "part":
            options["partition_by"] = rng.choice(SPECS)
        within = rng.choice(["stream", "commit"]) if others and rng.random() < 0.7 else None
        self.done.append((job, kind, within, options))
        if kind == "upkeep":
            # What expires must be older than all that is under way, as its options say.
            care = {"keep_snapshots": 3, "min_age_hours": 0} if others else {}
            self._loader(within, maintenance=care).upkeep(job)
        elif kind == "rename":
            self._rename(job)
        else:
            self._load(job, kind, within, options)

    def _load(self, job: str, kind: str, within: str | None, options: dict[str, Any]) -> None:
        rows = self._new_rows(kind)
        merging = {"write_mode": "merge", "merge_keys": "id", "merge_strategy": self.rng.choice(STRATEGIES)}
        options |= {
            "append": {},
            "merge": merging,
            "delete": merging | {"delete_column": "gone"},
            "missing": merging | {"delete_missing": "hard"},
            "part": {"write_mode": "overwrite", "overwrite_scope": "partitions", "partition_by": ["g"]},
        }[kind]
        land(self._loader(within, **options), self._stream(rows, kind, within), job=job)
        FaultyCatalog.hooks.clear()
        self.columns |= {name for row in rows for name in row}
        self._apply(kind, rows)

    def _apply(self, kind: str, rows: list[dict[str, Any]]) -> None:
        if kind == "missing":
            self.rows.clear()
        if kind == "part":
            replaced = {row["g"] for row in rows}
            self.rows = {number: row for number, row in self.rows.items() if row["g"] not in replaced}
        for row in rows:
            if kind == "delete":
                self.rows.pop(row["id"], None)
            else:
                self.rows[row["id"]] = row

    def _new_rows(self, kind: str) -> list[dict[str, Any]]:
        rng = self.rng
        ids = rng.sample(range(40), rng.randint(2, 15))
        if kind == "append":
            ids = list(range(self.fresh, self.fresh + len(ids)))
            self.fresh += len(ids)
        wide = 2**40 if rng.random() < 0.1 else 0
        names = ["v", *rng.sample(["w", "x"], rng.randint(0, 2))]
        names = names if rng.random() < 0.8 else names[1:]
        value = rng.randint(1, 10**6)
        return [{"id": i, "g": "abc"[i * 7 % 3], **dict.fromkeys(names, value + wide)} for i in ids]

    def _stream(self, rows: list[dict[str, Any]], kind: str, within: str | None) -> Iterator[Batch]:
        half = len(rows) // 2
        for number, part in enumerate((rows[:half], rows[half:])):
            small = max(row.get("v", 0) for row in rows) < 2**31
            types = {"id": pa.int64(), "g": pa.string(), "v": pa.int32() if small else pa.int64()}
            schema = pa.schema([(name, types.get(name, pa.int64())) for name in part[0]])
            records = pa.RecordBatch.from_pylist(part, schema=schema)
            if kind == "delete":
                records = records.append_column("gone", pa.array([True] * len(part)))
            yield batch(records)
            if within == "stream" and not number:
                self._others()

    def _others(self) -> None:
        hooks = dict(FaultyCatalog.hooks)
        for _ in range(self.rng.randint(1, 2)):
            self.step("b", others=False)
        FaultyCatalog.hooks.update(hooks)

    def _loader(self, within: str | None, **options: Any) -> IcebergLoader:
        if within != "commit":
            return IcebergLoader(table="t", **options)
        FaultyCatalog.hooks["before"] = self._others
        return faulty(self.project.path, "before", **options)

    def _rename(self, job: str) -> None:
        old = self.rng.choice(sorted(self.columns - {"id", "g"}))
        new = f"{old[0]}{len(self.done)}"
        row = {"id": self.fresh, "g": "a", new: self.fresh}
        self.fresh += 1
        land(
            IcebergLoader(table="t", rename_from={new: old}), [batch({key: [value] for key, value in row.items()})], job
        )
        self.columns = (self.columns - {old}) | {new}
        for number, was in self.rows.items():
            self.rows[number] = {new if name == old else name: value for name, value in was.items()}
        self.rows[row["id"]] = row

    def check(self) -> None:
        """The table is what it should be."""
        table = self.project.iceberg("default.t")
        found = table.scan().to_arrow().to_pylist()
        rows = {row["id"]: {name: value for name, value in row.items() if value is not None} for row in found}
        assert rows == self.rows, self.done[-6:]
        assert len(found) == len(rows), self.done[-6:]
        assert set(table.schema().column_names) == self.columns, self.done[-6:]
        assert rows_of(table) == len(rows), self.done[-6:]


def _run(project: Any, seed: int) -> None:
    FaultyCatalog.hooks.clear()
    world = World(project, seed)
    for _ in range(12):
        world.step("a", others=True)
        world.check()


@pytest.mark.parametrize("seed", [0])
def test_loads_that_others_get_in_the_way_of_are_as_if_they_came_one_after_the_other(project, seed):
    _run(project, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_many_loads_that_others_get_in_the_way_of_are_as_if_they_came_one_after_the_other(project, seed):
    _run(project, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_writers_at_once_that_change_columns_and_partitions_all_land_whole(project, seed):
    land(IcebergLoader(table="t"), [batch({"id": [0], "g": ["a"]})], job="start")
    expected: dict[int, dict[str, Any]] = {0: {"id": 0, "g": "a"}}
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        rng = random.Random(100 * seed + writer)
        for step in range(6):
            ids = [100 * writer + number for number in rng.sample(range(1, 30), 8)]
            name = rng.choice(["u", "v", f"w{writer}"])
            rows = [{"id": i, "g": "ab"[i % 2], name: 10 * step + writer} for i in ids]
            options: dict[str, Any] = {"partition_by": rng.choice(SPECS)} if rng.random() < 0.3 else {}
            loader = IcebergLoader(
                table="t", write_mode="merge", merge_keys="id", merge_strategy=rng.choice(STRATEGIES), **options
            )
            land(loader, [batch(pa.RecordBatch.from_pylist(rows))], job=f"writer-{writer}")
            expected.update({row["id"]: row for row in rows})
            if rng.random() < 0.3:
                loader.upkeep(f"writer-{writer}")

    def guarded(writer: int) -> None:
        try:
            write(writer)
        except BaseException as error:  # noqa: BLE001 - told below, in the thread of the test
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(writer,)) for writer in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = project.iceberg("default.t").scan().to_arrow().to_pylist()
    assert len(found) == len(expected)
    kept = {row["id"]: {name: value for name, value in row.items() if value is not None} for row in found}
    assert kept == expected
