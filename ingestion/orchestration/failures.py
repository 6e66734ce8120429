"""Our errors as Dagster understands them: what may be retried, and what it says to people."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from ingestion import errors
from ingestion.config import JobConfig
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
from ingestion.orchestration.names import ERROR_CLASS, REPORT
from ingestion.report import NEXT_TRY, RunReport
from ingestion.secrets import redact, redact_error

__all__ = ["failures_told", "is_lasting", "reason_of", "told_at_once"]


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
            delay = _delay(job, earlier)
            if (found := report()) is not None:
                tries = f"retry {earlier + 1} of {policy.max_retries} in {delay:g} s"
                found.told[NEXT_TRY] = redact(f"{tries}, as {error}")
            raise dg.RetryRequested(policy.max_retries, seconds_to_wait=delay) from error
        raise _failure(error, report()) from error
    except IngestionError as error:
        raise _failure(error, report()) from error


@contextmanager
def told_at_once() -> Iterator[None]:
    """Let whoever wrote the asset say how often a TransientError is retried; any other error of ours never is."""
    try:
        yield
    except BaseException as error:
        redact_error(error)
        if isinstance(error, IngestionError) and not isinstance(error, TransientError):
            raise _failure(error, None) from error
        raise


def reason_of(event: dg.DagsterEvent) -> str:
    """What made a step fail, in the words of its first cause."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "the step failed"


def is_lasting(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run failed because of its configuration or its data, so that the same run would fail again."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data.user_failure_data
        named = failure.metadata.get(ERROR_CLASS) if failure is not None else None
        cls = getattr(errors, str(named.value), Exception) if named is not None else Exception
        if issubclass(cls, ConfigError | DataError):
            return True
    return False


def _delay(job: JobConfig, earlier: int) -> float:
    policy = job.retry_policy
    factor = {"constant": 1, "linear": earlier + 1, "exponential": 2**earlier}[policy.backoff]
    return float(policy.delay_seconds * factor)


def _failure(error: IngestionError, report: RunReport | None) -> dg.Failure:
    metadata: dict[str, dg.MetadataValue] = {ERROR_CLASS: dg.MetadataValue.text(type(error).__name__)}
    if report is not None:
        metadata[REPORT] = dg.MetadataValue.json(report.as_json())
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)
