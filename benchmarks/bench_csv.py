"""CSV to Iceberg against the limit of this machine, in one run.

    python benchmarks/bench_csv.py --rows 5000000 --repeat 3

Three ways, interleaved, each in a fresh process: Arrow's CSV reader into Arrow's Parquet writer (the limit),
the pipeline alone (`ingestion run --bare`), and through Dagster (`ingestion run`, whose storage exists already, as it
does for all runs but a project's first). Each result is checked.
"""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import checks
import gen_events
from measuring import apart, environment_of, measured

HERE = Path(__file__).parent
INGESTION = Path(sys.executable).with_name("ingestion")
JOB = """
source: {{type: csv, source_path: "{path}"}}
loader: {{type: iceberg, database: bench, table: events}}
"""
CASES = ("limit", "pipeline", "dagster")
CREATE_STORAGE = "from ingestion.orchestration.instance import open_instance\nwith open_instance(): pass"


@dataclass(frozen=True)
class Result:
    """One measured process."""

    case: str
    inner_seconds: float  # reading to commit, as the process itself says
    seconds: float  # the whole process
    cpu_seconds: float
    peak_mb: float
    data_mb: float


def measure(case: str, path: Path, project: Path, wanted: dict[str, int]) -> Result:
    """Run *case* in a fresh process and check what it stored."""
    shutil.rmtree(project, ignore_errors=True)
    (project / "config" / "jobs").mkdir(parents=True)
    (project / "config" / "jobs" / "bench.yaml").write_text(JOB.format(path=path))
    if case == "dagster":
        subprocess.run([sys.executable, "-c", CREATE_STORAGE], env=environment_of(project), cwd=project, check=True)
    run = measured(case, command(case, path, project), environment_of(project), project)
    files = [str(project / "limit.parquet")] if case == "limit" else data_files(project)
    stored = apart(checks.of_files, files)
    if stored != wanted:
        wrong = {name: (wanted[name], stored.get(name)) for name in wanted if stored.get(name) != wanted[name]}
        raise SystemExit(f"{case} stored other data (expected, found): {wrong}")
    return Result(
        case=case,
        inner_seconds=json.loads(run.output)["duration_seconds"],
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        peak_mb=run.peak_mb,
        data_mb=sum(Path(file).stat().st_size for file in files) / 1e6,
    )


def command(case: str, path: Path, project: Path) -> list[str]:
    if case == "limit":
        return [sys.executable, str(HERE / "limit.py"), str(path), str(project / "limit.parquet")]
    return [str(INGESTION), "run", "bench", "--json", *(["--bare"] if case == "pipeline" else [])]


def data_files(project: Path) -> list[str]:
    """The files of the table's current snapshot."""
    from pyiceberg.catalog.sql import SqlCatalog

    metadata = project / "metadata"
    catalog = SqlCatalog("default", uri=f"sqlite:///{metadata / 'catalog.db'}", warehouse=str(metadata / "warehouse"))
    tasks = catalog.load_table("bench.events").scan().plan_files()
    return [task.file.file_path.removeprefix("file://") for task in tasks]


def prepare(path: Path, rows: int) -> None:
    """The CSV, made once, and in the page cache."""
    if not path.exists():
        print(f"writing {path} ...", flush=True)
        apart(gen_events.write, path, rows)
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def table(results: list[Result], rows: int) -> str:
    """The best run of each case, rows per second as the process says (inner) and over the whole process."""
    best = [min((one for one in results if one.case == case), key=lambda one: one.seconds) for case in CASES]
    limit = best[0].inner_seconds
    header = ["case", "inner s", "rows/s", "ratio", "whole s", "rows/s", "ratio", "CPU s", "peak MB", "data MB"]
    lines = [header]
    for one in best:
        timings = [
            cell
            for seconds in (one.inner_seconds, one.seconds)
            for cell in (f"{seconds:.2f}", f"{rows / seconds:,.0f}", f"{limit / seconds:.2f}")
        ]
        lines.append([one.case, *timings, f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}", f"{one.data_mb:.1f}"])
    return "\n".join(f"{line[0]:<9}" + "".join(f"{cell:>11}" for cell in line[1:]) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where files are written; needs 3 x the CSV")
    parser.add_argument("--json", type=Path, help="write every measurement to this file, too")
    arguments = parser.parse_args()
    path = (arguments.data / f"events_{arguments.rows}.csv").absolute()
    prepare(path, arguments.rows)
    wanted = apart(checks.expected, arguments.rows, path)
    results = []
    project = arguments.data.absolute() / "project"
    for number in range(arguments.repeat):
        for case in CASES:
            result = measure(case, path, project, wanted)
            results.append(result)
            print(f"{number + 1}/{arguments.repeat} {case:<9}{result.seconds:7.2f} s, checksums equal", flush=True)
    shutil.rmtree(project, ignore_errors=True)
    megabytes = path.stat().st_size / 1e6
    print(f"\n{arguments.rows:,} rows, {megabytes:,.0f} MB; ratio 1.00 = as fast as the limit's inner time")
    print(table(results, arguments.rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
