"""Which options of a job a server's error may be about."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["STATEMENTS", "of_the_job"]

STATEMENTS = "source.query, source.where_clause or source.init_sql"
"""The options that hold SQL, as errors of any kind of database name them."""

_OPTIONS = ("query", "where_clause", "init_sql")


def of_the_job(told: str, options: "DatabaseConnector") -> str:
    """*told* with those of `STATEMENTS` alone that *options* give, where they give any."""
    given = [f"source.{name}" for name in _OPTIONS if getattr(options, name)]
    return told.replace(STATEMENTS, " or ".join(given)) if given else told
