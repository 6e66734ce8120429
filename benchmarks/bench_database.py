"""Tables of databases to Iceberg against the limit of each database, in one run.

    python benchmarks/bench_database.py --rows 5000000 --repeat 3 --databases postgresql mysql sqlite

The servers are the benchmark's own. Cases of each database, interleaved, each in a fresh process: limit is its fast
driver, whose batches go into Arrow's Parquet writer as they are; pipeline is `ingestion run --bare` over one
connection; partitions the same over several, where the database shares a snapshot. read is the connector whose rows
nobody takes, write the loader whose rows are in memory: what they take together, the pipeline does in less, as it
reads while it writes. What was stored is checked.

What the drivers are asked for: DuckDB's scanner of PostgreSQL, in one thread and 65,536 rows at a time, which takes
half the processor time of ADBC's driver; connectorx in MySQL's binary protocol, 50,000 rows at a time; ADBC's for
SQLite, 65,536 rows at a time. The Parquet writer packs by zstd and is as it comes otherwise.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import checks
import database_cases
import database_servers
import gen_events
import jobs
import pyarrow.parquet
import yaml
from comparing import HERE, Timing, aligned, best, hold, in_turn, parser, save
from database_servers import Filled
from measuring import apart, environment_of, measured

LOADER = {"type": "iceberg", "database": "bench", "table": "events"}
SECRET = "BENCH_PASSWORD"


@dataclass(frozen=True)
class Result(Timing):
    """One measured process."""

    database: str


def measure(kind: str, case: str, filled: Filled, project: Path, wanted: dict[str, int]) -> Result:
    """Run *case* in a fresh process and check what it stored."""
    jobs.begin(project, job(case, filled))
    name = f"{kind}.{case}"
    environment = environment_of(project) | {SECRET: filled.source.get("password", "")}
    run = measured(name, command(case, filled, project, wanted["rows"]), environment, project)
    if case == "limit":
        hold(name, apart(of_limit, str(project)), wanted)
    elif case in {"pipeline", "partitions"}:
        hold(name, apart(checks.of_files, jobs.data_files(project)), wanted)
    return Result(case, run.report["duration_seconds"], run.seconds, run.cpu_seconds, run.peak_mb, kind)


def job(case: str, filled: Filled) -> str:
    source = {**filled.source, "table": "events"}
    if "password" in source:
        source["password"] = f"${{{SECRET}}}"
    if case == "partitions":
        source["num_partitions"] = filled.partitions
    return yaml.safe_dump({"source": source, "loader": LOADER})


def command(case: str, filled: Filled, project: Path, rows: int) -> list[str]:
    if case in database_cases.CASES:
        source = {**filled.source, "table": "events"}
        settings = {"source": source, "address": filled.address, "rows": rows, "folder": str(project)}
        return [sys.executable, str(HERE / "database_cases.py"), case, json.dumps(settings)]
    return jobs.command("--bare")


def of_limit(folder: str) -> dict[str, int]:
    """The checksums of what the limit stored, whatever types its driver gives."""
    file = pyarrow.parquet.ParquetFile(database_cases.limit_file(folder))
    return checks.checks(batch.cast(gen_events.SCHEMA) for batch in file.iter_batches())


def cases_of(filled: Filled, *, apart_too: bool) -> list[str]:
    cases = ["limit", "pipeline", *(["partitions"] if filled.partitions > 1 else [])]
    return [*cases, "read", "write"] if apart_too else cases


def table(results: list[Result], rows: int) -> str:
    """The best run of each case, rows per second as the process says (inner) and over the whole process."""
    lines = [["case", "inner s", "rows/s", "ratio", "whole s", "rows/s", "CPU s", "peak MB"]]
    for kind, case in dict.fromkeys((one.database, one.case) for one in results):
        alike = [one for one in results if one.database == kind]
        one, limit = best(alike, case), best(alike, "limit").inner_seconds
        inner = [f"{one.inner_seconds:.2f}", f"{rows / one.inner_seconds:,.0f}", f"{limit / one.inner_seconds:.2f}"]
        whole = [f"{one.seconds:.2f}", f"{rows / one.seconds:,.0f}"]
        lines.append([f"{kind}.{case}", *inner, *whole, f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}"])
    return aligned(lines, 24)


def overlaps(results: list[Result]) -> list[str]:
    """For each database, what reading and writing take on their own, and what they take together."""
    found = []
    for kind in dict.fromkeys(one.database for one in results if one.case == "write"):
        alike = [one for one in results if one.database == kind]
        read, write, both = (best(alike, case).inner_seconds for case in ("read", "write", "pipeline"))
        together = f"{both:.2f} s together, {both / (read + write):.0%} of the sum"
        found.append(f"{kind}: read {read:.2f} s, write {write:.2f} s; {together}")
    return found


def main() -> None:
    known = parser(__doc__)
    kinds = list(database_servers.OPENED)
    known.add_argument("--databases", nargs="+", choices=kinds, default=kinds)
    known.add_argument("--whole", action="store_true", help="leave out reading and writing on their own")
    arguments = known.parse_args()
    data = arguments.data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    wanted = apart(checks.expected, arguments.rows, data / f"events_{arguments.rows}.csv")
    project = data / "database"
    results: list[Result] = []
    for kind in arguments.databases:
        print(f"{kind}: filling a table with {arguments.rows:,} rows ...", flush=True)
        with database_servers.OPENED[kind](data, arguments.rows) as filled:
            cases = cases_of(filled, apart_too=not arguments.whole)
            measures = {f"{kind}.{case}": partial(measure, kind, case, filled, project, wanted) for case in cases}
            results += in_turn(measures, arguments.repeat)
    shutil.rmtree(project, ignore_errors=True)
    print(f"\n{arguments.rows:,} rows; checksums equal in every way; ratio 1.00 = as fast as the limit's inner time")
    print(table(results, arguments.rows))
    print(*overlaps(results), sep="\n")
    save(results, arguments.json)


if __name__ == "__main__":
    main()
