"""A job's connector as Dagster shows it: the source options of the file, editable for one run in the launchpad."""

from typing import Any

import dagster as dg
from pydantic import Field

from ingestion.config import JobConfig
from ingestion.config.job import validated
from ingestion.errors import ConfigError
from ingestion.secrets import MASK, mask

__all__ = ["SourceResource", "source_resource", "with_source"]


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only in Dagster's stubs
    """The source options of one job."""

    options: dict[str, Any] = Field(
        description="Options of the source, as a job file has them. ${NAME} stays as written until the run uses it; "
        f"{MASK} stands for what the file says."
    )


def source_resource(job: JobConfig) -> SourceResource:
    """What is shown of the source of *job*: placeholders as written, secrets in clear masked."""
    return SourceResource(options=_shown(job))


def with_source(job: JobConfig, options: dict[str, Any]) -> JobConfig:
    """*job* with its source as a run's resource config has it; raises ConfigError for options that do not validate."""
    if options == _shown(job):
        return job
    source = _unmasked(options, job.source.as_written())
    return validated(type(job), job.id, {**job.as_written(), "source": source})


def _shown(job: JobConfig) -> dict[str, Any]:
    return dict(mask({"type": job.source.type, **job.source.as_written()}))


def _unmasked(shown: Any, written: Any, key: str = "") -> Any:
    """*shown* with what `mask` took out of *written*; raises ConfigError where something else stands around it."""
    if shown == mask(written, key):
        return written
    if isinstance(shown, dict):
        inner = written if isinstance(written, dict) else {}
        return {name: _unmasked(value, inner.get(name), name) for name, value in shown.items()}
    if isinstance(shown, list):
        items = written if isinstance(written, list) and len(written) == len(shown) else [None] * len(shown)
        return [_unmasked(value, item, key) for value, item in zip(shown, items, strict=True)]
    if isinstance(shown, str) and MASK in shown:
        raise ConfigError(
            f"source.{key}: {MASK} stands for a secret of the file, which was not like this; write ${{NAME}}"
        )
    return shown
