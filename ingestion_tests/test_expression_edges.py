"""Expressions at their edges: many operands, nulls, decimals beside whole numbers, other spellings."""

import time
from decimal import Decimal

import pyarrow as pa
import pytest

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
