"""What three engines see of one table that everything was done to."""

import datetime as dt

import pyarrow as pa
import pytest

from ingestion.loaders.iceberg import IcebergLoader
from ingestion_tests.iceberg_readers import agreed_rows
from ingestion_tests.targets import batch, land

DAY = dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.timezone.utc)


def rows(ids, value, **more):
    """Rows of these ids, each on a day of its own."""
    at = [DAY + dt.timedelta(hours=number) for number in ids]
    return batch({"id": list(ids), "at": pa.array(at, pa.timestamp("us", "UTC")), "v": value, **more})


@pytest.mark.parametrize("strategy", ["auto", "merge_on_read", "copy_on_write"])
def test_pyiceberg_polars_and_duckdb_agree_on_a_table_that_was_merged_evolved_and_partitioned_anew(project, strategy):
    def loader(**options):
        return IcebergLoader(table="t", write_mode="merge", merge_keys=["id"], merge_strategy=strategy, **options)

    ids = range(40)
    land(loader(), [rows(ids, pa.array([1] * 40, pa.int32()))])
    land(
        loader(partition_by=[{"column": "at", "transform": "day"}]),
        [rows(range(30, 60), pa.array([2] * 30, pa.int64()))],
    )
    nested = pa.array([{"a": number} for number in range(10)], pa.struct([("a", pa.int32())]))
    land(
        loader(rename_from={"value": "v"}),
        [rows(range(5, 15), [3] * 10, s=nested)._replace(records=_renamed(5, nested))],
    )
    spec = [{"column": "id", "transform": "bucket[4]"}, {"column": "at", "transform": "month"}]
    land(loader(partition_by=spec, sort_by=["value"], delete_column="gone"), [_with_deletions(50, 80)])
    table = project.iceberg("default.t")
    assert len(table.specs()) == 3
    assert any(task.delete_files for task in table.scan().plan_files()) == (strategy == "merge_on_read")
    expected = dict.fromkeys(range(40), 1) | dict.fromkeys(range(30, 60), 2) | dict.fromkeys(range(5, 15), 3)
    expected |= dict.fromkeys(range(50, 80), 4)
    for number in range(50, 80, 7):
        del expected[number]
    assert {row["id"]: row["value"] for row in agreed_rows(table)} == expected


def _renamed(first, nested):
    found = rows(range(first, first + 10), [3] * 10, s=nested).records
    return found.rename_columns(["id", "at", "value", "s"])


def _with_deletions(start, stop):
    gone = [number % 7 == start % 7 for number in range(start, stop)]
    found = rows(range(start, stop), [4] * (stop - start), gone=gone)
    return found._replace(records=found.records.rename_columns(["id", "at", "value", "gone"]))
