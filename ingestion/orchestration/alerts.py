"""Tell people, by Slack and email, of a run that failed, or brought nothing or bad rows.

A channel that fails is only logged.
"""

import logging
import smtplib
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Any

from pydantic import ValidationError

from ingestion.config import EmailChannel, JobConfig, Monitoring, SlackChannel, explain
from ingestion.errors import ConfigError, IngestionError
from ingestion.report import RunReport
from ingestion.secrets import redact
from ingestion.settings import current

__all__ = ["Alert", "alert_failure", "alert_upkeep", "alert_validation_failure", "alert_zero_records", "send"]

_TIMEOUT = 10.0  # seconds per channel
_SMTPS = 465
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Alert:
    """One incident, in words."""

    title: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The body, secrets redacted."""
        return redact("\n".join(self.lines))


def alert_failure(job: JobConfig, run_id: str, error: str) -> None:
    """Tell of a run that failed for good, where the job asks for it."""
    if _asked(job, "alert_on_failure"):
        send(Alert(f"{job.id} failed", (error, *_context(job, run_id))), job)


def alert_upkeep(job: JobConfig, run_id: str, error: str) -> None:
    """Tell of a table that could not be looked after, where the job asks for failures."""
    if _asked(job, "alert_on_failure"):
        send(Alert(f"Upkeep of {job.id} failed", (error, *_context(job, run_id))), job)


def alert_zero_records(job: JobConfig, report: RunReport) -> None:
    """Tell of a run that succeeded without reading a row, where the job asks for it."""
    if not report.rows_read and _asked(job, "alert_on_zero_records"):
        sentence = "The run succeeded, but its source brought no rows."
        send(Alert(f"{job.id} brought 0 rows", (sentence, *_context(job, report.run_id))), job)


def alert_validation_failure(job: JobConfig, run_id: str, broken: Sequence[str]) -> None:
    """Tell of a run that succeeded without rows that broke rules, a sentence on each, where the job asks for it."""
    if broken and _asked(job, "alert_on_validation_failure"):
        title = f"{job.id}: {'a rule is' if len(broken) == 1 else f'{len(broken)} rules are'} broken"
        send(Alert(title, ("The run succeeded without these rows.", *broken, *_context(job, run_id))), job)


def send(alert: Alert, job: JobConfig) -> None:
    """Send *alert* to every channel of *job*, once each; never raises because of a channel that fails."""
    for channel in job.monitoring.notification_channels:
        _send(alert, job, channel)


def _asked(job: JobConfig, option: str) -> bool:
    """Whether *job* says so; by default where it leaves that to a variable that is unset or no truth value."""
    try:
        return bool(getattr(_resolved(**{option: getattr(job.monitoring, option)}), option))
    except ConfigError as error:
        default = bool(Monitoring.model_fields[option].default)
        _log.warning("%s: %s; taken as %s", job.id, redact(str(error)), str(default).lower())
        return default


def _resolved(**part: Any) -> Monitoring:
    """One part of a job's monitoring, placeholders replaced: what is wrong with it leaves the others alone."""
    written = Monitoring(**part)
    try:
        return written.resolved("monitoring")
    except ValidationError as error:
        raise ConfigError("; ".join(f"monitoring.{problem}" for problem in explain(error, part))) from None


def _send(alert: Alert, job: JobConfig, channel: SlackChannel | EmailChannel) -> None:
    try:
        (ready,) = _resolved(notification_channels=[channel]).notification_channels
        if isinstance(ready, SlackChannel):
            _slack(alert, ready)
        else:
            _email(alert, ready, job)
    except (IngestionError, OSError, ValueError, smtplib.SMTPException) as error:  # ValueError: no name, no address
        reason = redact(str(error))
        name = getattr(channel, "type", channel)  # a placeholder may stand for a channel
        _log.warning("%s: the alert %r could not be sent by %s: %s", job.id, alert.title, name, reason)


def _context(job: JobConfig, run_id: str) -> Iterable[str]:
    yield f"Run: {current().dagster_url}/runs/{run_id}"
    if job.metadata.owner:
        yield f"Owner: {job.metadata.owner}"
    if job.metadata.contact_email:
        yield f"Contact: {job.metadata.contact_email}"


def _slack(alert: Alert, channel: SlackChannel) -> None:
    import httpx

    url = channel.webhook_url or current().slack_webhook_url
    if not url:
        raise ConfigError("no webhook is known; set SLACK_WEBHOOK_URL, or webhook_url of the channel")
    try:
        response = httpx.post(url, json={"text": f"*{alert.title}*\n{alert.text}"}, timeout=_TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # The address of a webhook is its secret, and httpx may put it into the message.
        raise OSError(f"the webhook does not answer ({type(error).__name__})") from None
    if not response.is_success:
        raise OSError(f"the webhook answered {response.status_code}")


def _email(alert: Alert, channel: EmailChannel, job: JobConfig) -> None:
    settings = current()
    to = _recipients(channel, job)
    host = channel.smtp_host or settings.smtp_host
    if not to or not host:
        missing = "SMTP_HOST" if to else "a recipient: `to` of the channel, or metadata.contact_email"
        raise ConfigError(f"email needs {missing}")
    message = EmailMessage()
    message["Subject"] = f"[ingestion] {alert.title}"
    message["From"] = channel.sender or settings.alert_email_from or to[0]
    message["To"] = ", ".join(to)
    message.set_content(alert.text)
    username = channel.smtp_username or settings.smtp_username
    password = channel.smtp_password or settings.smtp_password or ""
    with _connected(host, channel.smtp_port or settings.smtp_port) as server:
        if username:
            _log_in(server, host, username, password)
        server.send_message(message)


def _recipients(channel: EmailChannel, job: JobConfig) -> list[str]:
    contact = job.metadata.contact_email
    wanted = contact and (not channel.to or _asked(job, "notify_owners"))
    return list(dict.fromkeys([*channel.to, *([contact] if contact and wanted else [])]))


@contextmanager
def _connected(host: str, port: int) -> Iterator[smtplib.SMTP]:
    """A connection to the server, encrypted where it offers that."""
    context = ssl.create_default_context()
    if port == _SMTPS:
        with smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context) as server:
            yield server
        return
    with smtplib.SMTP(host, port, timeout=_TIMEOUT) as server:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        yield server


def _log_in(server: smtplib.SMTP, host: str, username: str, password: str) -> None:
    """Credentials leave this machine encrypted, or not at all."""
    if not isinstance(server.sock, ssl.SSLSocket) and not _is_loopback(host):
        raise ConfigError(f"{host} offers no encryption, so the password stays here; use port {_SMTPS} or STARTTLS")
    if not (username + password).isascii():
        raise ConfigError("the SMTP account and its password may hold ASCII characters only; choose others")
    server.login(username, password)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
