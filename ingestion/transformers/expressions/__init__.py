"""Formulas and conditions of job files: SQL over the columns of one row, and nothing else."""

from ingestion.transformers.expressions.expression import Expression, Results

__all__ = ["Expression", "Results"]
