"""Times with a zone in filters, formulas and rules."""

import pyarrow as pa
import pytest

from ingestion.errors import ConfigError
from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer

STOCKHOLM = {"timezone": "Europe/Stockholm"}
TIMES = ["2023-12-31T22:59:59Z", "2023-12-31T23:00:00Z", "2024-01-01T00:00:00Z", None]  # the new year begins at 23:00


def stays(options):
    """The numbers of the rows that stay."""
    times = pa.array(TIMES, pa.string())
    rows = pa.record_batch({"t": times, "n": pa.array(range(len(times)))})
    made = BaseTransformer.model_validate({"types": {"t": "timestamptz"}, **options})
    (done,) = made.apply(iter([Batch(rows, Origin("f.csv", 1))]))
    return done.records["n"].to_pylist()


@pytest.mark.parametrize(
    "condition",
    [
        "t >= '2024-01-01'",
        "t >= '2024-01-01 00:00'",
        "t >= '2023-12-31T23:00:00Z'",
        "t >= DATE '2024-01-01'",
        "TIMESTAMP '2024-01-01 00:00:00' <= t",
        "t BETWEEN DATE '2024-01-01' AND '2025-01-01'",
    ],
)
def test_a_date_beside_a_timestamptz_stands_in_the_zone_of_the_transformer(condition):
    assert stays({**STOCKHOLM, "filters": [condition]}) == [1, 2]
    assert stays({**STOCKHOLM, "transformations": [{"filter": condition}]}) == [1, 2]
    rule = {"rule": "expression", "expression": condition}
    assert stays({**STOCKHOLM, "validation": [rule]}) == [1, 2, 3]


def test_the_same_condition_in_another_zone_is_another():
    condition = ["t >= '2024-01-01'"]
    assert stays({"timezone": "UTC", "filters": condition}) == [2]
    assert stays({**STOCKHOLM, "filters": condition}) == [1, 2]


@pytest.mark.parametrize("written", ["'2024-01-01'", "DATE '2024-01-01'", "'yesterday'"])
def test_without_a_zone_a_time_that_has_no_offset_is_refused_with_what_to_write(written):
    with pytest.raises(ConfigError, match=r"write it as '2024-01-31T12:30:00Z', or set transformer\.timezone"):
        stays({"filters": [f"t >= {written}"]})


def test_a_time_that_clocks_skipped_is_refused():
    with pytest.raises(ConfigError, match="or without an offset as clocks in Europe/Stockholm show it"):
        stays({**STOCKHOLM, "filters": ["t >= '2024-03-31 02:30'"]})
