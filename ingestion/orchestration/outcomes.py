"""How a check of an asset ended the last time that rows were held to it, as Dagster has it."""

from typing import NamedTuple

import dagster as dg

__all__ = ["LAST", "SKIPPED", "Outcome", "last_outcome"]

LAST = "last_outcome"
"""Names in the metadata of an evaluation the sentence of the one that it repeats."""
SKIPPED = "not looked at: the overrides of this run took the rule out"

_LOOKED_THROUGH = 25  # evaluations


class Outcome(NamedTuple):
    """How a check ended, and what was said of it."""

    passed: bool
    sentence: str


def last_outcome(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> Outcome | None:
    """The newest outcome of *check*; None where no run looked at it yet."""
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=_LOOKED_THROUGH)
    for record in records:
        told = record.event.dagster_event.event_specific_data if record.event and record.event.dagster_event else None
        if isinstance(told, dg.AssetCheckEvaluation) and told.description != SKIPPED:  # others only say that one comes
            repeated = told.metadata.get(LAST)
            return Outcome(told.passed, str(repeated.value if repeated is not None else told.description or ""))
    return None
