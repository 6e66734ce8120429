"""A replay lands what runs would have landed: the newest row wins, none stands for another, and no total is of few."""

from typing import Any, Literal

import pyarrow as pa
import pytest

from ingestion.errors import ConfigError
from ingestion_tests.conftest import Project
from ingestion_tests.test_replay import bring, job, load, rows, waiting

TOTAL = {"sql": {"query": "SELECT day, SUM(amount) AS total FROM input GROUP BY day", "over": "load"}}
CHANGING = {"python": {"callable": "ingestion_tests.test_replay_order:halved", "changes_rows": True}}


def halved(records: pa.RecordBatch) -> pa.RecordBatch:
    """The rows at even places."""
    return records.take(pa.array(range(0, records.num_rows, 2)))


@pytest.mark.parametrize("transformation", [TOTAL, CHANGING], ids=["sql", "python"])
def test_a_job_that_makes_rows_of_several_is_not_replayed(
    project: Project, transformation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_TRANSFORM_MODULES", "ingestion_tests.test_replay_order")
    project.file("data/a.csv", "day,amount,ok\n2024-01-01,10,yes\n2024-01-01,20,yes\n2024-01-01,1000,maybe\n")
    transformer = {"boolean_columns": ["ok"], "transformations": [{"filter": "amount > 0"}, transformation]}
    job(project, transformer, write_mode="merge", merge_keys="day")
    load()
    landed = project.table("default.orders").to_pylist()
    job(project, {**transformer, "on_conversion_error": "null"}, write_mode="merge", merge_keys="day")
    with pytest.raises(ConfigError, match=r"transformer\.transformations\[1\] .* ingestion rollback"):
        bring()
    assert project.table("default.orders").to_pylist() == landed
    assert waiting() == [(4, "boolean_columns")]


def test_a_job_that_makes_rows_of_several_and_has_nothing_in_quarantine_says_so(project: Project) -> None:
    project.file("data/a.csv", "day,amount\n2024-01-01,10\n")
    job(project, {"transformations": [TOTAL]})
    load()
    assert bring().sentence() == "orders: nothing to replay"
