"""Quarantined rows come back through today's job: each once, and none is lost."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest

from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import DataError, Superseded
from ingestion.loaders import LoaderFactory
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.pipeline import run
from ingestion.plugins import Batch, Connector, Cursor, Origin, Restart
from ingestion.replay import Replay, ReplayReport, replay
from ingestion_tests.conftest import Project

Row = dict[str, Any]
Job = Callable[..., None]

BAD_DAYS = "id,day,amount\n1,2024-01-02,1.5\n2,03/01/2024,2.5\n3,04/01/2024,x\n4,2024-01-05,4.5\n"


def job(project: Project, transformer: Row | None = None, source: Row | None = None, **loader: Any) -> None:
    """The job orders, which reads the folder data."""
    config: Row = {
        "source": {"type": "csv", "source_path": "data", **(source or {})},
        "transformer": transformer or {},
        "loader": loader,
        "max_bad_ratio": 1,
    }
    project.job("orders", config)


def load() -> Any:
    return run(load_job("orders"), uuid.uuid4().hex)


def bring() -> ReplayReport:
    return replay(load_job("orders"), uuid.uuid4().hex)


def rows(project: Project, *names: str) -> list[Any]:
    found = project.table("default.orders").select(list(names)).to_pylist()
    return sorted((tuple(row.values()) for row in found), key=str)


def waiting() -> list[tuple[int | None, str]]:
    """Position and rule of each row in quarantine."""
    found = load_job("orders").resolved()
    batches = list(found.loader.quarantined("orders"))
    return sorted((row["position"], row["rule"]) for batch in batches for row in batch.to_pylist())


def test_rows_land_once_their_option_is_mended(project: Project) -> None:
    project.file("data/a.csv", BAD_DAYS)
    job(project, {"date_columns": {"day": "%Y-%m-%d"}, "numeric_columns": ["amount"]})
    load()
    assert waiting() == [(3, "date_columns"), (4, "date_columns")]
    job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}, "numeric_columns": ["amount"]})
    report = bring()
    assert (report.replayed, report.rows_read, report.rows_loaded, report.rows_quarantined) == (2, 2, 1, 1)
    assert report.sentence().startswith(
        "orders: 2 rows replayed: partial: 1 row loaded into default.orders, 1 quarantined again"
    )
    assert [row[:1] for row in rows(project, "id")] == [(1,), (2,), (4,)]
    assert waiting() == [(4, "numeric_columns")]
    assert load().rows_read == 0
    job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}, "types": {"amount": "string"}})
    with pytest.raises(DataError):  # text does not land in a column of numbers, and the row stays where it was
        bring()
    assert waiting() == [(4, "numeric_columns")]
    job(project, {"date_columns": {"day": "%d/%m/%Y"}, "numeric_columns": ["amount"], "on_conversion_error": "null"})
    bring()
    assert waiting() == []
    assert len(rows(project, "id")) == 4
    report = bring()
    assert report.sentence() == "orders: nothing to replay"
    assert report.snapshot is None


def test_a_ragged_line_is_read_again_by_todays_source(project: Project) -> None:
    project.file("data/a.csv", "id,name\n1,ann\n2,bob|the builder\n3,o'neil, jim\n")
    job(project)
    load()
    assert waiting() == [(4, "ragged")]
    assert bring().rows_quarantined == 1
    (project.path / "data/a.csv").touch()
    load()  # from now on nobody knows what it was before
    report = bring()
    assert report.left == {"its source was written since": 1}
    assert waiting() == [(4, "ragged")]


def test_a_changed_delimiter_or_quote_mends_ragged_lines(project: Project) -> None:
    project.file("data/a.csv", "id,name\n1,ann\n2,'o, jim'\n")
    job(project)
    load()
    assert waiting() == [(3, "ragged")]
    job(project, source={"quote_char": "'"})
    report = bring()
    assert (report.rows_loaded, report.rows_quarantined, report.sources) == (1, 0, [str(project.path / "data/a.csv")])
    assert rows(project, "id", "name") == [(1, "ann"), (2, "o, jim")]
    assert waiting() == []


def test_a_value_of_another_type_is_read_again_as_the_job_now_says(project: Project) -> None:
    project.file("data/a.csv", "id,n\n1,1\n2,x\n3,2 500\n")
    job(project, source={"schema_hints": {"n": "long"}})
    load()
    assert waiting() == [(3, "type"), (4, "type")]
    job(project, source={"schema_hints": {"n": "long"}, "thousands_separator": " "})
    assert (bring().rows_loaded, waiting()) == (1, [(3, "type")])
    assert rows(project, "n") == [(1,), (2500,)]


def test_lines_that_are_no_rows_any_more_stay(project: Project) -> None:
    project.file("data/a.csv", "id,name\n1,ann\n2,b,c\n3\n")
    job(project)
    load()
    job(project, source={"skip_footer": 1})
    report = bring()
    assert report.left == {"nothing stands at its place that is a row today": 1}
    assert (report.replayed, report.rows_quarantined) == (1, 1)
    assert report.restarts == ["nothing stands at its place that is a row today"]
    assert report.sentence().endswith("s; 1 row cannot be replayed: nothing stands at its place that is a row today")
    assert waiting() == [(3, "ragged"), (4, "ragged")]


def test_a_mended_file_is_no_source_of_quarantined_rows(project: Project) -> None:
    path = project.file("data/a.csv", "id,name\n1,ann\n2,b,c\n3,x\n")
    job(project, source={"schema_hints": {"id": "long"}})
    load()
    path.write_text("id,name\n1,ann\n2,bc\n3,x\n")
    report = bring()
    assert report.left == {f"{path} has other content than when it was loaded": 1}
    assert "1 row cannot be replayed:" in report.sentence()
    path.unlink()
    (reason,) = bring().left
    assert str(path) in reason
    assert waiting() == [(3, "ragged")]
    assert rows(project, "id") == [(1,), (3,)]


def test_a_payload_serves_where_the_source_is_gone(project: Project) -> None:
    path = project.file("data/a.csv", "id,n\n1,1\n2,x\n3,y,z\n")
    job(project, source={"schema_hints": {"n": "long"}})
    load()
    path.unlink()
    project.file("data/b.csv", "id,n\n")
    report = bring()
    assert (report.replayed, report.rows_quarantined, list(report.left.values())) == (1, 1, [1])
    assert waiting() == [(3, "type"), (4, "ragged")]
    job(project, {"types": {"n": "string"}}, table="texts")
    job(project, {"column_mapping": {"n": "text"}}, source={"schema_hints": {}})
    assert bring().rows_loaded == 1
    assert rows(project, "id", "n", "text") == [(1, 1, None), (2, None, "x")]


LOWER = {"column": "tags", "rule": "regex", "pattern": "^[a-z]*$"}


class ListsConnector(Connector):
    """Gives rows with lists, once; it cannot be read at a place."""

    type: Literal["lists"] = "lists"
    given: ClassVar[Row] = {}

    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch | Restart]:
        records = pa.record_batch(self.given)
        for start in range(0 if cursor is None else records.num_rows, records.num_rows):
            origin = Origin("lists", positions=pa.array([start + 1], pa.int64()))
            yield Batch(records.slice(start, 1), origin, cursor=start + 1)


@pytest.fixture
def lists() -> Iterator[type[ListsConnector]]:
    ConnectorFactory.register("lists", ListsConnector)
    yield ListsConnector
    ConnectorFactory.unregister("lists")


def divided(project: Project, transformer: Row) -> None:
    project.job(
        "orders", {"source": {"type": "lists"}, "transformer": {"explode": "tags", **transformer}, "max_bad_ratio": 1}
    )


def test_of_divided_rows_only_the_missing_parts_land(project: Project, lists: type[ListsConnector]) -> None:
    lists.given = {"id": [1, 2, 3], "tags": [["a", "b"], ["c", "D", "d", "X"], ["E"]]}
    divided(project, {"validation": [LOWER]})
    load()
    assert rows(project, "id", "tags") == [(1, "a"), (1, "b"), (2, "c"), (2, "d")]
    assert waiting() == [(2, "regex"), (2, "regex"), (3, "regex")]
    divided(project, {"validation": [{**LOWER, "pattern": "^[a-zD]*$"}]})
    report = bring()
    assert (report.replayed, report.rows_read, report.rows_loaded, report.rows_quarantined) == (3, 2, 1, 2)
    assert report.removed["loaded before"] == 2
    assert rows(project, "id", "tags") == [(1, "a"), (1, "b"), (2, "D"), (2, "c"), (2, "d")]
    divided(project, {})
    assert bring().rows_loaded == 2
    assert rows(project, "id", "tags") == [(1, "a"), (1, "b"), (2, "D"), (2, "X"), (2, "c"), (2, "d"), (3, "E")]
    assert waiting() == []


def test_parts_that_fail_whole_stay_parts(project: Project, lists: type[ListsConnector]) -> None:
    lists.given = {"day": ["2024-01-02"], "tags": [["a", "B", "C"]]}
    divided(project, {"date_columns": ["day"], "validation": [LOWER]})
    load()
    assert waiting() == [(1, "regex")] * 2
    divided(project, {"date_columns": {"day": "%d/%m/%Y"}})
    report = bring()  # it fails before it is divided, once for each part that is wanted
    assert (report.rows_read, report.rows_quarantined) == (1, 2)
    assert report.removed["told once for each part"] == -1
    divided(project, {"date_columns": ["day"]})
    assert bring().rows_loaded == 2
    assert rows(project, "tags") == [("B",), ("C",), ("a",)]


def test_a_masked_job_reads_its_rows_again(project: Project) -> None:
    path = project.file("data/a.csv", "id,name,day\n1,ann,2024-01-02\n2,robert,soon\n3,jim,x,y\n")
    job(project, {"mask": {"name": "partial"}, "date_columns": ["day"]})
    load()
    assert waiting() == [(3, "date_columns"), (4, "ragged")]
    job(project, {"mask": {"name": "partial"}, "date_columns": ["day"], "on_conversion_error": "null"})
    away = path.rename(project.path / "data" / "b.csv")
    assert sum(bring().left.values()) == 2
    away.rename(path)
    report = bring()
    assert (report.rows_loaded, report.rows_quarantined) == (1, 1)
    assert rows(project, "id", "name") == [(1, "***"), (2, "**bert")]
    assert waiting() == [(4, "ragged")]


def test_rows_that_the_job_leaves_out_today_are_gone_from_quarantine(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n")
    job(project, {"date_columns": ["day"]})
    load()
    rule = {"column": "day", "rule": "not_null", "on_fail": "drop"}
    job(project, {"date_columns": ["day"], "on_conversion_error": "null", "validation": [rule]})
    report = bring()
    assert (report.rows_loaded, report.rows_filtered, report.rows_quarantined) == (0, 1, 0)
    assert waiting() == []


def test_an_overwrite_job_replays_its_newest_load_alone(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,03/01/2024\n3,late\n")
    job(project, {"date_columns": {"day": "%Y-%m-%d"}}, write_mode="overwrite")
    load()
    load()
    assert waiting() == [(3, "date_columns")] * 2 + [(4, "date_columns")] * 2
    job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}}, write_mode="overwrite")
    report = bring()
    assert report.left == {"a later load replaced all that its load brought": 2}
    assert [row[0] for row in rows(project, "id")] == [1, 2]
    job(
        project,
        {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}, "on_conversion_error": "null"},
        write_mode="overwrite",
    )
    assert bring().rows_loaded == 1
    assert [row[0] for row in rows(project, "id")] == [1, 2, 3]
    assert load().rows_loaded == 3
    assert [row[0] for row in rows(project, "id")] == [1, 2, 3]


@pytest.mark.parametrize("order_by", [[], ["day"]])
def test_a_merge_without_order_by_warns_of_rows_that_replayed_ones_replaced(project: Project, order_by: Any) -> None:
    merging = {"write_mode": "merge", "merge_keys": "id", **({"order_by": order_by} if order_by else {})}
    project.file("data/a.csv", "id,day,v\n1,03/01/2024,old\n2,2024-01-01,x\n")
    job(project, {"date_columns": {"day": "%Y-%m-%d"}}, **merging)
    load()
    project.file("data/b.csv", "id,day,v\n1,2024-06-01,new\n")
    load()
    job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}}, **merging)
    report = bring()
    assert rows(project, "id", "v") == [(1, "new" if order_by else "old"), (2, "x")]
    warned = "1 row of the table with the same merge_keys was replaced or deleted by replayed ones"
    assert [item for item in report.warnings if item.startswith(warned)] == report.warnings[: 0 if order_by else 1]
    assert (warned in report.sentence()) == (not order_by)


def test_a_merge_job_keeps_rows_that_are_newer_than_the_replayed(project: Project) -> None:
    options = {"write_mode": "merge", "merge_keys": ["id"], "order_by": ["v"]}
    project.file("data/a.csv", "id,v,day\n1,1,soon\n2,1,soon\n")
    job(project, {"date_columns": ["day"]}, **options)
    load()
    project.file("data/b.csv", "id,v,day\n1,2,2024-01-02\n")
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"}, **options)
    report = bring()
    assert (report.replayed, waiting()) == (2, [])
    assert rows(project, "id", "v") == [(1, 2), (2, 1)]


def test_the_same_file_loaded_twice_is_replayed_twice(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n")
    job(project, {"date_columns": ["day"]})
    load()
    job(project, {"date_columns": ["day"]}, source={"incremental": False})
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"})
    first = bring()
    assert list(first.left.values()) == [1]
    assert bring().left == {}
    assert [row[0] for row in rows(project, "id")] == [1, 1, 2, 2]


def test_a_run_that_lands_in_between_supersedes_a_replay(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n")
    job(project, {"date_columns": ["day"]})
    load()

    class Slow(Replay):
        def _changed(self, job: Any, batches: Any) -> Any:
            project.file("data/b.csv", "id,day\n3,2024-01-02\n")
            load()
            return super()._changed(job, batches)

    with pytest.raises(Superseded, match="run again"):
        Slow(load_job("orders"), "r").load()
    assert waiting() == [(3, "date_columns")]
    assert bring().rows_quarantined == 1
    assert waiting() == [(3, "date_columns")]


def test_of_two_replays_at_once_one_lands(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n")
    job(project, {"date_columns": ["day"]})
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"})

    class Slow(Replay):
        def _changed(self, job: Any, batches: Any) -> Any:
            bring()
            return super()._changed(job, batches)

    with pytest.raises(Superseded):
        Slow(load_job("orders"), "r").load()
    assert [row[0] for row in rows(project, "id")] == [1, 2]
    assert waiting() == []


def test_a_first_load_of_which_all_was_rejected_can_be_replayed(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,soon\n2,later\n")
    job(project, {"date_columns": ["day"]})
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"})
    assert bring().rows_loaded == 2
    assert [row[0] for row in rows(project, "id")] == [1, 2]
    assert load().rows_read == 0


def test_nothing_is_replayed_where_nothing_was_rejected(project: Project) -> None:
    job(project)
    project.file("data/a.csv", "id\n1\n")
    assert bring().sentence() == "orders: nothing to replay"
    load()
    assert bring().sentence() == "orders: nothing to replay"


def test_the_payload_is_as_read_however_often_a_row_fails(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n")
    job(project, {"date_columns": ["day"], "column_mapping": {"id": "key"}})
    load()
    for _ in range(2):
        bring()
    (batch,) = load_job("orders").resolved().loader.quarantined("orders")
    (row,) = batch.to_pylist()
    assert json.loads(row["payload"]) == {"id": 2, "day": "soon"}
    assert pa.ipc.read_schema(pa.py_buffer(row["payload_schema"])).names == ["id", "day"]


def test_a_row_from_before_its_column_was_masked_is_masked_when_it_fails_again(project: Project) -> None:
    path = project.file("data/a.csv", "id,name,day\n1,ann,2024-01-02\n2,robert,soon\n3,roberta,3.1.2024\n")
    job(project, {"date_columns": ["day"]})
    load()
    path.unlink()
    project.file("data/b.csv", "id,name,day\n")
    job(project, {"mask": {"name": "partial"}, "date_columns": {"day": ["%Y-%m-%d", "%d.%m.%Y"]}})
    assert bring().rows_loaded == 1
    assert rows(project, "id", "name") == [(1, "ann"), (3, "***erta")]
    (batch,) = load_job("orders").resolved().loader.quarantined("orders")
    (row,) = batch.to_pylist()
    assert json.loads(row["payload"])["name"] == "**bert"
    assert row["payload_schema"] is None


class SpoilingLoader(IcebergLoader):
    """Has payloads that cannot be read back."""

    type: Literal["spoiling"] = "spoiling"  # type: ignore[assignment]  # a loader of its own

    def quarantined(self, job: str) -> Iterator[pa.RecordBatch]:
        """The rows, all with a payload that was cut off."""
        for batch in super().quarantined(job):
            place = batch.schema.get_field_index("payload")
            texts = pa.array(['{"id": "robert-7f3a'] * batch.num_rows)
            yield batch.set_column(place, batch.schema.field(place), texts)


@pytest.fixture
def spoiling() -> Iterator[None]:
    LoaderFactory.register("spoiling", SpoilingLoader)
    yield
    LoaderFactory.unregister("spoiling")


@pytest.mark.usefixtures("spoiling")
def test_a_row_whose_payload_cannot_be_read_back_is_read_again_or_stays_without_a_word_of_it(project: Project) -> None:
    path = project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n3,late\n")
    job(project, {"date_columns": ["day"]}, type="spoiling")
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"}, type="spoiling")
    old = path.stat().st_mtime_ns
    text = path.read_text()
    path.write_text(text + "4,x\n")
    report = bring()
    assert report.left == {"its payload cannot be read back": 2}
    assert "7f3a" not in str(report)
    path.write_text(text)
    os.utime(path, ns=(old, old))
    report = bring()
    assert (report.rows_loaded, report.left) == (2, {})
    assert report.restarts == ["its payload cannot be read back"]
    assert rows(project, "id") == [(1,), (2,), (3,)]
    assert waiting() == []


def test_rows_of_several_loads_and_types_are_brought_together(project: Project) -> None:
    project.file("data/a.csv", "id,day,note\n1,2024-01-02,x\n2,soon,7\n")
    job(project, {"date_columns": ["day"]}, source={"schema_hints": {"note": "string"}})
    load()
    project.file("data/b.csv", "id,day,more\n3,2024-01-02,1.5\n4,late,2.5\n")
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"})
    assert bring().rows_loaded == 2
    assert rows(project, "id", "note", "more") == [(1, "x", None), (2, "7", None), (3, None, 1.5), (4, None, 2.5)]


def test_a_payload_value_that_does_not_fit_the_tables_type_of_today_is_rejected(
    project: Project, lists: type[ListsConnector]
) -> None:
    lists.given = {"id": [1, 2, 3], "n": ["x", "5", "6"], "tags": [["A"], ["B"], ["c"]]}
    divided(project, {"validation": [LOWER], "column_mapping": {"n": "m"}})
    load()
    divided(project, {"types": {"n": "long"}})
    report = bring()
    assert (report.rows_loaded, report.rows_quarantined) == (1, 1)
    assert rows(project, "id", "n", "m") == [(2, 5, None), (3, None, "6")]
    assert waiting() == [(1, "types")]


def test_a_masked_job_whose_file_was_written_since_keeps_its_rows(project: Project) -> None:
    path = project.file("data/a.csv", "id,name,day\n1,ann,2024-01-02\n2,robert,soon\n")
    job(project, {"mask": {"name": "partial"}, "date_columns": ["day"]})
    load()
    path.touch()
    load()
    assert bring().left == {"its source was written since": 1}
    assert waiting() == [(3, "date_columns")]


def test_a_replay_that_is_taken_back_leaves_the_quarantine_as_it_was(project: Project) -> None:
    project.file("data/a.csv", "id,day\n1,2024-01-02\n2,soon\n")
    job(project, {"date_columns": ["day"]})
    load()
    job(project, {"date_columns": ["day"], "on_conversion_error": "null"})
    run_id = bring().run_id
    assert waiting() == []
    found = load_job("orders").resolved()
    assert [item.run_id for item in found.loader.rollback("orders", run_id).undone] == [run_id]
    assert waiting() == [(3, "date_columns")]
    assert rows(project, "id") == [(1,)]
    assert load().rows_read == 0
    assert bring().rows_loaded == 1
