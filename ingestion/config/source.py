"""A source file: options that several jobs share, with defaults that they take over."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ingestion.config.merging import PLUGINS
from ingestion.config.monitoring import Metadata, Monitoring
from ingestion.errors import ConfigError
from ingestion.model import Model

__all__ = ["SourceConfig"]


def _part_of(section: str) -> AfterValidator:
    """Checks the options that are given; the rest may come from the job."""
    factory, default = PLUGINS[section]

    def check(options: dict[str, Any]) -> dict[str, Any]:
        name = options.get("type", default)
        if name is None:
            return options
        try:
            factory.create({**options, "type": name})
        except ConfigError as error:
            raise _refusal(
                [InitErrorDetails(type=_custom("unknown_type", str(error)), loc=("type",), input=None)]
            ) from error
        except ValidationError as error:
            lines = [line for line in error.errors(include_url=False) if line["type"] != "missing" and line["loc"]]
            if lines:
                raise _refusal([_passed_on(line) for line in lines]) from error
        return options

    return AfterValidator(check)


def _refusal(lines: list[InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data("source", lines)


def _passed_on(line: Any) -> InitErrorDetails:
    return InitErrorDetails(type=_custom(line["type"], line["msg"]), loc=line["loc"], input=line["input"])


def _custom(kind: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(kind, text)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else value


class SourceConfig(Model):
    """A source that jobs refer to by its id; none of its parts needs to be complete."""

    source_id: str | None = None
    """The id that jobs refer to; the name of the file where it is not given."""
    name: str | None = None
    """What people call the source."""
    description: str | None = None
    """What the source holds."""
    inherits: str | None = Field(None, validation_alias=AliasChoices("inherits", "template"))
    """A file of config/templates whose options stand below those of this file."""
    version: Annotated[str, BeforeValidator(_text)] | None = None
    """The version of this description."""
    source: Annotated[dict[str, Any], _part_of("source")] = Field(
        {}, validation_alias=AliasChoices("source", "scraper")
    )
    """The options of the source."""
    transformer: Annotated[dict[str, Any], _part_of("transformer")] = {}
    """The transformer of jobs that refer to the source; their own options stand above it."""
    loader: Annotated[dict[str, Any], _part_of("loader")] = {}
    """The loader of jobs that refer to the source; their own options stand above it."""
    monitoring: Monitoring = Monitoring()
    """The alerts of jobs that refer to the source; their own options stand above them."""
    metadata: Metadata = Metadata()
    """The metadata of jobs that refer to the source; their own options stand above it."""

    def for_jobs(self) -> Mapping[str, Any]:
        """What a job that refers to this source starts from."""
        given = self.as_written()
        return {key: given[key] for key in (*PLUGINS, "monitoring", "metadata") if key in given}
