"""What may be sent to POST /jobs and POST /jobs/execute, and what is said about the rest."""

from typing import Any

import pytest
import yaml

from ingestion.api.bodies import CREATE_EXAMPLES, EXECUTE_EXAMPLES
from ingestion_tests.api_caller import Dead, Still, caller

ORDERS: dict[str, Any] = {
    "cron_expression": "0 5 * * *",
    "source": {"type": "csv", "source_path": "data", "file_pattern": "orders_*.csv"},
    "loader": {"database": "sales"},
}


def refusals(answer) -> dict[tuple[Any, ...], str]:
    """Path and words of everything that a 422 names."""
    assert answer.status_code == 422, answer.text
    return {tuple(line["loc"]): line["msg"] for line in answer.json()["detail"]}


def created(config: dict[str, Any], job_id: str = "orders", dagster: Still | None = None):
    return caller(dagster=dagster).post("/jobs", json={"job_id": job_id, "job_config": config})


def test_a_job_is_stored_as_it_was_sent(project):
    answer = created(ORDERS)
    assert answer.status_code == 201
    assert answer.json() == {"message": "Job orders created successfully", "job_id": "orders"}
    assert yaml.safe_load((project.jobs / "orders.yaml").read_text()) == ORDERS


def test_a_bare_config_takes_its_id_from_the_query(project):
    answer = caller().post("/jobs", params={"job_id": "orders"}, json=ORDERS)
    assert answer.json() == {"message": "Job orders created successfully", "job_id": "orders"}
    assert yaml.safe_load((project.jobs / "orders.yaml").read_text()) == ORDERS


def test_a_bare_config_without_an_id_is_told_what_is_missing(project):
    found = refusals(caller().post("/jobs", json=ORDERS))
    assert found["body", "source"] == "unknown key 'source'; known keys: job_config, job_id"


def test_two_different_ids_are_refused(project):
    answer = caller().post("/jobs", params={"job_id": "sales"}, json={"job_id": "orders", "job_config": ORDERS})
    assert set(refusals(answer)) == {("query", "job_id")}
    assert not list(project.jobs.iterdir())


@pytest.mark.parametrize("example", CREATE_EXAMPLES.values(), ids=CREATE_EXAMPLES)
def test_the_examples_of_the_description_can_be_sent(project, example):
    answer = caller().post("/jobs", json=example["value"], params={"job_id": "daily_sales"})
    assert answer.status_code == 201, answer.text
    dagster = Still()
    for run in EXECUTE_EXAMPLES.values():
        assert caller(dagster=dagster).post("/jobs/execute", json=run["value"]).status_code == 200
    assert [job for job, _ in dagster.launched] == ["daily_sales", "daily_sales"]


def test_an_existing_job_is_a_conflict(project):
    before = project.job("orders", "# by hand\nsource: {type: csv, source_path: data}\n").read_text()
    answer = created(ORDERS)
    assert (answer.status_code, answer.json()) == (409, {"detail": "Job orders already exists"})
    assert (project.jobs / "orders.yaml").read_text() == before


def test_an_existing_broken_job_or_one_of_a_subfolder_is_a_conflict_too(project):
    project.job("orders", "source: [")
    project.job("nested/sales", ORDERS)
    assert created(ORDERS, "orders").status_code == 409
    assert created(ORDERS, "sales").status_code == 409


@pytest.mark.parametrize("job_id", ["Orders", "1orders", "a-b", "../evil", "a/b", "", "a" * 64, "é"])
def test_an_id_that_is_no_name_is_refused(project, job_id):
    found = refusals(created(ORDERS, job_id))
    assert "lower-case" in found["body", "job_id"]
    assert not list(project.path.rglob("*.yaml"))


@pytest.mark.parametrize(
    ("body", "loc", "words"),
    [
        ({}, ["body", "job_id"], "job_id is missing"),
        ({"job_id": 7, "job_config": {}}, ["body", "job_id"], "job_id must be text"),
        ({"job_id": "orders"}, ["body", "job_config"], "job_config is missing"),
        ({"job_id": "orders", "job_config": "x"}, ["body", "job_config"], "job_config must be an object"),
        ({"job_id": "orders", "job_confg": {}}, ["body", "job_confg"], "did you mean 'job_config'?"),
    ],
)
def test_a_body_of_another_form_is_told_how_it_should_look(project, body, loc, words):
    found = refusals(caller().post("/jobs", json=body))
    assert words in found[tuple(loc)]


def test_a_body_that_is_no_json_is_told_what_to_send(project):
    sent = {"content": '{"job_id": "orders"}', "headers": {"Content-Type": "text/plain"}}
    for route in ("/jobs", "/jobs/execute"):
        told = refusals(caller().post(route, **sent))["body",]
        assert told.endswith("send JSON with Content-Type: application/json")
    assert refusals(caller().post("/jobs", json=["orders"])) == {("body",): "the body should be a JSON object"}


def test_malformed_json_is_told_with_its_line_and_column(project):
    sent = {"content": '{\n  "job_id": orders}', "headers": {"Content-Type": "application/json"}}
    (told,) = refusals(caller().post("/jobs", **sent)).values()
    assert told == "the body is not valid JSON: Expecting value at line 2, column 13"


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"cron_expresion": "0 5 * * *"}, ["cron_expresion"], "did you mean 'cron_expression'?"),
        ({"source": {"type": "csv"}}, ["source", "source_path"], "missing"),
        (
            {"source": {**ORDERS["source"], "file_patern": "*"}},
            ["source", "file_patern"],
            "did you mean 'file_pattern'?",
        ),
        ({"source": {"type": "cvs"}}, ["source", "type"], "did you mean 'csv'?"),
        ({"enabled": "maybe"}, ["enabled"], "true or false"),
        ({"cron_expression": "0 25 * * *"}, ["cron_expression"], "25"),
        ({"source": None}, ["source"], ""),
    ],
)
def test_what_is_wrong_in_a_config_is_named_with_its_path(project, change, path, words):
    found = refusals(created({**ORDERS, **change}))
    assert words in found[("body", "job_config", *path)]
    assert not list(project.jobs.iterdir())


def test_the_path_of_a_bare_config_starts_at_the_body(project):
    answer = caller().post("/jobs", params={"job_id": "orders"}, json={"source": {"type": "csv"}})
    assert set(refusals(answer)) == {("body", "source", "source_path")}


def test_secrets_in_clear_are_refused_and_not_repeated(project):
    catalog = {"type": "sql", "s3.secret-access-key": "hunter22", "password": 12345678, "token": "${CATALOG_TOKEN}"}
    answer = created({**ORDERS, "loader": {"catalog": catalog}})
    found = refusals(answer)
    assert set(found) == {
        ("body", "job_config", "loader", "catalog", "s3.secret-access-key"),
        ("body", "job_config", "loader", "catalog", "password"),
    }
    assert all("environment variable" in words for words in found.values())
    assert "hunter22" not in answer.text
    assert "12345678" not in answer.text
    assert not list(project.jobs.iterdir())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("adls.account-key", "hunter22"),
        ("adls.connection-string", "AccountName=a;AccountKey=hunter22"),
        ("header.X-API-Key", "hunter22"),
        ("token", "${CATALOG_TOKEN:-hunter22}"),
        ("uri", "postgresql://u:${PW:-hunter22}@db/catalog"),
        ("uri", "postgresql://u:hunter22/x@db/catalog"),
    ],
)
def test_every_kind_of_secret_in_clear_is_refused_and_masked_where_a_file_has_it(project, option, value):
    config = {**ORDERS, "loader": {"catalog": {"type": "sql", option: value}}}
    answer = created(config)
    assert set(refusals(answer)) == {("body", "job_config", "loader", "catalog", option)}
    assert "hunter22" not in answer.text
    project.job("orders", config)
    shown = caller().get("/jobs/orders")
    assert shown.status_code == 200
    assert "hunter22" not in shown.text


def test_a_password_in_clear_inside_a_url_is_refused_and_a_placeholder_is_not(project):
    def catalog(uri: str) -> dict[str, Any]:
        return {**ORDERS, "loader": {"catalog": {"type": "rest", "uri": uri}}}

    for uri in ("https://u:hunter22@catalog.example", "redis://:hunter22@catalog.example"):
        answer = created(catalog(uri))
        assert set(refusals(answer)) == {("body", "job_config", "loader", "catalog", "uri")}
        assert "hunter22" not in answer.text
    assert created(catalog("https://u:${CATALOG_PASSWORD}@catalog.example")).status_code == 201
    shown = caller().get("/jobs/orders").json()["config"]
    assert shown["loader"]["catalog"]["uri"] == "https://u:${CATALOG_PASSWORD}@catalog.example"


def test_placeholders_are_stored_and_shown_as_written(project, monkeypatch):
    monkeypatch.setenv("CATALOG_TOKEN", "hunter22")
    config = {**ORDERS, "loader": {"catalog": {"type": "rest", "token": "${CATALOG_TOKEN}"}}}
    assert created(config).status_code == 201
    assert "${CATALOG_TOKEN}" in (project.jobs / "orders.yaml").read_text()
    answer = caller().get("/jobs/orders")
    assert answer.json()["config"]["loader"]["catalog"]["token"] == "${CATALOG_TOKEN}"
    assert "hunter22" not in answer.text


def test_secrets_in_clear_of_a_file_written_by_hand_are_masked(project):
    catalog = {"type": "rest", "token": "hunter22", "uri": "https://u:hunter23@catalog.example"}
    project.job("orders", {**ORDERS, "loader": {"catalog": catalog}})
    answer = caller().get("/jobs/orders")
    assert answer.json()["config"]["loader"]["catalog"]["token"] == "********"
    assert "hunter2" not in answer.text


def test_half_a_character_and_numbers_that_are_none_are_refused(project):
    for text in ('"\\ud800"', "NaN"):
        body = '{"job_id": "orders", "job_config": {"description": ' + text + "}}"
        answer = caller().post("/jobs", content=body, headers={"Content-Type": "application/json"})
        assert set(refusals(answer)) == {("body", "job_config")}


def test_a_job_that_dagster_does_not_load_is_not_stored(project):
    answer = created(ORDERS, dagster=Still("group name is not valid"))
    assert answer.status_code == 422
    assert answer.json() == {"detail": "the job was not stored: group name is not valid"}
    assert not list(project.jobs.iterdir())


def test_a_job_is_not_stored_while_dagster_does_not_answer(project):
    answer = created(ORDERS, dagster=Dead())
    assert answer.status_code == 503
    assert not list(project.jobs.iterdir())


def test_a_single_file_is_edited_in_place_and_restored(project, monkeypatch):
    jobs = project.file("config/jobs.yaml", "jobs:\n  # the first\n  sales: {source: {type: csv, source_path: data}}\n")
    monkeypatch.setenv("JOB_CONFIG_PATH", str(jobs))
    before = jobs.read_text()
    assert created(ORDERS, dagster=Still("no")).status_code == 422
    assert jobs.read_text() == before
    assert created(ORDERS).status_code == 201
    assert "# the first" in jobs.read_text()
    assert yaml.safe_load(jobs.read_text())["jobs"]["orders"] == ORDERS
    assert created(ORDERS).status_code == 409


def test_a_folder_that_cannot_be_written_is_named(project):
    (project.path / "config" / ".lock").mkdir()  # even for root, who may write everywhere else
    answer = created(ORDERS)
    assert answer.status_code == 500
    assert "was not stored" in answer.json()["detail"]
    assert "permissions" in answer.json()["detail"]


def test_parameters_are_checked_before_a_run_starts(project):
    project.job("orders", ORDERS)
    dagster = Still()
    here = caller(dagster=dagster)
    wrong = {"source": {"file_patern": "x*", "encoding": 7}}
    found = refusals(here.post("/jobs/execute", json={"job_id": "orders", "parameters": wrong}))
    assert "did you mean 'file_pattern'?" in found["body", "parameters", "source", "file_patern"]
    assert ("body", "parameters", "source", "encoding") in found
    clear = {"loader": {"catalog": {"token": "hunter22"}}}
    answer = here.post("/jobs/execute", json={"job_id": "orders", "parameters": clear})
    assert set(refusals(answer)) == {("body", "parameters", "loader", "catalog", "token")}
    assert "hunter22" not in answer.text
    typo = here.post("/jobs/execute", json={"job_id": "orders", "params": {}})
    assert refusals(typo) == {("body", "params"): "unknown key 'params'; did you mean 'parameters'?"}
    assert dagster.launched == []


def test_a_run_gets_the_parameters_and_the_file_stays(project):
    before = project.job("orders", ORDERS).read_text()
    dagster = Still()
    parameters = {"source": {"file_pattern": "orders_2023-03-*.csv"}}
    answer = caller(dagster=dagster).post("/jobs/execute", json={"job_id": "orders", "parameters": parameters})
    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("scheduled_time").endswith(("Z", "+00:00"))
    assert found == {
        "job_id": "orders",
        "status": "scheduled",
        "execution_id": "run-1",
        "message": "Job orders scheduled for immediate execution",
    }
    assert dagster.launched == [("orders", parameters)]
    assert (project.jobs / "orders.yaml").read_text() == before


def test_jobs_that_are_not_there_or_broken_do_not_run(project):
    project.job("broken", "source: {type: csv}\n")
    missing = caller().post("/jobs/execute", json={"job_id": "nope"})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Job nope not found"})
    broken = caller().post("/jobs/execute", json={"job_id": "broken"})
    assert broken.status_code == 422
    assert "broken.yaml:1" in broken.json()["detail"]
    assert caller().get("/jobs/nope").json() == {"detail": "Job nope not found"}


def test_no_refusal_repeats_the_password_of_a_url(project):
    project.job("broken", "source: {type: csv, source_path: data}\ndescription: [x]\npg://u:hunter22@db: 1\n")
    for answer in (
        caller().post("/jobs/execute", json={"job_id": "broken"}),
        created(ORDERS, dagster=Still("no access to pg://u:hunter22@db")),
    ):
        assert answer.status_code == 422
        assert "pg://u:********@db" in answer.json()["detail"]
        assert "hunter22" not in answer.text


def test_a_broken_file_is_listed_and_shown_with_its_error(project):
    project.job("orders", ORDERS)
    project.job("broken", "source: {type: csv}\n")
    jobs = caller().get("/jobs").json()["jobs"]
    assert set(jobs) == {"orders", "broken"}
    assert "source_path" in jobs["broken"]["error"]
    assert "error" not in jobs["orders"]
    shown = caller().get("/jobs/broken").json()
    assert shown["config"] is None
    assert shown["error"] == jobs["broken"]["error"]
