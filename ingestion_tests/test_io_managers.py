"""Assets of a user's own code location keep their rows in our tables, whole or partition by partition."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import dagster as dg
import duckdb
import polars as pl
import pyarrow as pa
import pytest

from ingestion.config import parse_job
from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.quarantine import Quarantine
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.io_managers import DeltaIOManager, IcebergIOManager, PostgresIOManager
from ingestion.orchestration.partitions import parts_of
from ingestion.orchestration.table_io import Landing, loader_of
from ingestion.pipeline import run
from ingestion.plugins import REJECTED, Load, Part, State

ROWS = {"id": [1, 2, 3], "name": ["Ada", "Bo", None]}
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-05")


@pytest.fixture
def manager(project):
    """What does not depend on the loader is asked of one."""
    return IcebergIOManager()


@pytest.fixture(params=[IcebergIOManager, DeltaIOManager, PostgresIOManager])
def each(project, request, monkeypatch):
    """Each IO manager in turn."""
    if request.param is not PostgresIOManager:
        return request.param()
    server = request.getfixturevalue("postgres_server")
    monkeypatch.setenv("PG_PASSWORD", server.password)
    database = server.fresh_database().rpartition("/")[2]
    address = {"host": server.host, "port": server.port, "username": server.user, "password": "${PG_PASSWORD}"}
    return PostgresIOManager(loader={**address, "dbname": database})


def asset_of(value: Any, **options: Any) -> dg.AssetsDefinition:
    def rows(context):
        return value(context) if callable(value) else value

    return dg.asset(**{"name": "rows", "key_prefix": "shop", **options})(rows)


def put(manager: Any, asset: dg.AssetsDefinition, *, ok: bool = True, **options: Any) -> dg.ExecuteInProcessResult:
    result = dg.materialize([asset], resources={"io_manager": manager}, raise_on_error=False, **options)
    assert result.success == ok
    return result


def get(manager: Any, asset: dg.AssetsDefinition, kind: Any = pa.Table, metadata: Any = None, **options: Any) -> Any:
    """What a downstream asset that asks for *kind* is given."""
    seen = []

    def reader(rows):
        seen.append(rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows)

    reader.__annotations__["rows"] = kind
    ins = {"rows": dg.AssetIn(key=["shop", "rows"], metadata=metadata or {})}
    downstream = dg.asset(ins=ins, partitions_def=options.pop("partitions_def", None))(reader)
    dg.materialize([asset, downstream], selection=[downstream], resources={"io_manager": manager}, **options)
    return seen[0]


def ids(table: pa.Table) -> list[int]:
    return sorted(table["id"].to_pylist())


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else str(data.error)


@pytest.mark.parametrize(
    "value",
    [
        pa.table(ROWS),
        pa.RecordBatch.from_pydict(ROWS),
        pl.DataFrame(ROWS),
        pl.LazyFrame(ROWS),
        lambda _: pa.table(ROWS).to_reader(),
        lambda _: iter(pa.table(ROWS).to_batches(max_chunksize=2)),
        lambda _: duckdb.from_arrow(pa.table(ROWS)),
    ],
    ids=["table", "batch", "frame", "lazy frame", "reader", "iterator", "relation"],
)
def test_whatever_holds_rows_can_be_returned(manager, value):
    asset = asset_of(value)
    put(manager, asset)
    assert get(manager, asset).to_pydict() == ROWS


@pytest.mark.parametrize("kind", [pa.Table, pa.RecordBatchReader, pl.LazyFrame, pl.DataFrame, Any])
def test_a_downstream_asset_is_given_what_its_annotation_asks_for(manager, kind):
    asset = asset_of(pa.table(ROWS))
    put(manager, asset)
    given = get(manager, asset, kind)
    wanted = {pa.RecordBatchReader: pa.Table, Any: pl.LazyFrame}.get(kind, kind)
    assert isinstance(given, wanted)
    given = given.collect() if isinstance(given, pl.LazyFrame) else given
    assert (given.to_arrow() if isinstance(given, pl.DataFrame) else given)["id"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(("kind", "given"), [(pa.Table | None, pa.Table), (Optional[pl.DataFrame], pl.DataFrame)])  # noqa: UP045 - both ways to say it
def test_an_annotation_that_allows_for_none_asks_for_the_same(manager, kind, given):
    asset = asset_of(pa.table(ROWS))
    put(manager, asset)
    assert isinstance(get(manager, asset, kind), given)


def test_a_form_of_the_same_name_from_elsewhere_is_refused_with_those_there_are(manager):
    asset = asset_of(pa.table(ROWS))
    put(manager, asset)
    theirs = type("DataFrame", (), {"__module__": "pandas.core.frame"})
    with pytest.raises(dg.Failure, match=r"annotated with pandas\.DataFrame, .* one of polars\.LazyFrame, polars"):
        get(manager, asset, theirs)


def test_types_come_back_as_the_table_has_them_and_in_the_order_asked_for(each):
    table = pa.table({"id": pa.array([1], pa.int32()), "t": pa.array(["2024-01-01"]).cast(pa.timestamp("us"))})
    asset = asset_of(table)
    put(each, asset)
    assert get(each, asset, metadata={"columns": ["t", "id"]}).equals(table.select(["t", "id"]))


def test_a_column_that_the_table_lacks_is_named(manager):
    asset = asset_of(pa.table(ROWS))
    put(manager, asset)
    with pytest.raises(dg.Failure, match="no column 'nmae'; it has id, name"):
        get(manager, asset, metadata={"columns": ["nmae"]})


def test_an_asset_stands_for_its_whole_table(manager):
    put(manager, asset_of(pa.table(ROWS)))
    asset = asset_of(pa.table({"id": [7], "name": ["Cy"]}))
    put(manager, asset)
    assert ids(get(manager, asset)) == [7]


def test_the_assets_own_metadata_says_that_it_appends(each):
    asset = asset_of(pa.table(ROWS), metadata={"loader": {"write_mode": "append"}})
    put(each, asset)
    put(each, asset)
    assert ids(get(each, asset)) == [1, 1, 2, 2, 3, 3]


def test_a_materialization_says_what_a_jobs_says(each):
    result = put(each, asset_of(pa.table(ROWS)))
    (event,) = result.asset_materializations_for_node("shop__rows")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert shown["rows_loaded"] == 3
    assert shown.get("dagster/row_count", 3) == 3  # PostgreSQL would have to count
    assert shown["dagster/table_name"].endswith("shop.rows")
    assert [column.name for column in shown["dagster/column_schema"].columns] == ["id", "name"]
    assert shown["snapshot_id"]
    assert "| 1 | Ada |" in shown["preview"]


def test_an_empty_output_makes_no_empty_table_of_a_full_one(manager):
    put(manager, asset_of(pa.table(ROWS)))
    asset = asset_of(pa.table(ROWS).slice(3))
    assert "allow_empty" in failure(put(manager, asset, ok=False))
    assert ids(get(manager, asset)) == [1, 2, 3]


@pytest.mark.parametrize("value", [42, pl.Series([1]), pa.chunked_array([[1]])], ids=["number", "series", "column"])
def test_something_without_rows_is_refused_with_what_may_be_returned(manager, value):
    assert "should return a pyarrow Table" in failure(put(manager, asset_of(value), ok=False))


def test_a_wrong_option_is_named_where_the_io_manager_is_made(project):
    with pytest.raises(ConfigError, match=r"loader\.write_mod: unknown key 'write_mod'; did you mean 'write_mode'"):
        IcebergIOManager(loader={"write_mod": "append"})


def test_a_wrong_option_in_the_metadata_is_named_together_with_its_asset(manager):
    asset = asset_of(pa.table(ROWS), metadata={"loader": {"write_mode": "merge"}})
    assert "asset shop/rows: loader.write_mode merge needs merge_keys" in failure(put(manager, asset, ok=False))


def test_options_may_hold_placeholders(project, monkeypatch):
    monkeypatch.setenv("WHERE", "elsewhere")
    manager = IcebergIOManager(loader={"database": "${WHERE}"})
    result = put(manager, asset_of(pa.table(ROWS)))
    assert result.success
    assert project.table("elsewhere.rows").num_rows == 3


def day_rows(context: Any, salt: int = 0) -> pa.Table:
    """Two rows for each partition of the run."""
    days = [date.fromisoformat(key) for key in context.partition_keys]
    return pa.table(
        {"id": [day.day * 10 + n + salt for day in days for n in (0, 1)], "day": [d for d in days for _ in (0, 1)]}
    )


def daily(value: Any = day_rows, **metadata: Any) -> dg.AssetsDefinition:
    return asset_of(value, partitions_def=DAYS, metadata={"partition_expr": "day", **metadata})


def test_a_partition_replaces_its_own_rows_and_no_others(each):
    for key in ("2024-01-01", "2024-01-02", "2024-01-03"):
        put(each, daily(), partition_key=key)
    again = daily(lambda context: day_rows(context, salt=5))
    put(each, again, partition_key="2024-01-02")
    put(each, again, partition_key="2024-01-02")
    assert ids(get(each, again)) == [10, 11, 25, 26, 30, 31]


def test_a_partition_without_rows_empties_its_part_of_the_table(each):
    for key in ("2024-01-01", "2024-01-02"):
        put(each, daily(), partition_key=key)
    put(each, daily(lambda context: day_rows(context).slice(2)), partition_key="2024-01-01")
    assert ids(get(each, daily())) == [20, 21]


def test_a_range_of_partitions_is_written_in_one_run(manager):
    put(manager, daily(lambda context: day_rows(context, salt=7)), partition_key="2024-01-03")
    tags = {"dagster/asset_partition_range_start": "2024-01-02", "dagster/asset_partition_range_end": "2024-01-04"}
    put(manager, daily(), tags=tags)
    assert ids(get(manager, daily())) == [20, 21, 30, 31, 40, 41]


def test_a_row_of_another_partition_is_refused_and_nothing_lands(manager):
    put(manager, daily(), partition_key="2024-01-01")
    stray = daily(lambda _: pa.table({"id": [1], "day": [date(2024, 1, 4)]}))
    told = failure(put(manager, stray, partition_key="2024-01-01", ok=False))
    assert "'day' has 2024-01-04, which is not in the partition" in told
    assert "(2024-01-01 up to, but not with, 2024-01-02)" in told
    assert ids(get(manager, daily())) == [10, 11]


def test_only_the_partition_asked_for_is_read(each):
    for key in ("2024-01-01", "2024-01-02"):
        put(each, daily(), partition_key=key)
    options = {"partitions_def": DAYS, "partition_key": "2024-01-02"}
    assert ids(get(each, daily(), **options)) == [20, 21]
    assert get(each, daily(), pl.DataFrame, {"columns": ["id"]}, **options).to_dict(as_series=False) == {"id": [20, 21]}


def test_partitions_need_a_column_that_tells_them_apart(manager):
    asset = asset_of(day_rows, partitions_def=DAYS)
    assert "set metadata={'partition_expr'" in failure(put(manager, asset, partition_key="2024-01-01", ok=False))


def test_a_partitioned_asset_that_merges_needs_no_column(each):
    asset = asset_of(day_rows, partitions_def=DAYS, metadata={"loader": {"write_mode": "merge", "merge_keys": ["id"]}})
    for key in ("2024-01-01", "2024-01-01", "2024-01-02"):
        put(each, asset, partition_key=key)
    assert ids(get(each, asset)) == [10, 11, 20, 21]


def test_a_time_without_zone_is_the_wall_clock_of_the_partition(each):
    definition = dg.HourlyPartitionsDefinition("2024-06-01-00:00", timezone="Europe/Stockholm")
    naive = pa.array(["2024-06-01 05:30"]).cast(pa.timestamp("us"))
    aware = pa.array([datetime(2024, 6, 1, 3, 30, tzinfo=timezone.utc)], pa.timestamp("us", "UTC"))
    rows = pa.table({"id": [1], "naive": naive, "aware": aware})
    for column in ("naive", "aware"):
        asset = asset_of(rows, partitions_def=definition, metadata={"partition_expr": column})
        put(each, asset, partition_key="2024-06-01-05:00")
        put(each, asset, partition_key="2024-06-01-05:00")
    assert ids(get(each, asset, partitions_def=definition, partition_key="2024-06-01-05:00")) == [1]


@pytest.mark.parametrize("values", [["eu", "us"], ["1", "2"]])
def test_static_partitions_compare_with_the_columns_own_type(each, values):
    definition = dg.StaticPartitionsDefinition(values)
    kind = pa.int64() if values[0].isdigit() else pa.string()

    def rows(context):
        return pa.table(
            {"id": [values.index(context.partition_key)], "region": pa.array([context.partition_key]).cast(kind)}
        )

    asset = asset_of(rows, partitions_def=definition, metadata={"partition_expr": "region"})
    for key in (*values, values[0]):
        put(each, asset, partition_key=key)
    assert ids(get(each, asset)) == [0, 1]


def test_partitions_of_two_dimensions_are_told_apart_by_a_column_each(each):
    definition = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["eu", "us"])})

    def rows(context):
        key = context.partition_key.keys_by_dimension
        day = date.fromisoformat(key["day"])
        return pa.table({"id": [day.day * 10 + (key["region"] == "us")], "d": [day], "r": [key["region"]]})

    asset = asset_of(rows, partitions_def=definition, metadata={"partition_expr": {"day": "d", "region": "r"}})
    for day, region in [("2024-01-01", "eu"), ("2024-01-01", "us"), ("2024-01-02", "us"), ("2024-01-01", "eu")]:
        put(each, asset, partition_key=dg.MultiPartitionKey({"day": day, "region": region}))
    assert ids(get(each, asset)) == [10, 11, 21]


def documented() -> dict[str, str]:
    page = (Path(__file__).parent.parent / "docs" / "io_managers.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```python\n# shop/(\w+)\.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def run_documented(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(compile(documented()[name], f"docs/io_managers.md: {name}", "exec"), names)
    return names


def test_the_documented_code_location_runs(project):
    defs = run_documented("definitions")["defs"]
    assert defs.resolve_implicit_global_asset_job_def().execute_in_process().success
    assert sorted(project.table("shop.revenue").to_pydict()["price"]) == [15.0, 20.0]


def test_the_documented_merge_is_read_by_the_documented_reader(project, capsys):
    customers, names = run_documented("customers")["customers"], run_documented("names")["names"]
    for _ in range(2):
        assert dg.materialize([customers, names], resources={"io_manager": IcebergIOManager()}).success
    assert "['Ada', 'Bo']" in capsys.readouterr().out
    assert project.table("shop.people").num_rows == 2


def test_the_documented_partitions_are_replaced_and_read_one_by_one(project, capsys):
    found = run_documented("daily")
    for key in ("2024-01-05", "2024-01-06", "2024-01-05"):
        resources = {"io_manager": IcebergIOManager()}
        assert dg.materialize([found["visits"], found["busy"]], partition_key=key, resources=resources).success
    assert capsys.readouterr().out.count("2024-01-05") == 2
    assert project.table("shop.visits").num_rows == 2


def test_the_documented_io_managers_can_be_made(project):
    assert {"lake", "delta", "postgres"} <= set(run_documented("managers"))


def test_runs_of_different_partitions_at_once_all_land(each):
    """A backfill starts a run for each partition, and they write one table."""
    put(each, daily(), partition_key="2024-01-01")
    loader = loader_of(each.loader_type, each.loader, dg.AssetKey(["shop", "rows"]), {})
    days = [date(2024, 1, day) for day in (1, 2, 3, 4)]

    def land(day: date) -> None:
        part = Part("day", (day.isoformat(),), ((midnight(day), midnight(day + timedelta(days=1))),))
        rows = pa.RecordBatch.from_pydict({"id": [day.day], "day": [day]})
        Landing(loader, "shop/rows", f"run-{day}", [part]).land(iter([rows]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(land, days))
    assert ids(get(each, daily())) == [1, 2, 3, 4]


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def test_partitions_shorter_than_a_day_need_more_than_a_date(manager):
    hours = dg.HourlyPartitionsDefinition("2024-06-01-00:00")
    rows = pa.table({"id": [1], "day": [date(2024, 6, 1)]})
    asset = asset_of(rows, partitions_def=hours, metadata={"partition_expr": "day"})
    told = failure(put(manager, asset, partition_key="2024-06-01-05:00", ok=False))
    assert "column 'day' holds dates, and the partitions change at 05:00" in told


def test_a_partition_that_the_column_cannot_hold_is_refused(manager):
    regions = dg.StaticPartitionsDefinition(["eu"])
    asset = asset_of(pa.table(ROWS), partitions_def=regions, metadata={"partition_expr": "id"})
    told = failure(put(manager, asset, partition_key="eu", ok=False))
    assert "column 'id' is of type int64, which cannot hold the partition 'eu'" in told


def test_a_misspelt_partition_column_is_named_with_those_there_are(manager):
    asset = asset_of(day_rows, partitions_def=DAYS, metadata={"partition_expr": "dya"})
    told = failure(put(manager, asset, partition_key="2024-01-01", ok=False))
    assert "partition_expr names the column 'dya', which is not among id, day" in told


def test_partitions_of_two_dimensions_that_are_no_grid_are_refused():
    definition = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["eu", "us"])})
    keys = ["2024-01-01|eu", "2024-01-02|us"]
    context = SimpleNamespace(has_asset_partitions=True, asset_partitions_def=definition, asset_partition_keys=keys)
    with pytest.raises(ConfigError, match="no grid"):
        parts_of(context, {"day": "d", "region": "r"})
    context.asset_partition_keys = ["2024-01-01|eu", "2024-01-02|eu", "2024-01-04|eu"]
    days, regions = parts_of(context, {"day": "d", "region": "r"})
    assert [(low.day, high.day) for low, high in days.spans] == [(1, 3), (4, 5)]
    assert regions.values == ("eu",)


def test_secrets_stay_out_of_what_a_failed_run_says(project, monkeypatch):
    monkeypatch.setenv("LAKE_TOKEN", "hush-hush-hush")
    catalog = {"type": "rest", "uri": "http://127.0.0.1:9/${LAKE_TOKEN}"}
    manager = IcebergIOManager(loader={"catalog": catalog})
    result = put(manager, asset_of(pa.table(ROWS)), ok=False)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "127.0.0.1:9" in str(event)
    assert "hush-hush-hush" not in str(event)


def test_rows_without_a_key_are_quarantined_and_stay_there(each):
    keyed = {"loader": {"write_mode": "merge", "merge_keys": ["id"]}}
    bad = asset_of(pa.table({"id": [1, None], "name": ["Ada", "nobody"]}), metadata=keyed)
    result = put(each, bad)
    put(each, asset_of(pa.table({"id": [2], "name": ["Bo"]}), metadata=keyed))
    put(each, bad)
    (event,) = result.asset_materializations_for_node("shop__rows")
    assert event.metadata["rows_quarantined"].value == 1
    assert ids(get(each, bad)) == [1, 2]
    options = {**each.loader, "table": "rows__quarantine"}
    quarantine = loader_of(each.loader_type, options, dg.AssetKey(["shop", "rows__quarantine"]), {})
    assert quarantine.scan().collect()["rule"].to_list() == ["merge_keys", "merge_keys"]


def test_an_append_that_stands_alone_lands_beside_a_job_and_leaves_its_position(project):
    project.file("data/a.csv", "id,name\n1,Ada\n")
    source = {"type": "csv", "source_path": "data"}
    job = parse_job("people", {"source": source, "loader": {"database": "shop", "table": "rows"}})
    assert run(job, "first").rows_loaded == 1
    asset = asset_of(pa.table({"id": [2], "name": ["Bo"]}), metadata={"loader": {"write_mode": "append"}})
    put(IcebergIOManager(), asset)
    assert run(job, "second").rows_read == 0
    assert ids(project.table("shop.rows")) == [1, 2]


def files_of(project: Any) -> dict[str, int]:
    table = project.iceberg("shop.rows")
    return {task.file.file_path: task.file.record_count for task in table.scan().plan_files()}


def test_whole_files_are_exchanged_where_the_table_has_the_partitions_of_the_asset(project, manager):
    asset = daily(loader={"partition_by": ["day"]})
    for key in ("2024-01-01", "2024-01-02"):
        put(manager, asset, partition_key=key)
    before = files_of(project)
    put(manager, asset, partition_key="2024-01-02")
    after = files_of(project)
    assert len(before) == len(after) == 2
    assert len(before.keys() & after.keys()) == 1
    assert project.iceberg("shop.rows").current_snapshot().summary["deleted-data-files"] == "1"


def test_only_files_with_rows_of_the_partition_are_written_anew(project, manager):
    tags = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-02"}
    put(manager, daily(), tags=tags)
    put(manager, daily(), partition_key="2024-01-04")
    before = files_of(project)
    put(manager, daily(lambda context: day_rows(context, salt=5)), partition_key="2024-01-02")
    after = files_of(project)
    assert sorted(before.values()) == [2, 4]
    assert sorted(after.values()) == [2, 2, 2]
    assert len(before.keys() & after.keys()) == 1
    assert ids(get(manager, daily())) == [10, 11, 25, 26, 40, 41]


def test_rows_that_a_merge_has_marked_as_deleted_stay_gone(project, manager):
    keyed = {"write_mode": "merge", "merge_keys": ["id"], "merge_strategy": "merge_on_read"}
    rows = pa.table({"id": list(range(100)), "day": [date(2024, 1, 1)] * 50 + [date(2024, 1, 2)] * 50})
    put(manager, asset_of(rows, metadata={"loader": keyed}))
    moved = pa.table({"id": [0, 99], "day": [date(2024, 1, 3)] * 2})
    put(manager, asset_of(moved, metadata={"loader": keyed}))
    assert sum(int(task.file.record_count) for task in project.iceberg("shop.rows").scan().plan_files()) == 102
    put(manager, daily(), partition_key="2024-01-02")
    assert ids(get(manager, daily())) == sorted([*range(50), 20, 21, 99])
    assert project.iceberg("shop.rows").current_snapshot().summary["total-position-deletes"] == "0"


@pytest.mark.parametrize("kind", ["delta_lake", "postgresql"])
def test_the_table_of_a_job_is_read_whatever_its_loader(project, request, monkeypatch, kind):
    loader = {"type": kind, "database": "shop"}
    if kind == "postgresql":
        server = request.getfixturevalue("postgres_server")
        monkeypatch.setenv("PG_PASSWORD", server.password)
        address = {"host": server.host, "port": server.port, "username": server.user, "password": "${PG_PASSWORD}"}
        loader |= {**address, "dbname": server.fresh_database().rpartition("/")[2]}
    project.file("data/a.csv", "id,name\n1,Ada\n2,Bo\n")
    project.job("people", {"source": {"type": "csv", "source_path": "data"}, "loader": loader})

    @dg.asset
    def count(people: pa.Table) -> int:
        return people.num_rows

    definitions = dg.Definitions.merge(build_definitions(), dg.Definitions([count]))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process()
    assert result.output_for_node("count") == 2


def landing_of(manager: Any, run_id: str = "run", **options: Any) -> tuple[Any, Landing]:
    options = {**manager.loader, "write_mode": "append", **options}
    loader = loader_of(manager.loader_type, options, dg.AssetKey(["shop", "rows"]), {})
    return loader, Landing(loader, "shop/rows", run_id, ())


def record_batches() -> Any:
    return iter(pa.table(ROWS).to_batches())


def test_a_step_that_is_tried_again_after_it_landed_appends_nothing(each):
    loader, landing = landing_of(each)
    first, _ = landing.land(record_batches())
    again, _ = landing.land(record_batches())
    assert ids(get(each, asset_of(None))) == [1, 2, 3]
    assert (again.snapshot, again.rows_loaded, again.bytes_written) == (first.snapshot, 3, 0)
    assert again.notes == ["an earlier try of this load had landed, so that nothing was loaded again"]
    assert len(loader.history("shop/rows")) == 1
    landing_of(each, "another run")[1].land(record_batches())
    assert ids(get(each, asset_of(None))) == [1, 1, 2, 2, 3, 3]


def test_tries_of_one_step_at_once_append_once(each):
    _, landing = landing_of(each)
    with ThreadPoolExecutor(4) as pool:
        reports = [report for report, _ in pool.map(lambda _: landing.land(record_batches()), range(4))]
    assert ids(get(each, asset_of(None))) == [1, 2, 3]
    assert len({report.snapshot for report in reports}) == 1


def test_rows_that_two_tries_reject_are_quarantined_once(each):
    options = {"schema_contract": {"data_type": "quarantine"}}
    landing_of(each, "before")[1].land(record_batches())
    _, landing = landing_of(each, **options)
    bad = pa.table({"id": ["4", "none"], "name": ["Di", "Ed"]})
    for _ in range(2):
        landing.land(iter(bad.to_batches()))
    rejected = {**each.loader, "table": "rows__quarantine"}
    quarantine = loader_of(each.loader_type, rejected, dg.AssetKey(["shop", "rows__quarantine"]), {})
    assert quarantine.scan().collect().height == 2


def test_what_a_load_on_its_way_has_rejected_is_left_where_another_lands(project):
    """No cursor tells that it cannot land any more."""
    _, landing = landing_of(IcebergIOManager(), schema_contract={"data_type": "quarantine"})
    landing_of(IcebergIOManager(), "before")[1].land(record_batches())
    row = {"stage": "load", "rule": "data_type", "reason": "no number", "source": "s", "payload": "{}"}
    on_its_way = Load("shop/rows", "other", "other-load", State(), alone=True)
    quarantine = Quarantine(project.iceberg("shop.rows").catalog, ("shop", "rows"), on_its_way)
    quarantine.write(pa.RecordBatch.from_pylist([row], schema=REJECTED))
    quarantine.land()
    landing.land(iter(pa.table({"id": ["none"], "name": ["Ed"]}).to_batches()))
    assert project.table("shop.rows__quarantine").num_rows == 2


def test_a_try_finds_nothing_in_rows_that_were_taken_back(project):
    manager = IcebergIOManager()
    landing_of(manager, "before")[1].land(record_batches())
    table = project.iceberg("shop.rows")
    before = table.current_snapshot().snapshot_id
    _, landing = landing_of(manager)
    landing.land(record_batches())
    project.iceberg("shop.rows").manage_snapshots().set_current_snapshot(before).commit()
    landing.land(record_batches())
    assert ids(project.table("shop.rows")) == [1, 1, 2, 2, 3, 3]


def test_a_run_that_carries_on_a_failed_one_appends_what_that_left_out_alone(each):
    """The step landed, but its run never learned of it; the rows of a run that succeeded are appended again."""
    appended = asset_of(pa.table(ROWS), metadata={"loader": {"write_mode": "append"}})

    @dg.asset(deps=[appended], key_prefix="shop")
    def failing() -> None:
        raise ValueError

    with dg.DagsterInstance.ephemeral() as instance:
        failed = put_again(each, [appended, failing], instance, None, ok=False)
        put_again(each, [appended], instance, failed.run_id)
        carried = put_again(each, [appended], instance, failed.run_id)
        assert ids(get(each, appended)) == [1, 2, 3]
        put_again(each, [appended], instance, carried.run_id)
    assert ids(get(each, appended)) == [1, 1, 2, 2, 3, 3]


def put_again(
    manager: Any, assets: list[Any], instance: dg.DagsterInstance, parent: str | None, *, ok: bool = True
) -> dg.ExecuteInProcessResult:
    tags = {"dagster/parent_run_id": parent, "dagster/root_run_id": parent} if parent else {}
    defs = dg.Definitions(assets, resources={"io_manager": manager})
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    assert result.success == ok
    return result
