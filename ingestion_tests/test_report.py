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


def test_rows_that_were_added_are_told_apart_from_those_left_out():
    report = RunReport("orders", "r", "l", datetime.now(timezone.utc), rows_read=3, rows_loaded=3, table="t")
    report.removed.update({"explode": -2, "deduplicate": 2, "filter": 0})
    assert "3 rows loaded into t, 2 added (2 explode), 2 filtered (2 deduplicate) in" in report.sentence()


def test_columns_left_out_as_asked_are_noted_and_no_reason_for_alarm():
    report = RunReport("orders", "r", "l", datetime.now(timezone.utc), rows_read=1, rows_loaded=1, table="t")
    report.emptied.update({"w: schema_contract": 3, "n: types": 2})
    report.warn_of_emptied()
    assert report.notes == ["values of columns that the table lacks were left out, as schema_contract says: w (3)"]
    assert report.warnings == ["values that could not be converted became null: 2 x n: types"]


def test_numbers_that_may_mean_a_thousand_times_more_are_a_warning_with_its_cure():
    report = RunReport("orders", "r", "l", datetime.now(timezone.utc))
    report.noted.update({"price: numeric_columns": 3, "id: unique": 2})
    report.warn_of_noted()
    first, second = report.warnings
    assert first == (
        "all 3 numbers of column price that have a point are like 1.234, which was read as a little more than one and "
        "may mean a thousand times that; set transformer.decimal_separator: '.' or ','"
    )
    assert "2 x id: unique" in second
    assert "price" not in second


def test_details_say_why_rows_were_quarantined_and_where_the_time_went():
    report = RunReport("orders", "r", "l", datetime.now(timezone.utc), rows_read=9)
    report.rejected.update({f"c{number}: types": number for number in range(1, 8)})
    report.examples = {"c7: types": "a.csv:2: 'x' is not a number"}
    report.stages = {"read": 0.123, "transform": 0.0, "write": 1.5, "commit": 0.25}
    assert report.details() == [
        "quarantined: 7 x c7: types (a.csv:2: 'x' is not a number)",
        "quarantined: 6 x c6: types",
        "quarantined: 5 x c5: types",
        "quarantined: 4 x c4: types",
        "quarantined: 3 x c3: types",
        "quarantined: 2 more reasons; --json has all",
        "waited for: read 0.12 s, transform 0.00 s, write 1.50 s, commit 0.25 s",
    ]
    assert RunReport("orders", "r", "l", datetime.now(timezone.utc)).details() == []
