"""A transformed load against the same load untransformed, in one run.

    python benchmarks/bench_transform.py --rows 5000000 --repeat 3

The file has dates in three notations and numbers with decimal commas. Cases, each in a fresh process, interleaved:
plain loads the columns as they are; transformed converts three dates and three numbers, adds a column by a formula
and holds the rows to two rules. What the transformed load stored is checked.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import bench_csv
import gen_orders
from measuring import apart, environment_of, measured

HERE = Path(__file__).parent
INGESTION = Path(sys.executable).with_name("ingestion")
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
class Result:
    """One measured process."""

    case: str
    inner_seconds: float  # reading to commit, as the process itself says
    seconds: float  # the whole process
    cpu_seconds: float
    peak_mb: float
    stages: dict[str, float]


def measure(case: str, path: Path, project: Path, wanted: dict[str, int]) -> Result:
    """Run *case* in a fresh process and check what it stored."""
    shutil.rmtree(project, ignore_errors=True)
    (project / "config" / "jobs").mkdir(parents=True)
    (project / "config" / "jobs" / "bench.yaml").write_text(CASES[case].format(path=path))
    command = [str(INGESTION), "run", "bench", "--json", "--bare"]
    run = measured(case, command, environment_of(project), project)
    report = json.loads(run.output)
    if report["rows_loaded"] != wanted["rows"]:
        raise SystemExit(f"{case} loaded {report['rows_loaded']} of {wanted['rows']} rows")
    stored = apart(gen_orders.of_files, bench_csv.data_files(project)) if case == "transformed" else wanted
    if stored != wanted:
        wrong = {name: (wanted[name], stored.get(name)) for name in wanted if stored.get(name) != wanted[name]}
        raise SystemExit(f"{case} stored other data (expected, found): {wrong}")
    return Result(case, report["duration_seconds"], run.seconds, run.cpu_seconds, run.peak_mb, report["stages"])


def prepare(path: Path, rows: int) -> None:
    """The CSV, made once, and in the page cache."""
    if not path.exists():
        print(f"writing {path} ...", flush=True)
        apart(gen_orders.write, path, rows)
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def table(results: list[Result], rows: int) -> str:
    """The best run of each case, rows per second as the process says (inner)."""
    best = [min((one for one in results if one.case == case), key=lambda one: one.inner_seconds) for case in CASES]
    plain = best[0].inner_seconds
    lines = [["case", "inner s", "rows/s", "ratio", "whole s", "CPU s", "peak MB", "read s", "transform s", "write s"]]
    for one in best:
        times = [f"{one.stages[name]:.2f}" for name in ("read", "transform", "write")]
        speed = [f"{one.inner_seconds:.2f}", f"{rows / one.inner_seconds:,.0f}", f"{plain / one.inner_seconds:.2f}"]
        lines.append([one.case, *speed, f"{one.seconds:.2f}", f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}", *times])
    return "\n".join(f"{line[0]:<12}" + "".join(f"{cell:>12}" for cell in line[1:]) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where files are written; needs 3 x the CSV")
    parser.add_argument("--json", type=Path, help="write every measurement to this file, too")
    arguments = parser.parse_args()
    path = (arguments.data / f"orders_{arguments.rows}.csv").absolute()
    prepare(path, arguments.rows)
    wanted = apart(gen_orders.expected, arguments.rows, path)
    project = arguments.data.absolute() / "transform"
    results = []
    for number in range(arguments.repeat):
        for case in CASES:
            results.append(measure(case, path, project, wanted))
            print(f"{number + 1}/{arguments.repeat} {case:<12}{results[-1].inner_seconds:7.2f} s", flush=True)
    shutil.rmtree(project, ignore_errors=True)
    print(f"\n{arguments.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB; ratio 1.00 = as fast as the plain load")
    print(table(results, arguments.rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
