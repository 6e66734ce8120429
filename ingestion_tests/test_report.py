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


def test_a_merge_says_what_became_of_its_rows_and_why_some_were_left_out():
    report = RunReport("orders", "r", "l", datetime.now(timezone.utc), rows_read=5, rows_loaded=5, table="shop.orders")
    report.compare(["note"], [])
    report.settle({"older row of the same key": 2}, {"inserted": 1, "updated": 2, "unchanged": 0}, ["n became long"])
    assert report.sentence() == (
        "orders: 3 rows merged into shop.orders (1 inserted, 2 updated), 2 filtered (2 older row of the same key) "
        "in 0.0 s; new columns: note; n became long"
    )


def test_columns_left_out_as_asked_are_noted_and_no_reason_for_alarm():
    report = RunReport("orders", "r", "l", datetime.now(timezone.utc), rows_read=1, rows_loaded=1, table="t")
    report.emptied.update({"w: schema_contract": 3, "n: types": 2})
    report.warn_of_emptied()
    assert report.notes == ["values of columns that the table lacks were left out, as schema_contract says: w (3)"]
    assert report.warnings == ["values that could not be converted became null: 2 x n: types"]
