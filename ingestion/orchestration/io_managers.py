"""A job's loader as Dagster's IO manager: it lands a stream in one commit, and opens the table for others."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import dagster as dg

from ingestion.config import load_job
from ingestion.errors import ConfigError
from ingestion.orchestration.alerts import alert_zero_records
from ingestion.orchestration.failures import failures_told
from ingestion.orchestration.liveness import let_go
from ingestion.orchestration.metadata import materialization_metadata
from ingestion.pipeline import Stream

__all__ = ["Attempt", "IcebergIOManager", "LoaderIOManager", "io_manager"]


_READERS = {"Table": "to_table", "RecordBatchReader": "reader"}  # a parameter's annotation: the loader's method


@dataclass(frozen=True)
class Attempt:
    """The rows of one try, unread, and how many tries there were before."""

    stream: Stream
    earlier: int


class LoaderIOManager(dg.ConfigurableIOManager):
    """Runs what an ingestion asset returns, and gives its table to a downstream asset.

    The annotation of the downstream parameter chooses the form: polars.LazyFrame (also where there is none),
    pyarrow.Table or pyarrow.RecordBatchReader.
    """

    def handle_output(self, context: dg.OutputContext, obj: Attempt) -> None:
        """Read, transform and land everything in one commit; what it did becomes the materialization's metadata."""
        stream = obj.stream
        waits = False
        try:
            with failures_told(stream.job, obj.earlier, lambda: stream.report):
                report = stream.load()
        except dg.RetryRequested:
            waits = True  # for its next try: the run is still this process's
            raise
        finally:
            if not waits:
                let_go(stream.report.run_id)
        context.add_output_metadata(materialization_metadata(report, stream.preview))
        (context.log.warning if report.warnings else context.log.info)(report.sentence())
        alert_zero_records(stream.job, report)

    def load_input(self, context: dg.InputContext) -> Any:
        """The table of the upstream asset, in the form that the parameter's annotation asks for."""
        loader = load_job(context.asset_key.to_user_string()).resolved().loader
        wanted = getattr(context.dagster_type.typing_type, "__name__", "Any")
        read = getattr(loader, _READERS.get(wanted, "scan"), None)
        if read is None:
            raise ConfigError(f"loader type {loader.type!r} cannot be read by a downstream asset; open its table there")
        return read()


class IcebergIOManager(LoaderIOManager):
    """The IO manager of Iceberg tables."""


@cache
def io_manager(loader_type: str) -> LoaderIOManager:
    """The one IO manager for loaders of this type; Dagster compares by identity."""
    return IcebergIOManager() if loader_type == "iceberg" else LoaderIOManager()
