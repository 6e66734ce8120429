"""The base transformer: names, types, and what becomes of values that do not fit."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.errors import ConfigError, DataError
from ingestion.plugins import REJECTED, Batch, Origin
from ingestion.transformers.base import BaseTransformer

NAIVE = pa.timestamp("us")
UTC = pa.timestamp("us", "UTC")


def apply(config, *batches):
    return list(BaseTransformer.model_validate(config).apply(iter(batches)))


def batch(columns, first=1, **rest):
    arrays = {name: v if isinstance(v, pa.Array) else pa.array(v, pa.string()) for name, v in columns.items()}
    return Batch(pa.record_batch(arrays), Origin("f.csv", first), **rest)


def convert(config, values):
    """The only column after its conversion, and its type."""
    (done,) = apply(config, batch({"c": values}))
    assert done.rejected is None, done.rejected.to_pylist()
    return done.records["c"].to_pylist(), done.records["c"].type


def reasons(config, values):
    (done,) = apply(config, batch({"c": values}))
    assert done.records.num_rows + done.rejected.num_rows == len(values)
    assert done.rejected.schema == REJECTED
    return [row["reason"] for row in done.rejected.to_pylist()]


# names


def test_columns_take_their_new_names_and_keep_their_order():
    (done,) = apply({"column_mapping": {"b": "B", "a": "b"}}, batch({"a": ["1"], "b": ["2"], "c": ["3"]}))
    assert done.records.to_pydict() == {"b": ["1"], "B": ["2"], "c": ["3"]}


def test_a_new_name_that_a_later_file_has_already_is_refused():
    files = batch({"old": ["1"]}), batch({"old": ["2"], "new": ["3"]})
    with pytest.raises(ConfigError, match="the source has a column 'new' already"):
        apply({"column_mapping": {"old": "new"}}, *files)


def test_a_source_that_takes_over_a_new_name_is_read_on():
    done = apply({"column_mapping": {"old": "new"}}, batch({"old": ["1"]}), batch({"new": ["2"], "more": ["x"]}))
    assert [part.records.to_pydict() for part in done] == [{"new": ["1"]}, {"new": ["2"], "more": ["x"]}]


@pytest.mark.parametrize("config", [
    {"numeric_columns": ["price"]},
    {"types": {"price": "double"}},
    {"column_mapping": {"Price": "price"}, "numeric_columns": ["price"]},
])  # fmt: skip
def test_a_column_may_be_missing_from_some_files(config):
    name = "Price" if "column_mapping" in config else "price"
    done = apply(config, batch({"a": ["1"]}), batch({"a": ["1"], name: ["2.5"]}), batch({"a": ["1"]}))
    assert [part.records.to_pylist() for part in done] == [[{"a": "1"}], [{"a": "1", "price": 2.5}], [{"a": "1"}]]


def test_a_column_that_no_file_has_is_named_with_all_that_there_are():
    with pytest.raises(ConfigError, match=r"numeric_columns: the source has no column 'prise'; did you mean 'price'\?"):
        apply({"numeric_columns": ["prise"]}, batch({"a": ["1"]}), batch({"a": ["1"], "price": ["2.5"]}))
    with pytest.raises(ConfigError, match=r"column_mapping: the source has no column 'zzz'; it has: a, b"):
        apply({"column_mapping": {"zzz": "y"}}, batch({"a": ["1"]}), batch({"b": ["1"]}))


@pytest.mark.parametrize("name", ["datum;menge", "datum,menge", "datum\tmenge", "datum|menge"])
def test_a_source_of_one_column_that_looks_like_many_is_asked_for_its_delimiter(name):
    with pytest.raises(ConfigError, match=r"menge; is source\.delimiter right\? auto finds it$"):
        apply({"numeric_columns": ["menge"]}, batch({name: ["1"]}))


@pytest.mark.parametrize("names", [["datum"], ["a;b", "c;d"]])
def test_other_columns_raise_no_doubt_about_the_delimiter(names):
    with pytest.raises(ConfigError, match=f"it has: {', '.join(names)}$"):
        apply({"numeric_columns": ["menge"]}, batch({name: ["1"] for name in names}))


def test_a_source_that_gives_nothing_lacks_nothing():
    assert apply({"numeric_columns": ["price"]}) == []
    empty = batch({})
    assert apply({"numeric_columns": ["price"]}, empty) == [empty]


def test_rename_columns_is_the_same_option():
    assert BaseTransformer.model_validate({"rename_columns": {"a": "b"}}).as_written() == {"column_mapping": {"a": "b"}}


def test_untouched_columns_are_not_copied():
    incoming = batch({"a": ["1"], "n": ["2"]})
    (done,) = apply({"column_mapping": {"a": "b"}, "numeric_columns": ["n"]}, incoming)
    assert done.records["b"].buffers()[2].address == incoming.records["a"].buffers()[2].address


def test_other_options_use_the_new_names():
    config = {"column_mapping": {"Datum": "day"}, "date_columns": ["day"]}
    (done,) = apply(config, batch({"Datum": ["2024-01-02", "x"]}))
    assert done.records.to_pydict() == {"day": [dt.date(2024, 1, 2)]}
    assert done.rejected["column"].to_pylist() == ["day"]
    assert done.rejected["payload"].to_pylist() == ['{"Datum":"x"}']  # the row as it was read


@pytest.mark.parametrize(("config", "fragment"), [
    ({"numeric_columns": ["revenu"]}, "transformer.numeric_columns: the source has no column 'revenu'; did you mean 'revenue'? it has: day, revenue"),
    ({"types": {"zzz": "int"}}, "transformer.types: the source has no column 'zzz'; it has: day, revenue"),
    ({"column_mapping": {"Day": "d"}}, "transformer.column_mapping: the source has no column 'Day'; did you mean 'day'?"),
    ({"column_mapping": {"day": "d"}, "date_columns": ["day"]}, "transformer.date_columns: the source has no column 'day'"),
    ({"column_mapping": {"day": "revenue"}}, "transformer.column_mapping: the source has a column 'revenue' already; choose another new name"),
])  # fmt: skip
def test_a_column_that_is_not_there_is_refused(config, fragment):
    with pytest.raises(ConfigError) as refused:
        apply(config, batch({"day": [], "revenue": []}))
    assert fragment in str(refused.value)


def test_a_source_without_any_columns_has_nothing_to_convert():
    nothing = Batch(pa.RecordBatch.from_arrays([], names=[]), Origin("folder"), cursor={"a": 1})
    done = apply({"numeric_columns": ["n"]}, nothing, batch({"n": ["1"]}))
    assert done[0] == nothing
    assert done[1].records["n"].to_pylist() == [1.0]


# types


@pytest.mark.parametrize(("name", "texts", "values"), [
    ("int", ["1", " 2 ", None, ""], [1, 2, None, None]),
    ("decimal(5,2)", ["1.5"], [__import__("decimal").Decimal("1.50")]),
    ("timestamptz", ["2024-01-02T03:04:05+01:00"], [dt.datetime(2024, 1, 2, 2, 4, 5, tzinfo=dt.timezone.utc)]),
    ("boolean", ["true", "0"], [True, False]),
    ("string", [" 007 "], [" 007 "]),
])  # fmt: skip
def test_types_are_given_strictly(name, texts, values):
    assert convert({"types": {"c": name}}, texts)[0] == values


BY_POINT = "decimals are separated by a point; where a comma does, set transformer.decimal_separator: ','"
BY_COMMA = "decimals are separated by a comma here, as transformer.decimal_separator says"


@pytest.mark.parametrize("numeric", [[], ["c"]])
def test_a_reason_says_what_separates_decimals_and_what_is_no_number_at_all(numeric):
    config = {"types": {"c": "decimal(6,2)"}, "numeric_columns": numeric, "decimal_separator": ","}
    fitting = "is not a number with at most 4 digits before and 2 after the comma"
    assert reasons(config, ["99.50", "(99.50)", "12345,5", "-", "12,5 kr", "many"]) == [
        f"'99.50' {fitting}; {BY_COMMA}",
        f"'(99.50)' {fitting}; {BY_COMMA}",
        f"'12345,5' {fitting}",
        "'-' is not a number",
        "'12,5 kr' is not a number",
        "'many' is not a number",
    ]


def test_types_take_a_named_decimal_separator_but_never_guess_one():
    assert reasons({"types": {"c": "double"}}, ["1,5"]) == [f"'1,5' is not a number; {BY_POINT}"]
    assert convert({"types": {"c": "double"}, "decimal_separator": ","}, ["1,5"])[0] == [1.5]


@pytest.mark.parametrize(("values", "name", "expected"), [
    (pa.array([1, None], pa.int32()), "long", [1, None]),
    (pa.array([1.0, 2.0]), "int", [1, 2]),
    (pa.array([0.1]), "decimal(38,30)", [__import__("decimal").Decimal("0.1")]),
    (pa.array([True]), "string", ["true"]),
    (pa.array([12]), "string", ["12"]),
    (pa.array(["1"]).dictionary_encode(), "long", [1]),
    (pa.array(["1"], pa.large_string()), "long", [1]),
    (pa.array(["1"], pa.string_view()), "long", [1]),
    (pa.nulls(2), "date", [None, None]),
    (pa.array([0], pa.timestamp("ns")), "timestamp", [dt.datetime(1970, 1, 1)]),  # noqa: DTZ001 - without zone on purpose
    (pa.array([dt.date(2024, 1, 2)]), "timestamp", [dt.datetime(2024, 1, 2)]),  # noqa: DTZ001 - without zone on purpose
    (pa.array([dt.date(2024, 1, 2)]), "string", ["2024-01-02"]),
    (pa.array([0], NAIVE), "date", [dt.date(1970, 1, 1)]),
])  # fmt: skip
def test_typed_columns_are_cast_without_loss(values, name, expected):
    assert convert({"types": {"c": name}}, values)[0] == expected


@pytest.mark.parametrize(("values", "name"), [
    (pa.array([2**40]), "int"),
    (pa.array([1.5]), "int"),
    (pa.array([5]), "boolean"),
    (pa.array([1700000000]), "timestamp"),
    (pa.array([19000]), "date"),
    (pa.array([1], NAIVE), "date"),
    (pa.array([1], NAIVE), "timestamptz"),
    (pa.array([1], UTC), "timestamp"),
    (pa.array([1], pa.timestamp("ns")), "timestamp"),
    (pa.array([0.125]), "decimal(5,2)"),
])  # fmt: skip
def test_typed_values_that_would_change_are_rejected(values, name):
    assert len(reasons({"types": {"c": name}}, values)) == 1


@pytest.mark.parametrize(("name", "reason"), [
    ("string", "'\\xff' is not text in UTF-8"),
    ("date", "'\\xff' is not a date (YYYY-MM-DD)"),
])  # fmt: skip
def test_bytes_that_are_no_text_are_rejected_and_not_the_run(name, reason):
    values = pa.array([b"2024-01-02", b"\xff", None], pa.binary())
    assert reasons({"types": {"c": name}}, values) == [reason]
    assert [str(value) for value in convert({"types": {"c": name}, "on_conversion_error": "null"}, values)[0]] == [
        "2024-01-02", "None", "None",
    ]  # fmt: skip


def test_a_list_cannot_become_a_number():
    with pytest.raises(ConfigError, match=r"types: column 'c' holds list<.*>, which cannot become long"):
        apply({"types": {"c": "long"}}, batch({"c": pa.array([[1]])}))


# dates


@pytest.mark.parametrize(("options", "texts", "values", "dtype"), [
    ({"date_columns": ["c"]}, ["2024-02-29", "9999-12-31", "2024-01-02T00:00:00", "2024-01-02 00:00", None], ["2024-02-29", "9999-12-31", "2024-01-02", "2024-01-02", None], pa.date32()),
    ({"date_columns": {"c": None}}, ["2024-02-29"], ["2024-02-29"], pa.date32()),
    ({"date_columns": ["c"], "date_format": "%d-%m-%y"}, ["01-02-13"], ["2013-02-01"], pa.date32()),
    ({"date_columns": {"c": ["%d/%m/%Y", "%Y%m%d"]}}, ["31/12/2024", "20240102"], ["2024-12-31", "2024-01-02"], pa.date32()),
    ({"date_columns": {"c": "%d/%m/%Y %H:%M"}}, ["31/12/2024 10:11"], ["2024-12-31 10:11:00"], NAIVE),
    ({"date_columns": {"c": ["%d/%m/%Y", "%d/%m/%Y %H:%M"]}}, ["31/12/2024"], ["2024-12-31 00:00:00"], NAIVE),
    ({"date_columns": {"c": "%d/%m/%Y %H:%M"}, "timezone": "Europe/Stockholm"}, ["31/12/2024 10:11"], ["2024-12-31 09:11:00+00:00"], UTC),
    ({"date_columns": {"c": "%d/%m/%Y %H:%M %z"}}, ["31/12/2024 10:11 +0100"], ["2024-12-31 09:11:00+00:00"], UTC),
    ({"date_columns": ["c"], "types": {"c": "timestamp"}}, ["2024-12-31 10:11"], ["2024-12-31 10:11:00"], NAIVE),
    ({"date_columns": {"c": "%d/%m/%Y"}, "types": {"c": "timestamp"}}, ["31/12/2024"], ["2024-12-31 00:00:00"], NAIVE),
    ({"date_columns": {"c": "%d/%m/%Y %H:%M"}, "types": {"c": "date"}}, ["31/12/2024 00:00"], ["2024-12-31"], pa.date32()),
])  # fmt: skip
def test_dates_have_the_type_that_their_format_gives(options, texts, values, dtype):
    found, found_type = convert(options, texts)
    assert [value and str(value) for value in found] == values
    assert found_type == dtype


@pytest.mark.parametrize(("options", "text", "reason"), [
    (["c"], "31/02/2024", "'31/02/2024' is not a date (YYYY-MM-DD); name its format, as in transformer.date_columns: {c: \"%d.%m.%Y\"}"),
    (["c"], "05.10.2024", "'05.10.2024' is not a date (YYYY-MM-DD); name its format"),
    (["c"], "20241005", "'20241005' is not a date (YYYY-MM-DD); name its format"),
    (["c"], "2023-02-29", "'2023-02-29' is not a date (YYYY-MM-DD)"),
    (["c"], "2024-01-02 10:11:12", "'2024-01-02 10:11:12' is not a date: it has a time of day; give the column type timestamp in types, or a format"),
    (["c"], "2024-01-02T00:00:00Z", "'2024-01-02T00:00:00Z' is not a date: it has a time of day"),
    ({"c": "%d/%m/%Y"}, "31/02/2024", "'31/02/2024' is not a date (expected %d/%m/%Y)"),
    ({"c": ["%d/%m/%Y %H:%M", "%Y"]}, "x", "'x' is not a timestamp (expected %d/%m/%Y %H:%M or %Y)"),
])  # fmt: skip
def test_what_is_no_date_is_rejected_with_what_was_expected(options, text, reason):
    (found,) = reasons({"date_columns": options}, [text])
    assert found.startswith(reason)


def test_what_no_format_could_read_is_rejected_without_advice_on_formats():
    found = reasons({"date_columns": ["c"]}, ["x", "2023-02-29", "n/a"])
    assert [reason.partition(" is not ")[2] for reason in found] == [
        "a date (YYYY-MM-DD)", "a date (YYYY-MM-DD); there is no such day", "a date (YYYY-MM-DD)",
    ]  # fmt: skip


@pytest.mark.parametrize(("values", "config", "expected"), [
    (pa.array([dt.date(2024, 1, 2)]), {"date_columns": {"c": "%d/%m/%Y"}}, [dt.date(2024, 1, 2)]),
    (pa.array([0], NAIVE), {"date_columns": ["c"]}, [dt.date(1970, 1, 1)]),
    (pa.array([20240102]), {"date_columns": {"c": "%Y%m%d"}}, [dt.date(2024, 1, 2)]),
    (pa.array([dt.date(2024, 1, 2)]), {"date_columns": {"c": "%d/%m/%Y %H:%M"}}, [dt.datetime(2024, 1, 2)]),  # noqa: DTZ001 - without zone on purpose
    (pa.array([7, None]), {"numeric_columns": ["c"]}, [7, None]),
    (pa.array([1, 0]), {"boolean_columns": ["c"]}, [True, False]),
    (pa.array([True]), {"boolean_columns": ["c"]}, [True]),
])  # fmt: skip
def test_columns_that_are_typed_already_pass(values, config, expected):
    assert convert(config, values)[0] == expected


# booleans


def test_booleans_are_read_in_their_words():
    words = {
        "yes": True,
        "NO": False,
        "True": True,
        "false": False,
        "y": True,
        "N": False,
        "1": True,
        "0": False,
        "Ja": True,
        "nej": False,
        "on": True,
        " OFF ": False,
        "": None,
    }
    assert convert({"boolean_columns": ["c"]}, list(words)) == (list(words.values()), pa.bool_())
    assert reasons({"boolean_columns": ["c"]}, ["2"]) == [
        "'2' is not one of yes/no, true/false, y/n, 1/0, ja/nej, on/off"
    ]


# rows whose values do not fit

THREE = {"date_columns": ["d"], "numeric_columns": ["n"], "boolean_columns": ["b"]}
ROWS = {"d": ["2024-01-02", "x", "2024-01-03", "y"], "n": ["1", "z", "q", "4"], "b": ["on", "?", "on", "off"]}


def test_a_row_with_several_bad_values_is_rejected_once():
    (done,) = apply(THREE, batch(ROWS, first=10))
    assert done.records.to_pydict() == {"d": [dt.date(2024, 1, 2)], "n": [1.0], "b": [True]}
    assert done.origin.at(pa.array([0])).to_pylist() == [10]
    found = {row["position"]: (row["rule"], row["column"], row["value"]) for row in done.rejected.to_pylist()}
    assert found == {11: ("date_columns", "d", "x"), 13: ("date_columns", "d", "y"), 12: ("numeric_columns", "n", "q")}


def test_rows_keep_their_positions():
    origin = Origin("f.csv", positions=pa.array([3, 7, 20, 21]))
    (done,) = apply(THREE, batch(ROWS)._replace(origin=origin))
    assert done.origin.positions.to_pylist() == [3]
    assert sorted(done.rejected["position"].to_pylist()) == [7, 20, 21]


def test_the_schema_does_not_depend_on_the_values():
    clean = apply(THREE, batch({"d": ["2024-01-02"], "n": ["1"], "b": ["on"]}))
    bad, empty = apply(THREE, batch(ROWS)), apply(THREE, batch({"d": [], "n": [], "b": []}))
    nulls = apply(THREE, batch({"d": [None], "n": [None], "b": [None]}))
    assert clean[0].records.schema == bad[0].records.schema == empty[0].records.schema == nulls[0].records.schema


def test_everything_else_of_a_batch_is_passed_on():
    (before,) = apply(THREE, batch(ROWS))
    incoming = batch(ROWS, rejected=before.rejected, removed={"blank_row": 2}, cursor={"page": 7}, bytes_read=99)
    (done,) = apply(THREE, incoming)
    assert done.rejected.num_rows == 6
    assert (done.removed, done.cursor, done.bytes_read) == ({"blank_row": 2}, {"page": 7}, 99)


def test_null_keeps_the_row_and_says_how_many_values_were_emptied():
    (done,) = apply(THREE | {"on_conversion_error": "null"}, batch(ROWS, emptied={"n: numeric_columns": 1, "x: y": 4}))
    assert done.rejected is None
    assert done.records["n"].to_pylist() == [1.0, None, None, 4.0]
    assert done.emptied["n: numeric_columns"] == 3
    assert done.emptied["x: y"] == 4


def test_fail_names_the_place_the_value_and_the_reason():
    with pytest.raises(
        DataError, match=r"f.csv:11: transformer.date_columns: d: 'x' is not a date .*nothing was loaded"
    ):
        apply(THREE | {"on_conversion_error": "fail"}, batch(ROWS, first=10))


def test_fail_names_the_first_bad_row():
    with pytest.raises(DataError, match=r"f.csv:1: transformer.numeric_columns: n: 'z'"):
        apply(
            THREE | {"on_conversion_error": "fail"}, batch({"d": ["2024-01-01", "x"], "n": ["z", "1"], "b": ["1", "1"]})
        )


TEXTS = (
    st.text("0123456789-/:T.,xyYnNja ", max_size=12) | st.none() | st.sampled_from(["2024-01-02", "1,5", "ja", "12 %"])
)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=6), st.integers(0, 6))
def test_no_input_makes_rows_vanish_and_no_cut_matters(rows, cut):
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    config = THREE | {"decimal_separator": ","}

    def flat(*parts):
        done = apply(
            config, *(batch(dict(zip("dnb", [c[a:b] for c in columns], strict=True)), first=a) for a, b in parts)
        )
        good = [row for part in done for row in part.records.to_pylist()]
        bad = [row for part in done if part.rejected for row in part.rejected.to_pylist()]
        return good, sorted(bad, key=lambda row: row["position"])

    good, bad = flat((0, len(rows)))
    assert len(good) + len(bad) == len(rows)
    assert flat((0, cut), (cut, max(cut, len(rows)))) == (good, bad)


# what it asks of the source


def test_it_asks_for_text_where_it_converts_and_for_the_rest_as_the_table_has_it():
    transformer = BaseTransformer(
        column_mapping={"Datum": "day"}, date_columns=["day"], numeric_columns=["n"], types={"zip": "string"}
    )
    known = pa.schema([("day", pa.date32()), ("n", pa.float64()), ("other", pa.int64())])
    assert transformer.wants(known) == pa.schema(
        [("Datum", pa.string()), ("n", pa.string()), ("other", pa.int64()), ("zip", pa.string())]
    )


def test_it_asks_for_text_before_there_is_a_table():
    assert BaseTransformer(numeric_columns=["n"]).wants(None) == pa.schema([("n", pa.string())])
    assert BaseTransformer().wants(None) is None


def test_a_column_of_the_table_whose_name_was_given_away_is_not_asked_for():
    known = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    assert BaseTransformer(column_mapping={"a": "b"}).wants(known) == pa.schema([("a", pa.int64())])
    assert BaseTransformer(column_mapping={"a": "b", "b": "a"}).wants(known) == pa.schema(
        [("b", pa.int64()), ("a", pa.int64())]
    )


# configuration


@pytest.mark.parametrize(("config", "fragment"), [
    ({"types": {"a": "lnog"}}, "did you mean 'long'"),
    ({"date_columns": {"a": "dd/mm/yyyy"}}, "write a strptime format"),
    ({"date_format": ["%d/%m/%Y", "%q"]}, "directive '%q' is not known"),
    ({"date_columns": "a"}, "should be a list, or a map of column and format"),
    ({"timezone": "CET5"}, "time zone 'CET5' is not known"),
    ({"decimal_separator": ";"}, "'auto', '.' or ','"),
    ({"thousands_separator": "ab"}, "pattern"),
    ({"decimal_separator": ",", "thousands_separator": ","}, "are both ','"),
    ({"numeric_columns": ["a"], "date_columns": ["a"]}, "column 'a' stands 2 times"),
    ({"numeric_columns": ["a"], "types": {"a": "date"}}, "column 'a' is in numeric_columns, but types says date"),
    ({"date_columns": {"a": ["%d/%m/%Y", "%d/%m/%Y %z"]}}, "format '%d/%m/%Y' has no offset"),
    ({"date_columns": {"a": "%d/%m/%Y %z"}, "types": {"a": "timestamp"}}, "only type timestamptz keeps it"),
    ({"column_mapping": {"a": "x", "b": "x"}}, "2 columns would become 'x'"),
    ({"types": {"t": "timestamp"}, "timezone": "UTC"}, "types: column 't' is a timestamp, which has no zone, but timezone is set; make it timestamptz"),
    ({"types": {"t": "timestamp"}, "date_columns": {"t": "%d/%m/%Y %H:%M"}, "timezone": "UTC"}, "make it timestamptz"),
    ({"date_format": "%d/%m/%Y"}, "date_format: there are no date_columns for it; name them"),
    ({"on_conversion_error": "ignore"}, "'quarantine', 'null' or 'fail'"),
    ({"filter": ["a > 0"]}, "unknown key 'filter'; did you mean 'filters'"),
])  # fmt: skip
def test_options_that_cannot_hold_are_refused(config, fragment):
    with pytest.raises(ValidationError) as refused:
        BaseTransformer.model_validate(config)
    assert fragment in str(refused.value)


def test_placeholders_wait_in_every_option(monkeypatch):
    config = {"types": {"a": "${TYPE}"}, "date_columns": {"d": "${FORMAT}"}, "timezone": "${ZONE}"}
    transformer = BaseTransformer.model_validate(config)
    assert transformer.as_written() == config
    for name, value in (("TYPE", "long"), ("FORMAT", "%d/%m/%Y"), ("ZONE", "UTC")):
        monkeypatch.setenv(name, value)
    (done,) = transformer.resolved().apply(iter([batch({"a": ["7"], "d": ["01/02/2024"]})]))
    assert done.records.to_pylist() == [{"a": 7, "d": dt.date(2024, 2, 1)}]


def test_every_option_is_described_in_the_schema():
    properties = BaseTransformer.model_json_schema()["properties"]
    assert [name for name, option in properties.items() if not option.get("description") and name != "type"] == []
