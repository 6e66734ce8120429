"""Dagster: the only package, with definitions.py, that knows of it."""
