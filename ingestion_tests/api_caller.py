"""The sidecar called in this process, with something in Dagster's place.

`Still` stands in for Dagster where answers are given before it is asked, or where it must refuse or be
dead; what a running Dagster says is tested in test_api_jobs.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from ingestion.api.app import create_app
from ingestion.api.dagster import JobState
from ingestion.errors import TransientError

__all__ = ["Caller", "Dead", "Still", "caller"]


class Still:
    """A Dagster that has nothing to tell and does what it is told."""

    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.launched: list[tuple[str, dict[str, Any]]] = []

    def health(self) -> str | None:
        return self.refusal

    def overview(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        return {}

    def history(self, job: str, limit: int) -> list[dict[str, Any]]:
        return []

    def in_flight(self, job: str) -> str | None:
        return None

    def reload(self, job: str | None = None) -> str | None:
        return self.refusal if job else None

    def launch(self, job: str, overrides: Mapping[str, Any]) -> str:
        self.launched.append((job, dict(overrides)))
        return "run-1"

    def close(self) -> None:
        return None


class Dead(Still):
    """A Dagster that does not answer."""

    def overview(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        raise TransientError("Dagster at http://u:hunter22@localhost:3000 does not answer; start it")

    def reload(self, job: str | None = None) -> str | None:
        raise TransientError("Dagster does not answer")


class Caller:
    """Calls the application as from *address*, which a connection on this machine could not pretend."""

    def __init__(self, address: str, host: str, dagster: Still) -> None:
        app = create_app(dagster)
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50000))
        self._url = f"http://{host}"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, options))

    async def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url=self._url) as client:
            return await client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def caller(address: str = "127.0.0.1", host: str = "127.0.0.1:8000", dagster: Still | None = None) -> Caller:
    return Caller(address, host, dagster or Still())
