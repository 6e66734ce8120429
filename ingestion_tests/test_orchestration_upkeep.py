"""Upkeep through Dagster: a run per table, what it did told on the assets, loads never held up by it."""

from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest

from ingestion.config import load_job
from ingestion.errors import ConfigError
from ingestion.loaders import LoaderFactory
from ingestion.orchestration import upkeep
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.launch import run_job
from ingestion.orchestration.liveness import in_flight
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG, UPKEEP_JOB, UPKEEP_SCHEDULE, upkeep_config
from ingestion.pipeline import run
from ingestion_tests.stub_plugins import StubLoader

JOB: dict[str, Any] = {"source": {"type": "csv", "source_path": "data"}}


@pytest.fixture
def instance(project):
    with open_instance() as found:
        yield found


@pytest.fixture
def orders(project):
    """Two jobs that load one table, six times altogether, and one with a table of its own."""
    project.job("orders", {**JOB, "loader": {"table": "sales"}})
    project.job("returns", {**JOB, "source": {"type": "csv", "source_path": "back"}, "loader": {"table": "sales"}})
    project.job("people", JOB)
    for number in range(3):
        project.file(f"data/{number}.csv", f"n\n{number}\n")
        project.file(f"back/{number}.csv", f"n\n{number + 10}\n")
        for job in ("orders", "returns"):
            assert run(load_job(job), f"{job}{number}").rows_loaded == 1
    return project


def looked_after(instance, *jobs):
    """A run of upkeep for the tables of these jobs."""
    job = build_definitions().resolve_job_def(UPKEEP_JOB)
    return job.execute_in_process(run_config=upkeep_config(list(jobs)), instance=instance, raise_on_error=False)


def observed(result):
    """What was noted on which asset."""
    return {
        event.asset_key.to_user_string(): {
            name: value.value for name, value in event.event_specific_data.asset_observation.metadata.items()
        }
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    }


def strike(instance):
    """The requests of one tick of the schedule."""
    schedule = build_definitions().resolve_schedule_def(UPKEEP_SCHEDULE)
    when = datetime(2026, 1, 2, 3, 30, tzinfo=timezone.utc)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=when) as context:
        return schedule.evaluate_tick(context).run_requests


def test_a_table_of_several_jobs_is_looked_after_once_and_each_of_their_assets_tells(orders, instance):
    result = looked_after(instance, "returns", "orders")
    assert result.success
    assert observed(result) == {job: {"files_compacted": 6, "files_written": 1} for job in ("orders", "returns")}
    assert orders.iceberg("default.sales").inspect.data_files().num_rows == 1


def test_without_names_all_tables_are_looked_after(orders, instance):
    assert run_job("people").rows_loaded == 3
    assert observed(looked_after(instance)) == {
        "orders": {"files_compacted": 6, "files_written": 1},
        "returns": {"files_compacted": 6, "files_written": 1},
        "people": {},
    }


def test_a_job_file_that_does_not_load_is_told_and_keeps_no_table_from_being_looked_after(orders, instance):
    orders.job("broken", {**JOB, "loader": {"nonsense": 1}})
    result = looked_after(instance)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "nonsense" in failure.step_failure_data.error.message
    assert observed(result)["orders"] == {"files_compacted": 6, "files_written": 1}


def test_the_schedule_asks_for_a_run_per_table_behind_all_loads(orders, instance):
    requests = strike(instance)
    assert [request.run_config for request in requests] == [
        upkeep_config(["orders", "returns"]),
        upkeep_config(["people"]),
    ]
    assert all(request.tags["dagster/priority"] == "-10" and JOB_TAG not in request.tags for request in requests)
    assert looked_after(instance, *requests[0].run_config["ops"]["_upkeep"]["config"]["jobs"]).success


def test_the_schedule_is_as_the_settings_say(project, monkeypatch):
    project.job("people", JOB)
    schedule = build_definitions().resolve_schedule_def(UPKEEP_SCHEDULE)
    assert schedule.cron_schedule == "30 3 * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    monkeypatch.setenv("UPKEEP_SCHEDULE", "0 1 * * sun")
    assert build_definitions().resolve_schedule_def(UPKEEP_SCHEDULE).cron_schedule == "0 1 * * sun"
    monkeypatch.setenv("UPKEEP_SCHEDULE", "off")
    assert not list(build_definitions().schedules or ())
    monkeypatch.setenv("UPKEEP_SCHEDULE", "0 25 * * *")
    with pytest.raises(ConfigError, match=r"UPKEEP_SCHEDULE: .*25.*; write a cron expression such as 30 3"):
        build_definitions()


def test_a_table_that_cannot_be_looked_after_fails_the_run_and_not_the_others(orders, instance):
    loader = {"catalog": {"uri": "sqlite:////proc/nowhere/catalog.db", "warehouse": "/proc/nowhere"}}
    orders.job("people", {**JOB, "loader": loader})
    result = looked_after(instance, "people", "orders")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "/proc/nowhere" in failure.step_failure_data.error.message
    assert observed(result)["orders"] == {"files_compacted": 6, "files_written": 1}


class Breaking(StubLoader):
    """A loader of somebody else's, whose driver fails in its own words."""

    def upkeep(self, job):
        raise RuntimeError(f"no route to {job}")


def test_an_error_of_a_driver_keeps_no_other_table_from_being_looked_after(orders, instance):
    LoaderFactory.register("breaking", Breaking)
    try:
        orders.job("people", {**JOB, "loader": {"type": "breaking"}})
        result = looked_after(instance, "people", "orders")
    finally:
        LoaderFactory.unregister("breaking")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "people: RuntimeError: no route to people" in failure.step_failure_data.error.message
    assert observed(result)["orders"] == {"files_compacted": 6, "files_written": 1}


def test_upkeep_waits_a_while_for_a_load_under_way_and_goes_on_then(orders, instance, monkeypatch):
    waits = []
    monkeypatch.setattr(upkeep.time, "sleep", waits.append)
    monkeypatch.setattr(upkeep, "_LONGEST_WAIT", 0.5)
    job = build_definitions().resolve_job_def(INGEST_JOB)
    selection = frozenset([dg.AssetKey("returns")])
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, asset_selection=selection)
    assert looked_after(instance, "orders", "returns").success
    assert 5.0 in waits


def test_a_run_of_upkeep_holds_no_load_up(orders, instance):
    job = build_definitions().resolve_job_def(UPKEEP_JOB)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, run_config=upkeep_config(["orders"]))
    assert in_flight(instance, "orders") is None


@pytest.mark.parametrize("job_id", ["upkeep", "look_after", "upkeep_schedule", "ingest_job"])
def test_a_job_may_be_called_so(project, instance, job_id):
    project.job(job_id, {**JOB, "cron_expression": "@daily"})
    project.file("data/a.csv", "n\n1\n")
    assert run_job(job_id).rows_loaded == 1
    assert looked_after(instance, job_id).success
    dg.Definitions.validate_loadable(build_definitions())
