"""Merges against the limits of their targets, in one run.

    python benchmarks/bench_merge.py --rows 10000000 --changes 100000 1000000
    python benchmarks/bench_merge.py --rows 5000000 --changes 100000 --new 0.2     # as the peers were measured

A table of --rows rows takes in --changes rows with ids at random, a share of --new of them unknown to it. Each case
starts from the same table, in a fresh process, and what it stored is checked. What the cases are compared with:
iceberg.limit reads the ids of the whole table and writes the changed rows, nothing else; delta.plain is the merge of
delta-rs, postgres.plain COPY and INSERT ... ON CONFLICT by hand (PostgreSQL runs with fsync off, for both alike).
iceberg.job is a whole `ingestion run --bare` of the changes as CSV. --upsert adds pyiceberg's own upsert, which takes
minutes where the others take seconds.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jobs
import merge_cases
import merge_data
import merge_targets
from comparing import HERE, Timing, aligned, best, hold, in_turn, parser, save
from measuring import apart, environment_of, measured

TARGETS = ("iceberg", "delta", "postgres")
JOB = """
source: {{type: csv, source_path: "{path}"}}
loader: {{type: iceberg, database: bench, table: events, write_mode: merge, merge_keys: id,
         add_ingestion_metadata: false}}
"""


@dataclass(frozen=True)
class Result(Timing):
    """One measured process, and how much it had to do."""

    rows: int
    changes: int


@dataclass(frozen=True)
class Changes:
    """The rows that a merge brings, and the checksums of the table that holds them."""

    path: Path
    count: int
    wanted: dict[str, int]


def measure(case: str, target: merge_targets.Target, changes: Changes) -> Result:
    """Run *case* on the table as it was built, and check what it stored."""
    target.restore()
    run = measured(case, command(case, target, changes.path), environment_of(target.project), target.project)
    if case != "iceberg.limit":
        hold(case, target.stored(), changes.wanted)
    inner = run.report["duration_seconds"]
    return Result(case, inner, run.seconds, run.cpu_seconds, run.peak_mb, target.rows, changes.count)


def command(case: str, target: merge_targets.Target, changes: Path) -> list[str]:
    if case == "iceberg.job":
        jobs.write(target.project, JOB.format(path=changes.with_suffix(".csv")))
        return jobs.command("--bare")
    settings = json.dumps({**target.settings, "changes": str(changes)})
    return [sys.executable, str(HERE / "merge_cases.py"), case, settings]


def cases_of(kind: str, *, upsert: bool) -> list[str]:
    names = [name for name in merge_cases.CASES if name.startswith(f"{kind}.")]
    if kind == "iceberg":
        names.append("iceberg.job")
    return [name for name in names if upsert or not name.endswith("_upsert")]


def prepare(folder: Path, rows: int, count: int, new: float) -> Changes:
    """The changed rows, made once, and in the page cache."""
    path = folder / f"changes_{rows}_{count}_{new:g}.parquet"
    if not path.exists():
        apart(merge_data.write_changes, path, rows, count, int(count * new))
    for file in (path, path.with_suffix(".csv")):
        file.read_bytes()
    return Changes(path, count, apart(merge_data.expected, rows, path))


def table(results: list[Result]) -> str:
    """The best run of each case; ratio: how much of the speed of its target's first case."""
    lines = [["case", "changes", "inner s", "rows/s", "ratio", "whole s", "CPU s", "peak MB"]]
    for case, changes in dict.fromkeys((one.case, one.changes) for one in results):
        alike = [one for one in results if one.changes == changes]
        first = next(other for other in alike if other.case.partition(".")[0] == case.partition(".")[0])
        one, limit = best(alike, case), best(alike, first.case).inner_seconds
        cells = [f"{one.inner_seconds:.2f}", f"{changes / one.inner_seconds:,.0f}", f"{limit / one.inner_seconds:.2f}"]
        lines.append(
            [case, f"{changes:,}", *cells, f"{one.seconds:.2f}", f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}"]
        )
    return aligned(lines, 26)


def main() -> None:
    known = parser(__doc__, rows=10_000_000)
    known.add_argument("--changes", type=int, nargs="+", default=[100_000, 1_000_000])
    known.add_argument("--new", type=float, default=0.1, help="share of the changes that are new rows")
    known.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    known.add_argument("--upsert", action="store_true", help="measure pyiceberg's own upsert, too")
    arguments = known.parse_args()
    folder = arguments.data.absolute() / "merge"
    changes = [prepare(folder, arguments.rows, count, arguments.new) for count in arguments.changes]
    results = []
    for kind in arguments.targets:
        print(f"{kind}: building a table of {arguments.rows:,} rows ...", flush=True)
        cases = cases_of(kind, upsert=arguments.upsert)
        with merge_targets.opened(kind, folder, arguments.rows) as target:
            measures = {
                f"{case} {item.count:,}": partial(measure, case, target, item) for case in cases for item in changes
            }
            results += in_turn(measures, arguments.repeat)
    shutil.rmtree(folder, ignore_errors=True)
    print(
        f"\n{arguments.rows:,} rows; what each case stored is checked; ratio 1.00 = as fast as its target's first case"
    )
    print(table(results))
    save(results, arguments.json)


if __name__ == "__main__":
    main()
