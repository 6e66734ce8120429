"""Our errors as Dagster understands them: what may be retried, and what it says to people."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from ingestion.config import JobConfig
from ingestion.errors import IngestionError, TransientError
from ingestion.orchestration.names import REPORT
from ingestion.report import RunReport

__all__ = ["failures_told", "reason_of"]


@contextmanager
def failures_told(
    job: JobConfig, earlier: int = 0, report: Callable[[], RunReport | None] = lambda: None
) -> Iterator[None]:
    """Let only a TransientError be retried, as often as *job* says; any other error of ours fails the run at once.

    *earlier* tries failed before this one. The retry is requested, not a policy of the asset: a policy would
    also retry bugs and cancelled runs.
    """
    try:
        yield
    except TransientError as error:
        policy = job.retry_policy
        if earlier < policy.max_retries:
            raise dg.RetryRequested(policy.max_retries, seconds_to_wait=_delay(job, earlier)) from error
        raise _failure(error, report()) from error
    except IngestionError as error:
        raise _failure(error, report()) from error


def reason_of(event: dg.DagsterEvent) -> str:
    """What made a step fail, in the words of its first cause."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "the step failed"


def _delay(job: JobConfig, earlier: int) -> float:
    policy = job.retry_policy
    factor = {"constant": 1, "linear": earlier + 1, "exponential": 2**earlier}[policy.backoff]
    return float(policy.delay_seconds * factor)


def _failure(error: IngestionError, report: RunReport | None) -> dg.Failure:
    metadata: dict[str, dg.MetadataValue] = {"error_class": dg.MetadataValue.text(type(error).__name__)}
    if report is not None:
        metadata[REPORT] = dg.MetadataValue.json(report.as_json())
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)
