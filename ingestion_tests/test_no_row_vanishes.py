"""Whatever the rows and the options are: every row is accounted for, or the run fails in words that name a cause."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.config import parse_job
from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError, DataError
from ingestion.pipeline import run
from ingestion.plugins import Batch, Connector, Cursor, Origin
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer
from ingestion_tests.conftest import Project
from ingestion_tests.transformer_options import RESHAPING, options, records

PLACES = ("transformer.", "f.csv", "loader.", "column ")
NUMBERS = count()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a case is told as it was found: a smaller one costs minutes
FEW = pa.record_batch({
    "row": pa.array([0, 1, 2, 3]),
    "text": pa.array(["1", "x", "1", None]),
    "n": pa.array([1, 0, 2**40, 3]),
})  # fmt: skip
MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
SOME = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)


class Given(Connector):
    """Yields the batches that the test gives it."""

    type: Literal["given"] = "given"

    batches: ClassVar[list[Batch]] = []

    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch]:
        yield from self.batches


@pytest.fixture
def given_source(project: Project) -> Iterator[Project]:
    """A project whose jobs may have a source of type given."""
    ConnectorFactory.register("given", Given)
    yield project
    ConnectorFactory.unregister("given")


def cut(rows: pa.RecordBatch, at: int) -> list[Batch]:
    return [Batch(rows.slice(0, at), Origin("f.csv", 0)), Batch(rows.slice(at), Origin("f.csv", at), cursor=1)]


@contextmanager
def named_causes() -> Iterator[None]:
    """An error of these kinds may end the block, if it says where its cause is; any other fails the test."""
    try:
        yield
    except (ConfigError, DataError) as error:
        if not any(place in str(error) for place in PLACES):
            raise


@MANY
@given(options(), records(), st.integers(0, 6))
def test_the_contract_is_kept_or_a_cause_is_named(chosen: dict[str, Any], rows: pa.RecordBatch, at: int) -> None:
    try:
        transformer = BaseTransformer.model_validate(chosen)
    except ValidationError:
        return
    with named_causes():
        check_transformer(transformer, cut(rows, min(at, rows.num_rows)))


@SOME
@given(options(), records(), st.integers(0, 6))
@example({"numeric_columns": ["text"], "clean_column_names": True}, FEW, 2)
@example({"types": {"n": "int"}, "filters": ["10 / n > 1"]}, FEW, 1)
@example({"validation": [{"rule": "between", "column": "n", "max": 1, "on_fail": "drop"}]}, FEW, 1)
@example({"deduplicate": {"keys": ["text"], "order_by": ["n"]}, "handle_missing_values": "drop"}, FEW, 3)
def test_a_run_loads_or_quarantines_or_counts_every_row(
    given_source: Project, chosen: dict[str, Any], rows: pa.RecordBatch, at: int
) -> None:
    Given.batches[:] = cut(rows, min(at, rows.num_rows))
    table = f"t{next(NUMBERS)}"
    report = None
    with named_causes(), suppress(ValidationError):
        config = {"source": {"type": "given"}, "transformer": chosen, "max_bad_ratio": 1.0}
        report = run(parse_job(table, config), "run-1")
    if report is None:
        return
    assert report.rows_read == rows.num_rows
    assert report.rows_read == report.rows_loaded + report.rows_quarantined + report.rows_filtered
    assert report.rows_filtered == sum(report.removed.values())
    loaded = given_source.table(f"default.{table}") if report.rows_loaded else None
    held = given_source.table(f"default.{table}__quarantine") if report.rows_quarantined else None
    assert (loaded.num_rows if loaded else 0) == report.rows_loaded
    assert (held.num_rows if held else 0) == report.rows_quarantined
    if not any(chosen.get(option) for option in RESHAPING):
        landed = loaded["row"].to_pylist() if loaded else []
        rejected = held["position"].to_pylist() if held else []
        assert len({*landed, *rejected}) == len(landed) + len(rejected) == rows.num_rows - report.rows_filtered
        assert {*landed, *rejected} <= {*range(rows.num_rows)}
