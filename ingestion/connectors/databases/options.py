"""The options that are mappings of their own."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from ingestion.model import Model
from ingestion.secrets import has_placeholder

__all__ = ["DatabaseIncremental", "SshTunnel", "seconds"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Value = int | float | Decimal | datetime | date | str


def seconds(text: str | float) -> float:
    """The seconds that a duration such as 90, 90s, 5m, 2h or 1d lasts; raises ValueError for any other text."""
    found = _DURATION.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration; write a number and s, m, h or d, such as 90s")
    return float(found[1]) * _SECONDS[found[2] or "s"]


class SshTunnel(Model):
    """A host that is logged on to by SSH, and from which the database is reached."""

    host: str
    """The SSH server."""
    port: int = Field(default=22, ge=1, le=65_535)
    """Its port."""
    username: str
    """The user to log on as."""
    private_key: str
    """The private key, or the path of its file, as a placeholder such as ${SSH_KEY}; one with a passphrase is to be
    held by an agent."""
    known_hosts: str | None = None
    """The file of host keys to trust; by default the one of the user who runs the service."""


class DatabaseIncremental(Model):
    """Reads only rows whose cursor column is beyond what earlier runs loaded."""

    cursor_column: str
    """The column that grows with every change: a time, a number that counts up, a rowversion."""
    initial_value: Value | None = None
    """Where the first run begins, inclusive; by default at the smallest value."""
    end_value: Value | None = None
    """Where the run ends, exclusive: it loads the range from initial_value, and leaves alone how far the job has
    come."""
    lookback: str | float = 0
    """How far before the last position each run begins: a duration, or a number for a cursor of numbers. Its rows are
    read again, so it takes write_mode: merge."""
    safety_lag: str | float | None = None
    """How far behind the server's clock each run stays, so that transactions under way are not passed by; 60s for
    cursors of dates and times. It must be longer than the longest transaction that writes the table."""
    on_null_cursor: Literal["raise", "include", "exclude"] = "raise"
    """What becomes of rows whose cursor is null: the run fails, every run loads them (with write_mode: merge), or none
    does (they are counted)."""
    source_timezone: str | None = None
    """The zone of the times in a cursor column without one, and of such times above; by default the one that the
    server's clock shows."""
    tie_breaker: str | list[str] | None = None
    """Columns that tell rows of equal cursor apart, in their order, and of which a later row has the greater ones; by
    default the primary key. Where there is none, the rows with the greatest cursor wait for greater ones. A reading
    that stays behind the clock by safety_lag needs none."""

    @field_validator("source_timezone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        try:
            return value and ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write a name such as UTC or Europe/Stockholm") from None

    @field_validator("safety_lag", "lookback")
    @classmethod
    def _duration(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            seconds(value)
        return value

    @property
    def looks_back(self) -> bool:
        """Whether a run reads rows again that an earlier one has loaded, or may do so."""
        return has_placeholder(self.lookback) or seconds(self.lookback) > 0
