"""Names and values are tidied: clean_column_names, trim, handle_missing_values."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError
from ingestion.names import cleaned, cleaned_all
from ingestion.plugins import Batch, Origin
from ingestion.stream import by_cleaned_names, known_type
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer


def changed(records, **options):
    return check_transformer(BaseTransformer.model_validate(options), [Batch(records, Origin("f.csv"))])[0]


def columns(records, **options):
    return changed(records, **options).records.to_pydict()


@pytest.mark.parametrize(("name", "clean"), [
    ("Order Date", "order_date"),
    ("orderDate", "order_date"),
    ("OrderDate", "order_date"),
    ("order_date", "order_date"),
    ("HTTPServerID", "http_server_id"),
    ("Straße", "strasse"),
    ("Mått (cm)", "matt_cm"),
    ("Smørrebrød", "smorrebrod"),
    ("Ærø", "aero"),
    ("Łódź", "lodz"),
    ("Þór", "thor"),
    ("2024 total", "_2024_total"),
    ("  a -- b  ", "a_b"),
    ("½", "_1_2"),
    ("ﬁeld", "field"),
    ("x\u200by", "xy"),
    ("\ufeffid", "id"),
    ("日本", ""),
    ("%", ""),
])  # fmt: skip
def test_a_name_is_cleaned(name, clean):
    assert cleaned(name) == clean


def test_a_clean_name_stays_as_it_is():
    names = ["order_date", "http_server_id", "_2024_total", "a_b"]
    assert cleaned_all(names) == names


def test_columns_without_letters_are_numbered_by_their_place():
    records = pa.record_batch({"a": [1], "%": [2], "日本": [3]})
    assert columns(records, clean_column_names=True) == {"a": [1], "column_2": [2], "column_3": [3]}


def test_names_from_column_mapping_stay_as_they_are_and_other_options_use_the_clean_ones():
    records = pa.record_batch({"Order Date": ["2024-01-31"], "Kund Nr": ["7"]})
    options = {"column_mapping": {"Kund Nr": "Customer No"}, "date_columns": ["order_date"], "clean_column_names": True}
    assert columns(records, **options) == {"order_date": [dt.date(2024, 1, 31)], "Customer No": ["7"]}


def test_two_names_that_would_become_one_are_both_named():
    records = pa.record_batch({"Order Date": [1], "orderDate": [2]})
    with pytest.raises(ConfigError, match=r"'Order Date' and 'orderDate' would both become 'order_date'"):
        columns(records, clean_column_names=True)


def test_a_clean_name_that_column_mapping_gives_already_is_refused():
    records = pa.record_batch({"Order Date": [1], "b": [2]})
    with pytest.raises(ConfigError, match=r"would both become 'order_date'"):
        columns(records, clean_column_names=True, column_mapping={"b": "order_date"})


def test_a_column_is_looked_up_by_its_name_and_then_by_its_clean_one():
    known = pa.schema({"order_date": pa.date32(), "Kund Nr": pa.string()})
    assert known_type(known, "Order Date") is None
    assert known_type(None, "order_date") is None
    clean = by_cleaned_names(known)
    assert known_type(clean, "Order Date") == known_type(clean, "order_date") == pa.date32()
    assert known_type(clean, "Kund Nr") == pa.string()
    assert known_type(clean, "%") is None


def test_the_types_that_a_source_is_asked_for_hold_for_names_that_are_cleaned_later():
    transformer = BaseTransformer.model_validate({"clean_column_names": True, "column_mapping": {"Nr": "N"}})
    wanted = transformer.wants(pa.schema({"order_date": pa.date32(), "N": pa.int32()}))
    assert known_type(wanted, "Order Date") == pa.date32()
    assert known_type(wanted, "Nr") == pa.int32()


# trim


EDGES = ["  a b\t", "\u00a0a\u2003", "\ufeffa\u200b", "   ", "", None, "\u2060a\u200d"]
TRIMMED = ["a b", "a", "a", "", "", None, "a"]


@pytest.mark.parametrize(
    "dtype", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_blanks_of_every_kind_are_trimmed_and_types_stay(dtype):
    trimmed = changed(pa.record_batch({"t": pa.array(EDGES, pa.string()).cast(dtype), "n": range(7)}), trim=True)
    assert trimmed.records["t"].to_pylist() == TRIMMED
    assert trimmed.records["t"].type == (pa.string() if dtype == pa.string_view() else dtype)


def test_only_the_columns_of_a_list_are_trimmed():
    assert columns(pa.record_batch({"a": [" x "], "b": [" x "]}), trim=["b"]) == {"a": [" x "], "b": ["x"]}


def test_a_column_to_trim_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"transformer\.trim: the source has no column 'nam'; did you mean 'name'"):
        columns(pa.record_batch({"name": ["x"]}), trim=["nam"])


# handle_missing_values


GAPS = pa.record_batch({
    "n": pa.array([1, None, 3], pa.int32()),
    "t": pa.array(["a", "b", None]),
    "d": pa.array([dt.date(2024, 1, 31), None, None]),
    "x": pa.array([Decimal("1.5"), None, None], pa.decimal128(5, 2)),
    "e": pa.nulls(3),
})  # fmt: skip


def test_rows_with_a_null_anywhere_are_dropped_and_counted():
    batch = changed(GAPS.select(["n", "t"]), handle_missing_values="drop")
    assert batch.records.to_pydict() == {"n": [1], "t": ["a"]}
    assert batch.removed == {"handle_missing_values": 2}
    assert batch.origin.at(pa.array([0])).to_pylist() == [1]


def test_rows_with_a_null_in_the_named_columns_are_dropped():
    assert columns(GAPS, handle_missing_values={"drop": ["n"]})["n"] == [1, 3]


def test_one_column_is_named_without_a_list():
    rows = pa.record_batch({"a": [1, None], "b": [None, 2]})
    assert columns(rows, handle_missing_values={"drop": "a"}) == {"a": [1], "b": [None]}


def test_nothing_happens_to_nulls_by_default():
    assert columns(GAPS) == GAPS.to_pydict()


@pytest.mark.parametrize(("value", "filled"), [
    (0, {"n": [1, 0, 3], "x": [Decimal("1.50"), Decimal("0.00"), Decimal("0.00")]}),
    ("?", {"t": ["a", "b", "?"]}),
    (True, {}),
    (0.25, {"x": [Decimal("1.50"), Decimal("0.25"), Decimal("0.25")]}),
])  # fmt: skip
def test_one_value_fills_the_columns_whose_type_it_fits(value, filled):
    assert columns(GAPS, handle_missing_values={"fill_null": value}) == GAPS.to_pydict() | filled


@pytest.mark.parametrize(("column", "value", "filled"), [
    ("n", 7, [1, 7, 3]),
    ("t", "7", ["a", "b", "7"]),
    ("d", "2024-02-01", [dt.date(2024, 1, 31), dt.date(2024, 2, 1), dt.date(2024, 2, 1)]),
    ("x", 0.1, [Decimal("1.50"), Decimal("0.10"), Decimal("0.10")]),
    ("e", 5, [5, 5, 5]),
])  # fmt: skip
def test_a_column_is_filled_with_its_own_value(column, value, filled):
    found = changed(GAPS, handle_missing_values={"fill_null": {column: value}}).records
    assert found[column].to_pylist() == filled
    assert column == "e" or found.schema == GAPS.schema


@pytest.mark.parametrize(("column", "value", "sentence"), [
    ("n", "x", "'x' is no value for column 'n', which holds int"),
    ("n", 2**40, "which holds int"),
    ("n", 1.5, "which holds int"),
    ("n", True, "which holds int"),
    ("t", 0, "0 is no value for column 't', which holds string"),
    ("d", "31/1", "which holds date"),
    ("x", 1000000, r"which holds decimal\(5,2\)"),
    ("nn", 0, "has no column 'nn'; did you mean 'n'"),
])  # fmt: skip
def test_a_value_that_does_not_fit_its_column_is_refused(column, value, sentence):
    with pytest.raises(ConfigError, match=sentence):
        columns(GAPS, handle_missing_values={"fill_null": {column: value}})


@pytest.mark.parametrize("option", ["fill", {"fill_nul": 1}, {"drop": []}, ["drop"], {"drop": {"n": 1}}, {}, 5])
def test_an_unknown_way_to_handle_missing_values_is_refused(option):
    with pytest.raises(ValidationError):
        BaseTransformer.model_validate({"handle_missing_values": option})


@pytest.mark.parametrize("option", ["drop", {"drop": ["n"]}, {"fill_null": 1}, {"fill_null": {"n": 1, "t": "x"}}])
def test_what_is_written_can_be_read_again(option):
    written = BaseTransformer.model_validate({"handle_missing_values": option}).as_written()
    assert BaseTransformer.model_validate(written).as_written() == written


def test_a_csv_column_gets_the_type_of_the_target_column_that_it_becomes(tmp_path):
    (tmp_path / "a.csv").write_text("Post Code,n\n01234,1\n")
    source = ConnectorFactory.create({"type": "csv", "source_path": str(tmp_path), "preserve_leading_zeros": False})
    transformer = BaseTransformer.model_validate({"clean_column_names": True})

    def types(known):
        batches = [item for item in source.read(None, transformer.wants(known)) if isinstance(item, Batch)]
        return next(transformer.apply(iter(batches))).records.to_pydict()

    assert types(None) == {"post_code": [1234], "n": [1]}
    assert types(pa.schema({"post_code": pa.string(), "n": pa.int64()})) == {"post_code": ["01234"], "n": [1]}


@pytest.mark.parametrize(("column", "found"), [
    (pa.array([1, None]), None),
    (pa.array([1.5, None]), None),
    (pa.array([1, None], pa.uint64()), None),
    (pa.array([1, None], pa.decimal128(30, 0)), 2**70),
])  # fmt: skip
def test_a_number_beyond_64_bits_fills_columns_that_hold_it_and_is_refused_for_others(column, found):
    rows = pa.record_batch({"n": column})
    assert columns(rows, handle_missing_values={"fill_null": 2**70}) == {"n": [column[0].as_py(), found]}
    if found is None:
        with pytest.raises(ConfigError, match=r"fill_null: 1180591620717411303424 is no value for column 'n'"):
            columns(rows, handle_missing_values={"fill_null": {"n": 2**70}})


def test_the_greatest_whole_number_fills_a_column_of_unsigned_ones():
    rows = pa.record_batch({"n": pa.array([None], pa.uint64())})
    assert columns(rows, handle_missing_values={"fill_null": 2**64 - 1}) == {"n": [2**64 - 1]}


@pytest.mark.parametrize("option", [{"fill_null": "x"}, {"fill_null": {"t": "x"}}])
def test_nulls_of_a_dictionary_are_filled(option):
    rows = pa.record_batch({"t": pa.array(["a", None, "a"]).dictionary_encode()})
    assert columns(rows, handle_missing_values=option) == {"t": ["a", "x", "a"]}
