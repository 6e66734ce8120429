"""A transformed load against the same load untransformed, in one run.

    python benchmarks/bench_transform.py --rows 5000000 --repeat 3

The file has dates in three notations and numbers with decimal commas. Cases, each in a fresh process, interleaved:
plain loads the columns as they are; transformed converts three dates and three numbers, adds a column by a formula
and holds the rows to two rules. What the transformed load stored is checked.
"""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gen_orders
import jobs
from comparing import Timing, aligned, best, hold, in_turn, made, parser, save
from measuring import apart, environment_of, measured

PLAIN = """
source: {{type: csv, source_path: "{path}", delimiter: ";"}}
loader: {{type: iceberg, database: bench, table: events}}
"""
TRANSFORMED = (
    PLAIN
    + """
transformer:
  date_columns: {{ordered: "%d.%m.%Y", shipped: "%Y%m%d", seen: "%d/%m/%Y %H:%M"}}
  numeric_columns: [price, amount, rate]
  decimal_separator: ","
  transformations:
    - add_column: {{name: total, formula: "price * quantity"}}
  validation:
    - {{column: customer, rule: not_null}}
    - {{column: quantity, rule: between, min: 1, max: 1000}}
"""
)
CASES = {"plain": PLAIN, "transformed": TRANSFORMED}


@dataclass(frozen=True)
class Result(Timing):
    """One measured process, and how long each of its stages took."""

    stages: dict[str, float]


def measure(case: str, path: Path, project: Path, wanted: dict[str, int]) -> Result:
    """Run *case* in a fresh process and check what it stored."""
    jobs.begin(project, CASES[case].format(path=path))
    run = measured(case, jobs.command("--bare"), environment_of(project), project)
    report = run.report
    if report["rows_loaded"] != wanted["rows"]:
        raise SystemExit(f"{case} loaded {report['rows_loaded']} of {wanted['rows']} rows")
    if case == "transformed":
        hold(case, apart(gen_orders.of_files, jobs.data_files(project)), wanted)
    return Result(case, report["duration_seconds"], run.seconds, run.cpu_seconds, run.peak_mb, report["stages"])


def table(results: list[Result], rows: int) -> str:
    """The best run of each case, rows per second as the process says (inner)."""
    fastest = [best(results, case) for case in CASES]
    plain = fastest[0].inner_seconds
    lines = [["case", "inner s", "rows/s", "ratio", "whole s", "CPU s", "peak MB", "read s", "transform s", "write s"]]
    for one in fastest:
        times = [f"{one.stages[name]:.2f}" for name in ("read", "transform", "write")]
        speed = [f"{one.inner_seconds:.2f}", f"{rows / one.inner_seconds:,.0f}", f"{plain / one.inner_seconds:.2f}"]
        lines.append([one.case, *speed, f"{one.seconds:.2f}", f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}", *times])
    return aligned(lines, 12)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    path = (arguments.data / f"orders_{arguments.rows}.csv").absolute()
    made(path, gen_orders.write, arguments.rows)
    wanted = apart(gen_orders.expected, arguments.rows, path)
    project = arguments.data.absolute() / "transform"
    results = in_turn({case: partial(measure, case, path, project, wanted) for case in CASES}, arguments.repeat)
    shutil.rmtree(project, ignore_errors=True)
    size = f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB"
    print(f"\n{size}; ratio 1.00 = as fast as the plain load")
    print(table(results, arguments.rows))
    save(results, arguments.json)


if __name__ == "__main__":
    main()
