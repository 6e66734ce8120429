"""Job files as Dagster assets: definitions, runs and what they say of themselves."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from ingestion.config import load_all
from ingestion.connectors import ConnectorFactory
from ingestion.errors import TransientError
from ingestion.orchestration.build import build_definitions, definitions_of
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.io_managers import IcebergIOManager
from ingestion.orchestration.names import (
    INGEST_JOB,
    INVALID_GROUP,
    JOB_TAG,
    REPORT,
    UPKEEP_JOB,
    UPKEEP_SCHEDULE,
    run_config,
    source_key,
)
from ingestion.plugins import Batch, Connector, Origin
from ingestion_tests.conftest import Project

ORDERS = {"source": {"type": "csv", "source_path": "data"}, "loader": {"type": "iceberg", "database": "shop"}}


@pytest.fixture
def orders(project: Project) -> Project:
    project.file("data/a.csv", "id,name\n1,Ada\n2,a|b\n3,Bo\n")
    project.job("orders", ORDERS)
    return project


def materialize(job_id: str = "orders", **arguments: Any) -> dg.ExecuteInProcessResult:
    """Run one asset of the project, as Dagster's own worker would."""
    job = build_definitions().resolve_job_def(INGEST_JOB)
    arguments = {"raise_on_error": False, "run_config": {}, **arguments}
    return job.execute_in_process(asset_selection=[dg.AssetKey(job_id)], **arguments)


def metadata_of(result: dg.ExecuteInProcessResult, job_id: str = "orders") -> dict[str, Any]:
    (materialization,) = result.asset_materializations_for_node(job_id)
    return {name: value.value for name, value in materialization.metadata.items()}


def failure_of(result: dg.ExecuteInProcessResult, job_id: str = "orders") -> Any:
    return result.failure_data_for_node(job_id).user_failure_data


def test_materializing_an_asset_loads_its_rows_and_says_what_it_did(orders):
    result = materialize()

    assert result.success
    assert sorted(orders.table("shop.orders")["name"].to_pylist()) == ["Ada", "Bo", "a|b"]
    shown = metadata_of(result)
    assert shown["dagster/row_count"] == shown["rows_read"] == shown["rows_loaded"] == 3
    assert shown["rows_quarantined"] == shown["rows_filtered"] == 0
    assert shown["files"] == 1
    assert shown["bytes_read"] == len("id,name\n1,Ada\n2,a|b\n3,Bo\n")
    assert shown["bytes_written"] > 0
    assert shown["duration_seconds"] > 0
    assert shown["rows_per_second"] > 0
    assert shown["dagster/table_name"].endswith("shop.orders")
    assert shown["dagster/uri"].endswith("shop/orders") or "orders" in shown["dagster/uri"]
    assert shown["snapshot_id"] == str(orders.iceberg("shop.orders").current_snapshot().snapshot_id)
    assert [column.name for column in shown["dagster/column_schema"].columns][:2] == ["id", "name"]
    assert shown["source_files"] == [str(orders.path / "data" / "a.csv")]
    assert set(shown["stages"]) == {"read", "transform", "write", "commit"}
    assert {f"stage_{stage}_seconds" for stage in shown["stages"]} <= shown.keys()
    assert sum(shown["stages"].values()) == pytest.approx(shown["duration_seconds"], abs=0.5)
    assert not {"quarantined_by_reason", "filtered_by_reason"} & shown.keys()
    assert "| 2 | a\\|b |" in shown["preview"]
    assert shown[REPORT]["load_id"] == shown["load_id"]
    assert shown[REPORT]["status"] == "success"


def test_reasons_are_a_table(orders):
    orders.file("data/a.csv", "id,name\n1,Ada\n2,a,b\n3,a,b\n")
    orders.file("data/b.csv", "id,name\n,\n4,Bo\n")
    shown = metadata_of(materialize())
    [bad] = [record.data for record in shown["quarantined_by_reason"].records]
    assert (bad["reason"], bad["rows"]) == ("ragged", 2)
    assert f"{orders.path / 'data' / 'a.csv'}:3: " in bad["example"]
    assert [record.data["rows"] for record in shown["filtered_by_reason"].records] == [shown["rows_filtered"]]
    assert shown[REPORT]["rejected"] == {"ragged": 2}


def test_the_row_count_is_that_of_the_table_whatever_one_run_loaded(orders):
    materialize()
    assert metadata_of(materialize())["dagster/row_count"] == 3
    orders.file("data/b.csv", "id,name\n4,Cy\n")
    shown = metadata_of(materialize())
    assert (shown["rows_loaded"], shown["dagster/row_count"]) == (1, 4)


def test_the_run_id_of_dagster_is_the_run_id_of_the_rows(orders):
    result = materialize()
    assert set(orders.table("shop.orders")["_ingestion_run_id"].to_pylist()) == {result.run_id}


def test_a_second_run_finds_nothing_new_and_succeeds(orders):
    materialize()
    shown = metadata_of(materialize())
    assert shown["rows_read"] == 0
    assert orders.table("shop.orders").num_rows == 3


def test_a_moved_header_is_a_warning_in_the_log_and_in_the_metadata(orders):
    materialize()
    orders.file("data/b.csv", "id,title\n4,Cy\n")
    with dg.instance_for_test() as instance:
        result = materialize(instance=instance)
        log = [entry for entry in instance.all_logs(result.run_id) if entry.level == logging.WARNING]
    assert result.success
    shown = metadata_of(result)
    assert (shown["columns_added"], shown["columns_absent"]) == (["title"], ["name"])
    assert [entry.user_message.endswith(shown["warnings"][0]) for entry in log] == [True]
    assert shown[REPORT]["status"] == "partial"


def test_overrides_narrow_one_run_and_leave_the_file_alone(orders):
    orders.file("data/b.csv", "id,name\n4,Cy\n")
    before = (orders.jobs / "orders.yaml").read_bytes()
    result = materialize(run_config=run_config("orders", {"source": {"file_pattern": "b*.csv"}}))
    assert result.success
    assert orders.table("shop.orders")["name"].to_pylist() == ["Cy"]
    assert (orders.jobs / "orders.yaml").read_bytes() == before


def test_an_override_that_does_not_validate_fails_the_run_at_once_and_names_it(orders):
    result = materialize(run_config=run_config("orders", {"source": {"file_patern": "b*.csv"}}))
    assert not result.success
    failure = failure_of(result)
    assert "source.file_patern" in failure.description
    assert "file_pattern" in failure.description
    assert not events_of(result, dg.DagsterEventType.STEP_UP_FOR_RETRY)


def test_source_options_edited_in_the_launchpad_take_effect(orders):
    orders.file("elsewhere/c.csv", "id,name\n5,Di\n")
    edited = {"type": "csv", "source_path": "elsewhere"}
    config = {"resources": {source_key("orders"): {"config": {"options": edited}}}}
    assert materialize(run_config=config).success
    assert orders.table("shop.orders")["name"].to_pylist() == ["Di"]


def test_an_option_taken_out_in_the_launchpad_is_gone_for_that_run(orders):
    orders.job("orders", {**ORDERS, "source": {**ORDERS["source"], "file_pattern": "nothing*.csv"}})
    config = {"resources": {source_key("orders"): {"config": {"options": ORDERS["source"]}}}}
    assert materialize(run_config=config).success
    assert orders.table("shop.orders").num_rows == 3


def test_the_launchpad_shows_the_source_options_with_placeholders(orders, monkeypatch):
    monkeypatch.setenv("WHERE", "data")
    orders.job("orders", {**ORDERS, "source": {"type": "csv", "source_path": "${WHERE}"}})
    job = build_definitions().resolve_job_def(INGEST_JOB)
    shown = job.resource_defs[source_key("orders")].config_schema.default_value
    assert shown == {"options": {"type": "csv", "source_path": "${WHERE}"}}
    assert materialize().success
    assert orders.table("shop.orders").num_rows == 3


def test_an_unset_placeholder_fails_the_run_without_retries_and_names_the_variable(orders):
    orders.job("orders", {**ORDERS, "source": {"type": "csv", "source_path": "${NOT_SET_ANYWHERE}"}})
    result = materialize()
    failure = failure_of(result)
    assert "NOT_SET_ANYWHERE" in failure.description
    assert "source.source_path" in failure.description
    assert not events_of(result, dg.DagsterEventType.STEP_UP_FOR_RETRY)


def events_of(result: dg.ExecuteInProcessResult, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    return [event for event in result.all_events if event.event_type == kind]


@pytest.fixture
def flaky(orders) -> Iterator[list[Any]]:
    """A source type of its own whose first *n* reads fail, *n* being its `failures`; the cursors that it was given."""
    cursors: list[Any] = []

    class Flaky(Connector):
        type: Literal["flaky"] = "flaky"
        failures: int = 0

        def read(self, cursor, known):
            cursors.append(cursor)
            if len(cursors) <= self.failures:
                raise TransientError("the source is asleep; wait for it to wake up")
            yield Batch(pa.record_batch({"id": [1, 2]}), Origin("bed"), cursor={"n": len(cursors)})

    ConnectorFactory.register("flaky", Flaky)
    yield cursors
    ConnectorFactory.unregister("flaky")


def flaky_job(project: Project, failures: int, **retry: Any) -> None:
    retry = {"max_retries": 2, "delay_seconds": 0.1, "backoff": "constant", **retry}
    project.job("orders", {**ORDERS, "source": {"type": "flaky", "failures": failures}, "retry_policy": retry})


def test_a_passing_failure_is_retried_with_the_cursor_read_anew(orders, flaky):
    flaky_job(orders, failures=2)
    result = materialize()
    assert result.success
    assert len(events_of(result, dg.DagsterEventType.STEP_UP_FOR_RETRY)) == 2
    assert orders.table("shop.orders").num_rows == 2
    assert materialize().success
    assert flaky == [None, None, None, {"n": 3}]


def test_a_failure_that_does_not_pass_fails_the_run_with_its_own_words(orders, flaky):
    flaky_job(orders, failures=9)
    result = materialize()
    assert not result.success
    assert len(flaky) == 3
    assert failure_of(result).description == "the source is asleep; wait for it to wake up"
    assert failure_of(result).metadata["error_class"].value == "TransientError"


def test_no_retries_means_one_try_and_the_error_in_its_own_words(orders, flaky):
    flaky_job(orders, failures=9, max_retries=0)
    assert failure_of(materialize()).description == "the source is asleep; wait for it to wake up"
    assert len(flaky) == 1


def test_waits_grow_as_the_job_says(orders, flaky):
    flaky_job(orders, failures=9, delay_seconds=0.1, backoff="exponential")
    waits = [
        event.event_specific_data.seconds_to_wait
        for event in events_of(materialize(), dg.DagsterEventType.STEP_UP_FOR_RETRY)
    ]
    assert waits == pytest.approx([0.1, 0.2])


def test_bad_data_is_not_retried(orders):
    orders.job("orders", {**ORDERS, "max_bad_rows": 0, "source": {**ORDERS["source"], "schema_hints": {"name": "int"}}})
    result = materialize()
    assert not result.success
    assert not events_of(result, dg.DagsterEventType.STEP_UP_FOR_RETRY)
    failure = failure_of(result)
    assert "max_bad_rows" in failure.description
    assert failure.metadata["error_class"].value == "BudgetSpent"
    assert failure.metadata[REPORT].value["status"] == "failed"


def test_an_asset_tells_who_owns_it_what_it_is_and_how_it_is_configured(project):
    metadata = {"owner": "Data Team", "contact_email": "data@example.com", "tags": ["financial", "by day"]}
    path = project.job("orders", {**ORDERS, "description": "All orders", "metadata": metadata})
    definitions = build_definitions()
    (spec,) = [spec for spec in definitions.resolve_all_asset_specs() if spec.key == dg.AssetKey("orders")]
    assert spec.description == "All orders"
    assert spec.group_name == "ingestion"
    assert list(spec.owners) == ["data@example.com", "team:Data-Team"]
    assert {"financial", "by-day"} <= set(spec.tags)
    assert spec.kinds == {"csv", "iceberg"}
    assert spec.metadata["config"].value["source"] == ORDERS["source"]
    assert spec.metadata["file"] == str(path)
    assert spec.code_version == load_all()[0].job.config_hash


def test_the_group_of_a_job_is_its_folder(project):
    project.job("sales/orders", ORDERS)
    (loaded,) = load_all()
    assert loaded.group == "sales"
    assert next(iter(build_definitions().resolve_all_asset_specs())).group_name == "sales"


@pytest.mark.parametrize(
    ("job_id", "text", "said"),
    [
        ("typo", "source: {type: csv, source_path: data}\nlodaer: {}\n", "lodaer"),
        ("syntax", "source: {type: csv\n", "syntax.yaml"),
        ("empty", "", "empty.yaml"),
        ("cron", 'cron_expression: "99 * * * *"\nsource: {type: csv, source_path: data}\n', "cron_expression"),
        ("input", "source: {type: csv, source_path: data}\n", "input"),  # a name that Dagster keeps for itself
    ],
)
def test_a_broken_file_becomes_an_asset_that_explains_itself_and_the_others_load(orders, job_id, text, said):
    orders.job(job_id, text)
    definitions = build_definitions()
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert set(specs) == {"orders", job_id}
    assert specs[job_id].group_name == INVALID_GROUP
    assert said in specs[job_id].description
    assert said in specs[job_id].metadata["error"].value

    dg.Definitions.validate_loadable(definitions)
    assert materialize("orders").success
    broken = dg.materialize(
        [asset for asset in definitions.assets if asset.key == dg.AssetKey(job_id)], raise_on_error=False
    )
    assert not broken.success
    (event,) = [event for event in broken.all_events if event.is_step_failure]
    assert said in event.step_failure_data.user_failure_data.description


def test_two_files_with_one_id_become_one_asset_that_names_both(orders):
    orders.job("sub/orders", ORDERS)
    (spec,) = build_definitions().resolve_all_asset_specs()
    assert spec.group_name == INVALID_GROUP
    assert "orders.yaml" in spec.description
    assert "sub/orders.yaml" in spec.description


def test_a_project_without_jobs_loads(project):
    dg.Definitions.validate_loadable(build_definitions())


def test_a_clear_secret_never_reaches_the_definitions_and_still_reaches_the_run(orders):
    secret = "hunter2-in-clear"
    orders.job(
        "orders", {**ORDERS, "monitoring": {"notification_channels": [{"type": "email", "smtp_password": secret}]}}
    )
    repository = build_definitions().get_repository_def()
    from dagster._core.remote_representation.external_data import RepositorySnap  # what the code server sends
    from dagster_shared.serdes import serialize_value

    assert secret not in serialize_value(RepositorySnap.from_def(repository))


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (pl.LazyFrame, pl.LazyFrame),
        (pa.Table, pa.Table),
        (pa.RecordBatchReader, pa.RecordBatchReader),
        (None, pl.LazyFrame),
    ],
)
def test_a_downstream_asset_gets_the_table_as_it_asks_for_it(orders, annotation, kind):
    materialize()
    seen = []

    def total(orders):
        seen.append(type(orders))
        if isinstance(orders, pl.LazyFrame):
            return orders.select(pl.len()).collect().item()
        return orders.num_rows if isinstance(orders, pa.Table) else orders.read_all().num_rows

    if annotation is not None:
        total.__annotations__["orders"] = annotation
    downstream = dg.asset(total)
    upstream = dg.AssetSpec("orders", metadata={}).with_io_manager_key("iceberg_io_manager")
    result = dg.materialize(
        [downstream, upstream], selection=[downstream], resources={"iceberg_io_manager": IcebergIOManager()}
    )
    assert seen == [kind]
    assert result.output_for_node("total") == 3


def test_a_downstream_asset_can_be_merged_with_the_code_location(orders):
    @dg.asset
    def count(orders: pa.Table) -> int:
        return orders.num_rows

    definitions = dg.Definitions.merge(build_definitions(), dg.Definitions([count]))
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process()
    assert result.output_for_node("count") == 3


def test_a_run_from_the_ui_is_filterable_by_job_once_it_executes(orders):
    """The UI launches Dagster's implicit job, whose runs carry no tags of ours."""
    with open_instance() as instance:
        job = build_definitions().resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("orders")])
        assert result.success
        assert [run.run_id for run in instance.get_runs(dg.RunsFilter(tags={JOB_TAG: "orders"}))] == [result.run_id]


def test_loading_takes_time_that_grows_linearly_with_the_number_of_jobs(project):
    """CPU time; a layout with a job for each asset takes 25 times as long for 5 times the jobs."""
    small, large = (_cpu_of_loading(project, count) for count in (60, 300))
    assert large < 5 * small * 2.2


def _cpu_of_loading(project: Project, count: int) -> float:
    for path in project.jobs.glob("*.yaml"):
        path.unlink()
    for number in range(count):
        config = {**ORDERS, "cron_expression": "0 5 * * *", "metadata": {"owner": "Data Team", "tags": ["daily"]}}
        project.job(f"job_{number:04}", config)
    took = []
    for _ in range(2):
        started = time.process_time()
        definitions = definitions_of(load_all())
        definitions.get_repository_def().load_all_definitions()
        took.append(time.process_time() - started)
    return min(took)


def test_everything_of_a_job_is_in_the_definitions_under_its_agreed_name(project):
    project.job("orders", {**ORDERS, "cron_expression": "@daily", "timezone": "Europe/Stockholm"})
    repository = build_definitions().get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} == {INGEST_JOB, UPKEEP_JOB, "__ASSET_JOB"}
    assert {schedule.name for schedule in repository.schedule_defs} == {"orders_schedule", UPKEEP_SCHEDULE}
    assert {sensor.name for sensor in repository.sensor_defs} == {"alert_on_failure", "find_lost_runs", "orders_sensor"}
    schedule = repository.get_schedule_def("orders_schedule")
    assert schedule.execution_timezone == "Europe/Stockholm"
    assert schedule.cron_schedule == "@daily"


def test_the_shipped_instance_configuration_is_put_where_there_is_none(project):
    with open_instance() as instance:
        assert instance.get_settings("telemetry")["enabled"] is False
    shipped = Path(__file__).parent.parent / "metadata" / "dagster" / "dagster.yaml"
    assert (project.path / "metadata" / "dagster" / "dagster.yaml").read_bytes() == shipped.read_bytes()
