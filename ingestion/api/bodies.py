"""What callers send: taken apart and checked, with errors that name the path of each value."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError, WithJsonSchema

from ingestion.config import InvalidConfig, JobConfig, Problem, check_id, explain, parse_job
from ingestion.errors import ConfigError
from ingestion.model import nearest
from ingestion.secrets import clear_secrets

__all__ = [
    "CREATE_EXAMPLES",
    "EXECUTE_EXAMPLES",
    "CreateBody",
    "ExecuteBody",
    "Execution",
    "NewJob",
    "checked",
    "execution",
    "new_job",
    "overridden",
]

Location = tuple[int | str, ...]

_DAILY_SALES = {
    "enabled": True,
    "cron_expression": "0 5 * * *",
    "source": {"type": "csv", "source_path": "/data/incoming/reports/", "file_pattern": "daily_sales_*.csv"},
    "transformer": {"type": "base", "date_columns": ["date"], "numeric_columns": ["quantity", "revenue"]},
    "loader": {"type": "iceberg", "database": "sales_data", "table": "daily_sales"},
}
CREATE_EXAMPLES: dict[str, Any] = {
    "named": {"summary": "A job and its id", "value": {"job_id": "daily_sales", "job_config": _DAILY_SALES}},
    "bare": {"summary": "A job alone, its id as ?job_id=", "value": _DAILY_SALES},
}
EXECUTE_EXAMPLES: dict[str, Any] = {
    "as_stored": {"summary": "As it stands", "value": {"job_id": "daily_sales"}},
    "overridden": {
        "summary": "With other files, this once",
        "value": {"job_id": "daily_sales", "parameters": {"source": {"file_pattern": "daily_sales_2023-03-*.csv"}}},
    },
}
_CONFIG = {
    "type": "object",
    "description": "A job, as its YAML file has it; `ingestion schema job` prints the full schema",
}
_ID = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$"}
CreateBody = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"job_id": _ID, "job_config": _CONFIG},
                    "required": ["job_id", "job_config"],
                },
                _CONFIG,
            ]
        }
    ),
]
ExecuteBody = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "job_id": _ID,
                "parameters": {
                    "type": ["object", "null"],
                    "description": "Merged over the job for this run alone: mappings merge, the rest replaces",
                },
            },
            "required": ["job_id"],
            "additionalProperties": False,
        }
    ),
]


class NewJob(NamedTuple):
    """A job to be stored, as sent."""

    job_id: str
    config: dict[str, Any]
    where: Location  # of the config in the body


class Execution(NamedTuple):
    """A run that is asked for."""

    job_id: str
    parameters: dict[str, Any]


def new_job(body: Mapping[str, Any], job_id: str | None) -> NewJob:
    """The job in *body*, in either of its forms; raises RequestValidationError."""
    if "job_config" not in body and job_id is not None:
        return NewJob(_name(job_id, "query"), dict(body), ("body",))
    _only(body, ["job_id", "job_config"])
    named = _text(body, "job_id")
    if job_id not in (None, named):
        raise _invalid([(("query", "job_id"), f"{job_id!r} is not the job_id {named!r} of the body; send one of them")])
    return NewJob(_name(named, "body"), _mapping(body, "job_config"), ("body", "job_config"))


def checked(new: NewJob) -> JobConfig:
    """The job that *new* describes; raises RequestValidationError with the path of everything that is wrong."""
    _refuse_broken_text(new.config, new.where)
    _refuse_clear_secrets(new.config, new.where)
    try:
        return parse_job(new.job_id, new.config)
    except ValidationError as error:
        raise _problems(explain(error, new.config), new.where) from error
    except InvalidConfig as error:
        raise _problems(error.problems, new.where) from error


def execution(body: Mapping[str, Any]) -> Execution:
    """The run that *body* asks for; raises RequestValidationError."""
    _only(body, ["job_id", "parameters"])
    return Execution(_text(body, "job_id"), _mapping(body, "parameters") if body.get("parameters") is not None else {})


def overridden(job: JobConfig, parameters: dict[str, Any]) -> JobConfig:
    """*job* with *parameters* merged over it; raises RequestValidationError with the path of what is wrong."""
    where = ("body", "parameters")
    _refuse_broken_text(parameters, where)
    _refuse_clear_secrets(parameters, where)
    try:
        return job.merged(parameters)
    except InvalidConfig as error:
        raise _problems(error.problems, where) from error


def _name(job_id: str, place: str) -> str:
    try:
        check_id(job_id)
    except ConfigError as error:
        raise _invalid([((place, "job_id"), str(error))]) from error
    return job_id


def _problems(problems: Iterable[Problem], where: Location) -> RequestValidationError:
    return _invalid(((*where, *problem.path), problem.message) for problem in problems)


def _refuse_broken_text(config: Mapping[str, Any], where: Location) -> None:
    try:
        json.dumps(config, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:  # JSON can spell half of a character pair, and Python's reader takes NaN
        raise _invalid([(where, f"holds what cannot be stored: {error}")]) from error


def _refuse_clear_secrets(config: Mapping[str, Any], where: Location) -> None:
    found = list(clear_secrets(config, where))
    if found:
        advice = "a secret in clear is not stored; set an environment variable where jobs run and write ${{{}}} here"
        raise _invalid((at, advice.format(str(at[-1]).upper())) for at in found)


def _only(body: Mapping[str, Any], known: list[str]) -> None:
    unknown = [key for key in body if key not in known]
    if unknown:
        raise _invalid((("body", key), f"unknown key {key!r}; {nearest(key, known, 'known keys')}") for key in unknown)


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise _invalid([(("body", key), f"{key} is missing" if value is None else f"{key} must be text")])
    return value


def _mapping(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise _invalid([(("body", key), f"{key} is missing" if value is None else f"{key} must be an object")])
    return value


def _invalid(lines: Iterable[tuple[Location, str]]) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": loc, "msg": message} for loc, message in lines])
