"""The service as people use it: a job made over REST, run and switched in the browser."""

import os
import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error, Page, expect, sync_playwright

expect.set_options(timeout=20_000)  # the other worker may keep both cores busy

if TYPE_CHECKING:
    from ingestion_tests.dagster_server import Service

_SECONDS = 60


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a headless Chromium: the system's, else Playwright's own."""
    with sync_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
        try:
            browser = playwright.chromium.launch(executable_path=system, args=arguments)
        except Error as error:
            pytest.fail(f"no Chromium: apt-get install chromium, or playwright install chromium ({error})")
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(_SECONDS * 1000)
        yield page
        browser.close()


def eventually(ask: Any, wanted: Any, seconds: float = _SECONDS) -> None:
    """Wait until *ask* answers *wanted*."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    assert answer == wanted


@pytest.fixture(scope="module")
def daily_sales(service: "Service") -> str:
    """The job of the documentation's curl line, made over REST in a service that runs already."""
    folder = service.project.path / "incoming"
    service.project.file("incoming/daily_sales_2023-02-28.csv", "date,quantity,revenue\n2023-02-28,1,10.5\n")
    service.project.file(
        "incoming/daily_sales_2023-03-01.csv", "date,quantity,revenue\n2023-03-01,2,20\n2023-03-01,3,30\n"
    )
    config = {
        "enabled": True,
        "cron_expression": "0 5 * * *",
        "source": {"type": "csv", "source_path": f"{folder}/", "file_pattern": "daily_sales_*.csv"},
        "transformer": {"type": "base", "date_columns": ["date"], "numeric_columns": ["quantity", "revenue"]},
        "loader": {"type": "iceberg", "database": "sales_data", "table": "daily_sales_ui"},
    }
    answer = service.post("/jobs", {"job_id": "daily_sales_ui", "job_config": config})
    assert answer.status_code == 201, answer.text
    return "daily_sales_ui"


def test_a_new_job_is_an_asset_at_once_and_materializing_it_loads_its_rows(service, page, daily_sales, tmp_path):
    page.goto(f"{service.ui}/assets/{daily_sales}")
    page.locator("button:has-text('Materialize')").first.click()

    eventually(lambda: service.get(f"/jobs/{daily_sales}")["last_status"], "success")
    assert service.project.table(f"sales_data.{daily_sales}").num_rows == 3
    (run,) = service.get(f"/jobs/{daily_sales}")["metadata"]["runs"]
    assert run["rows_loaded"] == 3

    page.goto(f"{service.ui}/assets/{daily_sales}")
    expect(page.get_by_text("rows_loaded").first).to_be_visible()
    page.screenshot(path=tmp_path / "asset.png", full_page=True)


def test_the_schedule_switched_in_the_browser_shows_over_rest(service, page, daily_sales, tmp_path):
    def state() -> str:
        return service.get("/jobs")["jobs"][daily_sales]["schedule"]

    assert state() == "running"
    page.goto(f"{service.ui}/locations/ingestion/schedules/{daily_sales}_schedule")
    switch = page.locator("label:has(input[type=checkbox])").first
    switch.click()
    eventually(state, "stopped")
    switch.click()
    eventually(state, "running")
    page.screenshot(path=tmp_path / "schedule.png")


def test_a_broken_file_explains_itself_in_the_browser(service, page):
    service.project.job("broken_ui", "source: {type: csv, source_pat: data}\n")
    try:
        answer = service.graphql(
            'mutation { reloadRepositoryLocation(repositoryLocationName: "ingestion") { __typename } }'
        )
        assert answer["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry"
        page.goto(f"{service.ui}/assets/broken_ui")
        expect(page.get_by_text("did you mean 'source_path'").first).to_be_visible()
        expect(page.get_by_text("invalid_config").first).to_be_visible()
    finally:
        (service.project.jobs / "broken_ui.yaml").unlink()


_CHECKS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { assetChecksOrError {
  ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation { success severity
  description } } } } } } } }"""


def checks_of(service: "Service", asset: str) -> dict[str, Any]:
    """The latest evaluation of every check of an asset, as the browser asks for it."""
    node = service.graphql(_CHECKS, key={"path": [asset]})["assetNodeOrError"]
    found = {
        check["name"]: check["executionForLatestMaterialization"] for check in node["assetChecksOrError"]["checks"]
    }
    return {name: execution["evaluation"] if execution else None for name, execution in found.items()}


def test_the_rules_of_a_job_are_checks_in_the_browser(service, page, tmp_path):
    service.project.file("ages/a.csv", "id,age\n1,36\n2,150\n3,40\n")
    config = {
        "enabled": False,  # its sensor would start runs of its own
        "source": {"type": "csv", "source_path": f"{service.project.path}/ages"},
        "transformer": {
            "validation": [
                {"column": "age", "rule": "between", "min": 0, "max": 120},
                {"column": "id", "rule": "unique", "on_fail": "fail"},
            ]
        },
        "loader": {"type": "iceberg"},
    }
    answer = service.post("/jobs", {"job_id": "ages_ui", "job_config": config})
    assert answer.status_code == 201, answer.text

    assert service.execute("ages_ui")["rows_loaded"] == 2
    found = checks_of(service, "ages_ui")
    assert found["id_unique"]["success"]
    assert (found["age_between"]["success"], found["age_between"]["severity"]) == (False, "ERROR")
    assert found["age_between"]["description"].startswith("1 of 3 rows break it; the first: ")

    page.goto(f"{service.ui}/assets/ages_ui?view=checks&checkDetail=age_between")
    expect(page.get_by_text("1 of 3 rows break it").first).to_be_visible()
    expect(page.get_by_text("rows_looked_at").first).to_be_visible()
    page.screenshot(path=tmp_path / "checks.png")
    page.goto(f"{service.ui}/assets/ages_ui")
    expect(page.get_by_text("rows_loaded").first).to_be_visible()
    page.screenshot(path=tmp_path / "asset.png")

    service.project.file("ages/b.csv", "id,age\n4,36\n4,37\n")
    assert service.execute("ages_ui")["status"] == "failed"
    found = checks_of(service, "ages_ui")
    assert not found["id_unique"]["success"]
    assert "came before in this load" in found["id_unique"]["description"]
    page.goto(f"{service.ui}/assets/ages_ui?view=checks&checkDetail=id_unique")
    expect(page.get_by_text("is broken by 1 of 2 rows so far").first).to_be_visible()
    page.screenshot(path=tmp_path / "failed.png")
