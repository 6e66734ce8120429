"""Inline tests of jobs: the rows of an example go through transformer and loader's rules, without source or target."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ingestion.config import InlineTest, JobConfig
from ingestion.errors import IngestionError
from ingestion.examples.equality import difference
from ingestion.plugins import Batch, Origin, remembering
from ingestion.secrets import redact
from ingestion.shown import counted, rows_of
from ingestion.stream import known_type

__all__ = ["Outcome", "run_tests"]

Row = Mapping[str, Any]
_REASONS_SHOWN = 3


class Outcome(NamedTuple):
    """How one inline test went."""

    job: str
    number: int  # from 1, as they stand in the file
    name: str | None
    problems: tuple[str, ...]  # sentences; none where it passed

    @property
    def title(self) -> str:
        """The test as people call it."""
        return f"test {self.number}" + (f' "{self.name}"' if self.name else "")


def run_tests(job: JobConfig) -> list[Outcome]:
    """How each inline test of *job* goes. Raises ConfigError where an option of the transformer cannot be resolved."""
    job = job.model_copy(update={"transformer": job.transformer.resolved(f"{job.id}: transformer")})
    return [
        Outcome(job.id, number, test.name, tuple(map(redact, _problems(job, test, f"test {number}"))))
        for number, test in enumerate(job.tests, 1)
    ]


def _problems(job: JobConfig, test: InlineTest, source: str) -> Iterator[str]:
    try:
        batches = _through(job, _as_given(job, test.given, source))
    except IngestionError as error:
        if test.rejected is None:
            yield f"the run fails: {error}"
        elif test.rejected not in str(error):
            yield f"the run fails, and its error does not say {test.rejected!r}: {error}"
        return
    rejected = [row for batch in batches if batch.rejected is not None for row in batch.rejected.to_pylist()]
    if test.expect is not None:
        yield from _compared(test.expect, [row for batch in batches for row in rows_of(batch.records)], rejected)
    if test.rejected is not None:
        yield from _unlike(test.rejected, rejected)
    filtered = sum(sum(batch.removed.values()) for batch in batches)
    if test.filtered is not None and filtered != test.filtered:
        yield f"filtered: expected {test.filtered}, got {filtered}"


def _through(job: JobConfig, batch: Batch) -> list[Batch]:
    return list(job.loader.admit(job.transformer.apply(remembering(iter([batch]))), None))


def _compared(expected: Sequence[Row], got: Sequence[Row], rejected: Sequence[Row]) -> Iterator[str]:
    if len(expected) != len(got):
        reasons = "; ".join(_told(row) for row in rejected[:_REASONS_SHOWN])
        gone = f" and {counted(len(rejected), 'rejected row')}: {reasons}" if rejected else ""
        yield f"expected {counted(len(expected), 'row')}, got {len(got)}{gone}"
    for number, (wanted, row) in enumerate(zip(expected, got, strict=False), 1):
        for column, value in wanted.items():
            if column not in row:
                yield f"row {number}: there is no column {column!r}; there are: {', '.join(row)}"
            elif told := difference(value, row[column]):
                yield f"row {number} column {column}: {told}"


def _unlike(text: str, rejected: Sequence[Row]) -> Iterator[str]:
    for row in rejected:
        if any(text in (row[part] or "") for part in ("reason", "rule", "column")):
            return
    reasons = "; ".join(_told(row) for row in rejected[:_REASONS_SHOWN])
    yield f"rejected: expected a row because of {text!r}, got {reasons or 'none'}"


def _told(row: Row) -> str:
    column = f"{row['column']}: " if row["column"] else ""
    return f"row {row['position']}: {column}{row['rule']}: {row['reason']}"


def _as_given(job: JobConfig, rows: Sequence[Row], source: str) -> Batch:
    wanted = job.transformer.wants(None)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [
        _column([row.get(name) for row in rows], as_text=known_type(wanted, name) == pa.string()) for name in names
    ]
    return Batch(pa.RecordBatch.from_arrays(columns, names=list(names)), Origin(source))


def _column(values: Sequence[Any], *, as_text: bool) -> pa.Array:
    """The values in a type that follows from all of them: text where they have nothing else in common."""
    if not as_text:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            numbers = [value for value in values if value is not None]
            if all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
                return pa.array([None if value is None else float(value) for value in values])
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
