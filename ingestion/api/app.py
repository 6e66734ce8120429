"""The FastAPI application."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from json import JSONDecodeError
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from ingestion import settings
from ingestion.api import jobs
from ingestion.api.access import Guard
from ingestion.api.answers import Health
from ingestion.api.dagster import Dagster
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
from ingestion.secrets import redact

__all__ = ["create_app"]

_STATUS: dict[type[IngestionError], HTTPStatus] = {
    ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.BAD_GATEWAY,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_DESCRIPTION = """Create, inspect and run ingestion jobs.

Job files under config/ are the truth for jobs, Dagster for runs. Errors are `{"detail": ...}`:
a list with the path of every wrong value for a body that does not validate, a sentence otherwise.
"""


def create_app(dagster: Dagster | None = None) -> FastAPI:
    """The sidecar; *dagster* is the one of the DAGSTER_URL setting where none is given."""
    app = FastAPI(title="Ingestion", version=_version(), description=_DESCRIPTION, lifespan=_lifespan)
    app.state.dagster = dagster or _configured()
    app.add_middleware(Guard, settings=settings.current)
    app.include_router(jobs.router)
    app.add_api_route("/health", _health, summary="Whether jobs can run", tags=["health"])
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _answer_with(status))
    return app


def _configured() -> Dagster:
    from ingestion.orchestration.graphql import GraphqlDagster

    return GraphqlDagster(settings.current().dagster_url)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.dagster.close()


def _version() -> str:
    try:
        return version("ingestion")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _health(request: Request, response: Response) -> Health:
    """Whether Dagster answers and has loaded the jobs; 503 with the reason where it has not."""
    reason = request.app.state.dagster.health()
    if reason:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return {
        "status": "degraded" if reason else "ok",
        "service": "ingestion-service",
        "timestamp": datetime.now(timezone.utc),
        "version": request.app.version,
        "dagster": redact(reason or "ok"),
    }


def _answer_with(status: HTTPStatus) -> Callable[[Request, Exception], JSONResponse]:
    def answer(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": redact(str(error))}, status)

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    """What a route answers instead of a result, without secrets; it may quote a file or another's error."""
    if not isinstance(error, HTTPException):
        raise error
    return await http_exception_handler(request, HTTPException(error.status_code, redact(error.detail), error.headers))


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Path, words and kind of everything that is wrong with a body; never the values, which may be secrets."""
    lines: list[dict[str, Any]] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    body = error.body if isinstance(error, RequestValidationError) else None
    shown = [{"type": line["type"], "loc": list(line["loc"]), "msg": redact(_words(line, body))} for line in lines]
    return JSONResponse({"detail": shown}, HTTPStatus.UNPROCESSABLE_ENTITY)


def _words(line: Mapping[str, Any], body: Any) -> str:
    """What is wrong with a value, or with the whole *body*, which is bytes where its type is not JSON."""
    if line["type"] == "json_invalid" and isinstance(body, str):
        found = JSONDecodeError(line["ctx"]["error"], body, line["loc"][-1])
        return f"the body is not valid JSON: {found.msg} at line {found.lineno}, column {found.colno}"
    if line["type"] != "dict_type":
        return str(line["msg"])
    if isinstance(body, bytes):
        return "the body is not declared as JSON; send JSON with Content-Type: application/json"
    return "the body should be a JSON object"


def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    detail = "the server met an error that it does not know; its log has the details"
    return JSONResponse({"detail": detail}, HTTPStatus.INTERNAL_SERVER_ERROR)
