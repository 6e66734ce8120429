"""The rules of a job as asset checks: what its asset declares, and what a run found."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import dagster as dg

from ingestion.config import JobConfig
from ingestion.errors import BudgetSpent, RuleBroken
from ingestion.orchestration.outcomes import LAST, SKIPPED, Outcome, last_outcome
from ingestion.pipeline import Stream
from ingestion.plugins import BAD_ROW, Check
from ingestion.report import RunReport

__all__ = [
    "Finding",
    "broken_rules",
    "check_evaluations",
    "check_results",
    "check_specs",
    "failed_checks_told",
    "findings",
]

_THEN = {
    "quarantine": "Rows that break it are quarantined",
    "drop": "Rows that break it are left out",
    "warn": "Rows that break it are loaded all the same",
    "fail": "A row that breaks it fails the run",
}


class Finding(NamedTuple):
    """What one run found about one check of its asset."""

    check: Check
    broken: int  # rows
    looked_at: int
    example: str | None = None  # where the first of them is, and what is wrong with it
    skipped: bool = False  # the run's overrides took the rule out

    @property
    def passed(self) -> bool:
        """Whether every row was looked at and kept the rule."""
        return not self.broken and not self.skipped

    @property
    def sentence(self) -> str:
        """The finding for people."""
        if self.skipped:
            return SKIPPED
        if self.check.on_fail == "fail" and self.broken and self.example:
            return self.example  # the error of the run, which has it all
        found = f"{self.broken:,} of {self.looked_at:,} rows break it"
        return f"{found}; the first: {self.example}" if self.broken and self.example else found


def check_specs(job: JobConfig) -> list[dg.AssetCheckSpec]:
    """What the asset of *job* declares: a check for each rule, whatever a run then says of it."""
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=dg.AssetKey(job.id),
            description=f"{check.description}. {_THEN.get(check.on_fail, check.on_fail)}.",
            metadata={"rule": check.label, "on_fail": check.on_fail},
        )
        for check in job.transformer.checks
    ]


def findings(declared: Sequence[Check], stream: Stream) -> Iterator[Finding]:
    """What the run of *stream* found about each of the *declared* checks, so far."""
    if not declared:
        return
    names = [check.name for check in stream.job.transformer.checks]
    resolved = stream.job.resolved().transformer.checks  # placeholders may stand in the labels that rows count under
    for check in declared:
        if check.name in names and len(resolved) == len(names):
            yield _finding(check, resolved[names.index(check.name)].label, stream.report)
        else:
            yield Finding(check, 0, 0, skipped=True)


def check_results(
    declared: Sequence[Check], stream: Stream, instance: dg.DagsterInstance
) -> Iterator[dg.AssetCheckResult]:
    """The results of a run that landed; a check for which it looked at no rows ends as it did the last time."""
    for told in check_evaluations(declared, stream, instance):
        yield dg.AssetCheckResult(
            check_name=told.check_name,
            passed=told.passed,
            severity=told.severity,
            description=told.description,
            metadata=told.metadata,
        )


def check_evaluations(
    declared: Sequence[Check], stream: Stream, instance: dg.DagsterInstance, *, whole: bool = True
) -> Iterator[dg.AssetCheckEvaluation]:
    """The same as events that need no run; what is not *whole* leaves rows as they are, and turns no check green."""
    for finding in findings(declared, stream):
        unseen = not finding.skipped and not finding.broken and not (finding.looked_at and whole)
        key = dg.AssetCheckKey(dg.AssetKey(stream.job.id), finding.check.name)
        last = last_outcome(instance, key) if unseen else None
        yield _evaluation(key, finding) if last is None else _repeated(key, finding, last)


def broken_rules(declared: Sequence[Check], stream: Stream) -> list[str]:
    """A sentence on each rule for which the run of *stream* left rows out."""
    found = (finding for finding in findings(declared, stream) if finding.broken and finding.check.on_fail != "warn")
    return [f"{finding.check.label}: {finding.sentence}" for finding in found]


@contextmanager
def failed_checks_told(declared: Sequence[Check], stream: Stream) -> Iterator[None]:
    """Let a run that fails for its bad rows record the checks that failed; Dagster itself asks only one that landed."""
    try:
        yield
    except dg.Failure as failure:
        if isinstance(failure.__cause__, BudgetSpent | RuleBroken):
            _record([finding for finding in findings(declared, stream) if finding.broken])
        raise


def _finding(check: Check, label: str, report: RunReport) -> Finding:
    counters = (report.rejected[label], report.removed[f"{BAD_ROW}: {label}"], report.noted[label])
    return Finding(check, sum(counters) + report.refused[label], report.rows_validated, report.examples.get(label))


def _severity(finding: Finding) -> dg.AssetCheckSeverity:
    mild = finding.check.on_fail == "warn" or finding.skipped
    return dg.AssetCheckSeverity.WARN if mild else dg.AssetCheckSeverity.ERROR


def _metadata(finding: Finding) -> dict[str, dg.MetadataValue]:
    value = dg.MetadataValue
    metadata: dict[str, dg.MetadataValue] = {
        "rows_failed": value.int(finding.broken),
        "rows_looked_at": value.int(finding.looked_at),
        "on_fail": value.text(finding.check.on_fail),
    }
    return metadata | ({"example": value.text(finding.example)} if finding.broken and finding.example else {})


def _evaluation(key: dg.AssetCheckKey, finding: Finding) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=finding.passed,
        metadata=_metadata(finding),
        severity=_severity(finding),
        description=finding.sentence,
    )


def _repeated(key: dg.AssetCheckKey, finding: Finding, last: Outcome) -> dg.AssetCheckEvaluation:
    seen = f"{finding.sentence} this time" if finding.looked_at else "no rows were looked at this time"
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=last.passed,
        metadata={**_metadata(finding), LAST: dg.MetadataValue.text(last.sentence)},
        severity=_severity(finding),
        description=f"{seen}; before that: {last.sentence}",
    )


def _record(failed: Sequence[Finding]) -> None:
    """Put the failed checks into the log of the run at hand."""
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:  # an IO manager that is called without a run
        return
    for finding in failed:
        evaluation = _evaluation(dg.AssetCheckKey(context.assets_def.key, finding.check.name), finding)
        event = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            context.job_name,
            event_specific_data=evaluation,
            message=f"Asset check {finding.check.name} did not pass: {finding.sentence}",
            step_key=context.op.name,
        )
        context.instance.report_dagster_event(event, context.run.run_id)
