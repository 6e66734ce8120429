"""Job and source files: finding, reading, merging, checking and writing them."""

from ingestion.config.examples import InlineTest
from ingestion.config.job import JobConfig, check_id
from ingestion.config.load import (
    LoadedJob,
    LoadedSource,
    check_templates,
    find_job,
    list_sources,
    load_all,
    load_file,
    load_job,
    load_source,
    load_source_file,
    parse_job,
)
from ingestion.config.monitoring import Channel, EmailChannel, Metadata, Monitoring, RetryPolicy, SlackChannel
from ingestion.config.problems import InvalidConfig, Problem, explain, yaml_path
from ingestion.config.source import SourceConfig
from ingestion.config.tables import caretaker, one_per_table
from ingestion.config.write import SavedJob, save_job
from ingestion.config.yaml_text import yaml_scalar

__all__ = [
    "Channel",
    "EmailChannel",
    "InlineTest",
    "InvalidConfig",
    "JobConfig",
    "LoadedJob",
    "LoadedSource",
    "Metadata",
    "Monitoring",
    "Problem",
    "RetryPolicy",
    "SavedJob",
    "SlackChannel",
    "SourceConfig",
    "caretaker",
    "check_id",
    "check_templates",
    "explain",
    "find_job",
    "list_sources",
    "load_all",
    "load_file",
    "load_job",
    "load_source",
    "load_source_file",
    "one_per_table",
    "parse_job",
    "save_job",
    "yaml_path",
    "yaml_scalar",
]
