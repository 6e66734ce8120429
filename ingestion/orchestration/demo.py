"""`make demo`: a shipped job over shipped data, run through Dagster, and what came of it."""

import json
import shutil
import sys

from ingestion.config import load_job
from ingestion.errors import ConfigError
from ingestion.loaders.iceberg import IcebergLoader
from ingestion.orchestration.launch import run_job
from ingestion.pipeline import INGESTED_AT, RUN_ID

__all__ = ["DEMO_JOB", "main"]

DEMO_JOB = "demo_orders"
_ROWS = 8
_WIDE = 144  # characters that the whole table takes
_NEXT = """
What to try next
  make demo                               once more: nothing is new, nothing is loaded twice
  make serve                              the UI on http://127.0.0.1:3000 (this run is in its history)
  {path:<39} the job, commented; copy it to make your own
  .venv/bin/ingestion validate            check every file in config/
"""


def main(*, as_json: bool = False) -> int:
    """Run the demo job and show its table; 0 if it went well, also where there was nothing new."""
    report = run_job(DEMO_JOB)
    if as_json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    elif report.status != "failed":
        sys.stdout.write(_table())
        sys.stdout.write(f"\n{report.sentence()}\n")
        for reason, count in report.rejected.items():
            sys.stdout.write(f"  {count} in {report.table}__quarantine because of {reason}\n")
        sys.stdout.write(_NEXT.format(path=f"config/jobs/{DEMO_JOB}.yaml"))
    else:
        sys.stderr.write(report.sentence() + "\n")
    return 1 if report.status == "failed" else 0


def _table() -> str:
    """The first rows of the demo's table, and how many there are."""
    import polars as pl

    loader = load_job(DEMO_JOB).resolved().loader
    if not isinstance(loader, IcebergLoader):
        raise ConfigError(f"{DEMO_JOB}: its loader is no longer iceberg; read its table there")
    frame = loader.scan()
    count = frame.select(pl.len()).collect().item()
    first = frame.select(pl.exclude(RUN_ID, INGESTED_AT)).head(_ROWS).collect()
    width = shutil.get_terminal_size((_WIDE, 24)).columns
    columns = -1 if width >= _WIDE else 6
    with pl.Config(tbl_rows=_ROWS, tbl_hide_dataframe_shape=True, tbl_cols=columns, tbl_width_chars=width):
        return f"{loader.database}.{loader.table}: {count:,} rows, the first of them:\n{first}\n"
