"""Who is told about what, and who stands behind a job."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ingestion.model import Model, nearest

__all__ = ["Channel", "EmailChannel", "Metadata", "Monitoring", "RetryPolicy", "SlackChannel"]


class SlackChannel(Model):
    """A Slack channel, reached through an incoming webhook."""

    type: Literal["slack"] = "slack"
    """Slack."""
    webhook_url: str | None = None
    """The incoming webhook; SLACK_WEBHOOK_URL where it is not given."""


class EmailChannel(Model):
    """People, reached through an SMTP server."""

    type: Literal["email"] = "email"
    """Email."""
    to: list[str] = []
    """The addresses to write to; metadata.contact_email where none is given."""
    smtp_host: str | None = None
    """The SMTP server; SMTP_HOST where it is not given."""
    smtp_port: int | None = Field(None, ge=1, le=65535)
    """Its port; SMTP_PORT where it is not given."""
    smtp_username: str | None = None
    """The account there; SMTP_USERNAME where it is not given."""
    smtp_password: str | None = None
    """Its password, as a ${NAME}; SMTP_PASSWORD where it is not given."""
    sender: str | None = Field(None, validation_alias=AliasChoices("sender", "from"))
    """The address to write from; ALERT_EMAIL_FROM where it is not given."""


_CHANNELS: Mapping[str, type[Model]] = {"email": EmailChannel, "slack": SlackChannel}


def _channel(value: Any) -> Any:
    """A bare name stands for a channel with its settings from the environment."""
    options = {"type": value} if isinstance(value, str) else value
    if not isinstance(options, Mapping):
        return value
    name = options.get("type")
    if isinstance(name, str) and name in _CHANNELS:
        return _CHANNELS[name].model_validate(options)
    hint = nearest(str(name), _CHANNELS, "known channels")
    raise PydanticCustomError(
        "unknown_type", f"unknown channel {name!r}; {hint}" if name else f"type is missing; {hint}"
    )


# Not a discriminated union: pydantic has none whose members validate placeholders.
_Written = Literal["slack", "email"] | SlackChannel | EmailChannel
Channel = Annotated[SlackChannel | EmailChannel, BeforeValidator(_channel, json_schema_input_type=_Written)]


class Monitoring(Model):
    """Alerts of a job."""

    listed: ClassVar[frozenset[str]] = frozenset({"notification_channels"})

    alert_on_failure: bool = True
    """Tell the channels when a run has failed for good, after its last retry."""
    alert_on_zero_records: bool = False
    """Tell the channels when a run succeeded without reading a row."""
    alert_on_validation_failure: bool = True
    """Tell the channels when a run succeeded, but rows were quarantined or left out by a rule of
    transformer.validation; a rule with on_fail: warn alone is not told, one with on_fail: fail fails the run."""
    notification_channels: list[Channel] = []
    """Where alerts go: slack, email, or objects with settings of their own."""
    notify_owners: bool = True
    """Send emails to metadata.contact_email too."""


class Metadata(Model):
    """Documentation and organisation; shown in the UI and over REST."""

    spelled_out: ClassVar[frozenset[str]] = frozenset(
        {"owner", "contact_email", "data_steward", "tags", "classification"}
    )

    owner: str | None = None
    """The team or person responsible."""
    contact_email: str | None = None
    """Where to reach them."""
    data_steward: str | None = None
    """Who answers for the meaning of the data."""
    tags: list[str] = []
    """Words to find the job by."""
    classification: str | None = None
    """How confidential the data is, such as internal."""


class RetryPolicy(Model):
    """How often and when a run that failed for a passing reason is started again."""

    spelled_out: ClassVar[frozenset[str]] = frozenset({"max_retries", "delay_seconds", "backoff"})

    max_retries: int = Field(3, ge=0, le=100)
    """Retries after the first attempt; 0 never retries."""
    delay_seconds: float = Field(30, ge=0)
    """The wait before the first retry."""
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    """How the wait grows from one retry to the next."""
