"""The examples of the specification, as far as their source types exist, load as they stand."""

import pytest
import yaml

from ingestion.config import load_job, parse_job
from ingestion.pipeline import run

DAILY_SALES = {
    "enabled": True,
    "cron_expression": "0 5 * * *",
    "source": {"type": "csv", "source_path": "incoming/reports/", "file_pattern": "daily_sales_*.csv"},
    "transformer": {"type": "base", "date_columns": ["date"], "numeric_columns": ["quantity", "revenue"]},
    "loader": {"type": "iceberg", "database": "sales_data", "table": "daily_sales"},
}

JOB_CONFIGURATION = """
# Basic job settings
enabled: true                   # Whether the job is enabled
cron_expression: "0 3 * * *"    # When to run the job (cron format)
type: "generic"                 # Job type (generic, fsa_insider_trading)

# Source configuration - where the data comes from
source:
  type: "csv"                   # csv, json, excel, xml, parquet, avro, orc
  source_path: "data/files/"
  file_pattern: "*.csv"
  incremental: true             # Only process new/changed files

# Transformer configuration - how to process the data
transformer:
  type: "base"                  # Type of transformer
  date_columns: []              # Columns to convert to dates
  numeric_columns: []           # Columns to convert to numbers

# Loader configuration - where to store the data
loader:
  type: "iceberg"               # Type of loader (iceberg, postgres, delta)
  database: "my_database"       # Target database
  table: "my_table"             # Target table
  write_mode: "append"          # Write mode (append, overwrite, merge)

# Monitoring configuration - alerts and notifications
monitoring:
  alert_on_failure: true        # Send alert on job failure
  alert_on_zero_records: true   # Send alert when no records are processed
  notification_channels:        # Where to send notifications
    - slack
    - email

# Metadata for documentation and organization
metadata:
  owner: "Data Team"            # Team or person responsible
  contact_email: "data@example.com"  # Contact information
  tags:                         # Organization tags
    - "financial"
    - "daily"
"""


def test_the_job_of_the_curl_line_loads_numbers_and_dates(project):
    project.file("incoming/reports/daily_sales_2023-03-01.csv", "date,quantity,revenue\n2023-03-01,3,19.5\n")
    project.file("incoming/reports/other.csv", "x\n1\n")
    project.job("daily_sales", DAILY_SALES)
    assert run(load_job("daily_sales"), "run-1").rows_loaded == 1
    (row,) = project.table("sales_data.daily_sales").select(["date", "quantity", "revenue"]).to_pylist()
    assert (str(row["date"]), row["quantity"], row["revenue"]) == ("2023-03-01", 3.0, 19.5)


def test_the_whole_job_configuration_block_loads_and_runs(project):
    project.file("data/files/a.csv", "id,name\n1,ann\n")
    project.job("documented", JOB_CONFIGURATION)
    job = load_job("documented")
    written = yaml.safe_load(JOB_CONFIGURATION)
    written["monitoring"]["notification_channels"] = [{"type": "slack"}, {"type": "email"}]  # the long form
    assert job.as_written() == written
    assert run(job, "run-1").rows_loaded == 1
    assert project.table("my_database.my_table")["name"].to_pylist() == ["ann"]


@pytest.mark.parametrize(
    ("part", "option"),
    [
        ("loader", {"write_mode": "merge"}),
        ("source", {"after_load": "move"}),
        ("monitoring", {"freshness": {"max_age": "1h"}}),
    ],
)
def test_what_is_not_built_yet_is_refused_not_ignored(part, option):
    config = yaml.safe_load(JOB_CONFIGURATION)
    config[part].update(option)
    with pytest.raises(ValueError, match=next(iter(option))):
        parse_job("documented", config)
