"""Masked columns: what becomes of their values, and that nothing else of a run shows them."""

import datetime as dt
import hashlib
import hmac
import json
import logging
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion import quarantine
from ingestion.config import load_job
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
from ingestion.plugins import AsRead, Batch, Origin
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer

KEY = "a key of sixteen characters, or more"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def batch(columns, first=1, **rest):
    return Batch(pa.record_batch(columns), Origin("f.csv", first), **rest)


def apply(config, *batches):
    return list(BaseTransformer.model_validate(config).apply(iter(batches)))


def masked(rule, values):
    options = {"mask_key": KEY} if rule == "hmac" else {}
    (done,) = apply({"mask": {"c": rule}, **options}, batch({"c": values}))
    assert done.records["c"].type == pa.string()
    return done.records["c"].to_pylist()


# methods


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ("hash", ["a", "åäö", "", None, "a"], [sha("a"), sha("åäö"), sha(""), None, sha("a")]),
        ("hmac", ["a", None], [hmac.digest(KEY.encode(), b"a", "sha256").hex(), None]),
        ("redact", ["a", "", None], ["***", "***", None]),
        ("partial", ["0701234567", "1234", "12345", "", None, "åäöÅÄÖ"], ["******4567", "****", "*2345", "", None, "**öÅÄÖ"]),
        ({"method": "partial", "keep": 1}, ["ab", "a"], ["*b", "*"]),
        ({"method": "partial", "keep": 0}, ["ab", ""], ["**", ""]),
        ({"method": "hash"}, ["a"], [sha("a")]),
    ],
)  # fmt: skip
def test_each_method_masks_text_and_leaves_nulls(rule, values, expected):
    assert masked(rule, values) == expected


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([1]), "1"),
        (pa.array([1], pa.int8()), "1"),
        (pa.array([1.0]), "1"),
        (pa.array([1.5]), "1.5"),
        (pa.array([Decimal("1.50")]), "1.50"),
        (pa.array([True]), "true"),
        (pa.array([dt.date(2024, 2, 29)]), "2024-02-29"),
        (pa.array([dt.datetime(2024, 2, 29, 10)]), "2024-02-29 10:00:00.000000"),  # noqa: DTZ001 - without a zone
        (pa.array([b"\xff"]), "/w=="),
        (pa.array(["1"]).dictionary_encode(), "1"),
        (pa.array(["1"], pa.large_string()), "1"),
        (pa.array(["1"], pa.string_view()), "1"),
    ],
)
def test_a_value_is_masked_as_its_text_whatever_its_type(values, text):
    assert masked("hash", values) == [sha(text)]


def test_values_without_a_text_form_can_only_be_redacted():
    lists = pa.array([[1], None])
    assert masked("redact", lists) == ["***", None]
    with pytest.raises(ConfigError, match=r"transformer\.mask: column 'c' holds list<.*>, which has no text form"):
        masked("hash", lists)
    assert masked("hash", pa.nulls(2)) == [None, None]


@given(st.lists(st.none() | st.text(), min_size=1))
def test_the_same_value_gives_the_same_text_wherever_it_stands(values):
    whole = masked("hash", pa.array(values, pa.string()))
    assert whole == [masked("hash", pa.array([value], pa.string()))[0] for value in values]


@pytest.mark.parametrize(
    "config",
    [
        {"mask": {"n": "hash"}},
        {"mask": {"n": "hmac"}, "mask_key": KEY},
        {"mask": {"m": "partial"}, "column_mapping": {"n": "m"}},
        {"mask": {"n": "redact"}, "types": {"n": "long"}},
        {"mask": {"n": "hash"}, "transformations": [{"rename_columns": {"n": "m"}}, {"rename_columns": {"m": "n"}}]},
    ],
)
def test_masking_keeps_the_contract(config):
    batches = [
        batch({"n": pa.array(texts, pa.string())}, first, bytes_read=5)
        for texts, first in ((["1", "x", "3"], 1), ([], 4), (["2", None], 9))
    ]
    assert check_transformer(BaseTransformer.model_validate(config), batches)


# options


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"mask": {"c": "hmac"}}, "mask: column 'c' needs a key for hmac; set mask_key"),
        ({"mask": {"c": "hash"}, "mask_key": KEY}, "mask_key: no column is masked by hmac"),
        ({"mask": {"c": "hmac"}, "mask_key": "clear"}, "at least 16 characters"),
        ({"mask": {"c": {"method": "hash", "keep": 2}}}, "keep belongs to partial, not to hash"),
        ({"mask": {"c": "rot13"}}, "'hash', 'hmac', 'redact' or 'partial'"),
        ({"mask": {"c": {"method": "partial", "kep": 2}}}, "did you mean 'keep'"),
        ({"mask": {"c": "redact"}, "mask_key": "${MASK_KEY}"}, "mask_key: no column is masked by hmac"),
    ],
)  # fmt: skip
def test_options_that_cannot_hold_are_refused(config, sentence):
    with pytest.raises(ValidationError, match=sentence) as caught:
        BaseTransformer.model_validate(config)
    assert "clear" not in str(caught.value)


def test_placeholders_wait():
    options = {"mask": {"c": "hmac", "d": "${HOW}"}, "mask_key": "${MASK_KEY}"}
    assert BaseTransformer.model_validate(options).as_written() == options


def test_a_key_in_clear_is_treated_as_other_secrets_are(project, caplog):
    source = {"type": "csv", "source_path": "in"}
    project.job("people", {"source": source, "transformer": {"mask": {"c": "hmac"}, "mask_key": KEY}})
    with caplog.at_level(logging.WARNING):
        load_job("people")
    assert "transformer.mask_key" in caplog.text
    assert KEY not in caplog.text


def test_masked_columns_arrive_as_text_and_no_type_of_the_target_is_asked_of_them():
    known = pa.schema({"a": pa.string(), "b": pa.int32(), "c": pa.string()})
    config = {"mask": {"a": "hash", "c": "hash"}, "column_mapping": {"old": "a"}}
    wanted = BaseTransformer.model_validate(config).wants(known)
    assert {field.name: field.type for field in wanted} == {"old": pa.string(), "b": pa.int32(), "c": pa.string()}
    assert BaseTransformer.model_validate({"mask": {"a": "hash"}}).wants(None) == pa.schema({"a": pa.string()})


def test_rows_that_lack_a_masked_column_go_no_further():
    first, second = batch({"mail": ["a@b"]}), batch({"e_mail": ["canary@b"]}, 2)
    changed = BaseTransformer.model_validate({"mask": {"mail": "hash"}}).apply(iter([first, second]))
    assert next(changed).records["mail"].to_pylist() == [sha("a@b")]
    with pytest.raises(ConfigError, match=r"no column 'mail' in f\.csv") as caught:
        next(changed)
    assert "canary" not in str(caught.value)
    assert "e_mail" not in str(caught.value)  # in a file without its header names are values


@pytest.mark.parametrize("rows", [["canary@c"], []])
def test_a_file_without_its_header_shows_its_first_row_to_nobody(rows):
    config = {"mask": {"mail": "hash"}, "transformations": [{"select": ["mail", "n"]}], "types": {"m": "long"}}
    first = batch({"canary@b": pa.array(rows, pa.string())})
    with pytest.raises(ConfigError, match="no column 'mail'") as caught:
        apply(config, first)
    assert "canary" not in str(caught.value)


# what is told of rows


BAD_DATE = {"mask": {"mail": "hash"}, "date_columns": ["born"]}


def test_the_row_as_read_of_a_rejected_one_is_masked_under_the_names_of_the_source():
    config = {"mask": {"mail": "partial"}, "date_columns": ["born"], "column_mapping": {"e-mail": "mail", "b": "born"}}
    (done,) = apply(config, batch({"e-mail": ["canary@b.se", "d@e.se"], "b": ["x", "2024-01-01"]}))
    (row,) = done.rejected.to_pylist()
    assert json.loads(row["payload"]) == {"e-mail": "*******b.se", "b": "x"}
    assert (row["value"], row["reason"].partition(" is")[0]) == ("x", "'x'")
    assert row["payload_schema"] is None  # it cannot be taken for the row as read


def test_a_rejected_value_of_a_masked_column_is_masked_where_it_is_told():
    (done,) = apply({"mask": {"born": "hash"}, "date_columns": ["born"]}, batch({"born": ["canary", "2024-01-01"]}))
    (row,) = done.rejected.to_pylist()
    assert (row["value"], row["reason"]) == (sha("canary"), "'***' is not a date (YYYY-MM-DD)")
    assert json.loads(row["payload"]) == {"born": sha("canary")}
    assert done.records["born"].to_pylist() == [sha("2024-01-01")]


def test_nothing_is_kept_of_rows_whose_masked_column_is_made_of_others():
    renamed = [{"rename_columns": {"name": "who"}}]
    config = {"mask": {"who": "hash"}, "transformations": renamed, "date_columns": ["born"]}
    (done,) = apply(config, batch({"name": ["canary"], "born": ["canary was born"]}))
    (row,) = done.rejected.to_pylist()
    assert row["payload"] == "{}"
    assert "canary" not in str(row)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"filters": ["pay / 0 > 1"]}, "pay / 0: division by zero (pay = ***)"),
        ({"transformations": [{"filter": "CAST(mail AS INT) > 1"}]}, "(mail = ***)"),
        ({"transformations": [{"add_column": {"name": "tax", "formula": "pay / 0"}}]}, "(pay = ***)"),
        ({"transformations": [{"rename_columns": {"pay": "sum"}}, {"filter": "sum / 0 > 1"}]}, "(sum = ***)"),
        (
            {"transformations": [{"add_column": {"name": "tax", "formula": "pay * 2"}}, {"filter": "tax / 0 > 1"}]},
            "(tax = ***)",
        ),
        (
            {"transformations": [{"sql": {"query": "select pay + 1 AS tax, * from input"}}, {"filter": "tax / 0 > 1"}]},
            "(tax = ***)",
        ),
        (
            {"transformations": [{"add_column": {"name": "twice", "formula": "pay * 2"}}],
             "validation": [{"column": "twice", "rule": "between", "max": 1}]},
            "is hidden",
        ),
        ({"validation": [{"column": "mail", "rule": "length", "max": 3}]}, "has 64 characters, more than 3"),
        ({"validation": [{"rule": "expression", "expression": "mail = 'x'"}]}, f"(mail = {sha('canary@b.se')})"),
    ],
)  # fmt: skip
def test_a_step_that_refuses_a_row_says_why_without_its_masked_values(config, reason):
    config = {"mask": {"mail": "hash", "pay": "redact"}, "types": {"pay": "long"}, **config}
    names = config.get("transformations", [{}])[0].get("rename_columns", {})
    config["mask"] = {names.get(name, name): rule for name, rule in config["mask"].items()}
    (done,) = apply(config, batch({"mail": ["canary@b.se"], "pay": ["98317264"], "n": ["shown"]}))
    (row,) = done.rejected.to_pylist()
    assert reason in row["reason"]
    for secret in ("canary", "98317264", "98317265", "196634528"):
        assert secret not in str(row)


def test_a_column_that_has_nothing_to_do_with_masked_ones_is_told_as_ever():
    columns = {"mail": ["canary@b.se"], "n": ["x"], "m": [0]}
    made = {"transformations": [{"add_column": {"name": "o", "formula": "1 / m"}}]}
    (done,) = apply({"mask": {"mail": "hash"}, **made}, batch(columns))
    (row,) = done.rejected.to_pylist()
    assert (row["value"], row["reason"]) == ("m = 0", "1 / m: division by zero (m = 0)")
    (done,) = apply({"mask": {"mail": "hash"}, "types": {"n": "long"}, **made}, batch(columns))
    (row,) = done.rejected.to_pylist()
    assert (row["value"], row["reason"].partition(" is")[0]) == ("x", "'x'")


def test_examples_of_masked_columns_are_told_by_their_place():
    rule = {"rule": "length", "max": 1, "on_fail": "warn"}
    config = {"mask": {"mail": "partial"}, "validation": [{"column": name, **rule} for name in ("mail", "n")]}
    (done,) = apply(config, batch({"mail": ["canary@b.se"], "n": ["xx"]}))
    assert done.examples["n: length"] == "f.csv:1: has 2 characters, more than 1"
    assert done.examples["mail: length"].startswith("f.csv:1: the value does not fit, and the reason may show it")


def test_rows_as_read_are_masked_by_the_names_that_cleaning_gives():
    config = {"mask": {"e_mail": "hash"}, "clean_column_names": True, "types": {"n": "long"}}
    (done,) = apply(config, batch({"E-Mail": ["canary", "b"], "n": ["x", "1"]}))
    assert done.records.to_pydict() == {"e_mail": [sha("b")], "n": [1]}
    assert json.loads(done.rejected["payload"][0].as_py()) == {"E-Mail": sha("canary"), "n": "x"}


def test_fields_of_masked_names_are_masked_and_nothing_is_kept_of_their_rows():
    config = {"mask": {"who_name": "hash"}, "flatten": {"separator": "_"}, "types": {"n": "long"}}
    rows = batch({"who": [{"name": "canary", "age": 1}, {"name": "b", "age": 2}], "n": ["canary", "1"]})
    (done,) = apply(config, rows)
    assert done.records.to_pydict() == {"who_name": [sha("b")], "who_age": [2], "n": [1]}
    (row,) = done.rejected.to_pylist()
    assert row["payload"] == "{}"
    assert "canary" not in str(row)


def test_nothing_is_kept_of_rows_that_were_made_of_several():
    read = AsRead(pa.record_batch({"mail": ["canary"]}), shown=lambda rows: rows)
    origin = Origin("f.csv", read=read).blurred(2)
    rejected = quarantine.reject(
        pa.record_batch({"mail": ["canary", "canary"]}), pa.array([1]), origin, stage="transform", rule="r", reasons="x"
    )
    assert rejected["payload"].to_pylist() == ["{}"]
    assert rejected["payload_schema"].to_pylist() == [None]


def source_rejects(**row):
    records, origin = pa.record_batch({"mail": ["canary@b.se"], "n": ["x"]}), Origin("f.csv", 7)
    told = {"rule": "type", "columns": "n", "values": pa.array(["x"]), "reasons": "'x' is not a number", **row}
    return quarantine.reject(records, pa.array([0]), origin, stage="read", **told)


def as_told(rejected, config=BAD_DATE):
    records = pa.record_batch({"mail": pa.array([], pa.string()), "n": [], "born": pa.array([], pa.string())})
    (done,) = apply(config, Batch(records, Origin("f.csv"), rejected))
    (row,) = done.rejected.to_pylist()
    return row


def test_a_row_that_the_source_rejected_is_masked():
    row = as_told(source_rejects())
    assert json.loads(row["payload"]) == {"mail": sha("canary@b.se"), "n": "x"}
    assert (row["value"], row["reason"], row["payload_schema"]) == ("x", "'x' is not a number", None)
    row = as_told(source_rejects(columns="mail", values=pa.array(["canary@b.se"]), reasons="'canary@b.se' is odd"))
    assert (row["value"], row["reason"]) == (sha("canary@b.se"), "'***' is odd")
    row = as_told(source_rejects(reasons="'x' is not a number for canary@b.se"))
    assert (row["value"], "canary" in str(row), "is hidden" in row["reason"]) == ("***", False, True)
    row = as_told(source_rejects(columns="mail", values=pa.array(["canary@b.se"]), reasons="odd: canary@b.se"))
    assert "canary" not in str(row)
    assert "is hidden" in row["reason"]


def test_a_line_that_is_no_row_is_kept_by_its_reason_alone():
    line = {"stage": "read", "source": "f.csv", "position": 3, "payload": "1,canary,2", "part": None}
    ragged = {**line, "rule": "ragged", "reason": "line 3 has 3 cells, the header has 2"}
    odd = {**line, "rule": "odd", "reason": "canary is odd"}
    schema = quarantine.REJECTED
    row = as_told(pa.RecordBatch.from_pylist([ragged], schema))
    assert (row["payload"], row["reason"], row["position"]) == ("***", ragged["reason"], 3)
    row = as_told(pa.RecordBatch.from_pylist([{**ragged, "payload": '{"n": "canary"}'}], schema))
    assert row["payload"] == "***"  # its text looks like a row
    row = as_told(pa.RecordBatch.from_pylist([odd], schema))
    assert (row["payload"], row["source"], row["position"]) == ("***", "f.csv", 3)
    assert "canary" not in str(row)


# errors


def raised(error, config=BAD_DATE):
    """What *error*, raised by a source after a first batch, comes out as."""

    def batches():
        yield batch({"mail": ["canary@b.se"], "born": ["2024-01-01"]}, first=12)
        error.__notes__ = ["canary"]
        raise error from ValueError("canary@b.se")

    with pytest.raises(IngestionError) as caught:
        list(BaseTransformer.model_validate(config).apply(batches()))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert not getattr(caught.value, "__notes__", [])
    return caught.value


def test_errors_that_show_no_value_are_told_as_they_are():
    assert str(raised(DataError.without_values("f.csv is damaged"))) == "f.csv is damaged"
    assert str(raised(DataError("canary", veiled="a row"))) == "a row"
    assert str(raised(ConfigError("transformer.types: no column 'x'"))) == "transformer.types: no column 'x'"
    error = raised(TransientError("the server is away"))
    assert (type(error), str(error)) == (TransientError, "the server is away")


@pytest.mark.parametrize("error", [
    DataError("transformer.filters[0]: canary@b.se is no number"),
    ValueError("canary@b.se"),
    UnicodeDecodeError("utf-8", b"canary@b.se", 0, 1, "canary"),
    OSError(2, "canary@b.se"),
])  # fmt: skip
def test_errors_that_may_show_values_are_told_by_their_place(error):
    told = raised(error)
    assert isinstance(told, DataError)
    assert "canary" not in str(told)
    assert str(told).startswith(f"f.csv: at or after position 12: {type(error).__name__}")
    assert ("about transformer.filters[0]" in str(told)) == isinstance(error, DataError)


def test_an_error_of_a_step_is_told_without_the_value():
    config = {**BAD_DATE, "on_conversion_error": "fail", "mask": {"born": "hash"}}
    with pytest.raises(DataError) as caught:
        apply(config, batch({"born": ["canary"]}))
    assert str(caught.value).startswith(
        "f.csv:1: transformer.date_columns: born: the value does not fit; nothing was loaded"
    )
    assert caught.value.__context__ is None


def test_a_config_error_that_quotes_a_value_of_the_batch_at_hand_is_hidden():
    def change(batches):
        for each in batches:
            raise ConfigError(f"transformer.filters[0]: compared with {each.records['mail'][0].as_py()!r}")
        yield

    transformer = BaseTransformer.model_validate(BAD_DATE)
    curtained = transformer.curtained(iter([batch({"mail": ["canary@b.se"]})]), change, list, frozenset())
    with pytest.raises(ConfigError, match=r"ConfigError about transformer\.filters\[0\]; its text may") as caught:
        next(curtained)
    assert "canary" not in str(caught.value)
