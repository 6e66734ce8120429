"""What the sidecar asks of Dagster; nothing else here knows how it is reached."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ingestion.orchestration.job_state import JobState

__all__ = ["Dagster", "JobState"]


class Dagster(Protocol):
    """A running Dagster that serves our code location; its methods raise TransientError when it does not answer."""

    def health(self) -> str | None:
        """Why jobs cannot run at the moment, or None when they can; never raises."""

    def overview(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        """The state of every one of *jobs*, at a cost that hardly grows with their number."""

    def history(self, job: str, limit: int) -> list[dict[str, Any]]:
        """Reports of the last *limit* runs of *job*, the newest first."""

    def in_flight(self, job: str) -> str | None:
        """The id of a run of *job* that has not ended, if there is one."""

    def reload(self, job: str | None = None) -> str | None:
        """Load the definitions anew; why they, or *job* among them, did not load, or None."""

    def launch(self, job: str, overrides: Mapping[str, Any]) -> str:
        """Queue a run of *job* with *overrides*; its id."""

    def close(self) -> None:
        """Give the connections back."""
