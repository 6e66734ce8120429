"""Rollback and upkeep where catalog and warehouse are not of this process: what servers accept, and in buckets."""

import uuid

import pyarrow as pa
import pytest

from ingestion.loaders.iceberg import IcebergLoader
from ingestion.loaders.iceberg.catalog import opened
from ingestion.loaders.iceberg.upkeep.orphans import remove_orphans
from ingestion.plugins import Load
from ingestion_tests.iceberg_support import batch
from ingestion_tests.test_catalogs import PAIRS, REST, catalog_options, namespace

PLACES = [
    pytest.param(*pair, marks=() if pair == ("postgres", "local") else pytest.mark.soak) for pair in (*PAIRS, *REST)
]
WITH_A_BUCKET = [pytest.param("sqlite", "s3"), *(item for item in PLACES if item.values != ("sqlite", "s3"))]


@pytest.fixture
def loader(project, request, kind, place):
    return IcebergLoader(
        table="t",
        database=namespace(),
        catalog=catalog_options(request, kind, place),
        maintenance={"min_age_hours": 0, "keep_snapshots": 3},
    )


def ledger(number):
    return pa.table({"path": [str(item) for item in range(number)]})


def runs(loader, start, stop):
    for number in range(start, stop):
        load = Load("a", f"r{number}", uuid.uuid4().hex, loader.state("a"), "hash")
        loader.load(load, iter([batch({"n": [number]}, ledger(number + 1), bad=1)]))


def rows(loader):
    return sorted(loader.to_table()["n"].to_pylist())


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_runs_are_taken_back_and_loaded_again(loader):
    runs(loader, 0, 4)
    assert [item.run_id for item in loader.rollback("a", "r2").undone] == ["r3", "r2"]
    assert rows(loader) == [0, 1]
    assert loader.state("a").cursor == ledger(2)
    loader.rollback("a", "r0")
    assert rows(loader) == []
    assert loader.scan().collect().height == 0
    assert loader.state("a").cursor is None
    runs(loader, 0, 4)
    assert rows(loader) == [0, 1, 2, 3]
    assert loader.state("a").cursor == ledger(4)
    assert [item.run_id for item in loader.history("a")] == ["r3", "r2", "r1", "r0"]


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_upkeep_leaves_a_table_that_reads_and_loads_on(loader):
    runs(loader, 0, 6)
    done = loader.upkeep("a")
    assert {name: done[name] for name in ("files_compacted", "files_written", "snapshots_expired")} == {
        "files_compacted": 6 + 6,  # of the table and of its quarantine
        "files_written": 1 + 1,
        "snapshots_expired": 4 + 4,
    }
    assert done["files_deleted"] > 0
    assert loader.upkeep("a") == {}
    assert rows(loader) == [*range(6)]
    assert loader.state("a").cursor == ledger(6)
    runs(loader, 6, 7)
    assert rows(loader) == [*range(7)]


@pytest.mark.parametrize(("kind", "place"), WITH_A_BUCKET)
def test_of_all_files_those_that_nothing_refers_to_are_removed(loader):
    runs(loader, 0, 3)
    identifier = loader.identifier("a")
    with opened(loader._catalog_options()) as catalog:
        table = catalog.load_table(identifier)
        for name in ("data/left.parquet", "data/README.md"):
            with table.io.new_output(f"{table.location()}/{name}").create() as file:
                file.write(b"x")
        assert remove_orphans(catalog, identifier, older_than_hours=1)["orphans_deleted"] == 0
        assert remove_orphans(catalog, identifier, older_than_hours=-1)["orphans_deleted"] == 1
        assert not table.io.new_input(f"{table.location()}/data/left.parquet").exists()
        assert table.io.new_input(f"{table.location()}/data/README.md").exists()
        for snapshot in table.snapshots():
            table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
    assert rows(loader) == [0, 1, 2]
    assert loader.state("a").cursor == ledger(3)
