"""Batches of a file on their way through the steps of a transformation, and what came out."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from ingestion.plugins import Batch, Origin
from ingestion.transformers.steps import Step
from ingestion.transformers.transformations.shape import Place

PLACE = Place("transformer.transformations[0]")


def batch(columns: dict[str, Any], source: str = "f.csv", first: int = 1, **rest: Any) -> Batch:
    return Batch(pa.record_batch(columns), Origin(source, first), **rest)


def through(steps: Iterable[Step], batches: Iterable[Batch]) -> list[Batch]:
    stream: Iterator[Batch] = iter(batches)
    for step in steps:
        stream = step.apply(stream)
    return list(stream)


def rows(batches: Iterable[Batch]) -> list[dict[str, Any]]:
    return [row for one in batches for row in one.records.to_pylist()]


def removed(batches: Iterable[Batch]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in batches:
        total.update(one.removed)
    return {reason: count for reason, count in total.items() if count}
