"""The stream between plugins: balance, budget, restart, clean-up, redaction."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest

from ingestion import quarantine
from ingestion.config import JobConfig, parse_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import BudgetSpent, DataError
from ingestion.loaders import LoaderFactory
from ingestion.pipeline import INGESTED_AT, RUN_ID, Stream, run
from ingestion.plugins import Batch, Connector, Cursor, Load, Loader, LoadResult, Origin, Restart, State, Transformer
from ingestion.transformers import TransformerFactory
from ingestion_tests.conftest import Project


class Script(Connector):
    """Yields what the test says; 'restart' begins anew, an exception is raised."""

    type: Literal["script"] = "script"
    name: str

    plays: ClassVar[dict[str, list[Any]]] = {}
    closed: ClassVar[list[str]] = []

    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch | Restart]:
        try:
            for item in self.plays[self.name]:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed.append(self.name)


class Memory(Loader):
    """Holds what was committed, by table."""

    type: Literal["memory"] = "memory"

    tables: ClassVar[dict[str, list[pa.RecordBatch]]] = {}
    started: ClassVar[list[Load]] = []

    def state(self, job: str) -> State:
        return State()

    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        self.started.append(load)
        held = list(batches)
        self.tables[self.table] = [batch.records for batch in held]
        rejected = sum(batch.rejected.num_rows for batch in held if batch.rejected is not None)
        rows = sum(batch.records.num_rows for batch in held)
        return LoadResult(rows, rejected, 1, 0, "1", None, 0.0, self.table)


class Careless(Transformer):
    """Loses the first row of every batch and says nothing."""

    type: Literal["careless"] = "careless"

    def apply(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch._replace(records=batch.records.slice(1))


@pytest.fixture
def job() -> Iterator[JobConfig]:
    ConnectorFactory.register("script", Script)
    LoaderFactory.register("memory", Memory)
    TransformerFactory.register("careless", Careless)
    for shared in (Script.plays, Script.closed, Memory.tables, Memory.started):
        shared.clear()
    yield parse_job("orders", {"source": {"type": "script", "name": "orders"}, "loader": {"type": "memory"}})
    ConnectorFactory.unregister("script")
    LoaderFactory.unregister("memory")
    TransformerFactory.unregister("careless")


def batch(*values: int, bad: int = 0, source: str = "a.csv", **more: Any) -> Batch:
    records = pa.record_batch({"id": pa.array(values, pa.int64())})
    origin = Origin(source, first=2)
    wrong = pa.record_batch({"id": pa.array(["x"] * bad, pa.string())})
    rejected = quarantine.reject(
        wrong,
        pa.array(range(bad)),
        origin,
        stage="read",
        rule="type",
        columns="id",
        values=wrong["id"],
        reasons="'x' is not a number",
    )
    return Batch(records, origin, rejected if bad else None, **more)


def test_a_run_reports_every_row_it_read(job: JobConfig) -> None:
    Script.plays["orders"] = [
        batch(1, 2, bad=1, bytes_read=10),
        batch(3, source="b.csv", removed={"blank_row": 2}, cursor={"at": 3}),
    ]
    report = run(job, "run-1")
    assert (report.rows_read, report.rows_loaded, report.rows_filtered, report.rows_quarantined) == (6, 3, 2, 1)
    assert (report.status, report.files, report.sources, report.bytes_read) == ("partial", 2, ["a.csv", "b.csv"], 10)
    assert report.removed == {"blank_row": 2}
    assert report.rejected == {"id: type": 1}
    assert report.cursor == {"at": 3}
    assert set(report.stages) == {"read", "transform", "write", "commit"}


def test_a_moved_header_makes_a_run_partial_and_says_so(project: Project) -> None:
    source = {"type": "csv", "source_path": "data"}
    job = parse_job("orders", {"source": source, "loader": {"type": "iceberg"}})
    project.file("data/1.csv", "a,b\n1,2\n")
    first = run(job, "run-1")
    assert (first.status, first.columns_added, first.columns_absent, first.warnings) == ("success", [], [], [])
    project.file("data/2.csv", "a,c\n3,4\n")
    report = run(job.merged({"loader": {"add_ingestion_metadata": False}}), "run-2")
    assert (report.status, report.columns_added, report.columns_absent) == ("partial", ["c"], ["b"])
    (warning,) = report.warnings
    assert warning == (
        "the data lacks columns of table default.orders: b, and brings new ones: c; "
        "if one was renamed, set transformer.column_mapping: {c: b}"
    )
    assert report.sentence().endswith(f" s; {warning}")
    assert report.as_json()["warnings"] == [warning]


def test_a_header_alone_makes_no_table_of_the_runs_own_columns(job: JobConfig, project: Project) -> None:
    header = Batch(pa.record_batch({"id": pa.nulls(0)}), Origin("a.csv"), cursor={"at": 1})
    Script.plays["orders"] = [header]
    report = run(job.merged({"loader": {"type": "iceberg"}}), "run-1")
    assert (report.status, report.snapshot, report.rows_read, report.cursor) == ("success", None, 0, None)
    Script.plays["orders"] = [header, batch(7)]
    run(job.merged({"loader": {"type": "iceberg"}}), "run-2")
    assert project.table("default.orders").schema.names == ["id", RUN_ID, INGESTED_AT]
    assert project.table("default.orders")["id"].to_pylist() == [7]


def test_a_first_file_of_bad_rows_alone_settles_no_types(project: Project) -> None:
    project.file("data/1.csv", "a,b\n1,2,3\n")
    job = parse_job("orders", {"source": {"type": "csv", "source_path": "data"}, "loader": {"type": "iceberg"}})
    assert run(job, "run-1").rows_quarantined == 1
    assert project.table("default.orders").num_rows == 0
    project.file("data/2.csv", "a,b\n4,5\n")
    assert run(job, "run-2").columns_added == ["a", "b"]
    assert project.table("default.orders").select(["a", "b"]).to_pylist() == [{"a": 4, "b": 5}]
    assert project.table("default.orders__quarantine").num_rows == 1


def test_every_row_carries_its_run_and_time(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, 2)]
    report = run(job, "run-1")
    (records,) = Memory.tables["orders"]
    assert records.schema.names == ["id", RUN_ID, INGESTED_AT]
    assert records[RUN_ID].to_pylist() == ["run-1", "run-1"]
    assert records[INGESTED_AT].to_pylist() == [report.start_time] * 2


def test_a_column_of_the_same_name_is_not_overwritten(job: JobConfig) -> None:
    records = pa.record_batch({RUN_ID: ["mine"]})
    Script.plays["orders"] = [Batch(records, Origin("a.csv"))]
    with pytest.raises(DataError, match="has a column _ingestion_run_id of its own; rename it"):
        run(job, "run-1")


def test_a_transformer_that_loses_a_row_fails_the_run_before_its_commit(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, 2, 3)]
    with pytest.raises(DataError, match="rows do not balance: 3 read, but 2 to load"):
        run(job.merged({"transformer": {"type": "careless"}}), "run-1")
    assert not Memory.tables


def test_max_bad_rows_stops_the_run_at_once(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, bad=3), AssertionError("read on")]
    with pytest.raises(BudgetSpent) as caught:
        run(job.merged({"max_bad_rows": 2}), "run-1")
    message = str(caught.value)
    assert "3 of 4 rows are bad and max_bad_rows is 2; nothing was loaded" in message
    assert "3 x id: type (a.csv:2: 'x' is not a number)" in message
    assert "set source.schema_hints: {id: string}" in message
    assert not Memory.tables


@pytest.mark.parametrize(("bad", "good", "fails"), [(100, 0, False), (101, 1000, True), (101, 2000, False)])
def test_max_bad_ratio_is_judged_at_the_end_and_beyond_a_hundred_bad_rows(
    job: JobConfig, bad: int, good: int, fails: bool
) -> None:
    Script.plays["orders"] = [batch(*range(good), bad=bad)]
    if fails:
        with pytest.raises(BudgetSpent, match=r"max_bad_ratio is 0\.05"):
            run(job, "run-1")
        assert not Memory.tables
    else:
        assert run(job, "run-1").rows_quarantined == bad


def test_a_ratio_of_nothing_lets_no_bad_row_pass(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1), batch(2, bad=1)]
    with pytest.raises(BudgetSpent, match="1 of 3 rows are bad and max_bad_ratio is 0;"):
        run(job.merged({"max_bad_ratio": 0}), "run-1")
    assert not Memory.tables
    Script.plays["orders"] = [batch(1), batch(2)]
    assert run(job.merged({"max_bad_ratio": 0}), "run-2").rows_loaded == 2


def test_dropped_bad_rows_count_towards_the_budget(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, removed={"bad_row": 2, "blank_row": 5}), batch(2, bad=1)]
    with pytest.raises(BudgetSpent) as caught:
        run(job.merged({"max_bad_rows": 2}), "run-1")
    message = str(caught.value)
    assert "3 of 10 rows are bad and max_bad_rows is 2; nothing was loaded" in message
    assert "2 x left out by source.on_bad_row: drop" in message
    assert "1 x id: type (" in message
    assert not Memory.tables


@pytest.mark.parametrize(("dropped", "fails"), [(100, False), (101, True)])
def test_dropped_bad_rows_count_towards_the_ratio(job: JobConfig, dropped: int, fails: bool) -> None:
    Script.plays["orders"] = [batch(*range(1000), removed={"bad_row": dropped})]
    if fails:
        with pytest.raises(BudgetSpent, match=r"101 of 1101 rows are bad and max_bad_ratio is 0\.05"):
            run(job, "run-1")
    else:
        assert run(job, "run-1").rows_filtered == dropped


def test_emptied_values_are_reported_and_spend_no_budget(job: JobConfig) -> None:
    Script.plays["orders"] = [
        batch(1, emptied={"n: types": 3}),
        batch(2, emptied={"n: types": 2, "d: date_columns": 1}),
    ]
    report = run(job.merged({"max_bad_rows": 0}), "run-1")
    assert report.emptied == {"n: types": 5, "d: date_columns": 1}
    assert report.as_json()["emptied"] == {"n: types": 5, "d: date_columns": 1}
    (warning,) = report.warnings
    assert warning == "values that could not be converted became null: 5 x n: types, 1 x d: date_columns"
    assert (report.status, report.rows_loaded) == ("partial", 2)
    assert report.sentence().endswith(warning)


def test_a_restart_voids_what_was_read_and_keeps_the_load(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, 2, bad=1), Restart("column id is double"), batch(7), batch(8)]
    report = run(job, "run-1")
    assert (report.rows_read, report.rows_quarantined, report.restarts) == (2, 0, ["column id is double"])
    assert [row for records in Memory.tables["orders"] for row in records["id"].to_pylist()] == [7, 8]
    assert len({load.load_id for load in Memory.started}) == 1
    assert len(Memory.started) == 2


def test_the_reader_is_closed_when_the_loader_fails(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, bad=1), batch(2)]
    with pytest.raises(BudgetSpent):
        run(job.merged({"max_bad_rows": 0}), "run-1")
    assert Script.closed == ["orders"]


def test_a_failed_run_has_a_report_too(job: JobConfig) -> None:
    Script.plays["orders"] = [batch(1, 2), DataError("b.csv is cut off")]
    stream = Stream(job, "run-1")
    with pytest.raises(DataError):
        stream.load()
    assert (stream.report.status, stream.report.error, stream.report.rows_loaded) == ("failed", "b.csv is cut off", 0)
    assert stream.report.as_json()["end_time"]


def test_secrets_are_taken_out_of_errors_and_their_causes(job: JobConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_TOKEN", "orders")
    cause = OSError("no route to orders")
    error = DataError("orders refused")
    error.__cause__ = cause
    Script.plays["orders"] = [error]
    with pytest.raises(DataError) as caught:
        run(job.merged({"source": {"name": "${SCRIPT_TOKEN}"}}), "run-1")
    assert "orders" not in str(caught.value) + str(caught.value.__cause__)
