"""Every row is accounted for before anything is committed: counts balance, and the error budget holds."""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import BudgetSpent, DataError
from ingestion.plugins import BAD_ROW, Batch, bad_rows
from ingestion.report import RunReport, describe_cursor
from ingestion.secrets import redact
from ingestion.transformers.steps import spot

__all__ = ["Budget", "cause_labels", "counted_in", "counted_out", "hold_to", "rows_in"]

_RATIO_COUNTS_FROM = 100  # bad rows; below that a ratio says little
_SOURCES_SHOWN = 100
_CAUSES_SHOWN = 3
_AFTER_STEPS = pa.array(["validate", "load"])  # the stages whose rejected rows were held to the rules


class Budget(Protocol):
    """How many bad rows are too many; a job's own options say so."""

    @property
    def max_bad_rows(self) -> int | None:
        """More than this fail the run."""

    @property
    def max_bad_ratio(self) -> float:
        """A greater share of all rows fails the run."""


def counted_in(batches: Iterator[Batch], report: RunReport) -> Iterator[Batch]:
    """Pass on what the connector yields, adding rows, bytes and sources to *report*."""
    seen: set[str] = set()
    for batch in batches:
        report.rows_read += rows_in(batch)
        report.bytes_read += batch.bytes_read
        report.told.update(batch.told)
        if batch.origin.source not in seen:
            seen.add(batch.origin.source)
            if len(seen) <= _SOURCES_SHOWN:
                report.sources = [*report.sources, redact(batch.origin.source)]
        yield batch
    report.files = len(seen)


def counted_out(batches: Iterator[Batch], report: RunReport, budget: Budget) -> Iterator[Batch]:
    """Pass on what goes to the loader, adding it to *report*.

    Rows that a source left out because they are bad spend the budget as quarantined ones do.
    Raises DataError at the end if a row is unaccounted for, BudgetSpent if too many are bad.
    """
    for batch in batches:
        _count(batch, report)
        _hold_to_count(report, budget)
        if batch.cursor is not None:
            report.cursor = describe_cursor(batch.cursor)
        yield batch
    _prove_balance(report)
    report.warn_of_emptied()
    report.warn_of_noted()
    hold_to(report, budget)


def hold_to(report: RunReport, budget: Budget) -> None:
    """Raise BudgetSpent if too many of all rows, which *report* has counted, are bad."""
    _hold_to_count(report, budget)
    bad = _bad(report)
    counts_from = _RATIO_COUNTS_FROM if budget.max_bad_ratio else 0
    if bad > counts_from and bad > budget.max_bad_ratio * report.rows_read:
        raise BudgetSpent(_budget_sentence(report, f"max_bad_ratio is {budget.max_bad_ratio:g}"))


def _hold_to_count(report: RunReport, budget: Budget) -> None:
    if budget.max_bad_rows is not None and _bad(report) > budget.max_bad_rows:
        raise BudgetSpent(_budget_sentence(report, f"max_bad_rows is {budget.max_bad_rows}"))


def rows_in(batch: Batch) -> int:
    """The rows that *batch* accounts for: fine, rejected and removed ones."""
    rejected = batch.rejected.num_rows if batch.rejected is not None else 0
    return int(batch.records.num_rows + rejected + sum(batch.removed.values()))


def _bad(report: RunReport) -> int:
    return report.rows_quarantined + bad_rows(report.removed)


def _count(batch: Batch, report: RunReport) -> None:
    report.rows_loaded += batch.records.num_rows
    report.removed.update(batch.removed)
    report.rows_filtered = sum(report.removed.values())
    report.emptied.update(batch.emptied)
    report.noted.update(batch.noted)
    report.examples = {label: redact(text) for label, text in batch.examples.items()} | report.examples
    report.rows_validated += batch.records.num_rows + bad_rows(batch.removed) - batch.removed.get(BAD_ROW, 0)
    if batch.rejected is not None and batch.rejected.num_rows:
        _count_rejected(batch.rejected, report)


def _count_rejected(rejected: pa.RecordBatch, report: RunReport) -> None:
    report.rows_quarantined += rejected.num_rows
    report.rows_validated += pc.sum(pc.is_in(rejected["stage"], value_set=_AFTER_STEPS)).as_py()
    labels = cause_labels(rejected)
    for cause in pc.value_counts(labels).to_pylist():
        label = cause["values"]
        report.rejected[label] += cause["counts"]
        if label not in report.examples:
            first = pc.index(labels, label).as_py()
            row = rejected.slice(first, 1).to_pylist()[0]
            report.examples[label] = redact(f"{spot(row['source'], row['position'])}: {row['reason']}")


def cause_labels(rejected: pa.RecordBatch) -> pa.Array:
    """Why each row was rejected: "column: rule", or the rule alone where there is no column."""
    return pc.if_else(
        pc.is_valid(rejected["column"]),
        pc.binary_join_element_wise(pc.fill_null(rejected["column"], ""), rejected["rule"], ": "),
        rejected["rule"],
    )


def _prove_balance(report: RunReport) -> None:
    out = report.rows_loaded + report.rows_filtered + report.rows_quarantined
    if report.rows_read != out:
        raise DataError(
            f"{report.job}: rows do not balance: {report.rows_read} read, but {report.rows_loaded} to load + "
            f"{report.rows_filtered} filtered + {report.rows_quarantined} quarantined = {out}; nothing was loaded. "
            f"A transformer lost or made rows without saying so: run its contract test (ingestion.testing)"
        )


def _left_out(reason: str) -> str:
    if reason == BAD_ROW:
        return "left out by source.on_bad_row: drop"
    return f"left out by {reason.removeprefix(f'{BAD_ROW}: ')}, on_fail: drop"


def _budget_sentence(report: RunReport, limit: str) -> str:
    examples = report.examples
    left_out = Counter(
        {_left_out(reason): report.removed[reason] for reason in report.removed if bad_rows({reason: 1})}
    )
    worst = (report.rejected + left_out).most_common(_CAUSES_SHOWN)
    causes = "; ".join(
        f"{count} x {label} ({examples[label]})" if label in examples else f"{count} x {label}"
        for label, count in worst
    )
    hinted = {label.rpartition(":")[0]: "string" for label, _ in worst if label.endswith(": type")}
    hints = ", ".join(f"{column}: {kind}" for column, kind in hinted.items())
    advice = f"If these values are right, set source.schema_hints: {{{hints}}}; otherwise" if hints else "Please"
    return (
        f"{report.job}: {_bad(report)} of {report.rows_read} rows are bad and {limit}; nothing was loaded. "
        f"Most frequent: {causes}. {advice} mend the source or the job, or raise the limit"
    )
