"""One asset per job file: running it reads, transforms and loads; one that does not load says why."""

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from ingestion.config import JobConfig, LoadedJob
from ingestion.errors import ConfigError
from ingestion.orchestration.checks import check_results, check_specs
from ingestion.orchestration.failures import failures_told
from ingestion.orchestration.io_managers import Attempt
from ingestion.orchestration.liveness import hold
from ingestion.orchestration.names import ERROR_CLASS, INVALID_GROUP, JOB_TAG, io_manager_key, source_key
from ingestion.orchestration.resources import source_resource, with_source
from ingestion.pipeline import Stream
from ingestion.secrets import mask, redact

__all__ = ["RunParameters", "broken_asset", "job_asset"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class RunParameters(dg.Config):
    """What one run does differently from the job file."""

    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="Merged over the job file for this run alone: mappings merge, the rest replaces. "
        'For example {"source": {"file_pattern": "sales_2026-*.csv"}}',
    )


_PARAMETERS = (
    RunParameters.to_config_schema().as_field()
)  # once: a parameter of the function would derive it for every asset


def job_asset(loaded: LoadedJob, started: Callable[[Stream], None] = lambda _: None) -> dg.AssetsDefinition:
    """The asset of a job that loaded; *started* learns of each try's stream."""
    job = loaded.job
    if job is None:
        raise ValueError(f"{loaded.id} did not load")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # resource_defs is marked beta; the version is pinned
        return dg.asset(
            name=job.id,
            group_name=loaded.group,
            # Bound here: definitions would match every one of their resources with every asset.
            resource_defs={source_key(job.id): source_resource(job).get_resource_definition()},
            io_manager_key=io_manager_key(job.loader.type),
            description=job.description,
            owners=_owners(job),
            tags=_tags(job),
            kinds={job.source.type, job.loader.type},
            metadata=_metadata(loaded, job),
            pool=job.id,
            code_version=job.config_hash,
            config_schema=_PARAMETERS,
            check_specs=check_specs(job),
        )(_reading(job, started))


def _reading(job: JobConfig, started: Callable[[Stream], None]) -> Callable[[dg.AssetExecutionContext], Iterator[Any]]:
    """What a run of the asset of *job* computes: its rows, unread; then, as they have landed, what the checks found."""
    checks = job.transformer.checks

    def ingest(context: dg.AssetExecutionContext) -> Iterator[Any]:
        run_id = context.run.run_id
        _tag_run(context, job.id)
        with failures_told(job):
            changed = with_source(job, getattr(context.resources, source_key(job.id)).options)
            stream = Stream(changed.merged(RunParameters(**context.op_execution_context.op_config).overrides), run_id)
        hold(run_id)
        started(stream)
        yield dg.Output(Attempt(stream, context.retry_number, checks))  # the IO manager loads it before it is back here
        yield from check_results(checks, stream, context.instance)

    return ingest


def broken_asset(job_id: str, path: str, reason: str) -> dg.AssetsDefinition:
    """An asset that explains why its file does not load, in the UI and when it is run."""
    reason = redact(reason)

    @dg.op(name=f"{job_id}_broken")
    def explain() -> None:
        raise dg.Failure(description=reason, metadata={ERROR_CLASS: ConfigError.__name__}, allow_retries=False)

    return dg.AssetsDefinition.from_op(
        explain,
        keys_by_output_name={"result": dg.AssetKey(job_id)},
        group_name=INVALID_GROUP,
        descriptions_by_output_name={"result": f"This job file does not load. Mend it and reload.\n```\n{reason}\n```"},
        metadata_by_output_name={"result": {"error": dg.MetadataValue.md(f"```\n{reason}\n```"), "file": path}},
        tags_by_output_name={"result": {"dagster/kind/invalid": ""}},
    )


def _tag_run(context: dg.AssetExecutionContext, job_id: str) -> None:
    """Runs that the UI starts on its own carry no tag yet; a run of several jobs keeps none."""
    run = context.run
    if JOB_TAG not in run.tags and run.asset_selection and len(run.asset_selection) == 1:
        context.instance.add_run_tags(run.run_id, {JOB_TAG: job_id})


def _owners(job: JobConfig) -> list[str]:
    owners = []
    if job.metadata.contact_email and _EMAIL.fullmatch(job.metadata.contact_email):
        owners.append(job.metadata.contact_email)
    slug = _slug(job.metadata.owner or "")
    return [*owners, f"team:{slug}"] if slug else owners


def _tags(job: JobConfig) -> dict[str, str]:
    return {slug: "" for slug in map(_slug, job.metadata.tags or ()) if slug}


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[:63].strip("-._")


def _metadata(loaded: LoadedJob, job: JobConfig) -> dict[str, Any]:
    shown: dict[str, Any] = {"config": dg.MetadataValue.json(mask(job.as_written())), "file": str(loaded.path)}
    for name in ("owner", "contact_email", "data_steward", "classification"):
        value = getattr(job.metadata, name)
        if value:
            shown[name] = str(value)
    return shown
