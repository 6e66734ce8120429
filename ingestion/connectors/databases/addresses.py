"""Where a database is: the options of its address."""

import warnings

from pydantic import AliasChoices, Field

from ingestion.plugins import Connector

__all__ = ["Addressed"]

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
        """All of the address as a URL, in place of host, port, username, password and database."""
