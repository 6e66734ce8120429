"""Filters and transformations change rows and columns in order, and account for every row."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch, Origin
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer

ROWS = pa.record_batch({
    "price": pa.array([5.0, 2.0, 3.0, None]),
    "quantity": pa.array([2, 0, 4, 1]),
    "name": pa.array(["a", "b", None, "d"]),
})  # fmt: skip


def transformer(*transformations, **options):
    return BaseTransformer.model_validate({"transformations": list(transformations), **options})


def changed(*transformations, records=ROWS, **options):
    """What becomes of the rows, once the contract is kept."""
    return check_transformer(transformer(*transformations, **options), [Batch(records, Origin("orders.csv", 2))])[0]


def columns(*transformations, **options):
    return changed(*transformations, **options).records.to_pydict()


# how they are written


@pytest.mark.parametrize("written", [
    {"type": "add_column", "name": "total", "formula": "price * quantity"},
    {"add_column": {"name": "total", "formula": "price * quantity"}},
])  # fmt: skip
def test_a_transformation_has_a_canonical_form(written):
    shown = transformer(written).as_written()["transformations"]
    assert shown == [{"type": "add_column", "name": "total", "formula": "price * quantity"}]


@pytest.mark.parametrize(("short", "canonical"), [
    ({"filter": "quantity > 0"}, {"type": "filter", "condition": "quantity > 0"}),
    ({"filter": {"condition": "quantity > 0"}}, {"type": "filter", "condition": "quantity > 0"}),
    ({"drop_columns": ["name"]}, {"type": "drop_columns", "columns": ["name"]}),
    ({"select": ["name"]}, {"type": "select", "columns": ["name"]}),
    ({"rename_columns": {"name": "who"}}, {"type": "rename_columns", "columns": {"name": "who"}}),
    ({"rename_columns": {"columns": {"name": "who"}}}, {"type": "rename_columns", "columns": {"name": "who"}}),
    ({"rename_columns": {"columns": "who"}}, {"type": "rename_columns", "columns": {"columns": "who"}}),
])  # fmt: skip
def test_the_name_of_a_kind_may_stand_before_its_options(short, canonical):
    assert transformer(short).as_written()["transformations"] == [canonical]
    assert transformer(canonical).as_written()["transformations"] == [canonical]


@pytest.mark.parametrize(("written", "sentence"), [
    ({"add_colum": {"name": "x"}}, "unknown transformation 'add_colum'; did you mean 'add_column'"),
    ({"type": "filtre", "condition": "x"}, "did you mean 'filter'"),
    ({"name": "x", "formula": "1"}, "type is missing"),
    ({"filter": "quantity >"}, "the end is not expected"),
    ({"filter": "SUM(quantity) > 1"}, "more than one row"),
    ({"add_column": {"name": "x", "formula": "read_csv('/etc/passwd')"}}, "unknown function 'read_csv'"),
    ({"add_column": {"name": "", "formula": "1"}}, "at least 1 character"),
    ({"add_column": {"name": "x", "formul": "1"}}, "unknown key 'formul'; did you mean 'formula'"),
    ({"add_column": "x"}, "Field required"),
    ({"select": []}, "at least 1 item"),
    ({"select": ["a", "a"]}, "column 'a' is named 2 times"),
    ({"rename_columns": {"a": "c", "b": "c"}}, "2 columns would become 'c'"),
    ("quantity > 0", "should be"),
])  # fmt: skip
def test_what_is_no_transformation_is_refused_when_the_job_is_loaded(written, sentence):
    with pytest.raises(ValidationError, match=sentence):
        transformer(written)


@pytest.mark.parametrize("written", [
    "${STEP}",
    {"filter": "${CONDITION}"},
    {"select": "${COLUMNS}"},
    {"add_column": {"name": "x", "formula": "${FORMULA}"}},
])  # fmt: skip
def test_a_placeholder_waits(written):
    assert "${" in str(transformer(written).as_written())


def test_a_placeholder_is_checked_once_it_is_known(monkeypatch):
    monkeypatch.setenv("LEAST", "quantity > 1")
    waiting = transformer({"filter": "${LEAST}"})
    assert [rule.condition for rule in waiting.resolved().transformations] == ["quantity > 1"]
    monkeypatch.setenv("LEAST", "(SELECT 1)")
    with pytest.raises(ValidationError, match="SELECT cannot stand in an expression"):
        waiting.resolved()


# filters


def test_only_rows_that_meet_every_filter_stay_and_the_others_are_counted_by_filter():
    batch = changed(filters=["quantity > 0", "name IS NOT NULL"])
    assert batch.records["name"].to_pylist() == ["a", "d"]
    assert batch.removed == {"filter: quantity > 0": 1, "filter: name IS NOT NULL": 1}
    assert batch.origin.at(pa.array([0, 1])).to_pylist() == [2, 5]


def test_a_condition_that_is_null_is_not_met():
    batch = changed(filters=["name <> 'a'"])
    assert batch.records["name"].to_pylist() == ["b", "d"]
    assert batch.removed == {"filter: name <> 'a'": 2}


def test_a_row_without_an_answer_goes_to_quarantine_and_not_away():
    batch = changed(filters=["price / quantity > 2"])
    assert batch.records["name"].to_pylist() == ["a"]
    assert batch.removed == {"filter: price / quantity > 2": 2}
    (row,) = batch.rejected.to_pylist()
    assert {key: row[key] for key in ("stage", "rule", "column", "value", "reason", "source", "position")} == {
        "stage": "transform",
        "rule": "filters[0]",
        "column": None,
        "value": "price = 2, quantity = 0",
        "reason": "price / quantity: division by zero (price = 2, quantity = 0)",
        "source": "orders.csv",
        "position": 3,
    }


def test_a_filter_that_is_no_condition_is_named():
    with pytest.raises(ConfigError, match=r"transformer\.filters\[1\]: 'quantity' gives long, not true or false"):
        columns(filters=["price > 0", "quantity"])


def test_filters_see_converted_values_under_new_names():
    records = pa.record_batch({"Qty": ["1", "12", "x"]})
    batch = changed(records=records, column_mapping={"Qty": "q"}, types={"q": "long"}, filters=["q > 2"])
    assert batch.records.to_pydict() == {"q": [12]}
    assert batch.rejected["rule"].to_pylist() == ["types"]


# add_column


def test_a_column_is_added_and_rows_without_a_result_are_rejected_as_they_were_read():
    batch = changed(
        {"add_column": {"name": "q2", "formula": "quantity * 2"}},
        {"add_column": {"name": "r", "formula": "price / q2"}},
    )
    assert batch.records["r"].to_pylist() == [1.25, 0.375, None]
    (row,) = batch.rejected.to_pylist()
    assert (row["rule"], row["column"], row["value"]) == ("transformations[1].formula", "r", "price = 2, q2 = 0")
    assert row["payload"] == '{"price":2.0,"quantity":0,"name":"b"}'


def test_a_result_that_is_not_there_may_be_null_and_is_counted():
    batch = changed({"add_column": {"name": "r", "formula": "price / quantity"}}, on_conversion_error="null")
    assert batch.records["r"].to_pylist() == [2.5, None, 0.75, None]
    assert batch.emptied == {"r: transformations[0].formula": 1}
    assert batch.rejected is None


def test_a_result_that_is_not_there_may_fail_the_run():
    sentence = r"orders.csv:3: transformer.transformations\[0\]\.formula: price / quantity: division by zero \(price = 2, quantity = 0\)"
    with pytest.raises(DataError, match=sentence):
        columns({"add_column": {"name": "r", "formula": "price / quantity"}}, on_conversion_error="fail")


def test_a_column_that_is_there_is_replaced_in_its_place():
    batch = changed({"add_column": {"name": "quantity", "formula": "quantity + 0.5"}})
    assert batch.records.schema.names == ROWS.schema.names
    assert batch.records["quantity"].to_pylist() == [2.5, 0.5, 4.5, 1.5]


def test_values_of_a_masked_column_are_in_no_reason():
    made = transformer({"add_column": {"name": "r", "formula": "price / quantity"}}, mask={"price": "redact"})
    batch = next(made.apply(iter([Batch(ROWS, Origin("f.csv"))])))
    (row,) = batch.rejected.to_pylist()
    assert "2" not in row["reason"] + (row["value"] or "")


# columns


def test_columns_are_renamed_dropped_and_selected_in_order():
    found = columns({"rename_columns": {"name": "who"}}, {"drop_columns": ["price"]}, {"select": ["who", "quantity"]})
    assert found == {"who": ["a", "b", None, "d"], "quantity": [2, 0, 4, 1]}
    assert list(found) == ["who", "quantity"]


@pytest.mark.parametrize(("transformation", "sentence"), [
    ({"rename_columns": {"nam": "who"}}, r"transformations\[0\]\.columns: the source has no column 'nam'; did you mean 'name'"),
    ({"rename_columns": {"name": "price"}}, "there is a column 'price' already"),
    ({"drop_columns": ["prices"]}, "no column 'prices'; did you mean 'price'"),
    ({"drop_columns": ["price", "quantity", "name"]}, "no column would be left"),
    ({"select": ["price", "quantities"]}, "no column 'quantities'; did you mean 'quantity'"),
    ({"add_column": {"name": "x", "formula": "prize * 2"}}, r"transformations\[0\]\.formula: there is no column 'prize'; did you mean 'price'"),
    ({"filter": "name > 5"}, r"transformations\[0\]\.condition: .*\(name = 'a' at orders.csv:2\)"),
])  # fmt: skip
def test_a_transformation_that_does_not_fit_the_rows_is_named_by_its_place(transformation, sentence):
    with pytest.raises(ConfigError, match=sentence):
        columns(transformation)


def test_two_columns_may_change_names():
    assert list(columns({"rename_columns": {"price": "name", "name": "price"}})) == ["name", "quantity", "price"]


def test_a_file_may_lack_a_column_that_is_renamed_or_dropped():
    rest = Batch(ROWS.select(["price"]), Origin("b.csv"))
    steps = [{"rename_columns": {"name": "who"}}, {"drop_columns": ["quantity"]}]
    batches = list(transformer(*steps).apply(iter([Batch(ROWS, Origin("a.csv")), rest])))
    assert [batch.records.schema.names for batch in batches] == [["price", "who"], ["price"]]


# what the source is asked for


def test_types_of_the_target_are_asked_for_columns_that_arrive_as_they_are():
    known = pa.schema({"price": pa.float64(), "total": pa.int32(), "who": pa.string(), "day": pa.date32()})
    steps = [{"add_column": {"name": "total", "formula": "price * quantity"}}, {"rename_columns": {"name": "who"}}]
    wanted = transformer(*steps, date_columns=["day"]).wants(known)
    assert wanted == pa.schema({"price": pa.float64(), "day": pa.string()})


RULES = st.lists(
    st.sampled_from([
        {"filter": "a > b"},
        {"filter": "a / b > 1 OR s IS NULL"},
        {"filter": "CAST(s AS long) > 0"},
        {"add_column": {"name": "c", "formula": "a * b"}},
        {"add_column": {"name": "a", "formula": "a // b"}},
        {"add_column": {"name": "c", "formula": "CASE WHEN b = 0 THEN 0.5 ELSE a / b END"}},
        {"add_column": {"name": "t", "formula": "UPPER(s) || a"}},
        {"drop_columns": ["s"]},
        {"select": ["b", "a"]},
    ]),
    max_size=3,
)  # fmt: skip
SMALL = st.one_of(st.none(), st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=150, deadline=None)
@given(
    rules=RULES,
    rows=st.lists(st.tuples(SMALL, SMALL, st.one_of(st.none(), st.sampled_from(["1", "x", "-3", ""]))), max_size=6),
    settled=st.sampled_from(["quarantine", "null"]),
)
def test_no_row_vanishes_whatever_is_calculated(rules, rows, settled):
    a, b, s = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    records = pa.record_batch(
        {"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64()), "s": pa.array(s, pa.string())}
    )
    made = transformer(*rules, on_conversion_error=settled)
    try:
        check_transformer(made, [Batch(records, Origin("f.csv"))])
    except ConfigError as error:
        assert "no column" in str(error)  # noqa: PT017 - a rule may drop what another needs


@pytest.mark.parametrize("options", [
    {"date_columns": {"day": "%Y-%m-%d"}},
    {"filters": ["CAST(day AS DATE) > DATE '2024-01-01'"]},
    {"validation": [{"column": "day", "rule": "length", "max": 1, "on_fail": "fail"}]},
])  # fmt: skip
def test_a_row_made_of_several_that_ends_the_run_is_told_by_its_source(options):
    records = pa.record_batch({"day": ["x1", "y2"]})
    made = Batch(records, Origin("orders.csv").blurred(2))
    with pytest.raises(DataError) as caught:
        list(transformer(on_conversion_error="fail", **options).apply(iter([made])))
    assert "orders.csv: " in str(caught.value)
    assert "None" not in str(caught.value)
