"""Inline tests of job files: rows in, rows out, and every difference told."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingestion.cli import main
from ingestion.config import InvalidConfig, load_all, load_job, parse_job
from ingestion.examples import run_tests
from ingestion.settings import current
from ingestion_tests.conftest import Project

ROOT = Path(__file__).parent.parent
SHOP = {
    "source": {"type": "csv", "source_path": "nowhere"},
    "transformer": {
        "column_mapping": {"Price": "price"},
        "numeric_columns": ["price"],
        "date_columns": ["day"],
        "types": {"cost": "decimal(9,2)"},
    },
}


def problems(*tests: dict[str, Any], job: dict[str, Any] = SHOP) -> list[str]:
    """What the tests of this job complain of."""
    return [
        problem for item in run_tests(parse_job("shop", {**job, "tests": list(tests)})) for problem in item.problems
    ]


GOOD = {"Price": "1.249,00", "day": "2024-01-31", "cost": "12.50"}


def test_rows_come_out_as_expected_and_unnamed_columns_do_not_matter():
    assert not problems({"given": [GOOD], "expect": [{"price": 1249, "day": "2024-01-31"}]})


@pytest.mark.parametrize(("expect", "problem"), [
    ({"price": 12.49}, "row 1 column price: expected 12.49, got 1249.0"),
    ({"cost": "12.51"}, "row 1 column cost: expected '12.51', got 12.50"),
    ({"cost": "twelve"}, "row 1 column cost: expected 'twelve', got 12.50"),
    ({"day": "2024-01-30"}, "row 1 column day: expected '2024-01-30', got 2024-01-31"),
    ({"day": None}, "row 1 column day: expected null, got 2024-01-31"),
    ({"Price": 1249}, "row 1: there is no column 'Price'; there are: price, day, cost"),
])  # fmt: skip
def test_a_difference_names_row_and_column(expect, problem):
    assert problems({"given": [GOOD], "expect": [expect]}) == [problem]


@pytest.mark.parametrize("expect", [{"cost": 12.5}, {"cost": "12.50"}, {"cost": "12.5"}])
def test_decimals_are_compared_by_value(expect):
    assert not problems({"given": [GOOD], "expect": [expect]})


def test_a_rejected_row_is_found_by_reason_rule_or_column():
    bad = {**GOOD, "day": "31/31/2024"}
    for text in ("date", "date_columns", "day"):
        assert not problems({"given": [bad], "expect": [], "rejected": text})
    [told] = problems({"given": [bad], "rejected": "numeric"})
    assert told.startswith("rejected: expected a row because of 'numeric', got row 1: day: date_columns: ")
    assert problems({"given": [GOOD], "rejected": "day"}) == ["rejected: expected a row because of 'day', got none"]


def test_a_row_that_is_rejected_unexpectedly_is_told_with_its_reason():
    [told] = problems({"given": [GOOD, {**GOOD, "day": "soon"}], "expect": [{}, {}]})
    assert told.startswith("expected 2 rows, got 1 and 1 rejected row: row 2: day: date_columns: 'soon' is no")


def test_rows_may_be_both_expected_and_rejected():
    assert not problems({"given": [{**GOOD, "day": "x"}, GOOD], "expect": [{"price": 1249.0}], "rejected": "day"})


def test_the_rules_of_the_loader_hold():
    keyed = {**SHOP, "loader": {"write_mode": "merge", "merge_keys": ["id"]}}
    given = [{**GOOD, "id": 1}, {**GOOD, "id": None}]
    assert not problems({"given": given, "expect": [{"id": 1}], "rejected": "merge_keys"}, job=keyed)


def test_an_error_that_fails_the_run_is_told_unless_it_is_expected():
    failing = {**SHOP, "transformer": {**SHOP["transformer"], "on_conversion_error": "fail"}}
    bad = {**GOOD, "day": "x"}
    [told] = problems({"given": [bad], "expect": []}, job=failing)
    assert told.startswith("the run fails: test 1:1: transformer.date_columns: day: ")
    assert not problems({"given": [bad], "rejected": "date_columns"}, job=failing)
    [told] = problems({"given": [bad], "rejected": "numbers"}, job=failing)
    assert told.startswith("the run fails, and its error does not say 'numbers': ")


def test_filtered_rows_are_counted():
    assert problems({"given": [GOOD], "filtered": 1}) == ["filtered: expected 1, got 0"]


@pytest.mark.parametrize(("given", "expect"), [
    ([1, 2.5], [1, 2.5]),
    ([1, "a"], ["1", "a"]),
    ([True, None], [True, None]),
    ([True, "x"], ["true", "x"]),
    ([[1, 2], []], [[1, 2], []]),
    ([{"a": 1}, {"a": None}], [{"a": 1}, {"a": None}]),
    (["2024-01-31", None], ["2024-01-31", None]),
    ([10**30, 1], [1e30, 1]),
])  # fmt: skip
def test_a_column_has_a_type_that_all_its_values_have(given, expect):
    rows = [[{"x": value} for value in values] for values in (given, expect)]
    assert not problems({"given": rows[0], "expect": rows[1]}, job={"source": SHOP["source"]})


def test_true_is_no_number_and_text_is_no_number():
    plain = {"source": SHOP["source"]}
    assert problems({"given": [{"x": 1}], "expect": [{"x": True}]}, job=plain)
    assert problems({"given": [{"x": 1}], "expect": [{"x": "1"}]}, job=plain)
    assert problems({"given": [{"x": "1"}], "expect": [{"x": 1}]}, job=plain)


def test_times_are_equal_at_the_same_moment():
    job = {"source": SHOP["source"], "transformer": {"types": {"at": "timestamptz"}}}
    for text in ("2024-05-01T12:00:00Z", "2024-05-01 14:00:00+02:00"):
        assert not problems({"given": [{"at": "2024-05-01T12:00:00+00:00"}], "expect": [{"at": text}]}, job=job)
    assert problems({"given": [{"at": "2024-05-01T12:00:00Z"}], "expect": [{"at": "2024-05-01T12:00:00"}]}, job=job)


def test_a_test_that_expects_nothing_is_refused():
    with pytest.raises(ValueError, match="add expect, rejected or filtered"):
        parse_job("shop", {**SHOP, "tests": [{"given": [GOOD]}]})


def test_a_mistake_in_a_test_has_its_place(project: Project):
    project.job("shop", "source: {type: csv, source_path: x}\ntests:\n  - given: [{a: 1}]\n    expects: []\n")
    with pytest.raises(InvalidConfig, match=r"shop.yaml:4:5: tests\[0\].expects: unknown key 'expects'; did you mean"):
        load_job("shop")


def test_tests_do_not_change_what_a_job_is():
    with_tests = parse_job("shop", {**SHOP, "tests": [{"given": [GOOD], "expect": []}]})
    assert with_tests.config_hash == parse_job("shop", SHOP).config_hash


def test_the_command_runs_all_jobs_and_says_what_differs(project: Project, capsys: pytest.CaptureFixture[str]):
    passing = {"name": "as is", "given": [GOOD], "expect": [{"price": 1249}]}
    project.job("shop", {**SHOP, "tests": [passing]})
    project.job("plain", {"source": SHOP["source"]})
    before = sorted(project.path.rglob("*"))
    assert main(["test"]) == 0
    assert capsys.readouterr() == ("1 test of 1 job passed\n", "")
    project.job("shop", {**SHOP, "tests": [passing, {**passing, "expect": [{"price": 12.5}]}]})
    assert main(["test"]) == 1
    assert capsys.readouterr() == (
        "",
        'shop: test 2 "as is": row 1 column price: expected 12.5, got 1249.0\n1 of 2 tests of 1 job failed\n',
    )
    assert sorted(project.path.rglob("*")) == before
    assert main(["test", "shop", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["passed"], answer["failed"]) == (1, 1)
    assert [item["passed"] for item in answer["jobs"][0]["tests"]] == [True, False]


def test_a_job_that_does_not_load_is_an_error_of_the_call(project: Project, capsys: pytest.CaptureFixture[str]):
    project.job("broken", {"source": SHOP["source"], "transfrmer": {}})
    project.job("shop", {**SHOP, "tests": [{"given": [GOOD], "expect": [{"price": 1249}]}]})
    assert main(["test"]) == 2
    out, err = capsys.readouterr()
    assert out == "1 test of 1 job passed\n"
    assert "unknown key 'transfrmer'" in err


def test_secrets_that_only_source_or_loader_need_are_not_asked_for(monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    job = {**SHOP, "loader": {"type": "postgres", "password": "${NOT_SET}"}}
    assert not problems({"given": [GOOD], "expect": [{"price": 1249}]}, job=job)


@pytest.mark.parametrize("job_id", ["demo_orders"])
def test_a_shipped_job_has_tests(monkeypatch, job_id):
    monkeypatch.setenv("JOB_CONFIG_PATH", str(ROOT / "config" / "jobs"))
    assert load_job(job_id).tests


def test_the_tests_of_all_shipped_jobs_pass(monkeypatch):
    monkeypatch.setenv("JOB_CONFIG_PATH", str(ROOT / "config" / "jobs"))
    jobs = load_all(current())
    assert jobs
    assert all(item.job for item in jobs)
    told = [(item.id, outcome.problems) for item in jobs if item.job for outcome in run_tests(item.job)]
    assert [item for item in told if item[1]] == []


def test_columns_under_cleaned_names_are_given_as_text_too():
    job = {"source": SHOP["source"], "transformer": {"clean_column_names": True, "numeric_columns": ["unit_price"]}}
    assert not problems({"given": [{"Unit Price": 1.5}], "expect": [{"unit_price": 1.5}]}, job=job)


def test_a_step_after_the_transformation_sees_typed_values():
    job = {"source": SHOP["source"], "transformer": {"types": {"price": "decimal(9,2)"}, "filters": ["price > 2"]}}
    given = [{"price": "1.50"}, {"price": "2.50"}]
    assert not problems({"given": given, "expect": [{"price": "2.5"}], "filtered": 1}, job=job)


def test_a_rule_of_the_validation_rejects_a_row_of_a_test():
    job = {"source": SHOP["source"], "transformer": {"validation": [{"column": "id", "rule": "not_null"}]}}
    assert not problems({"given": [{"id": 1}, {"id": None}], "expect": [{"id": 1}], "rejected": "not_null"}, job=job)


def test_a_run_needs_no_variable_that_only_a_test_names():
    job = parse_job("shop", {**SHOP, "tests": [{"given": [{**GOOD, "note": "${NOT_SET}"}], "expect": [{}]}]})
    assert job.resolved().id == "shop"
    assert not problems({"given": [{**GOOD, "note": "${NOT_SET}"}], "expect": [{"note": "${NOT_SET}"}]})
