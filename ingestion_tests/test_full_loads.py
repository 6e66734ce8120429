"""Loads that stand for all that the source has: what they may take out of a table, and what they say they did."""

import pyarrow as pa
import pytest

from ingestion.errors import DataError
from ingestion_tests import test_behaviour
from ingestion_tests.targets import batch, land

target = test_behaviour.target
everywhere = test_behaviour.somewhere(["iceberg-sqlite-local", "delta-local", "postgres"])


def keyed(target, **options):
    return target.loader(write_mode="merge", merge_keys=["k"], **options)


def values(target):
    return {row["k"]: row["v"] for row in target.rows()}


def marked(target):
    """Keys of the rows that were found missing."""
    rows = target.table().to_pylist()
    return sorted(row["k"] for row in rows if row["_deleted_at"] is not None)


@everywhere
@pytest.mark.parametrize("missing", ["soft", "hard"])
def test_a_row_that_is_rejected_is_not_missing(target, missing):
    loader = keyed(target, delete_missing=missing)
    assert land(loader, [batch({"k": [1, 2, 3], "v": [1, 2, 3]}, bad=1)]).notes == ()
    result = land(loader, [batch({"k": [1, 4], "v": [5, 5]}), batch({"k": [2], "v": [6]}, bad=2)])
    assert result.notes == ("2 rows were rejected, so rows that the load lacks were left as they are",)
    assert (result.changes["missing"], result.rows) == (0, 3)
    assert values(target) == {1: 5, 2: 6, 3: 3, 4: 5}
    dropped = batch({"k": [1], "v": [5]})._replace(removed={"bad_row": 1})
    assert land(loader, [dropped]).changes["missing"] == 0
    assert land(loader, [batch({"k": [1], "v": [5]})]).changes["missing"] == 3
    assert (values(target) if missing == "hard" else marked(target)) == ({1: 5} if missing == "hard" else [2, 3, 4])


@everywhere
def test_a_full_load_of_nothing_but_rejected_rows_takes_nothing_away(target):
    loader = keyed(target, delete_missing="hard")
    land(loader, [batch({"k": [1, 2], "v": [1, 2]})])
    land(loader, [batch({"k": pa.array([], pa.int64()), "v": pa.array([], pa.int64())}, bad=1)])
    assert values(target) == {1: 1, 2: 2}
    assert target.quarantined() == 1


NOTHING_STAYS = [
    {"k": [1], "v": [1], "o": [1], "gone": [True]},
    {"k": [1, 1], "v": [1, 1], "o": [1, 2], "gone": [False, True]},
]


@everywhere
@pytest.mark.parametrize("rows", NOTHING_STAYS, ids=["delete", "delete last"])
@pytest.mark.parametrize("mode", [{"write_mode": "overwrite"}, {"delete_missing": "hard"}], ids=["overwrite", "merge"])
def test_a_full_load_of_nothing_but_deletes_empties_nothing_unless_allowed(target, mode, rows):
    options = {"write_mode": "merge", "merge_keys": ["k"], "order_by": ["o"], "delete_column": "gone", **mode}
    land(target.loader(), [batch({"k": [1, 2], "v": [1, 2], "o": [0, 0]}, cursor=1)])
    loader = target.loader(**options)
    with pytest.raises(DataError, match=r"nothing but deletes, .* would empty the table; check"):
        land(loader, [batch(rows, cursor=2, bad=1 if mode.get("write_mode") else 0)])
    assert values(target) == {1: 1, 2: 2}
    assert loader.state("a").cursor == 1
    land(target.loader(**options, allow_empty=True), [batch(rows, cursor=2)])
    assert values(target) == {}


@everywhere
@pytest.mark.parametrize("when", ["older", "equal", "newer", "not asked"])
def test_a_row_that_comes_back_is_there_again_whatever_becomes_of_its_values(target, when):
    options = {} if when == "not asked" else {"order_by": ["o"]}
    if when == "not asked" and target.kind == "postgres":
        options = {"on_conflict": "nothing"}
    for strategy in target.strategies:
        one = type(target)({**target.options, "database": target.options["database"] + "".join(strategy.values())})
        loader = keyed(one, delete_missing="soft", **options, **strategy)
        land(loader, [batch({"k": [1, 2, 3], "v": [1, 2, 3], "o": [5, 5, 5]})])
        land(loader, [batch({"k": [1], "v": [1], "o": [5]})])
        assert marked(one) == [2, 3]
        order = {"older": 4, "equal": 5}.get(when, 6)
        result = land(loader, [batch({"k": [1, 2], "v": [1, 2], "o": [5, order]}, cursor=1)])
        assert marked(one) == [3]
        assert values(one) == {1: 1, 2: 2, 3: 3}
        assert result.changes["updated"] + result.changes["unchanged"] == 2
        assert result.changes["updated"] in ((1,) if target.kind == "postgres" else (1, 2))  # equal rows may be written
        assert result.removed == ({"older row of the same key": 1} if when == "older" else {})


@everywhere
def test_the_column_of_missing_rows_belongs_to_merges_and_is_never_said_to_be_absent(target):
    options = {"merge_keys": ["k"], "delete_missing": "soft"}
    land(target.loader(write_mode="overwrite", **options), [batch({"k": [1, 2], "v": [1, 2]})])
    assert "_deleted_at" not in target.table().column_names
    loader = target.loader(write_mode="merge", **options)
    for _ in range(2):
        assert land(loader, [batch({"k": [1], "v": [3]})]).absent == ()
    assert marked(target) == [2]
    replaced = land(target.loader(write_mode="overwrite", **options), [batch({"k": [1], "v": [4]})])
    assert (replaced.absent, replaced.changes, marked(target)) == ((), {}, [])


@everywhere
def test_a_merge_tells_the_same_counts_from_the_first_load_on(target):
    loader = keyed(target, delete_column="gone")
    rows = {"k": [1, 2], "v": [1, 2], "gone": [False, True]}
    none = {"inserted": 0, "updated": 0, "unchanged": 0, "deleted": 0}
    assert land(loader, [batch({name: pa.array([], pa.int64()) for name in ("k", "v")})]).changes == none
    assert land(loader, [batch(rows, cursor=1)]).changes == {**none, "inserted": 1}
    again = land(loader, [batch(rows, cursor=1)])
    assert (again.changes, again.snapshot, again.rows) == ({**none, "unchanged": 1}, None, 2)
    assert land(loader, []).changes == none
    loads = len(loader.history("a"))
    assert land(loader, [batch(rows, cursor=2)]).snapshot is not None
    assert len(loader.history("a")) == loads + 1
    assert loader.state("a").cursor == 2
    missing = keyed(target, delete_missing="hard", allow_empty=True)
    assert land(missing, [batch({name: pa.array([], pa.int64()) for name in ("k", "v")})]).changes == {
        **none,
        "missing": 1,
    }
