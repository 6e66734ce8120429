"""Expressions at their edges: many operands, nulls, decimals beside whole numbers, other spellings."""

import datetime as dt
import math
import re
import time
from decimal import Decimal

import pyarrow as pa
import pytest

from ingestion.errors import ConfigError
from ingestion.plugins import Origin
from ingestion.transformers.expressions import Expression

ORIGIN = Origin("f.csv", 2)
ROWS = pa.record_batch(
    {
        "a": pa.array([1, 2, None]),
        "b": pa.array([True, False, None]),
        "s": pa.array(["ab", "", None]),
        "d": pa.array([Decimal("1.5"), None, Decimal(2)], pa.decimal128(38, 20)),
        "n": pa.array([5, 10**18, 10**18]),
    }
)


def evaluate(text, rows=ROWS):
    return Expression.parse(text).evaluate(rows, "transformer.filters[0]", ORIGIN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" AND ".join(["b"] * 650), [True, False, None]),
        (" OR ".join(["b"] * 650), [True, False, None]),
        (f"a IN ({','.join(['a'] * 1990)})", [True, True, None]),
        (f"COALESCE({','.join(['a'] * 1900)})", [1, 2, None]),
    ],
    ids=["and", "or", "in", "coalesce"],
)
def test_many_operands_take_no_longer_than_one_would_expect(text, expected):
    start = time.perf_counter()
    assert evaluate(text).values.to_pylist() == expected
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STRPOS(s, 'b')", [2, 0, None]),
        ("LEFT(s, 0)", ["", "", None]),
        ("RIGHT(s, 0)", ["", "", None]),
        ("LEFT(s, 1)", ["a", "", None]),
        ("STRPOS(NULL, 'b')", [None, None, None]),
    ],
)
def test_a_function_of_a_null_text_is_null(text, expected):
    assert evaluate(text).values.to_pylist() == expected


@pytest.mark.parametrize(
    ("text", "faulty", "expected"),
    [
        ("COALESCE(d, n)", [1], [Decimal("1.5"), None, Decimal(2)]),
        ("COALESCE(n, d)", [1, 2], [Decimal(5), None, None]),
        ("CASE WHEN n = 5 THEN n ELSE d END", [], [Decimal(5), None, Decimal(2)]),
        ("CASE WHEN b THEN d ELSE n END", [1, 2], [Decimal("1.5"), None, None]),
        ("GREATEST(d, n)", [1, 2], [Decimal(5), None, None]),
        ("LEAST(d, 0, n) > 1", [1, 2], [False, None, None]),
        ("n > 5 OR COALESCE(n, d) > 4", [], [True, True, True]),
        ("COALESCE(d, 1.5, n)", [], [Decimal("1.5"), Decimal("1.5"), Decimal(2)]),
    ],
)
def test_a_number_that_its_decimal_cannot_hold_is_a_fault_of_its_row(text, faulty, expected):
    results = evaluate(text)
    assert (results.faulty.to_pylist(), results.values.to_pylist()) == (faulty, expected)
    if faulty:
        assert "the value is not a decimal(38,20)" in results.reasons[0].as_py()


def test_each_expression_is_told_as_it_is_spelled():
    assert evaluate("1/(a - 1) > 0").reasons.to_pylist() == ["1/(a - 1): division by zero (a = 1)"]
    assert evaluate("1 / (a-1) > 0").reasons.to_pylist() == ["1 / (a-1): division by zero (a = 1)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b IS TRUE", [True, False, False]),
        ("b IS NOT TRUE", [False, True, True]),
        ("b IS FALSE", [False, True, False]),
        ("b IS NOT FALSE", [True, False, True]),
        ("NULL IS NOT TRUE", [True, True, True]),
    ],
)
def test_null_is_neither_true_nor_false(text, expected):
    assert evaluate(text).values.to_pylist() == expected


@pytest.mark.parametrize("text", ["CASE WHEN b THEN 1 ELSE n / 0 END", "n <> 5 AND b IS NULL AND n / 0 > 1"])
def test_a_condition_that_is_null_hides_no_fault_behind_it(text):
    assert evaluate(text).faulty.to_pylist()[-1] == 2


@pytest.mark.parametrize("operator", ["AND", "OR"])
def test_a_fault_beside_a_null_is_a_fault(operator):
    results = evaluate(f"b {operator} n / 0 > 1")
    assert results.faulty.to_pylist() == ([0, 2] if operator == "AND" else [1, 2])


NOON = dt.datetime(2024, 1, 31, 12, tzinfo=dt.timezone.utc)
TIMES = pa.record_batch(
    {
        "utc": pa.array([NOON], pa.timestamp("us", "UTC")),
        "zoned": pa.array([NOON], pa.timestamp("us", "Europe/Stockholm")),
        "fine": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")),
        "early": pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("us")),  # noqa: DTZ001 - it has no zone
        "last": pa.array([dt.date(9999, 12, 31)]),
        "wide": pa.array([Decimal(1)], pa.decimal256(50, 0)),
        "view": pa.array([[1]], pa.list_view(pa.int64())),
        "nan": pa.array([math.nan]),
        "x": pa.array([5.0]),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zoned = utc", True),
        ("zoned > '2024-01-31T13:30:00+02:00'", True),
        ("COALESCE(zoned, utc)", NOON),
        ("HOUR(zoned)", 12),
        ("last > fine", True),
        ("nan > x", True),
        ("LEAST(x, nan)", 5.0),
    ],
)
def test_moments_compare_whatever_their_zone_and_unit_and_nan_is_above_all(text, expected):
    assert evaluate(text, TIMES).values[0].as_py() == expected


@pytest.mark.parametrize("text", ["GREATEST(x, nan)", "GREATEST(nan, 5, NULL)"])
def test_nan_is_the_greatest(text):
    assert math.isnan(evaluate(text, TIMES).values[0].as_py())


def test_nanoseconds_do_not_wrap_round():
    results = evaluate("fine + INTERVAL '9999 year'", TIMES)
    assert "outside of the years 1 to 9999" in results.reasons[0].as_py()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("wide > 1", "column 'wide' is of type decimal256(50, 0), which expressions cannot hold"),
        ("view IS NOT NULL", "column 'view' is of type list_view<item: int64>, which expressions cannot hold"),
        ("fine - early > INTERVAL '1 month'", "INTERVAL '1 month' is no fixed length of time; write it in days"),
        ("x > 1e400", "'1e400' is too large for a double"),
        (r"'50%' LIKE '50\%'", "LIKE has no escapes; use ~ and a regular expression"),
    ],
)
def test_what_no_row_could_mend_is_a_mistake_of_the_job(text, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        evaluate(text, TIMES)
