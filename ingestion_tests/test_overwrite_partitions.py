"""Partitions that are overwritten with one row of each key."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from ingestion.errors import DataError
from ingestion.plugins import Batch
from ingestion_tests.targets import DeltaTarget, IcebergTarget, Target, batch, land

COLUMNS = {"p": pa.string(), "k": pa.int64(), "at": pa.int64(), "gone": pa.bool_()}
KEYED = {"merge_keys": "k", "order_by": "at", "delete_column": "gone"}


@pytest.fixture(params=["iceberg", "delta"])
def target(request: pytest.FixtureRequest, project: Any) -> Target:
    if request.param == "iceberg":
        catalog = {"type": "sql", "uri": f"sqlite:///{project.path}/c.db", "warehouse": f"file://{project.path}/w"}
        return IcebergTarget({"catalog": catalog, "database": "d"})
    return DeltaTarget({"location": str(project.path / "lake"), "database": "d"})


def scoped(target: Target, **options: Any) -> Any:
    given = {"write_mode": "overwrite", "overwrite_scope": "partitions", "partition_by": ["p"], **KEYED, **options}
    return target.loader(**given)


def rows(*given: tuple[Any, ...], cursor: int = 1, source: str = "f.csv") -> Batch:
    columns = list(zip(*given, strict=True))
    arrays = {name: pa.array(columns[place], kind) for place, (name, kind) in enumerate(COLUMNS.items())}
    return batch(arrays, cursor, source=source)


def there(target: Target) -> set[tuple[Any, ...]]:
    found = target.rows()
    assert all(set(row) == {"p", "k", "at"} for row in found)
    assert len({(row["p"], row["k"]) for row in found}) == len(found)
    return {(row["p"], row["k"], row["at"]) for row in found}


BEFORE = [("a", 1, 1, False), ("a", 2, 1, False), ("b", 3, 1, False), ("c", 4, 1, False)]


def test_each_partition_holds_one_row_of_each_key_and_the_newest(target: Target) -> None:
    loader = scoped(target)
    land(loader, [rows(*BEFORE)])
    result = land(loader, [rows(("a", 1, 5, False), ("a", 5, 1, False)), rows(("a", 1, 4, False), cursor=2)])
    assert there(target) == {("a", 1, 5), ("a", 5, 1), ("b", 3, 1), ("c", 4, 1)}
    assert (result.rows, result.removed) == (2, {"older row of the same key": 1})
    assert loader.state("a").cursor == 2


def test_a_row_that_deletes_takes_its_key_out_of_the_load(target: Target) -> None:
    loader = scoped(target)
    land(loader, [rows(*BEFORE)])
    result = land(loader, [rows(("a", 1, 5, False), ("a", 2, 5, False), ("a", 1, 6, True), ("a", 2, 4, True))])
    assert there(target) == {("a", 2, 5), ("b", 3, 1), ("c", 4, 1)}
    assert (result.rows, result.removed) == (2, {"older row of the same key": 2})


def test_a_partition_that_only_deleting_rows_are_in_stays_as_it_is(target: Target) -> None:
    """Such a row often has its key and nothing else: what it says of a partition is not to be trusted."""
    loader = scoped(target)
    land(loader, [rows(*BEFORE, (None, 9, 1, False))])
    land(loader, [rows(("a", 1, 5, False), ("b", 3, 5, True), (None, 4, 5, True))])
    assert there(target) == {("a", 1, 5), ("b", 3, 1), ("c", 4, 1), (None, 9, 1)}


def test_deleting_rows_alone_replace_nothing_and_the_position_moves_on(target: Target) -> None:
    loader = scoped(target)
    land(loader, [rows(*BEFORE)])
    result = land(loader, [rows(("a", 1, 5, True), ("b", 3, 5, True), cursor=7)])
    assert there(target) == {row[:3] for row in BEFORE}
    assert result.rows == 2
    assert loader.state("a").cursor == 7


def test_a_load_without_rows_replaces_nothing_and_is_no_error(target: Target) -> None:
    loader = scoped(target)
    first = land(loader, [rows(*BEFORE)])
    again = land(loader, [batch({}, 1)])
    assert (again.rows, again.snapshot) == (0, None)
    moved = land(loader, [batch({}, 2)])
    assert moved.snapshot not in (None, first.snapshot)
    assert loader.state("a").cursor == 2
    assert there(target) == {row[:3] for row in BEFORE}


def test_without_an_order_the_later_source_wins_and_one_source_may_not_contradict_itself(target: Target) -> None:
    loader = scoped(target, order_by=[])
    land(loader, [rows(*BEFORE)])
    land(loader, [rows(("a", 1, 9, False), source="one"), rows(("b", 1, 5, False), source="two")])
    assert there(target) == {("a", 1, 1), ("a", 2, 1), ("b", 1, 5), ("c", 4, 1)}
    with pytest.raises(DataError, match="comes twice in one"):
        land(loader, [rows(("a", 1, 9, False), ("a", 1, 8, False), source="one")])


def test_many_rows_pass_through_the_disk_to_their_partitions(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.keyed.keyed.LIMIT", 4096)

    def stream(at: int, last: int) -> Iterator[Batch]:
        for first in range(0, last, 100):
            yield rows(*((f"p{k % 3}", k, at, k % 5 == 0 and at > 1) for k in range(first, first + 100)))

    loader = scoped(target)
    land(loader, stream(1, 1200))
    land(loader, [item for at in (2, 3) for item in stream(at, 600)])
    assert there(target) == {(f"p{k % 3}", k, 3) for k in range(600) if k % 5}
