"""The code location that Dagster loads."""

from ingestion.orchestration.build import build_definitions

defs = build_definitions()
