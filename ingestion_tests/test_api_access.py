"""Who is served, how much may be sent, and how errors look."""

from collections.abc import AsyncIterator

import pytest

from ingestion.api.access import LARGEST_BODY
from ingestion.orchestration.graphql import GraphqlDagster
from ingestion.settings import current
from ingestion_tests.api_caller import Dead, Still, caller
from ingestion_tests.conftest import Project


@pytest.fixture
def token(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("API_TOKEN", "sésame-0123")
    return "sésame-0123"


async def _many_chunks() -> AsyncIterator[bytes]:
    for _ in range(1000):
        yield b" " * 65536


def bearer(token: str) -> dict[str, bytes]:
    return {"Authorization": b"Bearer " + token.encode()}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_callers_on_the_same_machine_are_served_without_a_token(project, address):
    assert caller(address).get("/jobs").status_code == 200


@pytest.mark.parametrize("address", ["10.0.0.7", "::ffff:10.0.0.7", "fe80::1", "172.17.0.1", "", "testclient"])
def test_callers_elsewhere_are_told_to_set_a_token(project, address):
    answer = caller(address).get("/jobs")
    assert answer.status_code == 401
    assert "API_TOKEN" in answer.json()["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_headers_of_proxies_open_nothing(project, header):
    value = "for=127.0.0.1" if header == "Forwarded" else "127.0.0.1"
    assert caller("10.0.0.7").get("/jobs", headers={header: value}).status_code == 401
    assert caller("127.0.0.1").get("/jobs", headers={header: value}).status_code == 401, "a proxy on this machine asks"


def test_a_name_that_was_rebound_to_the_loopback_address_is_refused(project):
    assert caller(host="evil.example:8000").get("/jobs").status_code == 401
    assert caller(host="localhost:8000").get("/jobs").status_code == 200
    assert caller(host="[::1]:8000").get("/jobs").status_code == 200


def test_anonymous_access_is_opened_deliberately(project, monkeypatch):
    monkeypatch.setenv("API_ALLOW_ANONYMOUS", "true")
    assert caller("10.0.0.7", "ingest.example").get("/jobs").status_code == 200


def test_the_token_is_needed_everywhere_but_for_health(token):
    here = caller()
    assert here.get("/health").status_code == 200
    for method, path in [
        ("GET", "/jobs"),
        ("GET", "/jobs/x"),
        ("POST", "/jobs"),
        ("POST", "/jobs/execute"),
        ("GET", "/docs"),
    ]:
        assert here.request(method, path).status_code == 401, path
    assert here.get("/openapi.json").status_code == 401


@pytest.mark.parametrize(
    "sent", ["Bearer wrong", "Bearer ", "", "Basic sésame-0123", "sésame-0123", "Bearer sésame-01234"]
)
def test_a_wrong_token_is_refused(token, sent):
    assert caller().get("/jobs", headers={"Authorization": sent.encode()}).status_code == 401


def test_the_right_token_is_served_from_anywhere(token):
    assert caller("10.0.0.7", "ingest.example").get("/jobs", headers=bearer(token)).status_code == 200


def test_anonymous_access_does_not_overrule_a_token(token, monkeypatch):
    monkeypatch.setenv("API_ALLOW_ANONYMOUS", "true")
    assert caller("10.0.0.7").get("/jobs").status_code == 401


def test_a_large_body_is_refused_whether_announced_or_not(project):
    filler = b" " * LARGEST_BODY
    announced = caller().post("/jobs", content=filler + b"{}", headers={"Content-Type": "application/json"})
    assert announced.status_code == 413
    assert "1,048,576" in announced.json()["detail"]

    assert (
        caller().post("/jobs", content=_many_chunks(), headers={"Content-Type": "application/json"}).status_code == 413
    )


def test_a_body_of_just_the_limit_is_read(project):
    body = b'{"job_id": "nope"}'.ljust(LARGEST_BODY)
    answer = caller().post("/jobs/execute", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Job nope not found"})


def test_dagster_not_answering_is_a_503_without_its_password(project):
    answer = caller(dagster=Dead()).get("/jobs")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["detail"]
    assert "hunter22" not in answer.text


def test_health_says_what_is_wrong(project):
    answer = caller(dagster=Still("the code location ingestion did not load: boom")).get("/health")
    assert answer.status_code == 503
    found = answer.json()
    assert (found["status"], found["service"]) == ("degraded", "ingestion-service")
    assert found["dagster"] == "the code location ingestion did not load: boom"


def test_health_repeats_no_password(project):
    answer = caller("10.0.0.7", dagster=Still("it did not load: cannot reach pg://u:hunter22@db")).get("/health")
    assert answer.json()["dagster"] == "it did not load: cannot reach pg://u:********@db"


@pytest.mark.parametrize("url", ["http://u:hunter22@127.0.0.1:9", "http://u:hunt/er22@127.0.0.1:9"])
def test_the_address_of_dagster_is_named_without_its_password(project, monkeypatch, url):
    monkeypatch.setenv("DAGSTER_URL", url)
    detail = caller(dagster=GraphqlDagster(current().dagster_url)).get("/health").json()["dagster"]
    assert "http://127.0.0.1:9 does not answer" in detail
    assert "DAGSTER_URL" in detail
    assert "hunt" not in detail


def test_health_of_a_sound_service(project):
    found = caller().get("/health").json()
    assert (found["status"], found["dagster"]) == ("ok", "ok")
    assert found["timestamp"].endswith(("Z", "+00:00"))
    assert found["version"]


def test_unknown_paths_and_bodies_that_are_no_json_answer_in_the_same_form(project):
    assert caller().get("/nothing").json() == {"detail": "Not Found"}
    broken = caller().post("/jobs", content=b'{"job_id": ', headers={"Content-Type": "application/json"})
    assert broken.status_code == 422
    assert broken.json()["detail"][0]["loc"][0] == "body"
    assert caller().post("/jobs", json=[1]).status_code == 422


def test_every_body_has_an_example_in_the_openapi_description(project):
    paths = caller().get("/openapi.json").json()["paths"]
    assert set(paths) == {"/health", "/jobs", "/jobs/{job_id}", "/jobs/execute"}
    for path in ("/jobs", "/jobs/execute"):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert content["examples"], path
    assert set(paths["/jobs/execute"]["post"]["responses"]) == {"200", "401", "404", "409", "422", "503"}
    assert caller().get("/docs").status_code == 200
