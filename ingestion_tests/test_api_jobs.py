"""The sidecar over a running Dagster: what is posted can be run, and what ran is told."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import dagster as dg
import pytest
import yaml

from ingestion.errors import TransientError
from ingestion.orchestration.graphql import GraphqlDagster
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG
from ingestion_tests.dagster_server import Service

pytestmark = pytest.mark.xdist_group("service")  # one worker, one service

_TOGGLE = """
mutation Start($start: ScheduleSelector!) {
  startSchedule(scheduleSelector: $start) { ... on ScheduleStateResult { scheduleState { id status } } }
}
"""
_STOP = """
mutation Stop($id: String!) { stopRunningSchedule(id: $id) { ... on ScheduleStateResult { scheduleState { status } } } }
"""
_CONFIG = "query Config($id: ID!) { runOrError(runId: $id) { ... on Run { runConfigYaml tags { key value } } } }"


def sales(service: Service, job_id: str, **changes: Any) -> dict[str, Any]:
    """A job over three files of one to three rows; the job of the README's first example, paths adapted."""
    for month, rows in (("02", 1), ("03", 2), ("04", 3)):
        lines = "".join(f"2023-{month}-0{day},{day},{day}.50\n" for day in range(1, rows + 1))
        service.project.file(f"{job_id}/daily_sales_2023-{month}-01.csv", f"date,quantity,revenue\n{lines}")
    return {
        "enabled": True,
        "cron_expression": "0 5 * * *",
        "source": {"type": "csv", "source_path": f"{job_id}/", "file_pattern": "daily_sales_*.csv"},
        "transformer": {"type": "base", "date_columns": ["date"], "numeric_columns": ["quantity", "revenue"]},
        "loader": {"type": "iceberg", "database": "sales_data", "table": job_id},
        **changes,
    }


def create(service: Service, job_id: str, **changes: Any) -> dict[str, Any]:
    config = sales(service, job_id, **changes)
    answer = service.post("/jobs", {"job_id": job_id, "job_config": config})
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"message": f"Job {job_id} created successfully", "job_id": job_id}
    return config


def test_a_posted_job_runs_at_once_and_only_with_the_files_asked_for(service):
    config = create(service, "fresh_sales")
    march = {"source": {"file_pattern": "daily_sales_2023-03-*.csv"}}
    report = service.execute("fresh_sales", march)

    assert (report["status"], report["rows_read"], report["rows_loaded"]) == ("success", 2, 2)
    assert service.project.table("sales_data.fresh_sales").num_rows == 2
    stored = yaml.safe_load((service.project.jobs / "fresh_sales.yaml").read_text())
    assert stored == config

    run = service.graphql(_CONFIG, id=report["run_id"])["runOrError"]
    assert yaml.safe_load(run["runConfigYaml"]) == {"ops": {"fresh_sales": {"config": {"overrides": march}}}}
    assert {"key": "ingestion/job", "value": "fresh_sales"} in run["tags"]


def test_what_ran_is_told(service):
    config = create(service, "told_sales")
    before = service.get("/jobs/told_sales")
    assert before["metadata"] == {"runs": []}
    assert (before["last_run"], before["last_status"], before["last_run_rows"]) == (None, None, None)

    first, second = service.execute("told_sales"), service.execute("told_sales")
    assert (first["rows_loaded"], second["rows_loaded"]) == (6, 0)
    shown = service.get("/jobs/told_sales")
    assert (shown["job_id"], shown["job_type"], shown["enabled"], shown["running"]) == (
        "told_sales",
        "generic",
        True,
        False,
    )
    assert shown["config"] == config
    assert [run["run_id"] for run in shown["metadata"]["runs"]] == [second["run_id"], first["run_id"]]
    assert (shown["last_status"], shown["last_run_rows"]) == ("success", 0)
    assert datetime.fromisoformat(shown["last_run"]).tzinfo is not None
    for key in (
        "start_time",
        "end_time",
        "duration_seconds",
        "rows_filtered",
        "rows_quarantined",
        "load_id",
        "snapshot",
    ):
        assert key in first
    listed = service.get("/jobs")["jobs"]["told_sales"]
    assert listed == {key: shown[key] for key in listed}


def test_a_run_that_failed_says_why_and_the_last_success_stays(service):
    create(service, "failing_sales")
    good = service.execute("failing_sales")
    bad = service.execute("failing_sales", {"source": {"source_path": "nowhere/at/all"}})

    assert bad["status"] == "failed"
    assert "nowhere/at/all" in bad["error"]
    assert not bad["error"].startswith("ingestion.")
    assert (bad["rows_loaded"], bad["job"]) == (0, "failing_sales")
    shown = service.get("/jobs/failing_sales")
    assert (shown["last_status"], shown["last_run_rows"]) == ("failed", 0)
    assert abs(_seconds(shown["last_successful_run"]) - _seconds(good["end_time"])) < 5
    assert _seconds(shown["last_run"]) > _seconds(shown["last_successful_run"])


def test_the_schedule_follows_its_switch_in_dagster(service):
    create(service, "scheduled_sales")
    create(service, "disabled_sales", enabled=False)
    create(service, "manual_sales", cron_expression=None)
    jobs = service.get("/jobs")["jobs"]
    assert jobs["scheduled_sales"]["schedule"] == "running"
    assert jobs["scheduled_sales"]["next_run"].endswith(("T05:00:00Z", "T05:00:00+00:00"))
    assert (jobs["disabled_sales"]["enabled"], jobs["disabled_sales"]["schedule"]) == (False, "stopped")
    assert (jobs["disabled_sales"]["next_run"], jobs["manual_sales"]["schedule"]) == (None, None)

    selector = {
        "repositoryLocationName": "ingestion",
        "repositoryName": "__repository__",
        "scheduleName": "disabled_sales_schedule",
    }
    state = service.graphql(_TOGGLE, start=selector)["startSchedule"]["scheduleState"]
    started = service.get("/jobs/disabled_sales")
    assert started["schedule"] == "running"
    assert started["next_run"] is not None
    service.graphql(_STOP, id=state["id"])
    assert service.get("/jobs/disabled_sales")["schedule"] == "stopped"


def test_a_broken_file_hides_no_other_and_runs_once_it_is_mended(service):
    create(service, "sound_sales")
    config = sales(service, "mended_sales")
    service.project.job("mended_sales", {**config, "cron_expression": "often"})
    jobs = service.get("/jobs")["jobs"]
    assert "cron_expression" in jobs["mended_sales"]["error"]
    assert "error" not in jobs["sound_sales"]
    refused = service.post("/jobs/execute", {"job_id": "mended_sales"})
    assert refused.status_code == 422
    assert "mended_sales.yaml" in refused.json()["detail"]

    service.project.job("mended_sales", config)  # by hand: nobody tells Dagster
    assert service.execute("mended_sales")["rows_loaded"] == 6


def test_a_run_beside_another_is_refused_or_waits_as_the_job_says(service):
    create(service, "skipping_sales")
    first = service.post("/jobs/execute", {"job_id": "skipping_sales"}).json()["execution_id"]
    second = service.post("/jobs/execute", {"job_id": "skipping_sales"})
    assert second.status_code == 409
    assert first in second.json()["detail"]
    assert service.get("/jobs")["jobs"]["skipping_sales"]["running"] is True
    waiting = service.post("/jobs/execute", {"job_id": "skipping_sales", "parameters": {"on_overlap": "queue"}})
    assert waiting.status_code == 200
    ended = [service.finished("skipping_sales", run) for run in (first, waiting.json()["execution_id"])]
    assert [run["rows_loaded"] for run in ended] == [6, 0]


def test_of_callers_that_create_one_job_at_once_one_succeeds(service):
    config = sales(service, "raced_sales")

    def post(_: int) -> int:
        return service.post("/jobs", {"job_id": "raced_sales", "job_config": config}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(post, range(4))) == [201, 409, 409, 409]


class Counting(GraphqlDagster):
    """Counts its queries."""

    count = 0

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        self.count += 1
        return super()._ask(query, **variables)


def test_the_state_of_many_jobs_costs_no_more_queries_than_that_of_one(service):
    dagster = Counting(service.ui)
    dagster.overview(["one"])
    few = dagster.count
    states = dagster.overview([f"job_{number}" for number in range(1000)])
    assert dagster.count - few == few
    assert len(states) == 1000
    dagster.close()


def test_a_dagster_that_is_not_there_is_named(service):
    dagster = GraphqlDagster("http://127.0.0.1:9")
    for call in (lambda: dagster.overview(["x"]), lambda: dagster.launch("x", {}), dagster.reload):
        with pytest.raises(TransientError, match=r"Dagster at http://127\.0\.0\.1:9 does not answer .*DAGSTER_URL"):
            call()
    assert "does not answer" in (dagster.health() or "")
    dagster.close()
    sidecar = GraphqlDagster(service.api)
    with pytest.raises(TransientError, match=r"check DAGSTER_URL|could not answer"):
        sidecar.overview(["x"])
    sidecar.close()


def test_health_of_the_whole_service(service):
    found = service.get("/health")
    assert (found["status"], found["service"], found["dagster"]) == ("ok", "ingestion-service", "ok")
    assert abs(_seconds(found["timestamp"]) - time.time()) < 60


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_why_a_run_failed_is_found_behind_everything_that_it_logged(service: Service) -> None:
    config = {"source": {"type": "csv", "source_path": "nowhere"}, "enabled": False}
    assert service.post("/jobs", {"job_id": "talkative", "job_config": config}).status_code == 201
    with dg.DagsterInstance.from_config(str(service.project.path / "metadata" / "dagster")) as instance:
        job = dg.Definitions(jobs=[dg.GraphDefinition(name=INGEST_JOB).to_job()]).resolve_job_def(INGEST_JOB)
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={JOB_TAG: "talkative"})
        for number in range(2100):
            instance.report_engine_event(f"line {number}", run)
        instance.report_run_failed(run, "the last word")
    assert service.finished("talkative", run.run_id)["error"] == "the last word"
