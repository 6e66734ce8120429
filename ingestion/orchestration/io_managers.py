"""Tables as Dagster's IO managers: what an asset returns lands in one commit, and others get to read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import dagster as dg
import pyarrow as pa
from pydantic import Field

from ingestion.config import find_job
from ingestion.errors import ConfigError
from ingestion.loaders.tables import TableLoader
from ingestion.orchestration.again import carried_on
from ingestion.orchestration.alerts import alert_validation_failure, alert_zero_records
from ingestion.orchestration.checks import broken_rules, failed_checks_told
from ingestion.orchestration.failures import failures_told, told_at_once
from ingestion.orchestration.forms import batches_of, form_named
from ingestion.orchestration.liveness import let_go
from ingestion.orchestration.metadata import materialization_metadata
from ingestion.orchestration.partitions import parts_of
from ingestion.orchestration.table_io import Landing, check_options, loader_of, readable
from ingestion.pipeline import Stream
from ingestion.plugins import Check, Part
from ingestion.report import RunReport

__all__ = [
    "Attempt",
    "DeltaIOManager",
    "IcebergIOManager",
    "LoaderIOManager",
    "PostgresIOManager",
    "io_manager",
]


@dataclass(frozen=True)
class Attempt:
    """The rows of one try of a job, unread, how many tries there were before, and what rows are held to."""

    stream: Stream
    earlier: int
    checks: Sequence[Check] = ()  # as the asset declares them


class LoaderIOManager(dg.ConfigurableIOManager):
    """Lands what an asset returns, in one commit, and gives its table to a downstream asset.

    The annotation of the downstream parameter chooses the form: polars.LazyFrame (also where there is none),
    polars.DataFrame, pyarrow.Table or pyarrow.RecordBatchReader.
    """

    loader_type: ClassVar[str] = ""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Read and land everything in one commit; what it did becomes the materialization's metadata.

        An asset that returns None keeps its data elsewhere.
        """
        if obj is None:
            return
        if isinstance(obj, Attempt):
            report, preview = _run(obj)
            alert_zero_records(obj.stream.job, report)
            alert_validation_failure(obj.stream.job, report.run_id, broken_rules(obj.checks, obj.stream))
        else:
            report, preview = self._land(context, obj)
        context.add_output_metadata(materialization_metadata(report, preview))
        (context.log.warning if report.warnings else context.log.info)(report.sentence())

    def load_input(self, context: dg.InputContext) -> Any:
        """The table of the upstream asset, in the form that the parameter's annotation asks for.

        Of a partitioned asset only the rows of the partitions at hand; the metadata columns names the columns.
        """
        with told_at_once():
            return self._read(context)

    def _land(self, context: dg.OutputContext, value: Any) -> tuple[RunReport, pa.RecordBatch | None]:
        metadata, key = context.definition_metadata, context.asset_key
        with told_at_once():
            loader = loader_of(self.loader_type, self._options(), key, metadata)
            parts = _parts(context, loader, metadata)
            effort = carried_on(context.run_id)
            return Landing(loader, key.to_user_string(), context.run_id, parts, effort).land(batches_of(value))

    def _read(self, context: dg.InputContext) -> Any:
        upstream = context.upstream_output
        described: Mapping[str, Any] = upstream.definition_metadata if upstream is not None else {}
        loader = self._loader(context.asset_key, described)
        schema = loader.state("").schema or pa.schema([])
        frame = loader.scan(_parts(context, loader, described))
        columns = list(context.definition_metadata.get("columns") or schema.names)
        _refuse_unknown(columns, schema)
        chosen = pa.schema([schema.field(name) for name in columns])
        return form_named(context.dagster_type.typing_type)(frame.select(columns), chosen)

    def _loader(self, key: dg.AssetKey, metadata: Mapping[str, Any]) -> TableLoader:
        job = find_job(key.path[0]) if len(key.path) == 1 and not self._options() else None
        if job is not None and job.job is None:
            raise job.error or ConfigError(f"{job.path}: does not load")
        if job is not None and job.job is not None:
            return readable(job.job.resolved().loader)
        return loader_of(self.loader_type, self._options(), key, metadata)

    def _options(self) -> Mapping[str, Any]:
        return {}


def _run(attempt: Attempt) -> tuple[RunReport, pa.RecordBatch | None]:
    stream = attempt.stream
    waits = False
    try:
        with (
            failed_checks_told(attempt.checks, stream),
            failures_told(stream.job, attempt.earlier, lambda: stream.report),
        ):
            return stream.load(), stream.preview
    except dg.RetryRequested:
        waits = True  # for its next try: the run is still this process's
        raise
    finally:
        if not waits:
            let_go(stream.report.run_id)


def _parts(
    context: dg.OutputContext | dg.InputContext, loader: TableLoader, metadata: Mapping[str, Any]
) -> tuple[Part, ...]:
    """The part of the table at hand: all of it where an asset merges or appends and names no partition_expr."""
    expression = metadata.get("partition_expr")
    whole = expression is None and loader.write_mode != "overwrite"
    return () if whole else parts_of(context, expression)


def _refuse_unknown(columns: list[str], schema: pa.Schema) -> None:
    unknown = [name for name in columns if name not in schema.names]
    if unknown:
        raise ConfigError(f"the table has no column {unknown[0]!r}; it has {', '.join(schema.names)}")


class _TableIOManager(LoaderIOManager):
    """The IO manager of one type of loader."""

    loader: dict[str, Any] = Field(
        default_factory=dict, description="Options of the loader for all assets, as in the block loader of a job file"
    )

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        if isinstance(data.get("loader"), dict):
            check_options(self.loader_type, data["loader"])

    def _options(self) -> Mapping[str, Any]:
        return self.loader


class IcebergIOManager(_TableIOManager):
    """Keeps each asset in an Iceberg table."""

    loader_type: ClassVar[str] = "iceberg"


class DeltaIOManager(_TableIOManager):
    """Keeps each asset in a Delta table."""

    loader_type: ClassVar[str] = "delta"


class PostgresIOManager(_TableIOManager):
    """Keeps each asset in a table of PostgreSQL."""

    loader_type: ClassVar[str] = "postgres"


_OWN = {cls.loader_type: cls for cls in (IcebergIOManager, DeltaIOManager, PostgresIOManager)}


@cache
def io_manager(loader_type: str) -> LoaderIOManager:
    """The one IO manager for jobs whose loader is of this type; Dagster compares by identity."""
    return _OWN.get(loader_type, LoaderIOManager)()
