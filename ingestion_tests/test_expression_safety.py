"""No expression reads a file, loses a row, or fails other than by a named cause, whoever wrote it."""

import datetime as dt
import math
import re
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import ConfigError
from ingestion.plugins import Origin
from ingestion.transformers.expressions import Expression
from ingestion.transformers.expressions.functions import FUNCTIONS

SECRET = "canary-7f3a"
SCHEMA = pa.schema({
    "a": pa.int64(),
    "b": pa.int64(),
    "x": pa.float64(),
    "s": pa.string(),
    "p": pa.decimal128(38, 2),
    "d": pa.date32(),
    "at": pa.timestamp("us"),
    "yes": pa.bool_(),
    "none": pa.null(),
})  # fmt: skip
WORDS = {
    *FUNCTIONS, "AND", "OR", "NOT", "IS", "NULL", "TRUE", "FALSE", "DISTINCT", "FROM", "IN", "LIKE", "ILIKE", "CASE",
    "WHEN", "THEN", "ELSE", "END", "CAST", "AS", "VARCHAR", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "TIME", "WITH",
    "ZONE", "INTERVAL", "EXTRACT", "YEAR", "MONTH", "DAY", "HOUR", "DOW", "EPOCH", "L", "R", "QUARTER", "WEEK", "DOY",
    "MINUTE", "SECOND",
}  # fmt: skip
"""Every word that may reach polars outside of quotes."""


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    path = tmp_path_factory.mktemp("canary") / "secret.csv"
    path.write_text(f"a\n{SECRET}\n")
    return path


@pytest.fixture
def told(monkeypatch):
    """All that polars is told in SQL."""
    texts = []
    read = pl.sql_expr

    def recorded(text):
        texts.append(text)
        return read(text)

    monkeypatch.setattr(pl, "sql_expr", recorded)
    return texts


def check_words(texts):
    for text in texts:
        bare = re.sub(r"'(?:[^']|'')*'|\"[ct]\d+\"", " ", text)
        assert '"' not in bare, text
        assert "--" not in bare.replace("- -", ""), text
        assert {word.upper() for word in re.findall(r"[^\W\d]\w*", bare)} <= WORDS | {"E"}, text


def records_of(rows):
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def attempt(text, records):
    """The results, or None where the expression is refused."""
    try:
        return Expression.parse(text).evaluate(records, "place", Origin("f.csv"))
    except ConfigError as error:  # a DataError would be a row that takes its batch with it
        if SECRET in str(error):
            raise AssertionError(text) from error
        return None


ATTACKS = [
    "(SELECT a FROM read_csv('{0}'))",
    "a IN (SELECT a FROM read_csv('{0}'))",
    "EXISTS (SELECT * FROM read_csv('{0}'))",
    "EXISTS(SELECT 1 FROM read_parquet('{0}'))",
    "read_csv('{0}')",
    "\"read_csv\"('{0}')",
    "a = (TABLE '{0}')",
    "a = ANY(SELECT a FROM read_csv('{0}'))",
    "a > ALL (SELECT a FROM read_csv('{0}'))",
    "CASE WHEN (SELECT true FROM read_csv('{0}')) THEN 1 END",
    "a FROM read_csv('{0}')",
    "a, (SELECT 1)",
    "a) FROM read_csv('{0}'",
    "a UNION SELECT a FROM read_csv('{0}')",
    "WITH t AS (SELECT * FROM read_csv('{0}')) a",
    "a/**/IN/**/(SELECT/**/a/**/FROM/**/read_csv('{0}'))",
    "a IN (VALUES (1))",
    "s LIKE (SELECT a FROM read_csv('{0}'))",
    "CAST((SELECT a FROM read_csv('{0}')) AS string)",
    "EXTRACT(YEAR FROM (SELECT a FROM read_csv('{0}')))",
    "COALESCE(s, (SELECT a FROM read_csv('{0}')))",
    "s = '' OR (SELECT a FROM read_csv('{0}')) = ''",
    "s = 'x'' OR (SELECT a FROM read_csv(''{0}'')) = '",
    "\"a\"\" FROM read_csv('{0}') --\"",
    "s ~ '(?{{cat {0}}})'",
    "'{0}'::binary",
    "COLUMNS('.*')",
    "a.*",
    "* EXCLUDE (a)",
    "ARRAY(SELECT a FROM read_csv('{0}'))",
    "a IN ((SELECT a FROM read_csv('{0}')))",
    "DATE '2024-01-01' IN (SELECT a FROM read_csv('{0}'))",
    "ＳＥＬＥＣＴ a",
    "a; DROP TABLE x",
    "LOAD '{0}'",
    "GETENV('HOME')",
    "VERSION()",
    "__import__('os')",
    "a.__class__",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_reads_no_file_and_tells_polars_nothing_else(attack, canary, told):
    results = attempt(attack.format(canary), records_of([{"a": 1, "s": "x"}]))
    assert results is None or SECRET not in str(results.values)
    check_words(told)


def test_quotes_within_texts_and_names_stay_within_them(told):
    records = pa.record_batch({'a" OR (SELECT 1) --': [1], "s": ["x' OR 1=1"]})
    found = Expression.parse("\"a\"\" OR (SELECT 1) --\" = 1 AND s = 'x'' OR 1=1'")
    assert found.evaluate(records, "place", Origin("f.csv")).values.to_pylist() == [True]
    check_words(told)


PIECES = st.sampled_from([
    "SELECT", "FROM", "read_csv", "'{0}'", '"{0}"', "(", ")", "a", "s", "IN", "EXISTS", "TABLE", "WITH", "AS", "UNION",
    ",", ";", "--", "/*", "*/", "=", ">", "+", "-", "*", "/", "AND", "OR", "NOT", "CASE", "WHEN", "THEN", "END", "CAST",
    "::", "string", "'", '"', "''", '""', "1", ".", "LIKE", "ANY", "OVER", "VALUES", "\\", "\n", "COALESCE", "UPPER",
    "EXTRACT", "YEAR", "BETWEEN", "$1", "?", "@", "[", "]", "{{", "}}", "||", "~", "DATE", "é", "\u00a0",
])  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, min_size=1, max_size=14), blank=st.sampled_from(["", " "]))
def test_whatever_is_put_together_reads_no_file(pieces, blank, canary, told):
    told.clear()
    attack = blank.join(pieces).replace("{0}", str(canary)).replace("{{", "{").replace("}}", "}")
    results = attempt(attack, records_of([{"a": 1, "s": "x"}]))
    assert results is None or SECRET not in str(results.values)
    check_words(told)


PLAIN = {"a": 1, "b": 2, "x": 1.5, "s": "7", "p": Decimal("1.00"), "d": dt.date(2024, 1, 1), "at": None, "yes": True}

# Expressions that may well be accepted, over rows that are as nasty as their types allow.


def joined(template, *parts):
    return st.tuples(*parts).map(lambda found: template.format(*found))


def numbers(inner):
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%"])
    one_argument = st.sampled_from(["ABS", "SQRT", "LN", "EXP", "ROUND", "FLOOR", "CEIL", "SIGN", "TRUNC"])
    return st.one_of(
        joined("({} {} {})", inner, operators, inner),
        joined("-({})", inner),
        joined("{}({})", one_argument, inner),
        joined("POWER({}, {})", inner, inner),
        joined("CAST({} AS {})", inner, st.sampled_from(["int", "long", "double", "decimal(10,2)", "float"])),
        joined("CASE WHEN {} > {} THEN {} ELSE {} END", inner, inner, inner, inner),
        joined("COALESCE({}, {})", inner, inner),
        joined("NULLIF({}, {})", inner, inner),
        joined("GREATEST({}, {})", inner, inner),
        joined("CAST(CAST({} AS string) AS long)", inner),
    )


NUMBERS = st.recursive(
    st.sampled_from(["a", "b", "x", "p", "none", "0", "1", "-1", "2.5", "1e300", "9223372036854775807", "NULL", "LENGTH(s)",
                     "CAST(s AS long)", "CAST(s AS decimal(38,4))", "YEAR(d)", "EXTRACT(EPOCH FROM at)", "EXTRACT(EPOCH FROM d)"]),
    numbers, max_leaves=8,
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(
        ["s", "UPPER(s)", "s || s", "TRIM(s)", "LEFT(s, 2)", "REPLACE(s, 'a', 'bb')", "SPLIT_PART(s, ',', 1)"]
    ),
    joined("CAST({} AS string)", NUMBERS),
    joined("CONCAT(s, {})", NUMBERS),
)
MOMENTS = st.sampled_from([
    "d", "at", "d + INTERVAL '1 month'", "d - INTERVAL '9999 years'", "at + INTERVAL '3 hours'", "at + INTERVAL '9 years'",
    "CAST(s AS date)", "DATE '2024-02-29'", "COALESCE(d, '2024-01-01')",
])  # fmt: skip


def conditions(inner):
    return st.one_of(
        joined("({} AND {})", inner, inner),
        joined("({} OR {})", inner, inner),
        joined("NOT {}", inner),
        joined("({}) IS NOT TRUE", inner),
    )


CONDITIONS = st.recursive(
    st.one_of(
        st.just("yes"),
        joined("{} {} {}", NUMBERS, st.sampled_from(["=", "<>", "<", ">="]), NUMBERS),
        joined("{} IN ({}, 1, NULL)", NUMBERS, NUMBERS),
        joined("{} BETWEEN {} AND {}", NUMBERS, NUMBERS, NUMBERS),
        joined("{} IS NULL", NUMBERS),
        joined("{} LIKE '%1%'", TEXTS),
        joined("{} ~ '^[0-9]'", TEXTS),
        joined("{} > {}", MOMENTS, MOMENTS),
        joined("{} = {}", TEXTS, TEXTS),
    ),
    conditions,
    max_leaves=3,
)
EXPRESSIONS = st.one_of(NUMBERS, TEXTS, MOMENTS, CONDITIONS)
WHOLE = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))
ROWS = st.lists(
    st.fixed_dictionaries({
        "a": WHOLE,
        "b": WHOLE,
        "x": st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 1.5])),
        "s": st.one_of(st.none(), st.text(max_size=6), st.sampled_from(["12", " 3 ", "2024-01-31", "1,5", "-0"])),
        "p": st.one_of(st.none(), st.decimals(-(10**36) + 1, 10**36 - 1, places=2, allow_nan=False)),
        "d": st.one_of(st.none(), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))),
        "at": st.one_of(st.none(), st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))),  # noqa: DTZ001 - columns without a zone
        "yes": st.one_of(st.none(), st.booleans()),
    }),
    max_size=5,
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=EXPRESSIONS, rows=ROWS)
def test_every_row_has_a_result_or_a_reason_however_rows_are_cut(text, rows):
    records = records_of(rows)
    results = attempt(text, records)
    if results is None:
        return
    faulty = results.faulty.to_pylist()
    assert len(results.values) == len(rows)
    assert faulty == sorted(set(faulty))
    assert len(results.reasons) == len(results.operands) == len(faulty)
    assert all(results.values[row].as_py() is None for row in faulty)
    assert attempt(text, records.slice(0, 0)).values.type == results.values.type
    for row, found in enumerate(results.values.to_pylist()):
        single = attempt(text, records.slice(row, 1))
        assert len(single.faulty) == (row in faulty)
        assert same(single.values[0].as_py(), found)


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return one == other


@given(text=EXPRESSIONS)
@settings(max_examples=300, deadline=None)
def test_what_is_accepted_is_refused_by_no_row(text):
    """Types are settled by the schema: an expression that passes without rows fails for none."""
    accepted = attempt(text, records_of([])) is not None
    assert (attempt(text, records_of([PLAIN])) is not None) == accepted
