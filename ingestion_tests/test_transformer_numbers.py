"""numeric_columns: numbers as people write them, each text alike in every batch, none lost."""

import math
from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import DataError
from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer

NNBSP, NBSP, THIN, MINUS, QUOTE = "\u202f", "\u00a0", "\u2009", "\u2212", "\u2019"
MISFIT = "misfit"

AUTO = {
    "7": 7.0,
    "007": 7.0,
    "-0": -0.0,
    "1.5": 1.5,
    ".5": 0.5,
    "5.": 5.0,
    "12,5": 12.5,
    ",5": 0.5,
    "0,125": 0.125,
    "1234,567": 1234.567,
    "1,23456": 1.23456,
    "1.234,56": 1234.56,
    "1,234.56": 1234.56,
    "1,234,567": 1234567.0,
    "1.234.567": 1234567.0,
    "1.234.567,89": 1234567.89,
    "1 234": 1234.0,
    "1 234,5": 1234.5,
    "1 234.5": 1234.5,
    f"1{NBSP}234{NBSP}567,25": 1234567.25,
    f"1{NNBSP}234,567": 1234.567,
    f"1{THIN}234": 1234.0,
    "1'234.50": 1234.5,
    f"1{QUOTE}234,50": 1234.5,
    f" {NBSP}12,5{NNBSP}\t": 12.5,
    "(123)": -123.0,
    "(1.234,5)": -1234.5,
    "(1 234)": -1234.0,
    "( 5.00 )": -5.0,
    f"{MINUS}5": -5.0,
    f"{MINUS}1.234,5": -1234.5,
    "+12,5": 12.5,
    "12 %": 0.12,
    "95%": 0.95,
    "12,5 %": 0.125,
    f"1.234,5{NBSP}%": 12.345,
    "(5 %)": -0.05,
    "3E+3": 3000.0,
    "4e4": 40000.0,
    "-2.00E-02": -0.02,
    "1,5E3": 1500.0,
    "INF": math.inf,
    "-Infinity": -math.inf,
    "100000000000000000000": 1e20,
    "9007199254740991": 2.0**53 - 1,
    "": None,
    "  ": None,
    NBSP: None,
    "1,234": MISFIT,
    "-123,456": MISFIT,
    "(1,234)": MISFIT,
    "1,234 %": MISFIT,
    "12345678901234567890": MISFIT,
    "9007199254740993": MISFIT,
    "9.007.199.254.740.993": MISFIT,
    "$4.00": MISFIT,
    "4,00 €": MISFIT,
    "kr 5": MISFIT,
    "5 kg": MISFIT,
    "12abc": MISFIT,
    "0x1F": MISFIT,
    "1 2": MISFIT,
    "12 34": MISFIT,
    "1,2,3": MISFIT,
    "1.5.5": MISFIT,
    "1,234.567,8": MISFIT,
    "1.234,567.8": MISFIT,
    "1,23,456": MISFIT,
    "--5": MISFIT,
    "-(5)": MISFIT,
    "(-5)": MISFIT,
    "(5": MISFIT,
    "()": MISFIT,
    "%": MISFIT,
    "5 %%": MISFIT,
    "1e5 %": MISFIT,
    "1e400": MISFIT,
    "n/a": MISFIT,
    "-": MISFIT,
    ".": MISFIT,
    ",": MISFIT,
    "1_000": MISFIT,
    "\u0661\u0662": MISFIT,
}


def batch(texts, first=1):
    return Batch(pa.record_batch({"n": pa.array(texts, pa.string())}), Origin("f.csv", first))


def convert(texts, **options):
    """The value of each text, or MISFIT for one whose row was rejected."""
    (done,) = BaseTransformer.model_validate({"numeric_columns": ["n"], **options}).apply(iter([batch(texts, 0)]))
    values = [MISFIT] * len(texts)
    positions = range(len(texts)) if done.origin.positions is None else done.origin.positions
    for position, value in zip(positions, done.records["n"].to_pylist(), strict=True):
        values[int(str(position))] = value
    rejected = 0 if done.rejected is None else done.rejected.num_rows
    assert values.count(MISFIT) == rejected
    return values


@pytest.mark.parametrize("text", AUTO)
def test_each_text_has_one_meaning(text):
    assert convert([text]) == [AUTO[text]]


def test_the_meaning_does_not_depend_on_the_neighbours():
    assert convert(list(AUTO)) == list(AUTO.values())


def test_a_lone_point_is_a_decimal_point():
    assert convert(["1.234", "0.125", "-999.999"]) == [1.234, 0.125, -999.999]


def test_not_a_number_stays_one():
    values = convert(["NaN", "1,5"])
    assert math.isnan(values[0])
    assert values[1] == 1.5


@pytest.mark.parametrize(
    "texts",
    [[["1.234", "12,5"]], [["12,5"], ["1.234"]], [[" 1.234 "], ["2"], ["1.234,56"]], [["(1.234)"], ["1.234.567"]]],
)
def test_a_column_that_contradicts_itself_is_refused_however_it_is_cut(texts):
    transformer = BaseTransformer(numeric_columns=["n"])
    with pytest.raises(
        DataError, match=r"a decimal comma and also .*1.234.*; set transformer\.decimal_separator: ','$"
    ):
        list(transformer.apply(batch(part) for part in texts))


def test_a_contradiction_is_told_with_the_places_of_both_values():
    transformer = BaseTransformer(numeric_columns=["n"])
    parts = (
        batch(["7", "12,5"])._replace(origin=Origin("a.csv", 10)),
        batch(["1.234"])._replace(origin=Origin("b.csv", 3)),
    )
    with pytest.raises(DataError, match=r"has '12,5' \(a.csv:11\) with .* also '1.234' \(b.csv:3\), which"):
        list(transformer.apply(iter(parts)))


def test_what_one_run_saw_does_not_bind_the_next():
    transformer = BaseTransformer(numeric_columns=["n"])
    for text, value in (("1.234", 1.234), ("12,5", 12.5), ("1.234", 1.234)):
        done, *_ = transformer.apply(iter([batch([text])]))
        assert done.records["n"].to_pylist() == [value]


def test_a_named_decimal_comma_settles_every_doubt():
    texts = ["1,234", "1.234", "1.234,56", "12,5", "1 234,5", "7", "1.5", "1,234.56", "1,5 %", "1.23"]
    assert convert(texts, decimal_separator=",") == [
        1.234,
        1234.0,
        1234.56,
        12.5,
        1234.5,
        7.0,
        MISFIT,
        MISFIT,
        0.015,
        MISFIT,
    ]


def test_a_named_decimal_point_settles_every_doubt():
    texts = ["1,234", "1.234", "1,234.56", "12,5", "1 234.5", "7", "1.234,56"]
    assert convert(texts, decimal_separator=".") == [1234.0, 1.234, 1234.56, MISFIT, 1234.5, 7.0, MISFIT]


def test_a_named_thousands_separator_implies_the_other_for_decimals():
    assert convert(["1,234", "1,00,000.5", "1 234", "12,5"], thousands_separator=",") == [
        1234.0,
        100000.5,
        MISFIT,
        MISFIT,
    ]
    assert convert(["1.234", "1.234,5"], thousands_separator=".") == [1234.0, 1234.5]
    assert convert(["1 234", f"1{NNBSP}234,5", "1.234", "1,234"], thousands_separator=" ", decimal_separator=",") == [
        1234.0, 1234.5, MISFIT, 1.234,
    ]  # fmt: skip


def test_no_thousands_separator_allows_none():
    assert convert(["1 234", "1,234", "1234.5", "12,5"], thousands_separator="") == [MISFIT, 1.234, 1234.5, 12.5]


def test_types_name_an_exact_type():
    assert convert(["1.234,50", "12,5 %", "12,55", "99999999999"], types={"n": "decimal(10,2)"}) == [
        Decimal("1234.50"), MISFIT, Decimal("12.55"), MISFIT,
    ]  # fmt: skip
    assert convert(["1 234", "7.00", "7,5", "9223372036854775808", "9007199254740993"], types={"n": "long"}) == [
        1234, 7, MISFIT, MISFIT, 9007199254740993,
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), [
    ("1,234", "'1,234' is not clear: its separator may stand for decimals or for thousands; set transformer.decimal_separator"),
    ("$4.00", "'$4.00' is not a number: it has a currency sign"),
    ("12345678901234567890", "'12345678901234567890' is not a number that a double holds exactly; give the column type long"),
    ("12abc", "'12abc' is not a number"),
])  # fmt: skip
def test_a_misfit_is_rejected_with_its_reason(text, reason):
    (done,) = BaseTransformer(numeric_columns=["n"]).apply(iter([batch(["1", text], first=17)]))
    (row,) = done.rejected.to_pylist()
    assert row["reason"].startswith(reason)
    assert (row["stage"], row["rule"], row["column"], row["value"], row["position"]) == (
        "transform",
        "numeric_columns",
        "n",
        text,
        18,
    )


NUMBERLIKE = st.text(f"0123456789.,'-+()% eE{NBSP}{NNBSP}{MINUS}{QUOTE}$naif", max_size=14)


@given(st.lists(NUMBERLIKE | st.none() | st.text(max_size=5), min_size=1, max_size=8))
def test_no_text_makes_a_row_vanish_or_mean_something_else_among_others(texts):
    try:
        together = convert(texts)
    except DataError:
        return
    assert len(together) == len(texts)
    for text, value in zip(texts, together, strict=True):
        assert repr(convert([text])) == repr([value])


@given(
    st.integers(-(10**15), 10**15),
    st.integers(0, 99),
    st.sampled_from([(",", "."), (".", ","), (" ", ","), (NNBSP, ","), ("'", ".")]),
)
def test_grouped_numbers_of_every_country_come_back(whole, cents, separators):
    thousands, decimal = separators
    text = f"{whole:,}".replace(",", thousands) + f"{decimal}{cents:02}"
    exact = Decimal(f"{whole}.{cents:02}")
    assert convert([text], types={"n": "decimal(20,2)"}) == [exact]


@pytest.mark.parametrize(("values", "doubtful"), [
    (["1.234"], 1),
    (["1.234", "12.500", "7", None, "999"], 2),
    (["1.234", "12.5"], 0),
    (["12.5", "1.234"], 0),
    (["1.234", "0.750"], 0),
    (["1.234", "1,234.56"], 0),
    (["1.234", "12.5 %"], 0),
    (["1.234", "1234.567"], 0),
    (["9.90", "10.00"], 0),
    (["7", "1234"], 0),
    (["12,5", "1.234,5"], 0),
])  # fmt: skip
@pytest.mark.parametrize("rows", [1, 9])
def test_numbers_that_may_all_mean_a_thousand_times_more_are_noted_at_the_end(values, doubtful, rows):
    transformer = BaseTransformer(numeric_columns=["n"])
    cuts = [batch(values[first : first + rows]) for first in range(0, len(values), rows)]
    done = list(transformer.apply(iter(cuts)))
    noted = sum((Counter(item.noted) for item in done), Counter())
    assert noted == (Counter({"n: numeric_columns": doubtful}) if doubtful else Counter())
    assert len({item.records.schema for item in done}) == 1
    assert sum(item.records.num_rows for item in done) == len(values)


@pytest.mark.parametrize("separator", [".", ","])
def test_a_separator_that_is_named_leaves_no_doubt(separator):
    transformer = BaseTransformer(numeric_columns=["n"], decimal_separator=separator)
    assert not any(item.noted for item in transformer.apply(iter([batch(["1.234"])])))
