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

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import merge_cases
import merge_data
import merge_targets
from measuring import apart, environment_of, measured

HERE = Path(__file__).parent
INGESTION = Path(sys.executable).with_name("ingestion")
TARGETS = ("iceberg", "delta", "postgres")
JOB = """
source: {{type: csv, source_path: "{path}"}}
loader: {{type: iceberg, database: bench, table: events, write_mode: merge, merge_keys: id,
         add_ingestion_metadata: false}}
"""


@dataclass(frozen=True)
class Result:
    """One measured process."""

    case: str
    rows: int
    changes: int
    inner_seconds: float  # beyond start and imports
    seconds: float  # the whole process
    cpu_seconds: float
    peak_mb: float


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
        stored = target.stored()
        if stored != changes.wanted:
            raise SystemExit(f"{case} stored other data: expected {changes.wanted}, found {stored}")
    inner = json.loads(run.output)["duration_seconds"]
    return Result(case, target.rows, changes.count, inner, run.seconds, run.cpu_seconds, run.peak_mb)


def command(case: str, target: merge_targets.Target, changes: Path) -> list[str]:
    if case == "iceberg.job":
        jobs = target.project / "config" / "jobs"
        jobs.mkdir(parents=True, exist_ok=True)
        (jobs / "bench.yaml").write_text(JOB.format(path=changes.with_suffix(".csv")))
        return [str(INGESTION), "run", "bench", "--bare", "--json"]
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
    header = ["case", "changes", "inner s", "rows/s", "ratio", "whole s", "CPU s", "peak MB"]
    lines = [header]
    for case, changes in dict.fromkeys((one.case, one.changes) for one in results):
        one = best(results, case, changes)
        first = next(other for other in results if other.case.partition(".")[0] == case.partition(".")[0])
        limit = best(results, first.case, changes).inner_seconds
        cells = [f"{one.inner_seconds:.2f}", f"{changes / one.inner_seconds:,.0f}", f"{limit / one.inner_seconds:.2f}"]
        lines.append(
            [case, f"{changes:,}", *cells, f"{one.seconds:.2f}", f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}"]
        )
    return "\n".join(f"{line[0]:<26}" + "".join(f"{cell:>11}" for cell in line[1:]) for line in lines)


def best(results: list[Result], case: str, changes: int) -> Result:
    found = [one for one in results if (one.case, one.changes) == (case, changes)]
    return min(found, key=lambda one: one.inner_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the table")
    parser.add_argument("--changes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--new", type=float, default=0.1, help="share of the changes that are new rows")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--upsert", action="store_true", help="measure pyiceberg's own upsert, too")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where files are written")
    parser.add_argument("--json", type=Path, help="write every measurement to this file, too")
    arguments = parser.parse_args()
    folder = arguments.data.absolute() / "merge"
    changes = [prepare(folder, arguments.rows, count, arguments.new) for count in arguments.changes]
    results = []
    for kind in arguments.targets:
        print(f"{kind}: building a table of {arguments.rows:,} rows ...", flush=True)
        with merge_targets.opened(kind, folder, arguments.rows) as target:
            for number in range(arguments.repeat):
                for case in cases_of(kind, upsert=arguments.upsert):
                    for item in changes:
                        one = measure(case, target, item)
                        results.append(one)
                        told = f"{number + 1}/{arguments.repeat} {case:<26}{item.count:>10,}{one.seconds:8.2f} s"
                        print(told, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(
        f"\n{arguments.rows:,} rows; what each case stored is checked; ratio 1.00 = as fast as its target's first case"
    )
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in results], indent=1))


if __name__ == "__main__":
    main()
