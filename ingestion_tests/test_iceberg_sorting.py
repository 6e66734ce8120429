"""Rows of a file sorted as sort_by says, however many there are."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyiceberg.table.sorting import NullOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform

from ingestion.errors import ConfigError
from ingestion.loaders.iceberg import IcebergLoader, runs
from ingestion.loaders.iceberg.merging import merged
from ingestion.loaders.iceberg.sorting import Order, SortField, sorted_rows
from ingestion.loaders.iceberg.upkeep.compaction import Compaction
from ingestion.loaders.iceberg.upkeep.landing import Moved
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.iceberg_support import batch, land


def loader(**options: Any) -> IcebergLoader:
    return IcebergLoader(table="t", **options)


def files_of(project):
    """The rows of each file as they lie there, in the order of the files' names."""
    paths = project.iceberg("default.t").inspect.files()["file_path"].to_pylist()
    return [pq.read_table(path, partitioning=None) for path in sorted(paths)]


def test_rows_are_sorted_within_a_file_and_the_table_says_so(project):
    job = loader(sort_by=["b", {"column": "a", "direction": "desc"}])
    land(job, [batch({"a": [1, 2, 3], "b": ["y", "x", "y"]}), batch({"a": [4, None], "b": [None, "x"]})])
    table = project.iceberg("default.t")
    (file,) = files_of(project)
    assert file.to_pylist() == [
        {"a": 4, "b": None},
        {"a": 2, "b": "x"},
        {"a": None, "b": "x"},
        {"a": 3, "b": "y"},
        {"a": 1, "b": "y"},
    ]
    assert [str(field) for field in table.sort_order().fields] == ["2 ASC NULLS FIRST", "1 DESC NULLS LAST"]
    assert table.inspect.files()["sort_order_id"].to_pylist() == [table.sort_order().order_id]
    assert len(agreed_rows(table)) == 5


def test_another_order_changes_the_table_with_the_data(project):
    land(loader(sort_by=["a"]), [batch({"a": [2, 1], "b": [1, 2]})])
    land(loader(sort_by=["b"]), [batch({"a": [1, 2], "b": [2, 1]})])
    land(loader(), [batch({"a": [9, 8], "b": [9, 8]})])
    land(loader(sort_by=["a"]), [batch({"a": [4, 3], "b": [2, 1]})])
    table = project.iceberg("default.t")
    assert sorted(map(str, table.inspect.files()["sort_order_id"].to_pylist())) == ["1", "1", "2", "None"]
    assert table.sort_order().order_id == 1
    land(loader(sort_by=[]), [batch({"a": [6, 5], "b": [2, 1]})])
    assert project.iceberg("default.t").sort_order().is_unsorted
    assert len(project.iceberg("default.t").snapshots()) == 5


def test_a_column_without_an_order_or_a_place_is_refused(project):
    with pytest.raises(ConfigError, match=r"sort_by: table default.t gets no column 'x'; its columns: a"):
        land(loader(sort_by=["x"]), [batch({"a": [1]})])
    with pytest.raises(ConfigError, match=r"sort_by: 'a', a list<long>, has no order"):
        land(loader(sort_by=["a"]), [batch({"a": [[1]]})])
    land(loader(), [batch({"a": [1]})])
    with pytest.raises(ConfigError, match=r"gets no column 'x'"):
        land(loader(sort_by=["x"]), [batch({"a": [1]})])
    with pytest.raises(ValidationError, match="'asc' or 'desc'"):
        loader(sort_by=[{"column": "a", "direction": "up"}])


@pytest.mark.parametrize(
    "values",
    [
        [1.5, None, float("nan"), -0.0, float("-inf")],
        [Decimal("1.5"), None, Decimal("-2.5")],
        [True, None, False],
        [b"b", None, b"a"],
        [dt.date(2024, 1, 2), None, dt.date(1969, 1, 1)],
        ["b", None, "a", ""],
    ],
    ids=["float", "decimal", "boolean", "bytes", "date", "text"],
)
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("nulls", ["first", "last"])
def test_nulls_and_nan_stand_where_iceberg_wants_them(project, values, direction, nulls):
    field = {"column": "a", "direction": direction, "nulls": nulls}
    land(loader(sort_by=[field]), [batch({"a": pa.array(values).dictionary_encode() if values[0] == "b" else values})])
    (file,) = files_of(project)
    expected = pl.Series(values).sort(descending=direction == "desc", nulls_last=nulls == "last")
    assert list(map(str, file["a"].to_pylist())) == list(map(str, expected.to_list()))


def test_more_rows_than_fit_into_memory_make_files_whose_ranges_do_not_meet(project, monkeypatch):
    monkeypatch.setattr(runs, "_HELD_BYTES", 1 << 20)
    monkeypatch.setattr(runs, "_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr("ingestion.loaders.iceberg.writer._ROW_GROUP_BYTES", 1 << 20)
    numbers = list(range(400_000))
    random.Random(1).shuffle(numbers)
    job = loader(sort_by=["n"], target_file_size="1 MiB")
    noise = random.Random(2)
    pads = (pa.array(noise.randbytes(16).hex() for _ in range(10_000)) for _ in range(40))
    land(
        job, (batch({"n": numbers[place * 10_000 : (place + 1) * 10_000], "s": pad}) for place, pad in enumerate(pads))
    )
    found = [file["n"].to_pylist() for file in files_of(project)]
    assert len(found) > 3
    assert all(file == sorted(file) for file in found)
    found.sort()
    assert [number for file in found for number in file] == list(range(400_000))


def test_each_partition_is_sorted(project, monkeypatch):
    monkeypatch.setattr(runs, "_HELD_BYTES", 1 << 10)
    monkeypatch.setattr("ingestion.loaders.iceberg.writer._HELD_BYTES", 1 << 12)
    monkeypatch.setattr("ingestion.loaders.iceberg.writer._SPLIT_BYTES", 1 << 12)
    job = loader(sort_by=[{"column": "n", "direction": "desc"}], partition_by=["p"])
    land(job, [batch({"p": [number % 5] * 100, "n": list(range(number, number + 100))}) for number in range(50)])
    found = files_of(project)
    assert len(found) == 5
    for file in found:
        assert file["n"].to_pylist() == sorted(file["n"].to_pylist(), reverse=True)
    assert sum(file.num_rows for file in found) == 5000


def unsorted_loads(job):
    for first in range(5):
        rows = batch({"n": [first + 10, first, None, first + 20], "m": [1, 2, 3, first]})
        land(job, [rows])


def the_file(project):
    """The only data file: column n as it lies there, and its sort order."""
    (file,) = project.iceberg("default.t").inspect.files().to_pylist()
    return pq.read_table(file["file_path"], partitioning=None)["n"].to_pylist(), file["sort_order_id"]


def order_of(project):
    table = project.iceberg("default.t")
    return [str(field) for field in table.sort_order().fields], table.sort_order().order_id


@pytest.mark.parametrize("job", ["its own", "one that says nothing", "one that would have another"])
def test_compaction_keeps_the_order_of_the_table_whichever_job_asks_for_it(project, job):
    own = loader(sort_by=[{"column": "n", "direction": "desc", "nulls": "first"}])
    unsorted_loads(own)
    before = order_of(project)
    asking = {"its own": own, "one that says nothing": loader(), "one that would have another": loader(sort_by=["m"])}
    assert asking[job].upkeep("a") == {"files_compacted": 5, "files_written": 1}
    found, order_id = the_file(project)
    values = sorted((first + more for first in range(5) for more in (0, 10, 20)), reverse=True)
    assert found == [None] * 5 + values
    assert order_of(project) == before == (["1 DESC NULLS FIRST"], order_id)


def test_compaction_sorts_into_the_order_that_the_table_has_got_meanwhile(project):
    unsorted_loads(loader())
    with project.iceberg("default.t").update_sort_order() as update:
        update.asc("m", IdentityTransform()).asc("n", IdentityTransform(), NullOrder.NULLS_LAST)
    assert loader().upkeep("a") == {"files_compacted": 5, "files_written": 1}
    found, order_id = the_file(project)
    assert found == [20, 10, 11, 12, 13, 14, 21, 0, 1, 2, 3, 4, 22, 23, None, None, None, None, None, 24]
    assert order_id == order_of(project)[1] != 0


def test_compaction_does_not_put_back_an_order_that_was_changed_meanwhile(project):
    unsorted_loads(loader(sort_by=["n"]))
    table = project.iceberg("default.t")
    compaction = Compaction(table.catalog, table.name(), loader(sort_by=["n"]), table)
    with project.iceberg("default.t").update_sort_order() as update:
        update.asc("m", IdentityTransform())
    before = order_of(project)
    with pytest.raises(Moved):
        compaction.run()
    assert order_of(project) == before


def test_compaction_claims_no_order_that_it_cannot_make(project):
    """Another engine may sort by what a column's values become."""
    unsorted_loads(loader())
    with project.iceberg("default.t").update_sort_order() as update:
        update.asc("n", BucketTransform(4))
    before = order_of(project)
    assert loader(sort_by=["n"]).upkeep("a") == {"files_compacted": 5, "files_written": 1}
    found, order_id = the_file(project)
    assert found[:4] == [10, 0, None, 20]
    assert order_id is None
    assert order_of(project) == before


def test_an_interrupted_sort_leaves_no_files(project, monkeypatch):
    monkeypatch.setattr(runs, "_HELD_BYTES", 1 << 10)
    monkeypatch.setattr("ingestion.loaders.iceberg.writer._ROW_GROUP_BYTES", 1 << 12)

    def interrupted():
        yield from (batch({"n": list(range(1000))}) for _ in range(100))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        land(loader(sort_by=["n"]), interrupted())
    assert not list((project.path / "metadata").rglob("*.parquet"))


FIELDS = st.lists(
    st.builds(
        SortField,
        column=st.just("x"),
        direction=st.sampled_from(["asc", "desc"]),
        nulls=st.sampled_from(["first", "last"]),
    ),
    min_size=2,
    max_size=2,
)
ROW = st.tuples(
    st.one_of(st.none(), st.integers(0, 3), st.just(float("nan"))), st.one_of(st.none(), st.sampled_from("abc"))
)


@settings(max_examples=300, deadline=None)
@given(FIELDS, st.lists(st.lists(ROW, max_size=12), min_size=1, max_size=6), st.integers(1, 5))
def test_merging_runs_is_sorting_all_of_their_rows(fields, given_runs, step):
    order = Order(1, tuple(enumerate(fields)))
    schema = pa.schema([("a", pa.float64()), ("b", pa.string())])

    def table(rows):
        return pa.Table.from_arrays(
            [pa.array([row[0] for row in rows], pa.float64()), pa.array([row[1] for row in rows], pa.string())],
            schema=schema,
        )

    def blocks(rows):
        run = sorted_rows(table(rows), order)
        return (run.slice(start, step) for start in range(0, run.num_rows, step))

    pieces = list(merged([blocks(rows) for rows in given_runs], order))
    together = pa.concat_tables([schema.empty_table(), *pieces])
    expected = sorted_rows(table([row for rows in given_runs for row in rows]), order)
    assert str(together.to_pylist()) == str(expected.to_pylist())
