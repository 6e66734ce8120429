"""A job: what one YAML file may say, once templates and the source that it refers to are merged in."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import Self

from ingestion.config.cron import check_cron
from ingestion.config.examples import InlineTest
from ingestion.config.merging import canonical, deep_merge
from ingestion.config.monitoring import Metadata, Monitoring, RetryPolicy
from ingestion.config.problems import InvalidConfig, explain
from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.factory import Factory
from ingestion.loaders import LoaderFactory
from ingestion.model import Model
from ingestion.plugins import Connector, Loader, Plugin, Transformer
from ingestion.secrets import has_placeholder, placeholders, resolve
from ingestion.transformers import TransformerFactory

__all__ = ["JobConfig", "check_id", "validated"]

P = TypeVar("P", bound=Plugin)
_NOT_FOR_ONE_RUN = {"enabled", "cron_expression", "timezone"}
_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_id(job_id: str) -> None:
    """Raises ConfigError for an id that could not name an asset, a file and a table."""
    if not _ID.fullmatch(job_id):
        raise ConfigError(
            f"{job_id!r} is not a valid id; use 1 to 63 lower-case letters, digits and _, starting with a letter"
        )


def _plugin(factory: Factory[P], default: str | None) -> Callable[[Any], Any]:
    """A validator that lets *factory* build what a mapping describes; its errors keep their place."""

    def build(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        name = value.get("type", default)
        if name is None:
            raise _type_error(
                f"is missing; known types: {', '.join(factory.names())}{_misspelt(value)}", "missing_type"
            )
        if has_placeholder(name):
            raise _type_error("cannot be a placeholder; write the type itself")
        try:
            return factory.create({**value, "type": name})
        except ConfigError as error:
            raise _type_error(str(error)) from error

    return build


def _misspelt(options: Mapping[str, Any]) -> str:
    """An ending that names the key that stands where 'type' was meant, if one does."""
    texts = [key for key, value in options.items() if isinstance(value, str)]  # a mapping may well be called 'types'
    near = get_close_matches("type", texts, n=1, cutoff=0.7)
    return f"; did you mean 'type' where it says {near[0]!r}?" if near else ""


def _type_error(text: str, kind: str = "unknown_type") -> ValidationError:
    error = PydanticCustomError(kind, text)
    return ValidationError.from_exception_data("plugin", [InitErrorDetails(type=error, loc=("type",), input=None)])


class JobConfig(Model):
    """One job; its id is the file's stem or its key in a map of jobs."""

    spelled_out: ClassVar[frozenset[str]] = frozenset({"enabled", "cron_expression", "timezone", "on_overlap"})

    id: str = Field(exclude=True)
    enabled: bool = True
    """Whether the job's schedule, or without one its sensor, is on; it can be run by hand either way."""
    cron_expression: str | None = None
    """When to run: five cron fields, or @hourly, @daily, @weekly, @monthly, @yearly."""
    timezone: str = "UTC"
    """The time zone of cron_expression, such as Europe/Stockholm."""
    type: Literal["generic"] = "generic"
    """The kind of job."""
    description: str | None = None
    """What the job is for; shown in the UI."""
    source: Annotated[SerializeAsAny[Connector], BeforeValidator(_plugin(ConnectorFactory, None))]
    """Where the data comes from."""
    transformer: Annotated[SerializeAsAny[Transformer], BeforeValidator(_plugin(TransformerFactory, "base"))] = Field(
        default_factory=lambda: TransformerFactory.create({"type": "base"})
    )
    """What happens to the rows on their way."""
    loader: Annotated[SerializeAsAny[Loader], BeforeValidator(_plugin(LoaderFactory, "iceberg"))] = Field(
        default_factory=lambda: LoaderFactory.create({"type": "iceberg"})
    )
    """Where the rows go."""
    monitoring: Monitoring = Monitoring()
    """Alerts."""
    metadata: Metadata = Metadata()
    """Documentation and organisation."""
    on_overlap: Literal["skip", "queue"] = "skip"
    """What happens to a run while another one of this job is under way: it is skipped, or waits."""
    retry_policy: RetryPolicy = RetryPolicy()
    """When a run that failed for a passing reason is started again."""
    max_bad_rows: int | None = Field(None, ge=0)
    """More bad rows than this, quarantined or dropped, fail the run before its commit."""
    max_bad_ratio: float = Field(0.05, ge=0, le=1)
    """A greater share of bad rows fails the run before its commit; judged beyond 100 bad rows, but 0 allows none."""
    tests: list[InlineTest] = []
    """Examples of rows and of what becomes of them, checked by `ingestion test`; a run does not look at them."""

    @field_validator("cron_expression")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        return None if value is None else check_cron(value)

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write a name such as UTC or Europe/Stockholm") from None
        return value

    @model_validator(mode="after")
    def _defaults_from_neighbours(self) -> Self:
        """The table is named after the job, and the source knows where its rows go."""
        loader = self.loader.with_defaults(table=self.id)
        completed = {"loader": loader, "source": self.source.beside(loader)}
        self.__dict__.update(completed)  # frozen, and these do not count as written
        return self

    @property
    def config_hash(self) -> str:
        """Changes when, and only when, an option changes; tests are none."""
        text = json.dumps(self._options(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def resolved(self, where: str = "") -> Self:
        """The same job, placeholders replaced, validated anew; raises ConfigError that names path and variable."""
        config = self._options()
        if not placeholders(config):
            return self
        return validated(type(self), self.id, resolve(config, where))

    def _options(self) -> dict[str, Any]:
        """What a run depends on: all but the tests."""
        return {name: value for name, value in self.as_written().items() if name != "tests"}

    def merged(self, overrides: Mapping[str, Any]) -> Self:
        """The job with *overrides* merged over it for one run; raises InvalidConfig that names the wrong option."""
        if not overrides:
            return self
        idle = sorted(_NOT_FOR_ONE_RUN.intersection(overrides))
        if idle:
            raise ConfigError(f"{self.id}: {idle[0]} says when runs are started; change it in the job file")
        base = self.as_written()
        return validated(type(self), self.id, deep_merge(base, canonical(overrides, overrides, base)))


J = TypeVar("J", bound=JobConfig)


def validated(cls: type[J], job_id: str, config: Mapping[str, Any]) -> J:
    """The job that *config* describes; raises InvalidConfig whose text starts with the job's id."""
    try:
        return build(cls, job_id, config)
    except ValidationError as error:
        problems = explain(error, config)
        text = "\n".join(f"{job_id}: {problem}" for problem in problems)
        raise InvalidConfig(text, problems) from None  # pydantic's own text repeats it in worse words


def build(cls: type[J], job_id: str, config: Mapping[str, Any]) -> J:
    """The job that *config* describes; raises pydantic's ValidationError."""
    if "id" in config:
        text = "unknown key 'id'; the name of the file is the job's id"
        error = PydanticCustomError("extra_forbidden", text)
        raise ValidationError.from_exception_data("job", [InitErrorDetails(type=error, loc=("id",), input=None)])
    return cls.model_validate({**config, "id": job_id})
