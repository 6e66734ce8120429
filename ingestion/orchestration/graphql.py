"""A running Dagster, asked through its GraphQL client and, for lists, through the same endpoint."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import httpx

from ingestion.errors import ConfigError, TransientError
from ingestion.orchestration import queries
from ingestion.orchestration.history import run_report
from ingestion.orchestration.job_state import JobState, job_state
from ingestion.orchestration.names import INGEST_JOB, INVALID_GROUP, JOB_TAG, LOCATION, run_config, schedule_name

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient

__all__ = ["GraphqlDagster"]

_REPOSITORY = "__repository__"  # Dagster's name for what a Definitions object holds
_PENDING = {"statuses": ["NOT_STARTED", "QUEUED", "STARTING", "STARTED", "MANAGED", "CANCELING"]}
_SECONDS = 60.0

T = TypeVar("T")


class GraphqlDagster:
    """Dagster at *url*; safe to use from several threads. Raises TransientError when it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._name = re.sub(r"(?<=://)\S*@", "", url)  # for messages: without user and password
        self._http = httpx.Client(timeout=_SECONDS)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def health(self) -> str | None:
        """Why jobs cannot run at the moment, or None when they can."""
        try:
            entry = self._location()
        except TransientError as error:
            return str(error)
        found = entry["locationOrLoadError"] or {"__typename": "", "message": "it is still loading"}
        if found["__typename"] == "RepositoryLocation":
            return None
        root = [found, *found.get("causes", [])][-1]
        return f"the code location {entry['name']} did not load: {root['message'].strip()}"

    def overview(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        """The state of every one of *jobs*, in two queries however many there are."""
        found, schedules = self._states(jobs)
        pending = _by_job(found["pending"])
        latest = {info["assetKey"]["path"][-1]: info for info in found["assetsLatestInfo"]}
        on = {item["name"]: item for item in schedules if item}
        return {job: job_state(pending.get(job, ()), latest.get(job) or {}, on.get(schedule_name(job))) for job in jobs}

    def _states(self, jobs: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What Dagster answers about *jobs*, and the schedules that may be theirs."""
        where = {"repositoryLocationName": self._location()["name"], "repositoryName": _REPOSITORY}
        keys = [{"path": [job]} for job in jobs]
        if len(jobs) == 1:  # Dagster computes the next tick of every schedule that is asked for
            one = {**where, "scheduleName": schedule_name(jobs[0])}
            found = self._ask(queries.ONE, pending=_PENDING, keys=keys, schedule=one)
            return found, [found["scheduleOrError"]]
        found = self._ask(queries.OVERVIEW, pending=_PENDING, keys=keys, repository=where)
        return found, found["schedulesOrError"].get("results", [])

    def in_flight(self, job: str) -> str | None:
        """The id of a run of *job* that has not ended, if there is one."""
        return next(iter(_by_job(self._ask(queries.PENDING, pending=_PENDING)["pending"]).get(job, ())), None)

    def history(self, job: str, limit: int) -> list[dict[str, Any]]:
        """Reports of the last *limit* runs of *job*, the newest first; failed runs carry their error."""
        tagged = {"tags": [{"key": JOB_TAG, "value": job}]}
        runs = _results(self._ask(queries.HISTORY, filter=tagged, limit=limit)["runsOrError"])
        return [run_report(job, self._to_the_end(run)) for run in runs]

    def _to_the_end(self, run: dict[str, Any]) -> dict[str, Any]:
        """A failed run with all of its events: why it failed stands last, behind whatever it logged."""
        found = run["eventConnection"]
        events = list(found["events"])
        while run["status"] == "FAILURE" and found["hasMore"]:
            answer = self._ask(queries.EVENTS, run=run["runId"], after=found["cursor"])["runOrError"]
            if "eventConnection" not in answer:
                break  # deleted meanwhile
            found = answer["eventConnection"]
            events += found["events"]
        return {**run, "eventConnection": {"events": events}}

    def reload(self, job: str | None = None) -> str | None:
        """Load the definitions anew; why they, or *job* among them, did not load, or None."""
        name = self._location()["name"]
        info = self._call(lambda client: client.reload_repository_location(name))
        if info.status.name != "SUCCESS":
            return self.health() or f"the code location {name} did not load: {info.message}"
        if job is None:
            return None
        self._make_pool_known(job)
        return self._refused(job)

    def _make_pool_known(self, job: str) -> None:
        """Dagster gives a pool its limit when it first dequeues a run of it, too late for a second one beside it."""
        pool = self._ask(queries.POOL, pool=job)["instance"]["concurrencyLimit"]
        if not pool["slotCount"] and pool["limit"] != 0:  # somebody may have stopped it with a limit of 0
            self._ask(queries.SET_POOL, pool=job)

    def _refused(self, job: str) -> str | None:
        nodes = self._ask(queries.ASSET, key=[job])["assetNodes"]
        if not nodes:
            return (
                f"Dagster reloaded its code location, but it holds no job {job}; "
                f"is it given the same JOB_CONFIG_PATH, and served by `dagster code-server start`?"
            )
        if nodes[0]["groupName"] != INVALID_GROUP:
            return None
        reasons = (entry.get("mdStr") for entry in nodes[0]["metadataEntries"] if entry["label"] == "error")
        return (next(reasons, None) or "it does not load").strip("`\n")

    def launch(self, job: str, overrides: Mapping[str, Any]) -> str:
        """Queue a run of *job* with *overrides* as its run config; its id. ConfigError if Dagster refuses it."""
        reason = self._refused(job) and self.reload(job)  # a file that was put there, or mended, by hand
        if reason:
            raise ConfigError(reason)
        self._make_pool_known(job)
        name = self._location()["name"]
        return self._call(
            lambda client: client.submit_job_execution(
                INGEST_JOB,
                repository_location_name=name,
                repository_name=_REPOSITORY,
                run_config=run_config(job, dict(overrides)),
                tags={JOB_TAG: job},
                asset_selection=[job],
            )
        )

    def _location(self) -> dict[str, Any]:
        """Our code location: the one of our name, or the only one there is."""
        workspace = self._ask(queries.LOCATIONS)["workspaceOrError"]
        entries = workspace.get("locationEntries", [])
        for entry in entries:
            if entry["name"] == LOCATION or len(entries) == 1:
                return dict(entry)
        names = ", ".join(entry["name"] for entry in entries) or workspace.get("message") or "none"
        raise TransientError(
            f"Dagster at {self._name} has no code location {LOCATION} (it has: {names}); start it with workspace.yaml"
        )

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        try:
            reply = self._http.post(f"{self.url}/graphql", json={"query": query, "variables": variables})
            answer = reply.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error
        except ValueError as error:
            raise TransientError(
                f"{self._name} answered {reply.status_code}, but not as Dagster does; check DAGSTER_URL"
            ) from error
        if "errors" in answer or "data" not in answer:
            reason = answer.get("errors", [{}])[0].get("message", f"status {reply.status_code}")
            raise TransientError(f"Dagster at {self._name} could not answer: {reason}; see its log")
        return dict(answer["data"])

    def _call(self, method: "Callable[[DagsterGraphQLClient], T]") -> T:
        """One call of Dagster's own client, on a client of its own: it is not made for several threads."""
        from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

        at = urlsplit(self.url)
        host = f"[{at.hostname}]" if ":" in (at.hostname or "") else at.hostname or ""
        client = DagsterGraphQLClient(host, at.port, use_https=at.scheme == "https", path_prefix=at.path)
        try:
            return method(client)
        except DagsterGraphQLClientError as error:
            if error.__cause__ is not None:  # raised by the transport, not by Dagster
                raise self._silent(error.__cause__) from error
            raise ConfigError(f"Dagster refused the call: {_words(error.args)}") from error

    def _silent(self, error: BaseException) -> TransientError:
        told = "" if isinstance(error, httpx.InvalidURL) else f": {error}"  # which may quote half of a password
        return TransientError(
            f"Dagster at {self._name} does not answer ({type(error).__name__}{told}); "
            f"start it with `ingestion serve`, or set DAGSTER_URL to where it runs"
        )


def _results(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "results" not in answer:
        raise TransientError(f"Dagster could not list its runs: {answer.get('message') or answer['__typename']}")
    return list(answer["results"])


def _by_job(runs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Ids of *runs* by the job they are of: by their tag or, where the UI launched them, by their assets."""
    found: dict[str, tuple[str, ...]] = {}
    for run in _results(runs):
        selected = {key["path"][-1] for key in run["assetSelection"] or []}
        for job in selected | {tag["value"] for tag in run["tags"] if tag["key"] == JOB_TAG}:
            found[job] = (*found.get(job, ()), run["runId"])
    return found


def _words(values: Sequence[Any]) -> str:
    """What Dagster said, whether as a name with a text or with a list of errors."""
    return ": ".join(value if isinstance(value, str) else json.dumps(value, default=str) for value in values)
