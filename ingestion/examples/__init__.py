"""Inline tests of job files."""

from ingestion.examples.running import Outcome, run_tests

__all__ = ["Outcome", "run_tests"]
