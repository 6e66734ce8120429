"""Which runs are tries of the same work."""

import dagster as dg

__all__ = ["carried_on"]

_PARENT = "dagster/parent_run_id"  # Dagster's own tag of a re-execution, whoever asked for it


def carried_on(run_id: str) -> str:
    """The first of the failed runs that the run at hand is a re-execution of; the run itself where it is none.

    To execute a run again that succeeded is new work.
    """
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:  # an IO manager that is called without a run
        return run_id
    parent = context.run.tags.get(_PARENT)
    while parent is not None:
        run = context.instance.get_run_by_id(parent)
        if run is None or run.status == dg.DagsterRunStatus.SUCCESS:
            break
        run_id, parent = parent, run.tags.get(_PARENT)
    return run_id
