"""Rules that rows are held to: what each asks, and what becomes of the rows that break it."""

import datetime as dt
import re
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.errors import BudgetSpent, ConfigError, DataError, RuleBroken
from ingestion.plugins import Batch, Origin, bad_rows
from ingestion.secrets import MASK, resolve
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer
from ingestion_tests.config_project import refusal


def batch(columns: Any, first: int = 2) -> Batch:
    return Batch(pa.record_batch(columns), Origin("f.csv", first))


def judged(rules: Any, *batches: Batch, **options: Any) -> list[Batch]:
    rules = rules if isinstance(rules, list) else [rules]
    transformer = BaseTransformer.model_validate({"validation": rules, **options})
    return list(transformer.apply(iter(batches)))


def rejected(batches: list[Batch]) -> list[dict[str, Any]]:
    return [row for one in batches if one.rejected for row in one.rejected.to_pylist()]


def broken(rule: dict[str, Any], values: pa.Array, name: str = "c") -> list[Any]:
    """The values, as told, that break a rule on one column; all others pass."""
    done = judged({"column": name, **rule}, batch({name: values}))
    told = [row["value"] for row in rejected(done)]
    assert len(told) + sum(one.records.num_rows for one in done) == len(values)
    return told


def reasons(rule: dict[str, Any], values: pa.Array) -> list[str]:
    return [row["reason"] for row in rejected(judged({"column": "c", **rule}, batch({"c": values})))]


def refused(rule: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        BaseTransformer.model_validate({"validation": [rule]})
    return str(caught.value)


# what each rule asks


@pytest.mark.parametrize(("values", "limits", "told"), [
    (pa.array([0, 120, 121, -1, None]), {"min": 0, "max": 120}, ["121", "-1"]),
    (pa.array([1, 2, 3]), {"min": 1.5}, ["1"]),
    (pa.array([1, 2, 3]), {"max": 1.5}, ["2", "3"]),
    (pa.array([1, 2], pa.int8()), {"max": 3000000000}, []),
    (pa.array([1, 2], pa.int8()), {"min": 3000000000}, ["1", "2"]),
    (pa.array([2**53, 2**53 + 1]), {"max": 9007199254740992}, ["9007199254740993"]),
    (pa.array([5, 2**64 - 1], pa.uint64()), {"min": -1, "max": 2**63}, ["18446744073709551615"]),
    (pa.array([0.1, 0.2, float("nan"), None, float("inf")]), {"min": 0.1, "max": 1}, ["nan", "inf"]),
    (pa.array([Decimal("1.10"), Decimal("1.11")]), {"max": 1.105}, ["1.11"]),
    (pa.array([Decimal("1.10"), Decimal("1.11")]), {"min": "1.101"}, ["1.10"]),
    (pa.array([dt.date(2024, 1, 1), dt.date(2023, 12, 31)]), {"min": "2024-01-01"}, ["2023-12-31"]),
    (pa.array(["2024-01-01 00:00:00", "2024-01-01 00:00:01"]).cast(pa.timestamp("us")), {"max": "2024-01-01"}, ["2024-01-01 00:00:01.000000"]),
    (pa.array([dt.time(8), dt.time(20)]), {"max": "12:00:00"}, ["20:00:00.000000"]),
    (pa.array(["b", "a", "é"]), {"min": "b", "max": "c"}, ["a", "é"]),
    (pa.array([150, 5]).dictionary_encode(), {"max": 120}, ["150"]),
    (pa.nulls(2), {"max": 120}, []),
])  # fmt: skip
def test_between_compares_in_the_type_of_the_column(values, limits, told):
    assert broken({"rule": "between", **limits}, values) == told


def test_a_time_without_an_offset_stands_in_the_zone_of_the_transformer():
    stamps = pa.array(["2024-07-01 21:59:00Z", "2024-07-01 22:01:00Z"]).cast(pa.timestamp("us", "UTC"))
    rule = {"column": "c", "rule": "between", "min": "2024-07-02 00:00"}
    assert len(rejected(judged(rule, batch({"c": stamps})))) == 2
    assert len(rejected(judged(rule, batch({"c": stamps}), timezone="Europe/Stockholm"))) == 1


def test_between_says_which_limit_a_value_is_beyond():
    assert reasons({"rule": "between", "min": 0, "max": 120}, pa.array([150, -3])) == [
        "is 150, more than 120",
        "is -3, less than 0",
    ]
    assert reasons({"rule": "between", "max": 1}, pa.array([float("nan")])) == ["is nan, which nothing compares with"]


@pytest.mark.parametrize(("values", "fine", "told"), [
    (pa.array(["a", "b", None]), ["a"], ["b"]),
    (pa.array([1, 2, 3]), [1, "2"], ["3"]),
    (pa.array(["1", "2"]), [1], ["2"]),
    (pa.array([0.5, 0.25]), [0.5], ["0.25"]),
    (pa.array([Decimal("1.50"), Decimal("1.51")]), [1.5], ["1.51"]),
    (pa.array([True, False]), [True], ["false"]),
    (pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 2)]), ["2024-01-01"], ["2024-01-02"]),
    (pa.array(["a", "b"]).dictionary_encode(), ["a"], ["b"]),
    (pa.array(["a", "b"], pa.large_string()), ["a"], ["b"]),
])  # fmt: skip
def test_in_compares_in_the_type_of_the_column(values, fine, told):
    assert broken({"rule": "in", "values": fine}, values) == told


def test_a_date_that_python_has_made_of_yaml_is_the_text_that_it_was():
    rule = {"rule": "between", "min": dt.date(2024, 1, 1)}
    assert broken(rule, pa.array([dt.date(2024, 1, 1), dt.date(2023, 12, 31)])) == ["2023-12-31"]


def test_in_names_some_of_the_values_that_are_fine():
    assert reasons({"rule": "in", "values": list("abcdefg")}, pa.array(["x"])) == [
        "is x, not one of a, b, c, d, e, ..."
    ]


@pytest.mark.parametrize(("rule", "values", "sentence"), [
    ({"rule": "in", "values": ["x"]}, pa.array([1]), r"validation\[0\].values\[0\]: 'x' is not a whole number"),
    ({"rule": "in", "values": [True]}, pa.array(["a"]), "True is no text, but the column is; write it in quotes"),
    ({"rule": "in", "values": [True]}, pa.array([1]), "True is no value of a column that is long"),
    ({"rule": "in", "values": [300]}, pa.array([1], pa.int8()), "300 is beyond int8"),
    ({"rule": "in", "values": [1]}, pa.array([[1]]), "in compares plain values"),
    ({"rule": "between", "max": 5}, pa.array(["a"]), "make it a number with transformer.types or numeric_columns"),
    ({"rule": "between", "max": "x"}, pa.array([1]), "max: 'x' is no number that long compares with"),
    ({"rule": "between", "max": True}, pa.array([1]), "max: True is no number"),
    ({"rule": "between", "max": 10**50}, pa.array([Decimal("1.5")]), "is no number that decimal"),
    ({"rule": "between", "max": "31.12.2024"}, pa.array([dt.date(2024, 1, 1)]), r"is not a date \(YYYY-MM-DD\)"),
    ({"rule": "between", "max": 1}, pa.array([True]), "between compares numbers, dates, times and texts"),
    ({"rule": "regex", "pattern": "a"}, pa.array([1]), r"regex looks at texts, and column 'c' is long; set transformer.types: \{c: string\}"),
    ({"rule": "length", "max": 1}, pa.array([1]), "length measures texts, lists and binary values"),
    ({"rule": "unique"}, pa.array([[1]]), "unique compares plain values"),
])  # fmt: skip
def test_a_rule_that_does_not_fit_its_column_says_so(rule, values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        judged({"column": "c", **rule}, batch({"c": values}))


@pytest.mark.parametrize(("pattern", "told"), [
    ("[0-9]{4}", ["12345", "a1234", "1234\n"]),
    (".*[0-9]{4}.*", ["1234\n"]),
    ("(?s).*[0-9]{4}.*", []),
    ("1|2|1234", ["12345", "a1234", "1234\n"]),
    ("(?i)A?1234", ["12345", "1234\n"]),
    ("", ["1234", "12345", "a1234", "1234\n"]),
])  # fmt: skip
def test_a_pattern_matches_the_whole_text(pattern, told):
    assert broken({"rule": "regex", "pattern": pattern}, pa.array(["1234", "12345", None, "a1234", "1234\n"])) == told


def test_a_pattern_that_would_never_end_elsewhere_ends_here():
    texts = pa.array(["a" * 50_000, "a" * 50_000 + "b"])
    started = time.process_time()
    assert len(broken({"rule": "regex", "pattern": "(a+)+"}, texts)) == 1
    assert time.process_time() - started < 5


def test_long_values_are_cut_for_people():
    (row,) = rejected(judged({"column": "c", "rule": "length", "max": 5}, batch({"c": ["ä" * 5000]})))
    assert row["value"] == "ä" * 199 + "…"
    assert row["reason"] == "has 5000 characters, more than 5"
    (reason,) = reasons({"rule": "regex", "pattern": "b"}, pa.array(["ä" * 5000]))
    assert len(reason) < 250


@pytest.mark.parametrize(("values", "told"), [
    (pa.array(["", "åä", "åäö", "åäöå", None]), ["", "åäöå"]),
    (pa.array([[1, 2], [], [1, 2, 3, 4], None]), ["[]", "[1, 2, 3, 4]"]),
    (pa.array([b"\xff\xff", b"", b"abcd"]), ["b''", "b'abcd'"]),
    (pa.array([b"ab"], pa.binary(2)), []),
])  # fmt: skip
def test_length_counts_characters_items_and_bytes(values, told):
    assert broken({"rule": "length", "min": 1, "max": 3}, values) == told


def test_not_null_takes_an_empty_text_for_a_value():
    assert broken({"rule": "not_null"}, pa.array(["", None, "a"])) == [None]
    assert reasons({"rule": "not_null"}, pa.array([None, "a"])) == ["has no value"]


def test_a_file_without_the_column_has_no_value_in_it():
    files = [batch({"a": [1], "b": ["x"]}), batch({"a": [2]})]
    assert [row["reason"] for row in rejected(judged({"column": "b", "rule": "not_null"}, *files))] == ["has no value"]
    assert not rejected(judged({"column": "b", "rule": "in", "values": ["x"]}, *files))


def test_unique_keeps_the_first_row_of_a_value_across_batches():
    done = judged({"column": "id", "rule": "unique"}, batch({"id": [1, 2, 1]}), batch({"id": [2, 3, None, None]}, 5))
    assert [one.records["id"].to_pylist() for one in done] == [[1, 2], [3, None, None]]
    assert [(row["position"], row["value"], row["reason"]) for row in rejected(done)] == [
        (4, "1", "came before in this load"),
        (5, "2", "came before in this load"),
    ]


def test_unique_over_several_columns_means_their_combination():
    rows = batch({"a": [1, 1, 1, 1], "b": ["x", "y", "x", None]})
    (row,) = rejected(judged({"columns": ["a", "b"], "rule": "unique"}, rows))
    assert (row["position"], row["column"], row["value"]) == (4, "a, b", "1, x")


def test_a_row_that_was_rejected_before_makes_no_other_row_a_repetition():
    rules = [{"column": "n", "rule": "between", "max": 9}, {"column": "id", "rule": "unique"}]
    done = judged(rules, batch({"id": [1, 1], "n": [10, 5]}))
    assert [row["rule"] for row in rejected(done)] == ["between"]
    assert done[0].records["id"].to_pylist() == [1]


def test_an_expression_is_told_with_the_values_that_it_read():
    rows = batch({"a": [1, 5, None, 4, 2], "b": [1, 2, 3, 0, 2]})
    done = judged([{"rule": "expression", "expression": "a / b < 2"}], rows)
    assert [(row["position"], row["rule"], row["column"], row["value"]) for row in rejected(done)] == [
        (3, "expression", None, None),
        (5, "expression", None, None),
    ]
    assert [row["reason"] for row in rejected(done)] == [
        "does not meet a / b < 2 (a = 5, b = 2)",
        "cannot be judged, a / b: division by zero (a = 4, b = 0)",
    ]
    assert done[0].records["a"].to_pylist() == [1, None, 2]


def test_an_expression_may_be_about_a_column_and_read_others():
    rules = [
        {"column": "n", "rule": "between", "max": 9},
        {"column": "a", "rule": "expression", "expression": "a <= b"},
    ]
    done = judged(rules, batch({"a": [1, 3, 4], "b": [1, 2, 3], "n": [1, 10, 2]}))
    (_, row) = rejected(done)
    assert (row["position"], row["column"], row["value"], row["rule"]) == (4, "a", "4", "expression")
    (_, check) = BaseTransformer.model_validate({"validation": rules}).checks
    assert (check.label, check.description) == ("a: expression", "every row meets a <= b")


@pytest.mark.parametrize(("expression", "sentence"), [
    ("a + 1", r"validation\[0\].expression: 'a \+ 1' gives .*, not true or false"),
    ("aa > 1", r"validation\[0\].expression: .*'aa'"),
    ("a > 'x'", r"validation\[0\].expression: .*f.csv:2"),
])  # fmt: skip
def test_an_expression_that_is_no_condition_on_the_columns_is_named(expression, sentence):
    with pytest.raises(ConfigError, match=sentence):
        judged({"rule": "expression", "expression": expression}, batch({"a": [1]}))


# references


@pytest.fixture
def countries(project):
    return project.file("lists/countries.csv", "code,name\nSE,Sweden\nFI,Finland\n7,Seven\n,Nowhere\n")


def reference(file: str, column: str = "code") -> dict[str, Any]:
    return {"rule": "references", "references": {"file": file, "column": column}}


def test_references_are_looked_up_in_a_file_beside_config(countries):
    assert broken(reference("lists/countries.csv"), pa.array(["SE", "XX", None, "7", ""])) == ["XX", ""]
    assert broken(reference(str(countries)), pa.array([7, 8])) == ["8"]
    assert reasons(reference("lists/countries.csv"), pa.array(["XX"])) == [
        "'XX' is not in column code of lists/countries.csv"
    ]


def test_references_may_be_a_parquet_file_of_another_type(project):
    path = project.file("lists/ids.parquet", "")
    pq.write_table(pa.table({"id": pa.array([1, 2, None], pa.int16())}), path)
    assert broken(reference("lists/ids.parquet", "id"), pa.array([1, 3])) == ["3"]
    assert broken(reference("lists/ids.parquet", "id"), pa.array(["1", "x"])) == ["x"]


def test_many_references_are_looked_up_without_making_a_table_of_them_for_every_batch(project):
    project.file("lists/many.csv", "n\n" + "\n".join(map(str, range(0, 200_000, 2))))
    values = pa.array([str(number) for number in range(1000)] + [None])
    assert broken(reference("lists/many.csv", "n"), values) == [str(number) for number in range(1, 1000, 2)]


@pytest.mark.parametrize(("file", "column", "sentence"), [
    ("lists/none.csv", "code", r"validation\[0\].references.file: .*none.csv cannot be read \(No such file"),
    ("lists/countries.csv", "cod", r"references.column: .*countries.csv has no column 'cod'; did you mean 'code'\?"),
    ("lists", "code", "cannot be read"),
    ("s3://bucket/a.csv", "code", "is no local file"),
    ("lists/empty.csv", "code", "is neither a CSV file nor a Parquet file"),
    ("lists/cut.parquet", "code", "is neither a CSV file nor a Parquet file"),
])  # fmt: skip
def test_references_that_cannot_be_read_are_named(project, countries, file, column, sentence):
    project.file("lists/empty.csv", "")
    project.file("lists/cut.parquet", "PAR1 and no more")
    with pytest.raises(ConfigError, match=sentence):
        judged({"column": "c", **reference(file, column)}, batch({"c": ["SE"]}))


# what becomes of the rows

AGES = {"age": [36, 150, None, -5], "name": ["Ada", None, "Bo", "Eva"]}


def test_a_row_that_breaks_several_rules_is_rejected_once_under_the_first():
    rules = [
        {"column": "age", "rule": "between", "min": 0, "max": 120},
        {"column": "name", "rule": "not_null"},
        {"column": "age", "rule": "not_null", "on_fail": "drop"},
    ]
    (done,) = judged(rules, batch(AGES))
    assert [(row["position"], row["rule"], row["stage"]) for row in rejected([done])] == [
        (3, "between", "validate"),
        (5, "between", "validate"),
    ]
    assert done.removed == {"bad_row: age: not_null": 1}
    assert bad_rows(done.removed) == 1
    assert done.records.to_pylist() == [{"age": 36, "name": "Ada"}]
    assert done.origin.at(pa.array([0])).to_pylist() == [2]


def test_warned_rows_stay_and_are_counted_where_they_stay():
    rules = [
        {"column": "age", "rule": "between", "max": 100, "on_fail": "warn"},
        {"column": "age", "rule": "between", "min": 0, "on_fail": "warn"},
        {"column": "name", "rule": "not_null"},
    ]
    (done,) = judged(rules, batch(AGES))
    assert done.noted == {"age: between 2": 1}
    assert done.examples["age: between 2"] == "f.csv:5: is -5, less than 0"
    assert done.records["age"].to_pylist() == [36, None, -5]


def test_a_broken_rule_fails_the_run_with_its_place_and_the_first_value():
    with pytest.raises(RuleBroken) as caught:
        judged({"column": "age", "rule": "between", "min": 0, "max": 120, "on_fail": "fail"}, batch(AGES))
    assert str(caught.value) == (
        "transformer.validation[0]: the rule between, on_fail: fail, is broken by 2 of 4 rows so far; the first is "
        "f.csv:3: column 'age' is 150, more than 120 (value: 150); nothing was loaded. Mend the data, or set "
        "on_fail: quarantine"
    )


def test_every_rule_has_a_name_of_its_own():
    rules = [
        {"columns": ["a", "b"], "rule": "between", "max": 5},
        {"column": "a", "rule": "between", "min": 1},
        {"column": "a", "rule": "in", "values": [1], "name": "known ones"},
        {"column": "a b", "rule": "not_null"},
        {"column": "a_b", "rule": "not_null"},
        {"column": "å", "rule": "not_null"},
    ]
    checks = BaseTransformer.model_validate({"validation": rules}).checks
    assert [check.label for check in checks] == [
        "a: between", "b: between", "a: between 2", "a: known ones", "a b: not_null", "a_b: not_null", "å: not_null",
    ]  # fmt: skip
    assert [check.name for check in checks] == [
        "a_between", "b_between", "a_between_2", "a_known_ones", "a_b_not_null", "a_b_not_null_2", "not_null",
    ]  # fmt: skip
    assert checks[0].description == "a is at most 5"


def test_a_named_rule_is_told_by_its_name():
    rows = batch({"a": [1, 9]})
    (row,) = rejected(judged({"column": "a", "rule": "between", "max": 5, "name": "small"}, rows))
    assert row["rule"] == "small"


def test_a_column_that_no_batch_has_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"transformer.validation\[0\].*no column 'aeg'; did you mean 'age'\?"):
        judged({"column": "aeg", "rule": "between", "max": 5}, batch(AGES))


@pytest.mark.parametrize(("rule", "sentence"), [
    ({"column": "a", "rule": "regx"}, "unknown rule 'regx'; did you mean 'regex'"),
    ({"column": "a"}, "rule is missing; known rules: between"),
    ({"rule": "not_null"}, "name the column, or several in columns"),
    ({"column": "a", "columns": ["b"], "rule": "not_null"}, "name the column, or several in columns, not both"),
    ({"columns": ["b", "b"], "rule": "not_null"}, "a column is named twice"),
    ({"column": "a", "rule": "between"}, "give min, max or both"),
    ({"column": "a", "rule": "between", "min": 2, "max": 1}, r"min \(2\) is more than max \(1\)"),
    ({"column": "a", "rule": "length", "min": 2, "max": 1}, r"min \(2\) is more than max \(1\)"),
    ({"column": "a", "rule": "regex", "pattern": "(a"}, r"no pattern of RE2 \(missing \): \(a\); it has no look-around"),
    ({"column": "a", "rule": "regex", "pattern": "a)|(b"}, "no pattern of RE2"),
    ({"column": "a", "rule": "regex", "pattern": "(?=a)b"}, "no pattern of RE2"),
    ({"column": "a", "rule": "in", "values": []}, "at least 1 item"),
    ({"rule": "expression", "expression": "a > (SELECT 1)"}, "SELECT"),
    ({"rule": "expression", "columns": ["a"], "expression": "a > 1"}, "an expression names its columns itself"),
    ({"column": "a", "rule": "not_null", "on_fial": "warn"}, "unknown key 'on_fial'; did you mean 'on_fail'"),
])  # fmt: skip
def test_a_rule_that_is_written_wrong_is_refused(rule, sentence):
    assert re.search(sentence, refused(rule))


def test_two_rules_of_a_column_with_one_name_are_refused():
    rules = [{"column": "a", "rule": "not_null", "name": "x"}, {"column": "a", "rule": "unique", "name": "x"}]
    with pytest.raises(ValidationError, match="2 rules of a have the name 'x'; give each its own"):
        BaseTransformer.model_validate({"validation": rules})


def test_a_rule_that_is_written_wrong_is_named_by_its_place_in_the_file(project):
    project.job(
        "orders", "source: {type: csv, source_path: d}\ntransformer:\n  validation:\n    - {column: a, rule: regx}\n"
    )
    assert "transformer.validation[0]" in refusal()
    assert "did you mean 'regex'?" in refusal()


# the whole load


def load(project, rules: Any, rows: str, **options: Any) -> Any:
    from ingestion.config import load_job
    from ingestion.pipeline import run

    project.file("data/a.csv", rows)
    config = {"source": {"type": "csv", "source_path": "data"}, "loader": {"type": "iceberg"}, **options}
    project.job("people", {**config, "transformer": {"validation": rules, **options.get("transformer", {})}})
    return run(load_job("people"), "run-1")


def test_a_warning_says_how_many_values_break_a_rule(project):
    rule = {"column": "age", "rule": "between", "max": 120, "on_fail": "warn"}
    report = load(project, [rule], "name,age\nAda,36\nBo,150\n")
    assert report.status == "partial"
    place = f"{project.path / 'data' / 'a.csv'}:3: is 150, more than 120"
    assert report.warnings == [
        f"values that break a rule were loaded, as on_fail: warn says: 1 x age: between ({place})"
    ]
    assert report.as_json()["noted"] == {"age: between": 1}
    assert report.as_json()["examples"] == {"age: between": place}
    assert project.table("default.people").num_rows == 2


def test_rows_left_out_by_a_rule_spend_the_budget(project):
    rule = {"column": "age", "rule": "between", "max": 120, "on_fail": "drop"}
    with pytest.raises(BudgetSpent, match="1 x left out by age: between, on_fail: drop"):
        load(project, [rule], "name,age\nAda,36\nBo,150\n", max_bad_rows=0)


def test_a_rule_that_fails_the_run_lets_nothing_land(project):
    rule = {"column": "age", "rule": "between", "max": 120, "on_fail": "fail"}
    with pytest.raises(DataError, match=r"validation\[0\].*a.csv:3: column 'age' is 150, more than 120"):
        load(project, [rule], "name,age\nAda,36\nBo,150\n")
    assert not (project.path / "metadata" / "warehouse" / "default").exists()


# validate_schema


def test_columns_of_the_types_that_are_asked_for_pass():
    schema = {"a": "long", "b": "string", "c": "decimal(5,2)", "d": "date"}
    columns = {
        "a": [1],
        "b": pa.array(["x"], pa.large_string()),
        "c": pa.array([Decimal("1.00")], pa.decimal128(5, 2)),
        "d": pa.nulls(1),
    }
    (done,) = judged([], batch(columns), validate_schema=schema)
    assert done.records.num_rows == 1


@pytest.mark.parametrize(("schema", "sentence"), [
    ({"a": "int"}, r"column 'a' should be int, but it is long \(f.csv\); nothing was loaded"),
    ({"aa": "long"}, "column 'aa' should be long, but there is none, and nothing was loaded; did you mean 'a'"),
])  # fmt: skip
def test_a_column_of_another_type_fails_the_run(schema, sentence):
    with pytest.raises(DataError, match=sentence):
        judged([], batch({"a": [1]}), validate_schema=schema)


def test_validate_schema_looks_at_what_the_other_steps_have_made():
    (done,) = judged([], batch({"a": ["1"]}), types={"a": "int"}, validate_schema={"a": "int"})
    assert done.records.schema.field("a").type == pa.int32()


# whatever the rows are

_RULES = st.lists(
    st.sampled_from(
        [
            {"column": "n", "rule": "between", "min": -5, "max": 5},
            {"column": "n", "rule": "unique"},
            {"column": "t", "rule": "not_null"},
            {"column": "t", "rule": "in", "values": ["a", "b"]},
            {"column": "t", "rule": "regex", "pattern": "[ab]*"},
            {"columns": ["n", "t"], "rule": "unique"},
            {"columns": ["n", "t"], "rule": "not_null"},
        ]
    ),
    max_size=4,
)
_ON_FAIL = st.lists(st.sampled_from(["quarantine", "drop", "warn"]), min_size=4, max_size=4)
_ROWS = st.lists(st.tuples(st.none() | st.integers(-9, 9), st.none() | st.text("abc", max_size=2)), max_size=12)


def _breaks(rule: dict[str, Any], row: dict[str, Any], seen: set[Any]) -> list[str]:
    """The columns, as told, under which one row breaks a rule, in plain Python."""
    kind = rule["rule"]
    columns = rule.get("columns") or [rule["column"]]
    if kind == "unique":
        key = tuple(row[column] for column in columns)
        again = None not in key and key in seen
        seen.add(key)
        return [", ".join(columns)] if again else []
    fine = {
        "not_null": lambda value: value is not None,
        "between": lambda value: value is None or -5 <= value <= 5,
        "in": lambda value: value in {None, "a", "b"},
        "regex": lambda value: value is None or not set(value) - {"a", "b"},
    }[kind]
    return [column for column in columns if not fine(row[column])]


@given(_RULES, _ON_FAIL, _ROWS)
@settings(max_examples=150, deadline=None)
def test_rules_do_what_plain_python_does_however_rows_are_cut(rules, on_fail, rows):
    rules = [{**rule, "on_fail": what} for rule, what in zip(rules, on_fail, strict=False)]
    transformer = BaseTransformer.model_validate({"validation": rules})
    records = [dict(zip("nt", row, strict=True)) for row in rows]
    schema = pa.schema([("n", pa.int64()), ("t", pa.string())])
    done = check_transformer(transformer, [Batch(pa.RecordBatch.from_pylist(records, schema), Origin("f", 1))])

    seen: dict[tuple[int, str], set[Any]] = {}
    staying, outcomes = [], Counter()
    for record in records:
        fate = "stays"
        for index, rule in enumerate(rules):
            hit = _breaks(rule, record, seen.setdefault((index, ""), set()))
            if hit and rule["on_fail"] != "warn":
                fate = rule["on_fail"]
                break
        outcomes[fate] += 1
        if fate == "stays":
            staying.append(record)
    assert [row for one in done for row in one.records.to_pylist()] == staying
    assert len(rejected(done)) == outcomes["quarantine"]
    assert sum(bad_rows(one.removed) for one in done) == outcomes["drop"]


# types that few sources have


@pytest.mark.parametrize("values", [
    pa.array([1], pa.duration("s")),
    pa.array([1.0], pa.float16()),
    pa.array([b"0123456789abcdef"], pa.uuid()),
    pa.array([b"x"], pa.binary(1)),
])  # fmt: skip
@pytest.mark.parametrize("rule", [{"rule": "between", "min": 1}, {"rule": "in", "values": [1]}])
def test_a_column_whose_type_cannot_be_compared_is_named(values, rule):
    with pytest.raises(ConfigError, match=rf"^transformer.validation\[0\]: {rule['rule']} compares .*column 'c' is "):
        judged({"column": "c", **rule}, batch({"c": values}))


@pytest.mark.parametrize("rule", [
    {"rule": "regex", "pattern": "a+"},
    {"rule": "length", "max": 2},
    {"rule": "between", "max": "ab"},
    {"rule": "in", "values": ["a", "aa"]},
])  # fmt: skip
def test_views_of_texts_are_judged_as_texts(rule):
    assert broken(rule, pa.array(["a", "bbb", None, "aa"], pa.string_view())) == ["bbb"]


def test_narrow_decimals_are_looked_up():
    values = pa.array([Decimal("1.5"), Decimal("2.5")], pa.decimal32(5, 1))
    assert broken({"rule": "in", "values": [1.5]}, values) == ["2.5"]


def test_references_that_are_no_plain_values_are_refused(project):
    pq.write_table(pa.table({"st": [{"a": 1}]}), project.file("lists/nested.parquet", ""))
    with pytest.raises(
        ConfigError, match=r"validation\[0\].references.column: column 'st' of .* holds struct<.*no plain"
    ):
        judged({"column": "c", **reference("lists/nested.parquet", "st")}, batch({"c": ["a"]}))


def test_a_condition_without_columns_is_told_by_itself():
    (row,) = rejected(judged({"rule": "expression", "expression": "1 = 2"}, batch({"c": [1]})))
    assert row["reason"] == "does not meet 1 = 2"


def test_no_secret_stands_in_what_is_told_of_rules_and_filters(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "s3cr3t-value-1")
    written = {
        "filters": ["a <> '${API_TOKEN}'"],
        "validation": [{"rule": "expression", "expression": "b = '${API_TOKEN}'"}, {"column": "a", "rule": "in", "values": ["${API_TOKEN}"]}],
    }  # fmt: skip
    transformer = BaseTransformer.model_validate(resolve(written))
    done = list(
        transformer.apply(iter([batch({"a": ["s3cr3t-value-1", "x", "y"], "b": ["1", "2", "s3cr3t-value-1"]})]))
    )
    told = [str(one.removed) for one in done] + [row["reason"] for row in rejected(done)] + [str(transformer.checks)]
    assert len(told) == 4
    assert all(MASK in text and "s3cr3t" not in text.split("(b = ")[0] for text in told), told
