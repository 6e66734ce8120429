"""Quarantined rows come back through today's job: each once, and none is lost."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.config import load_job
from ingestion.errors import DataError, Superseded
from ingestion.pipeline import run
from ingestion.replay import Replay, ReplayReport, replay
from ingestion_tests.conftest import Project

Row = dict[str, Any]
Job = Callable[..., None]

BAD_DAYS = "id,day,amount\n1,2024-01-02,1.5\n2,03/01/2024,2.5\n3,04/01/2024,x\n4,2024-01-05,4.5\n"


def job(project: Project, transformer: Row | None = None, source: Row | None = None, **loader: Any) -> None:
    """The job orders, which reads the folder data."""
    config: Row = {
        "source": {"type": "csv", "source_path": "data", **(source or {})},
        "transformer": transformer or {},
        "loader": loader,
        "max_bad_ratio": 1,
    }
    project.job("orders", config)


def load() -> Any:
    return run(load_job("orders"), uuid.uuid4().hex)


def bring() -> ReplayReport:
    return replay(load_job("orders"), uuid.uuid4().hex)


def rows(project: Project, *names: str) -> list[Any]:
    found = project.table("default.orders").select(list(names)).to_pylist()
    return sorted((tuple(row.values()) for row in found), key=str)


def waiting() -> list[tuple[int | None, str]]:
    """Position and rule of each row in quarantine."""
    found = load_job("orders").resolved()
    batches = list(found.loader.quarantined("orders"))
    return sorted((row["position"], row["rule"]) for batch in batches for row in batch.to_pylist())


def test_rows_land_once_their_option_is_mended(project: Project) -> None:
    project.file("data/a.csv", BAD_DAYS)
    job(project, {"date_columns": {"day": "%Y-%m-%d"}, "numeric_columns": ["amount"]})
    load()
    assert waiting() == [(3, "date_columns"), (4, "date_columns")]
    job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}, "numeric_columns": ["amount"]})
    report = bring()
    assert (report.replayed, report.rows_read, report.rows_loaded, report.rows_quarantined) == (2, 2, 1, 1)
    assert report.sentence().startswith(
        "orders: 2 rows replayed: partial: 1 rows loaded into default.orders, 1 quarantined again"
    )
    assert [row[:1] for row in rows(project, "id")] == [(1,), (2,), (4,)]
    assert waiting() == [(4, "numeric_columns")]
    assert load().rows_read == 0
    job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}})
    with pytest.raises(DataError):  # text does not land in a column of numbers, and the row stays where it was
        job(project, {"date_columns": {"day": ["%Y-%m-%d", "%d/%m/%Y"]}, "types": {"amount": "string"}})
        bring()
    assert waiting() == [(4, "numeric_columns")]
    job(project, {"date_columns": {"day": "%d/%m/%Y"}, "numeric_columns": ["amount"], "on_conversion_error": "null"})
    bring()
    assert waiting() == []
    assert len(rows(project, "id")) == 4
    report = bring()
    assert report.sentence() == "orders: nothing to replay"
    assert report.snapshot is None
