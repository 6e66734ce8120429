"""What one run did, in one structure for the command line, Dagster's metadata and the REST API."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

import pyarrow as pa

from ingestion.errors import RuleBroken
from ingestion.plugins import Cursor

__all__ = ["NEXT_TRY", "RunReport", "describe_cursor", "told_in_words"]

_COUNTERS = ("removed", "rejected", "emptied", "noted", "refused")
_CAUSES_SHOWN = 5
_DOUBTFUL = ": numeric_columns"  # behind the name of a column in `RunReport.noted`
_LEFT_OUT = ": schema_contract"  # behind the name of a column in `RunReport.emptied`

Status = Literal["success", "partial", "failed"]

NEXT_TRY = "next try"
"""What `RunReport.told` says of a try that failed, while another one is waited for."""


@dataclass
class RunReport:
    """Counts balance: rows_read = rows_loaded + rows_filtered + rows_quarantined (rows added count as filtered < 0)."""

    job: str
    run_id: str
    load_id: str
    start_time: datetime
    status: Status = "success"
    rows_read: int = 0
    rows_filtered: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    files: int = 0
    duration_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # seconds that the run waited for each: read, transform, ...
    removed: Counter[str] = field(default_factory=Counter)  # filtered rows by reason
    rejected: Counter[str] = field(default_factory=Counter)  # quarantined rows by "column: rule"
    emptied: Counter[str] = field(default_factory=Counter)  # values that became null by "column: rule"
    noted: Counter[str] = field(default_factory=Counter)  # values that break a rule and stay by "column: rule"
    refused: Counter[str] = field(default_factory=Counter)  # rows that failed the run by "column: rule"
    told: dict[str, Any] = field(default_factory=dict)  # what the source said of this reading: by what, what waits
    rows_validated: int = 0  # rows that were held to the rules of transformer.validation
    examples: dict[str, str] = field(default_factory=dict)  # by "column: rule", the first bad row: where and why
    sources: list[str] = field(default_factory=list)  # the first of the files, pages or tables that were read
    waiting: str | None = None  # where nothing was read: what the source says of that
    restarts: list[str] = field(default_factory=list)  # why reading began anew
    table: str | None = None
    table_rows: int | None = None  # all rows of the table afterwards, where it knows without counting
    location: str | None = None
    snapshot: str | None = None
    changes: dict[str, int] = field(default_factory=dict)  # of a merge: rows inserted, updated, unchanged, deleted
    schema: dict[str, str] = field(default_factory=dict)
    columns_added: list[str] = field(default_factory=list)  # new in a table that was there already
    columns_absent: list[str] = field(default_factory=list)  # of the table, and null in all rows of this load
    notes: list[str] = field(default_factory=list)  # sentences: what else the load changed
    warnings: list[str] = field(default_factory=list)  # sentences: done, but somebody should look
    cursor: Any = None
    end_time: datetime | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values; times in ISO 8601 with zone."""
        # asdict would count the pairs of a Counter anew.
        values = asdict(self) | {name: dict(getattr(self, name)) for name in _COUNTERS}
        for name in ("start_time", "end_time"):
            values[name] = values[name] and values[name].isoformat()
        values["stages"] = {stage: round(seconds, 3) for stage, seconds in self.stages.items()}
        values["rows_per_second"] = self.rows_per_second
        return values

    @property
    def rows_per_second(self) -> float:
        """Rows read per second of the whole run."""
        return round(self.rows_read / self.duration_seconds, 1) if self.duration_seconds else 0.0

    def begin_anew(self, reason: str) -> "RunReport":
        """A report of the same load whose reading starts over."""
        return RunReport(self.job, self.run_id, self.load_id, self.start_time, restarts=[*self.restarts, reason])

    def finish(self, error: BaseException | None = None) -> None:
        """Set the end, the duration and the status."""
        self.end_time = datetime.now(timezone.utc)
        self.duration_seconds = round((self.end_time - self.start_time).total_seconds(), 3)
        if error is not None:
            self.status, self.error, self.rows_loaded = "failed", str(error), 0
            if isinstance(error, RuleBroken):
                self.refused[error.label] += error.count
                self.rows_validated = max(self.rows_validated, error.looked_at)
                self.examples.setdefault(error.label, str(error))
        elif self.rows_quarantined or self.warnings:
            self.status = "partial"

    def compare(self, added: Iterable[str], absent: Iterable[str]) -> None:
        """Note which columns the load added to its table, and which of the table's it did not bring."""
        self.columns_added, self.columns_absent = list(added), list(absent)
        if self.columns_absent:
            renamed = ", ".join(f"{name}: {self.columns_absent[0]}" for name in self.columns_added[:1]) or "old: new"
            news = f", and brings new ones: {', '.join(self.columns_added)}" if self.columns_added else ""
            self.warnings.append(
                f"the data lacks columns of table {self.table}: {', '.join(self.columns_absent)}{news}; "
                f"if one was renamed, set transformer.column_mapping: {{{renamed}}}"
            )

    def settle(self, removed: Mapping[str, int], changes: Mapping[str, int], notes: Iterable[str]) -> None:
        """Note what the loader did beyond adding rows; those that it left out count as filtered."""
        self.removed.update(removed)
        self.rows_loaded -= sum(removed.values())
        self.rows_filtered += sum(removed.values())
        self.changes, self.notes = dict(changes), [*self.notes, *notes]

    def warn_of_emptied(self) -> None:
        """Say in a warning how many values did not fit and became null, and note which columns were left out."""
        left_out = {place: count for place, count in self.emptied.items() if place.endswith(_LEFT_OUT)}
        if left_out:
            columns = ", ".join(f"{place.removesuffix(_LEFT_OUT)} ({count:,})" for place, count in left_out.items())
            self.notes.append(
                f"values of columns that the table lacks were left out, as schema_contract says: {columns}"
            )
        if len(left_out) < len(self.emptied):
            found = [(place, count) for place, count in self.emptied.most_common() if place not in left_out]
            places = ", ".join(f"{count:,} x {place}" for place, count in found)
            self.warnings.append(f"values that could not be converted became null: {places}")

    def warn_of_noted(self) -> None:
        """Say in warnings how many values break a rule, or may mean something else, and were loaded all the same."""
        doubtful = {place: count for place, count in self.noted.items() if place.endswith(_DOUBTFUL)}
        for place, count in doubtful.items():
            column = place.removesuffix(_DOUBTFUL)
            self.warnings.append(
                f"all {count:,} numbers of column {column} that have a point are like 1.234, which was read as a "
                f"little more than one and may mean a thousand times that; "
                f"set transformer.decimal_separator: '.' or ','"
            )
        if len(doubtful) < len(self.noted):
            places = ", ".join(
                f"{count:,} x {place}{f' ({self.examples[place]})' if place in self.examples else ''}"
                for place, count in self.noted.most_common()
                if place not in doubtful
            )
            self.warnings.append(f"values that break a rule were loaded, as on_fail: warn says: {places}")

    def note_repeated(self) -> None:
        """Say that the rows may be in the table twice: they were appended, and nothing tells the source what is new."""
        if self.rows_loaded:
            self.notes.append(
                "the source does not tell which of its rows are new, so all were appended beside those of earlier "
                "runs; set loader.write_mode: overwrite or merge, or for a database source.incremental"
            )

    def sentence(self) -> str:
        """The outcome in one line for people."""
        if self.status == "failed":
            return f"{self.job}: failed: {str(self.error).removeprefix(f'{self.job}: ')}"
        if not self.rows_read:
            return f"{self.job}: nothing new, 0 rows{f' ({self.waiting})' if self.waiting else ''}"
        told = "".join(f"; {sentence}" for sentence in (*self._of_columns(), *self.notes, *self.warnings))
        rows = f"{self.rows_loaded:,} row{'s' * (self.rows_loaded != 1)}"
        loaded = f"{rows} {'merged' if self.changes else 'loaded'} into {self.table}"
        did = ", ".join(f"{count:,} {word}" for word, count in self.changes.items() if count)
        loaded = f"{loaded} ({did})" if did else loaded
        loaded = f"partial: {loaded}" if self.status == "partial" else loaded
        return f"{self.job}: {loaded}{self._left_out()} in {self.duration_seconds:.1f} s{told}"

    def details(self) -> list[str]:
        """Lines for people who want to know more: why rows were quarantined, and where the time went."""
        if not self.rows_read:
            return []
        lines = [
            f"quarantined: {count:,} x {label}{f' ({self.examples[label]})' if label in self.examples else ''}"
            for label, count in self.rejected.most_common(_CAUSES_SHOWN)
        ]
        more = len(self.rejected) - _CAUSES_SHOWN
        lines += [f"quarantined: {more} more reasons; --json has all"] if more > 0 else []
        times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in self.stages.items())
        return [*lines, *told_in_words(self.told), *([f"waited for: {times}"] if times else [])]

    def _left_out(self) -> str:
        added = Counter({reason: -count for reason, count in self.removed.items() if count < 0})
        told = _with_reasons(added, "added") + _with_reasons(+self.removed, "filtered")
        return told + (f", {self.rows_quarantined:,} quarantined" if self.rows_quarantined else "")

    def _of_columns(self) -> list[str]:
        told = self.columns_absent or not self.columns_added  # `compare` has a warning then
        return [] if told else [f"new columns: {', '.join(self.columns_added)}"]


def told_in_words(told: Mapping[str, Any]) -> list[str]:
    """A line for each thing that a source says of a reading; nothing of what there is none of."""
    counts = {name: f"{item:,}" if isinstance(item, int) else str(item) for name, item in told.items()}
    return [f"{name}: {text}" for name, text in counts.items() if text not in {"0", "None", "False"}]


def describe_cursor(cursor: Cursor) -> Any:
    """A cursor as it may be shown: JSON as it is, a table by its size."""
    if isinstance(cursor, pa.Table):
        return {"entries": cursor.num_rows}
    if isinstance(cursor, Mapping):
        return dict(cursor)
    return cursor


def _with_reasons(counts: Counter[str], what: str) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    return f", {sum(counts.values()):,} {what} ({reasons})" if reasons else ""
