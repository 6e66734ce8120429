"""Run reports as Dagster keeps them: in the metadata of a materialization, or in the events of a failed run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ingestion import errors
from ingestion.orchestration.names import REPORT
from ingestion.secrets import redact

__all__ = ["moment", "report_in", "run_report", "status_of"]

_STATUS = {
    "SUCCESS": "success",
    "FAILURE": "failed",
    "CANCELED": "canceled",
    "STARTED": "running",
    "CANCELING": "running",
    "MANAGED": "running",
}


def status_of(status: str | None) -> str | None:
    """Dagster's run status in the words of run reports."""
    return None if status is None else _STATUS.get(status, "queued")


def moment(timestamp: float | None) -> datetime | None:
    """Seconds since 1970 as a time in UTC."""
    return None if timestamp is None else datetime.fromtimestamp(timestamp, timezone.utc)


def report_in(event: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The run report among an event's metadata, if it holds one."""
    for entry in (event or {}).get("metadataEntries", []):
        if entry["label"] == REPORT and entry.get("jsonString"):
            return dict(json.loads(entry["jsonString"]))
    return None


def run_report(job: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """The report of *run* (a Run of the GraphQL schema); made up from its times and events where it left none."""
    landed = [item for item in run["assetMaterializations"] if item["assetKey"]["path"][-1:] == [job]]
    report = next((found for found in map(report_in, landed) if found), None)
    if report is not None and run["status"] == "SUCCESS":
        return report
    failures = [event for event in run["eventConnection"]["events"] if event]
    report = report or next((found for found in map(report_in, _metadata(failures)) if found), None)
    return _outline(job, run) | (report or {}) | _outcome(run, failures, report or {})


def _metadata(failures: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any] | None]:
    return (event.get("failureMetadata") for event in failures)


def _outline(job: str, run: Mapping[str, Any]) -> dict[str, Any]:
    started, ended = run["startTime"] or run["creationTime"], run["endTime"]
    at, until = moment(started), moment(ended)
    return {
        "job": job,
        "run_id": run["runId"],
        "start_time": at and at.isoformat(),
        "end_time": until and until.isoformat(),
        "duration_seconds": round(ended - started, 3) if ended else None,
        "rows_read": 0,
        "rows_filtered": 0,
        "rows_loaded": 0,
        "rows_quarantined": 0,
    }


def _outcome(
    run: Mapping[str, Any], failures: Sequence[Mapping[str, Any]], report: Mapping[str, Any]
) -> dict[str, Any]:
    status = status_of(run["status"])
    if status != "failed":
        return {"status": report.get("status", status) if status == "success" else status}
    return {"status": status, "error": redact(report.get("error") or _error(failures))}


def _error(failures: Sequence[Mapping[str, Any]]) -> str:
    """The sentence that a person can act on: our own error if there is one in the chain, else the root cause."""
    for event in reversed(failures):
        top = event.get("error")
        if not top:
            continue
        chain = [top, *(link["error"] for link in top.get("errorChain") or [])]
        ours = [error for error in chain if error["className"] in errors.__all__]
        return _sentence((ours or chain)[-1])
    told = [event["message"] for event in failures if event.get("message")]
    return told[-1] if told else "the run failed without a word; see its log in Dagster's UI"


def _sentence(error: Mapping[str, Any]) -> str:
    """The message without the name of its class in front."""
    message = str(error["message"]).strip()
    head, _, rest = message.partition(": ")
    return rest if rest and head.rpartition(".")[2] == error["className"] else message
