"""Reading what is new since the last run: the order of rows, how far a job has come in it, and where a run ends."""

from ingestion.connectors.databases.incremental.spans import Incremental

__all__ = ["Incremental"]
