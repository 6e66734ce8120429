"""Alerts reach people once per incident, through real HTTP and SMTP servers; a channel that fails harms nothing."""

import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from ingestion.config import load_job
from ingestion.orchestration.alerts import alert_failure
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.launch import run_job
from ingestion.orchestration.liveness import fail_lost_runs
from ingestion.orchestration.monitoring import alert_on_failure
from ingestion.orchestration.names import INGEST_JOB, JOB_TAG
from ingestion_tests.conftest import Project

ORDERS: dict[str, Any] = {"source": {"type": "csv", "source_path": "data"}, "loader": {"type": "iceberg"}}
METADATA = {"owner": "Data Team", "contact_email": "data@example.com"}


@dataclass
class Webhook:
    """A receiver of Slack's incoming webhooks that answers *status*."""

    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def slack(monkeypatch) -> Iterator[Webhook]:
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.texts.append(json.loads(body)["text"])
            self.send_response(webhook.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    webhook.url = f"http://127.0.0.1:{server.server_port}/services/T000/SECRETPATH"
    monkeypatch.setenv("SLACK_WEBHOOK_URL", webhook.url)
    yield webhook
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Mailbox:
    """An SMTP server that keeps what it is sent."""

    messages: list[Any] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.messages.append(envelope)
        return "250 kept"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)


@pytest.fixture
def mailbox(monkeypatch) -> Iterator[Mailbox]:
    found = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        found, hostname="127.0.0.1", port=port, authenticator=found.authenticate, auth_require_tls=False
    )
    controller.start()
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(port))
    monkeypatch.setenv("ALERT_EMAIL_FROM", "ingestion@example.com")
    yield found
    controller.stop()


def job(project: Project, job_id: str = "orders", **options: Any) -> None:
    """A job whose folder is not there, unless *options* say otherwise."""
    monitoring = {"alert_on_failure": True, "notification_channels": ["slack"], **options.pop("monitoring", {})}
    project.job(job_id, {**ORDERS, "monitoring": monitoring, "metadata": METADATA, **options})


def filled(project: Project) -> None:
    project.file("data/a.csv", "id,name\n1,Ada\n")


def test_a_failed_run_is_told_once_with_what_where_and_whom_to_ask(project, slack):
    job(project)
    report = run_job("orders")
    assert report.status == "failed"
    (text,) = slack.texts
    assert "orders failed" in text
    assert report.error in text
    assert f"/runs/{report.run_id}" in text
    assert "Data Team" in text
    assert "data@example.com" in text


def test_a_successful_run_is_not_told(project, slack):
    filled(project)
    job(project)
    assert run_job("orders").status == "success"
    assert slack.texts == []


def test_retries_are_not_told_only_the_end_is(project, slack):
    filled(project)
    loader = {"type": "iceberg", "catalog": {"type": "rest", "uri": "http://127.0.0.1:9"}}
    job(project, loader=loader, retry_policy={"max_retries": 2, "delay_seconds": 0.1})
    assert run_job("orders").status == "failed"
    assert len(slack.texts) == 1


def test_alerts_on_failure_can_be_switched_off(project, slack):
    job(project, monitoring={"alert_on_failure": False})
    assert run_job("orders").status == "failed"
    assert slack.texts == []


def test_zero_rows_are_told_where_the_job_asks_for_it(project, slack):
    filled(project)
    job(project, monitoring={"alert_on_zero_records": True})
    assert run_job("orders").rows_read == 1
    assert slack.texts == []
    report = run_job("orders")
    assert report.status == "success"
    (text,) = slack.texts
    assert "orders brought 0 rows" in text
    assert f"/runs/{report.run_id}" in text


def test_zero_rows_are_nothing_to_tell_by_default(project, slack):
    filled(project)
    job(project)
    run_job("orders")
    run_job("orders")
    assert slack.texts == []


def with_rule(project: Project, on_fail: str, **monitoring: Any) -> None:
    project.file("data/a.csv", "id,age\n1,36\n2,150\n3,-1\n")
    rule = {"column": "age", "rule": "between", "min": 0, "max": 120, "on_fail": on_fail}
    job(project, transformer={"validation": [rule]}, monitoring=monitoring)


@pytest.mark.parametrize("on_fail", ["quarantine", "drop"])
def test_a_run_that_left_bad_rows_out_is_told_with_the_rule_and_the_first_of_them(project, slack, on_fail):
    with_rule(project, on_fail)
    report = run_job("orders")
    assert report.rows_loaded == 1
    (text,) = slack.texts
    assert "orders: a rule is broken" in text
    assert "age: between: 2 of 3 rows break it; the first: " in text
    assert "a.csv:3: is 150, more than 120" in text
    assert f"/runs/{report.run_id}" in text


def test_a_broken_rule_that_fails_the_run_is_told_once(project, slack):
    with_rule(project, "fail")
    run_job("orders")
    (text,) = slack.texts
    assert "orders failed" in text


@pytest.mark.parametrize(("on_fail", "monitoring"), [("warn", {}), ("drop", {"alert_on_validation_failure": False})])
def test_warnings_alone_and_what_a_job_does_not_ask_for_are_not_told(project, slack, on_fail, monitoring):
    with_rule(project, on_fail, **monitoring)
    run_job("orders")
    assert slack.texts == []


def test_an_email_reaches_the_recipients_and_the_contact_of_the_job(project, mailbox):
    channel = {"type": "email", "to": ["ops@example.com"]}
    job(project, monitoring={"notification_channels": [channel]})
    report = run_job("orders")
    (message,) = mailbox.messages
    assert message.mail_from == "ingestion@example.com"
    assert message.rcpt_tos == ["ops@example.com", "data@example.com"]
    content = message.content.decode()
    assert "Subject: [ingestion] orders failed" in content
    assert report.run_id in content
    assert mailbox.logins == []


def test_an_email_without_recipients_goes_to_the_contact(project, mailbox):
    job(project, monitoring={"notification_channels": ["email"]})
    run_job("orders")
    assert [message.rcpt_tos for message in mailbox.messages] == [["data@example.com"]]


def test_owners_are_left_alone_where_the_job_says_so(project, mailbox):
    channel = {"type": "email", "to": ["ops@example.com"]}
    job(project, monitoring={"notification_channels": [channel], "notify_owners": False})
    run_job("orders")
    assert [message.rcpt_tos for message in mailbox.messages] == [["ops@example.com"]]


def test_the_mail_account_is_used_where_there_is_one(project, mailbox, monkeypatch):
    monkeypatch.setenv("SMTP_USERNAME", "robot")
    monkeypatch.setenv("SMTP_PASSWORD", "pass-word")
    job(project, monitoring={"notification_channels": ["email"]})
    run_job("orders")
    assert mailbox.logins == [("robot", "pass-word")]
    assert len(mailbox.messages) == 1


def test_a_channel_may_bring_its_own_settings_as_placeholders(project, slack, monkeypatch):
    monkeypatch.setenv("OTHER_HOOK", slack.url)
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    job(project, monitoring={"notification_channels": [{"type": "slack", "webhook_url": "${OTHER_HOOK}"}]})
    run_job("orders")
    assert len(slack.texts) == 1


@pytest.mark.parametrize("value", ["true", "false", "perhaps", None])
def test_alerts_on_failure_may_be_switched_by_a_placeholder(project, slack, monkeypatch, caplog, value):
    if value:
        monkeypatch.setenv("ALERTS", value)
    job(project, monitoring={"alert_on_failure": "${ALERTS}"})
    assert run_job("orders").status == "failed"
    assert len(slack.texts) == (0 if value == "false" else 1)
    assert ("monitoring.alert_on_failure: " in caplog.text) == (value in {"perhaps", None})


def test_zero_rows_and_owners_may_be_switched_by_placeholders(project, mailbox, slack):
    (project.path / "data").mkdir()
    channel = {"type": "email", "to": ["ops@example.com"]}
    monitoring = {"notification_channels": [channel], "notify_owners": "${OWNERS:-false}"}
    job(project, monitoring={**monitoring, "alert_on_zero_records": "${ZERO:-false}"})
    assert run_job("orders").status == "success"
    assert mailbox.messages == []
    job(project, monitoring={**monitoring, "alert_on_zero_records": "${ZERO:-true}"})
    assert run_job("orders").status == "success"
    assert [message.rcpt_tos for message in mailbox.messages] == [["ops@example.com"]]


def test_a_placeholder_may_stand_for_a_channel_and_a_broken_one_harms_no_other(project, mailbox, slack, caplog):
    channels = [
        "${CHANNEL}",
        {"type": "slack", "webhook_url": "${NOT_SET}"},
        {"type": "email", "smtp_port": "${PORT:-x}"},
    ]
    job(project, monitoring={"notification_channels": [*channels, "${FIRST:-slack}", "${SECOND:-email}"]})
    assert run_job("orders").status == "failed"
    assert (len(slack.texts), len(mailbox.messages)) == (1, 1)
    for words in ("by ${CHANNEL}: monitoring", "NOT_SET is not set", "smtp_port: should be a whole number"):
        assert words in caplog.text


@pytest.fixture(params=["refused", "unset", "dead"])
def broken_slack(request, slack, monkeypatch) -> None:
    if request.param == "refused":
        slack.status = 500
    elif request.param == "unset":
        monkeypatch.delenv("SLACK_WEBHOOK_URL")
    else:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", "http://127.0.0.1:9/services/T000/SECRETPATH")


def test_a_channel_that_fails_is_logged_and_the_next_one_is_still_told(project, broken_slack, mailbox, caplog):
    filled(project)
    job(project, monitoring={"alert_on_zero_records": True, "notification_channels": ["slack", "email"]})
    run_job("orders")
    report = run_job("orders")
    assert report.status == "success"
    assert len(mailbox.messages) == 1
    (record,) = [record for record in caplog.records if record.name == "ingestion.orchestration.alerts"]
    assert "slack" in record.getMessage()
    assert "SECRETPATH" not in caplog.text


def test_a_dead_mail_server_is_logged_and_harms_nothing(project, monkeypatch, caplog):
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", "9")
    job(project, monitoring={"notification_channels": ["email"]})
    report = run_job("orders")
    assert report.status == "failed"
    assert "could not be sent by email" in caplog.text


@pytest.mark.parametrize(
    "channel",
    [
        {"smtp_host": "mail..example.com"},
        {"smtp_host": "m" * 64 + ".example.com"},
        {"to": ["a@example.com\nBcc: b@example.com"]},
        {"sender": "a@example.com\nx"},
        {"smtp_username": "robot", "smtp_password": "${UNSET:-pass-wörd}"},
        {"smtp_host": "0.0.0.0", "smtp_username": "robot", "smtp_password": "pass-word"},
    ],
)
def test_a_channel_that_cannot_work_leaves_a_run_that_succeeded_alone(project, mailbox, slack, caplog, channel):
    job(
        project,
        source={"type": "csv", "source_path": "empty"},
        monitoring={"alert_on_zero_records": True, "notification_channels": [{"type": "email", **channel}, "slack"]},
    )
    (project.path / "empty").mkdir()
    report = run_job("orders")
    assert report.status == "success", report.error
    assert mailbox.messages == mailbox.logins == []
    assert len(slack.texts) == 1
    assert "could not be sent by email" in caplog.text
    assert "rd" not in caplog.text.partition("by email: ")[2].replace("password", "")


def test_a_password_is_not_sent_without_encryption_to_another_machine(project, mailbox, monkeypatch, caplog):
    """0.0.0.0 is this machine, though not by a name that says so."""
    monkeypatch.setenv("SMTP_HOST", "0.0.0.0")
    monkeypatch.setenv("SMTP_USERNAME", "robot")
    monkeypatch.setenv("SMTP_PASSWORD", "pass-word")
    job(project, monitoring={"notification_channels": ["email"]})
    run_job("orders")
    assert mailbox.logins == mailbox.messages == []
    assert "0.0.0.0 offers no encryption, so the password stays here" in caplog.text


def test_a_server_whose_encryption_fails_is_left_and_nothing_stays_open(project, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=break_off_starttls, args=(listener,), daemon=True)
        thread.start()
        monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SMTP_PORT", str(listener.getsockname()[1]))
        job(project, monitoring={"notification_channels": ["email"]})
        run_job("orders")
        thread.join(10)
    gc.collect()  # a socket left open warns, and a warning fails the test
    assert "could not be sent by email" in caplog.text


def break_off_starttls(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as stream:
        for answer in (b"220 hello\r\n", b"250-hello\r\n250 STARTTLS\r\n", b"220 go on\r\n"):
            stream.write(answer)
            stream.flush()
            stream.readline()
        stream.write(b"this is not TLS\r\n")


def test_secrets_do_not_reach_the_text_of_an_alert(project, slack, monkeypatch):
    monkeypatch.setenv("ORDERS_PASSWORD", "hunter2-very-secret")
    filled(project)
    job(
        project,
        loader={"type": "iceberg", "catalog": {"uri": "sqlite:////nowhere/${ORDERS_PASSWORD}.db", "type": "sql"}},
    )
    job_config = load_job("orders")
    job_config.resolved()
    alert_failure(job_config, "run", "cannot open /nowhere/hunter2-very-secret.db")
    assert "hunter2" not in slack.texts[0]
    assert "********" in slack.texts[0]


def failed_run(instance: dg.DagsterInstance, job_id: str = "orders") -> dg.ExecuteInProcessResult:
    definition = build_definitions().resolve_job_def(INGEST_JOB)
    return definition.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(job_id)], raise_on_error=False)


def test_the_failure_sensor_tells_of_a_run_of_the_daemon(project, slack):
    job(project)
    with open_instance() as instance:
        result = failed_run(instance)
        sense_failure(instance, result.dagster_run, result.get_run_failure_event())
    (text,) = slack.texts
    assert "orders failed" in text
    assert "data" in text
    assert result.run_id in text


def sense_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent) -> None:
    context = dg.build_run_status_sensor_context("alert_on_failure", event, instance, run)
    alert_on_failure(context.for_run_failure())


def test_a_run_that_two_watchers_put_down_as_failed_is_told_once(project, slack):
    """Dagster's server finds a killed process by itself, maybe at the same moment."""
    job(project)
    with open_instance() as instance:
        run = instance.create_run_for_job(build_definitions().resolve_job_def(INGEST_JOB), tags={JOB_TAG: "orders"})
        events = [instance.report_run_failed(run, message) for message in ("from outside", "the process is gone")]
        assert len(instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records) == 2
        for event in events:
            sense_failure(instance, run, event)
    (text,) = slack.texts
    assert "from outside" in text


def test_a_killed_run_of_the_command_line_is_told_by_whoever_finds_it(project, slack):
    filled(project)
    job(project)
    os.mkfifo(project.path / "data" / "b.csv")  # reading it never ends
    running = project.path / "metadata" / "dagster" / "running"
    with subprocess.Popen([sys.executable, "-m", "ingestion.cli", "run", "orders"]) as process:
        deadline = time.monotonic() + 60
        while not list(running.glob("*.lock")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    with open_instance() as instance:
        (lost,) = fail_lost_runs(instance)
        assert fail_lost_runs(instance) == []
    (text,) = slack.texts
    assert "process" in text
    assert lost.run_id in text


def test_a_running_daemon_tells_of_its_own_runs_once_and_leaves_those_of_the_command_line(service, slack):
    """The command line tells of its runs itself: the daemon must not do so again."""
    channel = {"type": "slack", "webhook_url": slack.url}
    config = {**ORDERS, "source": {"type": "csv", "source_path": "gone"}}
    service.project.job("alerting", {**config, "monitoring": {"notification_channels": [channel]}, "enabled": False})
    try:
        service.graphql('mutation { reloadRepositoryLocation(repositoryLocationName: "ingestion") { __typename } }')
        report = service.execute("alerting")
        assert report["status"] == "failed"
        wait_for(slack.texts, 1)
        assert report["run_id"] in slack.texts[0]

        path = service.project.path
        env = {**os.environ, "JOB_CONFIG_PATH": str(service.project.jobs), "METADATA_PATH": str(path / "metadata")}
        command = [sys.executable, "-m", "ingestion.cli", "run", "alerting"]
        assert subprocess.run(command, env=env, cwd=path, capture_output=True, check=False).returncode == 1
        assert len(slack.texts) == 2
        time.sleep(11)  # the sensor looks every ten seconds
        assert len(slack.texts) == 2
    finally:
        (service.project.jobs / "alerting.yaml").unlink()


def wait_for(texts: list[str], count: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while len(texts) < count and time.monotonic() < deadline:
        time.sleep(0.5)
    assert len(texts) == count
