"""A replay lands what runs would have landed: the newest row wins, none stands for another, and no total is of few."""

import time
from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa
import pytest

from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.loaders.delta import DeltaLoader
from ingestion.plugins import Batch, Connector, Cursor, Origin
from ingestion.testing import check_connector
from ingestion_tests.conftest import Project
from ingestion_tests.test_replay import bring, job, load, rows, waiting

TOTAL = {"sql": {"query": "SELECT day, SUM(amount) AS total FROM input GROUP BY day", "over": "load"}}
CHANGING = {"python": {"callable": "ingestion_tests.test_replay_order:halved", "changes_rows": True}}


def halved(records: pa.RecordBatch) -> pa.RecordBatch:
    """The rows at even places."""
    return records.take(pa.array(range(0, records.num_rows, 2)))


@pytest.mark.parametrize("transformation", [TOTAL, CHANGING], ids=["sql", "python"])
def test_a_job_that_makes_rows_of_several_is_not_replayed(
    project: Project, transformation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", "ingestion_tests.test_replay_order")
    project.file("data/a.csv", "day,amount,ok\n2024-01-01,10,yes\n2024-01-01,20,yes\n2024-01-01,1000,maybe\n")
    transformer = {"boolean_columns": ["ok"], "transformations": [{"filter": "amount > 0"}, transformation]}
    job(project, transformer, write_mode="merge", merge_keys="day")
    load()
    landed = project.table("default.orders").to_pylist()
    job(project, {**transformer, "on_conversion_error": "null"}, write_mode="merge", merge_keys="day")
    with pytest.raises(ConfigError, match=r"transformer\.transformations\[1\] .* ingestion rollback"):
        bring()
    assert project.table("default.orders").to_pylist() == landed
    assert waiting() == [(4, "boolean_columns")]


def test_a_job_that_makes_rows_of_several_and_has_nothing_in_quarantine_says_so(project: Project) -> None:
    project.file("data/a.csv", "day,amount\n2024-01-01,10\n")
    job(project, {"transformations": [TOTAL]})
    load()
    assert bring().sentence() == "orders: nothing to replay"


MERGED = {"write_mode": "merge", "merge_keys": "id"}


def versions(project: Project) -> list[Any]:
    return [v for id_, v in rows(project, "id", "v") if id_ == 1]


def test_of_several_versions_of_a_row_the_newest_wins(project: Project) -> None:
    job(project, {"date_columns": {"day": "%Y-%m-%d"}}, **MERGED)
    project.file("data/a0.csv", "id,day,v\n9,2024-01-02,x\n")
    load()
    for number in (1, 2, 3):
        project.file(f"data/a{number}.csv", f"id,day,v\n1,0{number}/01/2024,v{number}\n")
        load()
    job(project, {"date_columns": {"day": "%d/%m/%Y"}}, **MERGED)
    assert bring().rows_read == 3
    assert versions(project) == ["v3"]


def test_of_several_versions_that_are_read_again_the_newest_wins_whatever_the_files_are_called(
    project: Project,
) -> None:
    source = {"order_by": "name"}
    masked = {"mask": {"note": "redact"}, "date_columns": {"day": "%Y-%m-%d"}}
    job(project, masked, source, **MERGED)
    project.file("data/m.csv", "id,day,v,note\n9,2024-01-02,x,n\n")
    load()
    for name, version in (("z", "v1"), ("y", "v2"), ("a", "v3")):
        project.file(f"data/{name}.csv", f"id,day,v,note\n1,01/01/2024,{version},n\n")
        load()
    job(project, {**masked, "date_columns": {"day": "%d/%m/%Y"}}, source, **MERGED)
    assert bring().rows_read == 3
    assert versions(project) == ["v3"]


@pytest.mark.parametrize("order", ["read again last", "read again first"])
def test_of_versions_that_are_read_again_and_such_that_are_not_the_newest_wins(project: Project, order: str) -> None:
    job(project, {"date_columns": {"day": "%Y-%m-%d"}}, {"schema_hints": {"n": "long"}}, **MERGED)
    project.file("data/a0.csv", "id,day,v,n\n9,2024-01-02,x,1\n")
    load()
    texts = ["id,day,v,n\n1,01/01/2024,by date,1\n", "id,day,v,n\n1,2024-01-02,by number,1 000\n"]
    for number, text in enumerate(texts if order == "read again last" else reversed(texts)):
        project.file(f"data/b{number}.csv", text)
        load()
    assert sorted(rule for _, rule in waiting()) == ["date_columns", "type"]
    formats = {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}}
    job(project, formats, {"schema_hints": {"n": "long"}, "thousands_separator": " "}, **MERGED)
    assert bring().rows_read == 2
    assert versions(project) == ["by number" if order == "read again last" else "by date"]


class PagesConnector(Connector):
    """Gives two pages, the rows of which it counts anew on each."""

    type: Literal["pages"] = "pages"

    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch]:
        """The pages, once."""
        for page in () if cursor is not None else (1, 2):
            records = pa.record_batch({"id": [10 * page, 10 * page + 1], "day": ["2024-01-02", f"day {page}"]})
            yield Batch(records, Origin("api"), cursor=page)


@pytest.fixture
def pages() -> Iterator[None]:
    ConnectorFactory.register("pages", PagesConnector)
    yield
    ConnectorFactory.unregister("pages")


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize("masked", [False, True])
def test_no_row_stands_for_another_that_its_source_does_not_tell_from_it(project: Project, masked: bool) -> None:
    transformer: dict[str, Any] = {"date_columns": ["day"], **({"mask": {"id": "redact"}} if masked else {})}
    config: dict[str, Any] = {"source": {"type": "pages"}, "transformer": transformer, "max_bad_ratio": 1}
    project.job("orders", config)
    load()
    assert waiting() == [(2, "date_columns")] * 2
    project.job("orders", {**config, "transformer": {**transformer, "on_conversion_error": "null"}})
    report = bring()
    if masked:
        assert sum(report.left.values()) == 2
        assert len(waiting()) == 2
    else:
        assert (report.rows_loaded, report.left, waiting()) == (2, {}, [])
        assert rows(project, "id") == [(10,), (11,), (20,), (21,)]


def test_the_contract_wants_each_row_of_a_source_at_a_place_of_its_own() -> None:
    with pytest.raises(AssertionError, match="2 rows stand at place 1 of api"):
        check_connector(PagesConnector())


# whole loads


def test_of_a_table_that_is_not_there_nothing_is_replayed(project: Project) -> None:
    job(project, write_mode="overwrite")
    assert bring().sentence() == "orders: nothing to replay"


def test_rows_whose_partition_may_have_been_overwritten_stay_and_say_so(project: Project) -> None:
    options = {"write_mode": "overwrite", "overwrite_scope": "partitions", "partition_by": ["part"]}
    for month in ("jan", "feb"):
        project.file(f"data/{month}.csv", f"id,part,day\n1,{month},2024-01-01\n2,{month},x1\n")
        job(project, {"date_columns": ["day"]}, {"file_pattern": f"{month}.csv"}, **options)
        load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"}, **options)
    report = bring()
    assert report.left == {"a later load may have replaced the partitions that its load brought": 1}
    assert rows(project, "part", "id") == [("feb", 1), ("feb", 2), ("jan", 1)]


def test_the_newest_load_is_known_when_the_log_has_forgotten_it(project: Project) -> None:
    import deltalake

    place = str(project.path / "lake")
    options: dict[str, Any] = {"type": "delta", "write_mode": "overwrite", "location": place}
    options["table_properties"] = {"delta.logRetentionDuration": "interval 0 seconds"}
    project.file("data/a.csv", "id,day\n1,2024-01-01\n2,soon\n")
    job(project, {"date_columns": ["day"]}, **options)
    load()
    found = load_job("orders").resolved().loader
    assert isinstance(found, DeltaLoader)
    table = deltalake.DeltaTable(found.place("orders").uri)
    table.optimize.compact()
    table.alter.set_table_properties({"x": "1"}, raise_if_not_exists=False)
    table = deltalake.DeltaTable(found.place("orders").uri)
    table.create_checkpoint()
    time.sleep(1.1)
    table.cleanup_metadata()
    assert not [landed for landed in found.history("orders") if landed.job == "orders"]
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"}, **options)
    report = bring()
    assert (report.rows_loaded, report.left) == (1, {})
