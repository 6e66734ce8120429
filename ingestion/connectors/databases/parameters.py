"""Parameters that a job hands on to a driver, which may not take them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ingestion.errors import ConfigError
from ingestion.secrets import redact

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector
    from ingestion.connectors.databases.database import Database

__all__ = ["given_by_url", "taken"]

_UNKNOWN = re.compile(r"unexpected keyword argument '(.+)'")


def given_by_url(options: "DatabaseConnector") -> Mapping[str, Any]:
    """The parameters behind the question mark of connection_string, as texts."""
    from sqlalchemy.engine import make_url

    return {} if options.connection_string is None else make_url(options.connection_string).query


@contextmanager
def taken(database: "Database") -> Iterator[None]:
    """Raise ConfigError where the driver knows no such parameters, or takes no such values of them."""
    try:
        yield
    except (TypeError, ValueError, NotImplementedError) as error:  # of what a driver looks at before it connects
        told = _told(database.options, str(error))
        if told is None:
            raise
        raise ConfigError(f"{database.place}: {redact(told)}") from None  # the error itself may quote a secret


def _told(options: "DatabaseConnector", said: str) -> str | None:
    """What is wrong with the parameters that the job gives; None where it gives none."""
    written, by_url = options.connection_params, given_by_url(options)
    option = "connection_params" if written else "connection_string"
    if unknown := _UNKNOWN.search(said):
        option = "connection_params" if unknown[1] in written else "connection_string"
        return f"source.{option} has {unknown[1]}, which the driver does not know; take it out or correct its name"
    names = ", ".join([*written, *by_url])
    return f"the driver does not take source.{option} ({names}): {said}; correct the value" if names else None
