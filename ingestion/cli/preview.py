"""The command that shows what a job would do, as tables that people read."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ingestion.cli.commands import DONE, FAILED, say, show, show_json
from ingestion.cli.overrides import parse_overrides
from ingestion.cli.tables import aligned
from ingestion.config import load_job
from ingestion.plugins import Comparison
from ingestion.secrets import redact
from ingestion.shown import rows_of
from ingestion.transformers.steps import spot

if TYPE_CHECKING:
    from ingestion.preview import Preview

__all__ = ["add_to", "columns_told", "preview"]

_WIDEST = 32  # characters of a value
_GRADES = {
    "new": "new: the table gets it",
    "same": "same",
    "kept": "kept as it is",
    "left out": "left out",
    "conflict": "CONFLICT",
    "absent": "absent: null in these rows",
}


def add_to(add: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Give a parser this command."""
    parser = add("preview", preview, "show what a job would do with its first rows; nothing is written anywhere")
    parser.add_argument("job", metavar="JOB", help="the job's id")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="an option for this preview alone"
    )
    parser.add_argument("--rows", type=_count, default=1000, metavar="N", help="read the first N rows (default 1000)")
    parser.add_argument("--shown", type=_count, default=10, metavar="N", help="show the first N of them (default 10)")


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count; give a number from 1")
    return int(text)


def preview(options: argparse.Namespace) -> int:
    """Show what a job would do."""
    from ingestion.preview import preview as previewed

    job = load_job(options.job).merged(parse_overrides(options.set))
    found = previewed(job, options.rows, options.shown)
    if found.error is not None:
        say(f"{job.id}: a run would fail: {found.error.removeprefix(f'{job.id}: ')}")
    if options.json:
        show_json(found.as_json())
    else:
        for line in _lines(found):
            show(redact(line))
    return FAILED if found.error is not None else DONE


def _lines(found: "Preview") -> Iterator[str]:
    report = found.report
    yield from _read(found)
    if found.target_error is not None:
        yield f"the table could not be asked: {found.target_error}"
    if found.comparison is not None:
        any_told = any(item.grade != "absent" for item in found.comparison.columns)
        yield from ("", *columns_told(found.comparison)) if any_told else ()
    elif found.schema is not None and len(found.schema):
        yield from ("", *aligned([("column", "type"), *((item.name, str(item.type)) for item in found.schema)]))
    if found.rows is not None and found.rows.num_rows:
        names = found.rows.schema.names
        rows = [[_cell(row[name]) for name in names] for row in rows_of(found.rows)]
        yield from ("", *aligned([names, *rows]))
    for cause in found.causes:
        yield from ("", f"would be quarantined: {cause.rows:,} x {cause.label}")
        yield from (f"  {spot(row['source'], row['position'])}: {_line_of(row['reason'])}" for row in cause.examples)
    told = {"filtered": report.removed, "made null": report.emptied, "noted": report.noted}
    counts = [f"{word}: {_counts(values)}" for word, values in told.items() if any(values.values())]
    yield from ("", *counts) if counts else ()
    yield from report.warnings


def _read(found: "Preview") -> Iterator[str]:
    report = found.report
    if not report.rows_read:
        waiting = f" ({report.waiting})" if report.waiting else ""
        yield from [] if found.error else [f"{report.job}: there are no rows to read{waiting}"]
        return
    what = "all rows" if found.whole else "the first rows"
    again = ", loaded before as nothing is new" if found.again else ""
    more = f" and {len(report.sources) - 1} more" if len(report.sources) > 1 else ""
    load = "" if found.error else f"{report.rows_loaded:,} to load, "
    yield (
        f"{report.job}: {report.rows_read:,} rows read ({what}{again}) from {report.sources[0]}{more}: "
        f"{load}{report.rows_filtered:,} filtered, {report.rows_quarantined:,} quarantined"
    )


def columns_told(compared: Comparison) -> Iterator[str]:
    """A table of how the columns of the data meet those of the target."""
    rows = [("column", "data", "table" if compared.exists else "new table", "grade")]
    for item in compared.columns:
        grade = f"widening to {item.after}" if item.grade == "widening" else _GRADES[item.grade]
        reason = f": {item.reason}" if item.reason and item.grade != "absent" else ""
        shown = item.before if compared.exists else item.after
        rows.append((item.column, item.data or "", shown or "", f"{grade}{reason}"))
    yield from aligned(rows)


def _counts(values: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in values.items() if count)


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    text = str(value).replace("\n", " ").replace("\r", " ")
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _line_of(reason: str) -> str:
    """A reason whole, as its end says what to do."""
    return " ".join(reason.split())
