"""CSV to Iceberg against the limit of this machine, in one run.

    python benchmarks/bench_csv.py --rows 5000000 --repeat 3

Three ways, interleaved, each in a fresh process: Arrow's CSV reader into Arrow's Parquet writer (the limit),
the pipeline alone (`ingestion run --bare`), and through Dagster (`ingestion run`, whose storage exists already, as it
does for all runs but a project's first). Each result is checked.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import checks
import gen_events
import jobs
from comparing import HERE, Timing, aligned, best, hold, in_turn, made, parser, save
from measuring import apart, environment_of, measured

JOB = """
source: {{type: csv, source_path: "{path}"}}
loader: {{type: iceberg, database: bench, table: events}}
"""
CASES = ("limit", "pipeline", "dagster")
CREATE_STORAGE = "from ingestion.orchestration.instance import open_instance\nwith open_instance(): pass"


@dataclass(frozen=True)
class Result(Timing):
    """One measured process, and the size of the files that it wrote."""

    data_mb: float


def measure(case: str, path: Path, project: Path, wanted: dict[str, int]) -> Result:
    """Run *case* in a fresh process and check what it stored."""
    jobs.begin(project, JOB.format(path=path))
    if case == "dagster":
        subprocess.run([sys.executable, "-c", CREATE_STORAGE], env=environment_of(project), cwd=project, check=True)
    run = measured(case, command(case, path, project), environment_of(project), project)
    files = [str(project / "limit.parquet")] if case == "limit" else jobs.data_files(project)
    hold(case, apart(checks.of_files, files), wanted)
    megabytes = sum(Path(file).stat().st_size for file in files) / 1e6
    return Result(case, run.report["duration_seconds"], run.seconds, run.cpu_seconds, run.peak_mb, megabytes)


def command(case: str, path: Path, project: Path) -> list[str]:
    if case == "limit":
        return [sys.executable, str(HERE / "limit.py"), str(path), str(project / "limit.parquet")]
    return jobs.command("--bare") if case == "pipeline" else jobs.command()


def table(results: list[Result], rows: int) -> str:
    """The best run of each case, rows per second as the process says (inner) and over the whole process."""
    fastest = [best(results, case, "seconds") for case in CASES]
    limit = fastest[0].inner_seconds
    header = ["case", "inner s", "rows/s", "ratio", "whole s", "rows/s", "ratio", "CPU s", "peak MB", "data MB"]
    lines = [header]
    for one in fastest:
        timings = [
            cell
            for seconds in (one.inner_seconds, one.seconds)
            for cell in (f"{seconds:.2f}", f"{rows / seconds:,.0f}", f"{limit / seconds:.2f}")
        ]
        lines.append([one.case, *timings, f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}", f"{one.data_mb:.1f}"])
    return aligned(lines, 9)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    path = (arguments.data / f"events_{arguments.rows}.csv").absolute()
    made(path, gen_events.write, arguments.rows)
    wanted = apart(checks.expected, arguments.rows, path)
    project = arguments.data.absolute() / "project"
    results = in_turn({case: partial(measure, case, path, project, wanted) for case in CASES}, arguments.repeat)
    shutil.rmtree(project, ignore_errors=True)
    size = f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB"
    print(f"\n{size}; checksums equal in every way; ratio 1.00 = as fast as the limit's inner time")
    print(table(results, arguments.rows))
    save(results, arguments.json)


if __name__ == "__main__":
    main()
