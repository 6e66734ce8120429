import json
from collections import Counter
from datetime import datetime, timezone

import pytest

from ingestion.report import RunReport


def test_a_report_is_json_with_its_reasons_counted():
    report = RunReport("orders", "run", "load", datetime(2024, 1, 1, tzinfo=timezone.utc))
    report.removed, report.rejected = Counter(blank_row=2), Counter({"price: type": 1})
    report.finish()
    values = json.loads(json.dumps(report.as_json()))
    assert (values["removed"], values["rejected"]) == ({"blank_row": 2}, {"price: type": 1})


@pytest.mark.parametrize(("error", "sentence"), [
    ("orders: 3 of 4 rows are bad", "orders: failed: 3 of 4 rows are bad"),
    ("orders.csv: it is empty", "orders: failed: orders.csv: it is empty"),
])  # fmt: skip
def test_a_failure_names_its_job_once(error, sentence):
    report = RunReport("orders", "run", "load", datetime(2024, 1, 1, tzinfo=timezone.utc))
    report.finish(ValueError(error))
    assert report.sentence() == sentence
