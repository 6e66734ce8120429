"""When jobs run on their own, and which runs count as being in flight."""

import builtins
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pytest

from ingestion import errors
from ingestion.config import load_job
from ingestion.connectors import ConnectorFactory
from ingestion.connectors.csv import CsvConnector
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.launch import run_job
from ingestion.orchestration.liveness import fail_lost_runs, hold, in_flight, let_go
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG, UPKEEP_SCHEDULE, schedule_name, sensor_name
from ingestion_tests.conftest import Project

ORDERS: dict[str, Any] = {"source": {"type": "csv", "source_path": "data"}, "loader": {"type": "iceberg"}}


@pytest.fixture
def orders(project: Project) -> Project:
    project.file("data/a.csv", "id,name\n1,Ada\n")
    project.job("orders", ORDERS)
    return project


@pytest.fixture
def instance(project: Project) -> Iterator[dg.DagsterInstance]:
    with open_instance() as found:
        yield found


def look(instance: dg.DagsterInstance, job_id: str = "orders") -> Any:
    """One tick of a job's sensor."""
    sensor = build_definitions().resolve_sensor_def(sensor_name(job_id))
    with dg.build_sensor_context(instance=instance) as context:
        return sensor.evaluate_tick(context)


def strike(instance: dg.DagsterInstance, job_id: str = "orders") -> Any:
    """One tick of a job's schedule."""
    schedule = build_definitions().resolve_schedule_def(schedule_name(job_id))
    when = datetime(2026, 1, 2, 5, tzinfo=timezone.utc)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=when) as context:
        return schedule.evaluate_tick(context)


def started(instance: dg.DagsterInstance, **arguments: Any) -> dg.DagsterRun:
    """A run as the queue knows it; nothing executes it."""
    job = build_definitions().resolve_job_def(INGEST_JOB)
    options = {
        "status": dg.DagsterRunStatus.STARTED,
        "asset_selection": frozenset([dg.AssetKey("orders")]),
        **arguments,
    }
    return instance.create_run_for_job(job, **options)


def test_a_schedule_requests_a_run_of_its_job_alone(project, instance):
    project.job("orders", {**ORDERS, "cron_expression": "0 5 * * *"})
    project.job("others", ORDERS)
    (request,) = strike(instance).run_requests
    assert request.asset_selection == [dg.AssetKey("orders")]
    assert request.tags[JOB_TAG] == "orders"


def test_a_schedule_skips_while_a_run_is_in_flight_and_says_which(project, instance):
    project.job("orders", {**ORDERS, "cron_expression": "0 5 * * *"})
    run = started(instance)
    tick = strike(instance)
    assert not tick.run_requests
    assert run.run_id in tick.skip_message


def test_a_schedule_lets_runs_queue_where_the_job_says_so(project, instance):
    project.job("orders", {**ORDERS, "cron_expression": "0 5 * * *", "on_overlap": "queue"})
    started(instance)
    assert strike(instance).run_requests


@pytest.mark.parametrize(
    ("options", "schedule", "sensor"),
    [
        ({}, None, "RUNNING"),
        ({"enabled": False}, None, "STOPPED"),
        ({"cron_expression": "@daily"}, "RUNNING", "STOPPED"),
        ({"cron_expression": "@daily", "enabled": False}, "STOPPED", "STOPPED"),
    ],
)
def test_schedule_and_sensor_start_as_the_job_is_configured(project, options, schedule, sensor):
    project.job("orders", {**ORDERS, **options})
    repository = build_definitions().get_repository_def()
    found = [item.default_status.value for item in repository.schedule_defs if item.name != UPKEEP_SCHEDULE]
    assert found == ([schedule] if schedule else [])
    assert repository.get_sensor_def("orders_sensor").default_status.value == sensor


def test_a_disabled_job_can_still_be_run_by_hand(orders):
    orders.job("orders", {**ORDERS, "enabled": False})
    assert run_job("orders").rows_loaded == 1


def test_a_job_that_does_not_read_incrementally_has_no_sensor(project):
    project.job("orders", {**ORDERS, "source": {**ORDERS["source"], "incremental": False}})
    project.job("replaced", {**ORDERS, "loader": {"type": "iceberg", "write_mode": "overwrite"}})
    names = {sensor.name for sensor in build_definitions().get_repository_def().sensor_defs}
    assert names == {"alert_on_failure", "find_lost_runs"}


def test_a_job_that_a_placeholder_makes_read_everything_is_not_asked_for(orders, instance, monkeypatch):
    orders.job("orders", {**ORDERS, "source": {**ORDERS["source"], "incremental": "${INCREMENTAL:-false}"}})
    assert "reads all that its source has" in look(instance).skip_message
    monkeypatch.setenv("INCREMENTAL", "true")
    assert look(instance).run_requests
    orders.job("orders", {**ORDERS, "loader": {"type": "iceberg", "write_mode": "${MODE:-overwrite}"}})
    assert "reads all that its source has" in look(instance).skip_message


def test_a_new_file_makes_the_sensor_request_a_run_that_loads_it_alone(orders, instance):
    assert run_job("orders").rows_loaded == 1
    assert not look(instance).run_requests

    orders.file("data/b.csv", "id,name\n2,Bo\n3,Cy\n")
    (request,) = look(instance).run_requests
    assert request.asset_selection == [dg.AssetKey("orders")]
    assert request.tags[JOB_TAG] == "orders"
    report = run_job("orders")
    assert report.rows_read == 2
    assert [Path(source).name for source in report.sources] == ["b.csv"]
    assert sorted(orders.table("default.orders")["id"].to_pylist()) == [1, 2, 3]


def test_the_same_bytes_again_under_the_same_name_load_nothing(orders, instance):
    run_job("orders")
    path = orders.file("data/a.csv", "id,name\n1,Ada\n")
    os.utime(path, (time.time() + 60, time.time() + 60))
    report = run_job("orders")
    assert report.rows_loaded == 0
    assert orders.table("default.orders").num_rows == 1
    assert not look(instance).run_requests


def test_the_sensor_asks_once_for_the_same_files_and_again_when_the_job_changed(orders, instance):
    (first,), (second,) = look(instance).run_requests, look(instance).run_requests
    assert first.run_key == second.run_key
    orders.job("orders", {**ORDERS, "description": "mended"})
    (third,) = look(instance).run_requests
    assert third.run_key != first.run_key
    orders.file("data/b.csv", "id,name\n2,Bo\n")
    (fourth,) = look(instance).run_requests
    assert fourth.run_key != third.run_key


@pytest.fixture
def moody(orders, monkeypatch) -> Iterator[str]:
    """A source whose reading raises what a variable names, so that the job file stays the same; the variable."""

    class Moody(CsvConnector):
        type: Literal["moody"] = "moody"  # type: ignore[assignment]  # a type of its own

        def read(self, cursor, known):
            mood = os.environ.get("MOOD")
            if mood:
                raise getattr(builtins, mood, None) or getattr(errors, mood)("not today")
            yield from super().read(cursor, known)

    ConnectorFactory.register("moody", Moody)
    orders.job(
        "orders", {**ORDERS, "source": {"type": "moody", "source_path": "data"}, "retry_policy": {"max_retries": 0}}
    )
    yield "MOOD"
    ConnectorFactory.unregister("moody")


def run_key(instance: dg.DagsterInstance) -> str | None:
    """The key of the run that a tick asks for, if any."""
    requests = look(instance).run_requests
    return requests[0].run_key if requests else None


def long_ago(instance: dg.DagsterInstance, run_id: str, seconds: float) -> None:
    """Let a run that failed or was cancelled have ended earlier."""
    status = instance.get_run_by_id(run_id).status
    kind = {"FAILURE": "PIPELINE_FAILURE", "CANCELED": "PIPELINE_CANCELED"}[status.value]
    event = dg.DagsterEvent(event_type_value=kind, job_name=INGEST_JOB)
    instance.report_dagster_event(event, run_id, timestamp=time.time() - seconds)


@pytest.mark.parametrize("mood", ["TransientError", "OutcomeUnknown", "ZeroDivisionError"])
def test_files_of_a_run_that_failed_for_a_passing_reason_are_asked_for_again(moody, instance, monkeypatch, mood):
    keys = [run_key(instance)]
    monkeypatch.setenv(moody, mood)
    for pause in (60, 120, 240):
        report = run_job("orders")
        assert report.status == "failed"
        long_ago(instance, report.run_id, pause - 5)
        assert report.run_id in look(instance).skip_message
        long_ago(instance, report.run_id, pause + 1)
        keys.append(run_key(instance))
        assert keys[-1] == run_key(instance)
    assert len({*keys, None}) == 5


@pytest.mark.parametrize("mood", ["ConfigError", "DataError", "BudgetSpent"])
def test_files_of_a_run_that_failed_for_good_are_not_asked_for_again(moody, instance, monkeypatch, mood):
    first = run_key(instance)
    monkeypatch.setenv(moody, mood)
    assert run_job("orders").status == "failed"
    assert run_key(instance) == first is not None


def test_a_failure_for_good_after_one_that_passed_is_not_asked_for_again(moody, instance, monkeypatch):
    monkeypatch.setenv(moody, "TransientError")
    long_ago(instance, run_job("orders").run_id, 100)
    again = run_key(instance)
    monkeypatch.setenv(moody, "DataError")
    run_job("orders")
    assert run_key(instance) == again


@pytest.mark.parametrize("end", ["report_run_failed", "report_run_canceled"])
def test_files_of_a_run_that_was_lost_or_cancelled_are_asked_for_again(orders, instance, end):
    first = run_key(instance)
    run = started(instance, tags={JOB_TAG: "orders"})
    getattr(instance, end)(run)
    assert "1 of 1 files new" in look(instance).skip_message
    assert run.run_id in look(instance).skip_message
    long_ago(instance, run.run_id, 61)
    assert run_key(instance) not in {first, None}


def test_files_of_a_load_that_was_rolled_back_are_asked_for_again(orders, instance):
    run_job("orders")
    before = orders.iceberg("default.orders").current_snapshot().snapshot_id
    orders.file("data/b.csv", "id,name\n2,Bo\n")
    keys = []
    for _ in range(3):
        keys += [run_key(instance), run_key(instance)]
        assert run_job("orders").rows_loaded == 1
        assert run_key(instance) is None
        table = orders.iceberg("default.orders")
        table.manage_snapshots().rollback_to_snapshot(before).commit()
    assert keys[::2] == keys[1::2]
    assert len({*keys, None}) == 4


def test_files_of_a_first_run_that_was_taken_back_are_asked_for_again(orders, instance):
    first = run_key(instance)
    report = run_job("orders")
    assert run_key(instance) is None
    load_job("orders").loader.rollback("orders", report.run_id)
    assert run_key(instance) not in {first, None}
    assert run_job("orders").rows_loaded == 1
    assert orders.table("default.orders").num_rows == 1


def test_the_sensor_says_why_it_skips(orders, instance):
    run_job("orders")
    assert "1 file" in look(instance).skip_message
    orders.job("orders", {**ORDERS, "source": {"type": "csv", "source_path": "nowhere"}})
    assert "nowhere" in look(instance).skip_message
    orders.job("orders", {**ORDERS, "source": {"type": "csv", "source_path": "${NOT_SET_ANYWHERE}"}})
    assert "NOT_SET_ANYWHERE" in look(instance).skip_message


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_the_sensor_waits_for_a_run_in_flight(orders, instance, status):
    run = started(instance, status=dg.DagsterRunStatus[status])
    tick = look(instance)
    assert not tick.run_requests
    assert run.run_id in tick.skip_message


def test_runs_of_other_jobs_and_runs_that_ended_do_not_count(orders, instance):
    orders.job("others", ORDERS)
    started(instance, status=dg.DagsterRunStatus.SUCCESS)
    assert in_flight(instance, "others") is None
    assert in_flight(instance, "orders") is None
    started(instance)
    assert in_flight(instance, "others") is None
    assert in_flight(instance, "orders")


def test_a_run_of_everything_counts_for_every_job(orders, instance):
    started(instance, asset_selection=None)
    assert in_flight(instance, "orders")


def test_a_run_whose_process_is_alive_is_not_lost(orders, instance):
    run = started(instance)
    hold(run.run_id)
    try:
        assert fail_lost_runs(instance) == []
        assert in_flight(instance, "orders") == run.run_id
    finally:
        let_go(run.run_id)


def test_a_killed_run_is_put_down_as_failed_and_holds_nothing_up(orders, instance):
    hang = "import sys; from ingestion.orchestration.liveness import hold; hold(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    run = started(instance)
    command = [sys.executable, "-c", hang, run.run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert in_flight(instance, "orders") == run.run_id
        process.send_signal(signal.SIGKILL)
        process.wait()

    report = run_job("orders")
    assert report.status == "success", report.error
    lost = instance.get_run_by_id(run.run_id)
    assert lost.status is dg.DagsterRunStatus.FAILURE
    assert list((orders.path / "metadata" / "dagster" / "running").glob("*.lock")) == []
