"""Rows can be shown whatever they hold."""

import pyarrow as pa
import pytest

from ingestion.orchestration.metadata import preview_markdown
from ingestion.shown import rows_of

_AFTER = 2_932_897  # days to the year 10000


@pytest.mark.parametrize(
    "wrap", [lambda rows: rows, lambda rows: pa.Table.from_batches([rows])], ids=["batch", "table"]
)
def test_values_that_python_cannot_hold_are_text(wrap):
    dates = pa.array([_AFTER, None], pa.int32()).cast(pa.date32())
    stamps = pa.array([1, None], pa.timestamp("ns"))
    nested = pa.array([[{"d": _AFTER}], None], pa.list_(pa.struct([("d", pa.date32())])))
    rows = wrap(pa.record_batch({"n": [1, 2], "d": dates, "t": stamps, "l": nested}))
    assert rows_of(rows) == [
        {"n": 1, "d": "10000-01-01", "t": "1970-01-01 00:00:00.000000001", "l": [{"d": "10000-01-01"}]},
        {"n": 2, "d": None, "t": None, "l": None},
    ]
    assert rows_of(rows.select(["n"])) == [{"n": 1}, {"n": 2}]
    assert rows_of(rows.slice(0, 0)) == []


def test_the_first_rows_of_a_run_are_shown_whatever_they_hold():
    stamps = pa.array([1], pa.timestamp("ns", "UTC"))
    assert preview_markdown(pa.record_batch({"t": stamps})).splitlines()[-1] == "| 1970-01-01 00:00:00.000000001Z |"
