"""What became of a job's latest runs, as far as its sensor must know before it asks for the next."""

from typing import NamedTuple

import dagster as dg

from ingestion.orchestration.failures import is_lasting
from ingestion.orchestration.names import JOB_TAG, LOAD_ID, SNAPSHOT_ID

__all__ = ["Unfinished", "newest_landed", "unfinished"]

_FIRST_PAUSE = 60.0  # seconds; doubled by every further run in a row
_LONGEST_PAUSE = 1800.0
_RUNS = 6  # as many as it takes to reach the longest pause
_LANDINGS = 20  # runs that found nothing new have landed nothing


class Unfinished(NamedTuple):
    """A run that was lost, was cancelled, or failed for a passing reason."""

    run_id: str
    again_at: float  # seconds since 1970: the earliest time to ask for its work again


def unfinished(instance: dg.DagsterInstance, job_id: str) -> Unfinished | None:
    """The newest run of the job whose work is worth asking for again, if there is one."""
    failed = _newest(instance, job_id, _RUNS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    passing = [record for record in failed if not is_lasting(instance, record.dagster_run.run_id)]
    if not passing:
        return None
    newest = passing[0]
    ended = newest.end_time or newest.update_timestamp.timestamp()
    succeeded = _newest(instance, job_id, 1, dg.DagsterRunStatus.SUCCESS)
    in_a_row = [record for record in passing if not succeeded or record.storage_id > succeeded[0].storage_id]
    pause = min(_FIRST_PAUSE * 2 ** (len(in_a_row) - 1), _LONGEST_PAUSE) if in_a_row else 0
    return Unfinished(newest.dagster_run.run_id, ended + pause)


def newest_landed(instance: dg.DagsterInstance, job_id: str) -> str | None:
    """The id of the newest load of the job that Dagster saw land; where the table names another, it was rolled back."""
    found = instance.fetch_materializations(dg.AssetKey(job_id), limit=_LANDINGS)
    for record in found.records:
        metadata = record.asset_materialization.metadata if record.asset_materialization else {}
        if SNAPSHOT_ID in metadata and LOAD_ID in metadata:
            return str(metadata[LOAD_ID].value)
    return None


def _newest(
    instance: dg.DagsterInstance, job_id: str, count: int, *statuses: dg.DagsterRunStatus
) -> list[dg.RunRecord]:
    return list(instance.get_run_records(dg.RunsFilter(tags={JOB_TAG: job_id}, statuses=statuses), limit=count))
