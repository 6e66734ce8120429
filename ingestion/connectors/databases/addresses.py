"""Where a database is: the options of its address."""

import re
import warnings
from urllib.parse import quote

from pydantic import AliasChoices, Field, field_validator

from ingestion.plugins import Connector

__all__ = ["Addressed"]

_QUERY = re.compile(r"\?\w+=[^?]*$")

with warnings.catch_warnings():  # pydantic has a deprecated method called schema
    warnings.simplefilter("ignore", UserWarning)

    class Addressed(Connector):
        """A source at the address of a database."""

        host: str | None = None
        """The server's name or address."""
        port: int | None = Field(default=None, ge=1, le=65_535)
        """The server's port; by default the usual one of its kind."""
        username: str | None = Field(default=None, validation_alias=AliasChoices("username", "user"))
        """The user to log on as; one that may only read is enough."""
        password: str | None = None
        """The user's password; write a placeholder, such as ${DB_PASSWORD}."""
        database: str | None = Field(default=None, validation_alias=AliasChoices("database", "dbname"))
        """The database on the server; for SQLite the path of its file, relative to the folder that holds config/."""
        schema: str | None = None  # type: ignore[assignment]  # the deprecated method
        """The schema of the table; by default the one that the server looks in first."""
        connection_string: str | None = None
        """All of the address as a URL, in place of host, port, username, password and database. Its password may be a
        placeholder, and have any character but % as it is, which is written %25."""

        @field_validator("connection_string")
        @classmethod
        def _quoted(cls, value: str | None) -> str | None:
            return value and _with_quoted_user(value)


def _with_quoted_user(url: str) -> str:
    """*url* with what stands before its host as URLs have it; a password that a placeholder brought is not."""
    scheme, _, rest = url.partition("://")
    query = _QUERY.search(rest)  # where a value may have an @, too
    end = query.start() if query is not None and "@" in rest[: query.start()] else len(rest)
    user, at, place = rest[:end].rpartition("@")
    name, colon, password = user.partition(":")
    if not at or "/" in name:  # of a file's path
        return url
    return f"{scheme}://{quote(name, safe='%')}{colon}{quote(password, safe='%')}@{place}{rest[end:]}"
