"""Expressions calculate from one row alone, lose nothing in silence, and can be taken from anybody."""

import ast
import datetime as dt
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from ingestion.errors import ConfigError
from ingestion.plugins import Origin
from ingestion.transformers.expressions import Expression
from ingestion.transformers.expressions.functions import FUNCTIONS

UTC = dt.timezone.utc
NOON = dt.datetime(2024, 1, 31, 12, 30, 15, tzinfo=UTC).replace(tzinfo=None)
ROW = {
    "n": pa.array([7]),
    "m": pa.array([-2]),
    "z": pa.array([0]),
    "big": pa.array([2**62]),
    "i": pa.array([2**31 - 1], pa.int32()),
    "u": pa.array([2**64 - 1], pa.uint64()),
    "x": pa.array([2.5]),
    "huge": pa.array([1e300]),
    "nan": pa.array([float("nan")]),
    "price": pa.array([Decimal("19.90")], pa.decimal128(10, 2)),
    "digits": pa.array([Decimal("9" * 36 + ".99")], pa.decimal128(38, 2)),
    "s": pa.array(["Änglamark 12"]),
    "t": pa.array([" 42 "]),
    "word": pa.array(["abc"]),
    "none": pa.array([None], pa.int64()),
    "nothing": pa.nulls(1),
    "yes": pa.array([True]),
    "day": pa.array([dt.date(2024, 1, 31)]),
    "at": pa.array([NOON], pa.timestamp("us")),
    "utc": pa.array([NOON], pa.timestamp("us", "UTC")),
    "clock": pa.array([dt.time(23, 59)], pa.time64("us")),
    "Unit price": pa.array([4.0]),
    "o": pa.array([{"city": "Ystad", "at": {"lat": 55.4}}]),
    "items": pa.array([[1, 2]]),
    "kind": pa.array(["a"]).dictionary_encode(),
}
RECORDS = pa.record_batch(ROW)
ORIGIN = Origin("orders.csv", 2)


def evaluate(text, records=RECORDS):
    return Expression.parse(text).evaluate(records, "transformer.filters[0]", ORIGIN)


def value(text):
    results = evaluate(text)
    assert results.faulty.to_pylist() == [], results.reasons
    return results.values[0].as_py()


@pytest.mark.parametrize(("text", "expected"), [
    # numbers
    ("n + m * 2", 3),
    ("(n + m) * 2", 10),
    ("n - m - 1", 8),
    ("-n", -7),
    ("- - n", 7),
    ("+n", 7),
    ("n / m", -3.5),
    ("n // m", -3),
    ("n % m", 1),
    ("m % n", -2),
    ("x // 2", 1.0),
    ("n * 1.5", 10.5),
    ("i * i", (2**31 - 1) ** 2),
    ("i + 1", 2**31),
    ("u + 1", Decimal(2**64)),
    ("COALESCE(u, n)", Decimal(2**64 - 1)),
    ("n * none", None),
    ("n / none", None),
    ("nothing + 1", None),
    ('"Unit price" * n', 28.0),
    ("price * 3", Decimal("59.70")),
    ("price * 1.25", Decimal("24.8750")),
    ("price / 2", Decimal("9.95")),
    ("price * x", 49.75),
    ("0.1 + 0.2", 0.30000000000000004),
    ("CAST(1 AS decimal(5,2)) + 0.2", Decimal("1.20")),
    ("1e3", 1000.0),
    (".5", 0.5),
    ("ABS(m)", 2),
    ("ROUND(x)", 3.0),
    ("ROUND(x / 3, 2)", 0.83),
    ("ROUND(price, 1)", Decimal("19.90")),
    ("CEIL(x)", 3.0),
    ("FLOOR(x)", 2.0),
    ("TRUNC(-2.5)", -2.0),
    ("SIGN(m)", -1),
    ("POWER(n, 2)", 49.0),
    ("SQRT(16)", 4.0),
    ("LN(1)", 0.0),
    # texts
    ("UPPER(s)", "ÄNGLAMARK 12"),
    ("lower(s)", "änglamark 12"),
    ("word || '-' || n", "abc-7"),
    ("word || NULL", None),
    ("CONCAT(word, none, n)", "abc7"),
    ("CONCAT_WS('/', word, none, n)", "abc/7"),
    ("TRIM(t)", "42"),
    ("LENGTH(s)", 12),
    ("LENGTH(word) - 5", -2),
    ("LEFT(s, 2)", "Än"),
    ("RIGHT(s, 2)", "12"),
    ("SUBSTR(s, 2, 3)", "ngl"),
    ("SUBSTRING(s, 11)", "12"),
    ("REPLACE(word, 'b', 'xx')", "axxc"),
    ("SPLIT_PART(s, ' ', 2)", "12"),
    ("LPAD(word, 5, '0')", "00abc"),
    ("REGEXP_REPLACE(s, '[0-9]+', '')", "Änglamark "),
    ("REGEXP_REPLACE(word, 'b', '$5')", "a$5c"),
    ("STRPOS(word, 'c')", 3),
    ("'it''s'", "it's"),
    # conditions
    ("n > 5 AND m < 0", True),
    ("n > 5 AND none > 0", None),
    ("n < 5 AND none > 0", False),
    ("n > 5 OR none > 0", True),
    ("NOT n > 5", False),
    ("n <> 7", False),
    ("n != 7", False),
    ("n == 7", True),
    ("n BETWEEN 1 AND 7", True),
    ("n NOT BETWEEN 1 AND 7", False),
    ("n IN (1, 7)", True),
    ("n NOT IN (1, 2)", True),
    ("n IN (7, NULL)", True),
    ("n IN (m, n)", True),
    ("x IN (2.5, 1)", True),
    ("word IN ('abc')", True),
    ("none IS NULL", True),
    ("n IS NOT NULL", True),
    ("yes IS TRUE", True),
    ("yes IS NOT FALSE", True),
    ("none IS DISTINCT FROM n", True),
    ("none IS NOT DISTINCT FROM none", True),
    ("none = none", None),
    ("s LIKE 'Äng%'", True),
    ("s NOT LIKE 'Äng%'", False),
    ("s ILIKE '%MARK 1_'", True),
    ("s ~ '^[^ ]+ [0-9]+$'", True),
    ("s !~ '[0-9]'", False),
    ("s ~* 'ÄNG'", True),
    ("REGEXP_LIKE(s, 'mark')", True),
    ("STARTS_WITH(s, 'Äng')", True),
    ("kind = 'a'", True),
    ("nothing = 'x'", None),
    # choices
    ("CASE WHEN n > 5 THEN 'many' ELSE 'few' END", "many"),
    ("CASE WHEN n < 5 THEN 'few' END", None),
    ("CASE n WHEN 6 THEN 'six' WHEN 7 THEN 'seven' END", "seven"),
    ("CASE WHEN none > 1 THEN 1 ELSE 2 END", 2),
    ("IF(n > 5, 1, 2.5)", 1.0),
    ("COALESCE(none, n)", 7),
    ("IFNULL(nothing, 'x')", "x"),
    ("NULLIF(n, 7)", None),
    ("GREATEST(n, m, x)", 7.0),
    ("LEAST(n, m)", -2),
    # casts
    ("CAST(t AS long)", 42),
    ("t::bigint", 42),
    ("CAST(x AS int)", 2),
    ("CAST(n AS string)", "7"),
    ("CAST(n AS VARCHAR)", "7"),
    ("CAST('2024-02-29' AS date)", dt.date(2024, 2, 29)),
    ("CAST('yes' || '' AS string)", "yes"),
    ("TRY_CAST(word AS int)", None),
    ("CAST(x AS double precision)", 2.5),
    ("CAST(at AS date)", dt.date(2024, 1, 31)),
    ("CAST(yes AS int)", 1),
    # dates
    ("day = '2024-01-31'", True),
    ("day > DATE '2024-01-01'", True),
    ("day BETWEEN '2024-01-01' AND '2024-12-31'", True),
    ("day IN ('2024-01-31', '2024-02-01')", True),
    ("at > '2024-01-31'", True),
    ("at < TIMESTAMP '2024-01-31 12:30:16'", True),
    ("utc = '2024-01-31T13:30:15+01:00'", True),
    ("day + INTERVAL '1 month'", dt.date(2024, 2, 29)),
    ("day - INTERVAL '1 year 2 days'", dt.date(2023, 1, 29)),
    ("at + INTERVAL '90 minutes'", NOON + dt.timedelta(minutes=90)),
    ("at - at < INTERVAL '1 hour'", True),
    ("YEAR(day) * 100 + MONTH(day)", 202401),
    ("EXTRACT(HOUR FROM at)", 12),
    ("HOUR(clock)", 23),
    ("EXTRACT(DOW FROM day)", 3),
    ("EXTRACT(EPOCH FROM day)", 1706659200.0),
    ("EXTRACT(DOY FROM day)", 31),
    ("EXTRACT(WEEK FROM day)", 5),
    ("EXTRACT(QUARTER FROM at)", 1),
    ("EXTRACT(EPOCH FROM utc)", NOON.replace(tzinfo=UTC).timestamp()),
    ("STRFTIME(day, '%Y-%m')", "2024-01"),
    # objects
    ("o.city || '!'", "Ystad!"),
    ("o.at.lat + 1", 56.4),
    ("items", [1, 2]),
])  # fmt: skip
def test_an_expression_has_this_value(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("text", "reason"), [
    ("n / z", "n / z: division by zero (n = 7, z = 0)"),
    ("n // z", "n // z: division by zero (n = 7, z = 0)"),
    ("n % z", "n % z: division by zero (n = 7, z = 0)"),
    ("x / z", "x / z: division by zero (x = 2.5, z = 0)"),
    ("price / z", "price / z: division by zero (price = 19.90, z = 0)"),
    ("price % z", "price % z: division by zero (price = 19.90, z = 0)"),
    ("1 + n / z", "n / z: division by zero (n = 7, z = 0)"),
    ("n / (m + 2)", "n / (m + 2): division by zero (n = 7, m = -2)"),
    ("big * 2", "big * 2: the result has more than 64 bits (big = 4611686018427387904)"),
    ("big + big", "big + big: the result has more than 64 bits (big = 4611686018427387904)"),
    ("-big - big - 1", "-big - big - 1: the result has more than 64 bits (big = 4611686018427387904)"),
    ("(-9223372036854775807 - 1) // -1", "(-9223372036854775807 - 1) // -1: the result has more than 64 bits"),
    ("ABS(-9223372036854775807 - 1)", "ABS(-9223372036854775807 - 1): the value is not within 64 bits"),
    ("huge * huge", "huge * huge: the result is too large for a double (huge = 1e+300)"),
    ("digits * digits", f"digits * digits: the result has more than 38 digits (digits = {'9' * 36}.99)"),
    ("digits + 10 * digits", f"10 * digits: the result has more than 38 digits (digits = {'9' * 36}.99)"),
    ("CEIL(digits)", f"CEIL(digits): the value is not of 38 digits (digits = {'9' * 36}.99)"),
    ("SQRT(m)", "SQRT(m): there is no finite result (m = -2)"),
    ("LN(z)", "LN(z): there is no finite result (z = 0)"),
    ("EXP(huge)", "EXP(huge): there is no finite result (huge = 1e+300)"),
    ("CAST(word AS long)", "CAST(word AS long): the text is not a whole number of at most 64 bits (word = 'abc')"),
    ("CAST(word AS date)", "CAST(word AS date): the text is not a date (YYYY-MM-DD) (word = 'abc')"),
    ("CAST(huge AS long)", "CAST(huge AS long): the value is not a whole number of at most 64 bits (huge = 1e+300)"),
    ("CAST(big AS int)", "CAST(big AS int): the value is not a whole number from -2147483648 to 2147483647 (big = 4611686018427387904)"),
    ("day + INTERVAL '9000 years'", "day + INTERVAL '9000 years': the result is outside of the years 1 to 9999 (day = 2024-01-31)"),
    ("n / z > 1", "n / z: division by zero (n = 7, z = 0)"),
    ("COALESCE(n / z, 1)", "n / z: division by zero (n = 7, z = 0)"),
])  # fmt: skip
def test_a_row_without_a_result_is_told_with_its_operands(text, reason):
    results = evaluate(text)
    assert results.faulty.to_pylist() == [0]
    assert results.reasons.to_pylist() == [reason]
    assert results.values.to_pylist() == [None]


@pytest.mark.parametrize(("text", "expected"), [
    ("CASE WHEN z <> 0 THEN n / z ELSE -1 END", -1.0),
    ("CASE WHEN z = 0 THEN -1 ELSE n / z END", -1.0),
    ("CASE WHEN z = 0 THEN 1 WHEN n / z > 0 THEN 2 END", 1),
    ("z <> 0 AND n / z > 1", False),
    ("z = 0 OR n / z > 1", True),
    ("NOT (z <> 0 AND n / z > 1)", True),
    ("IF(z = 0, 0, big * 2 / z)", 0.0),
    ("COALESCE(n, n / z)", 7.0),
    ("n / NULLIF(z, 0)", None),
    ("CASE WHEN word ~ '^[0-9]+$' THEN CAST(word AS int) END", None),
    ("CASE WHEN yes THEN CASE WHEN z = 0 THEN 0 ELSE n / z END ELSE n / z END", 0.0),
])  # fmt: skip
def test_what_a_condition_rules_out_is_not_asked(text, expected):
    assert value(text) == expected


def test_only_the_rows_at_fault_have_no_result():
    records = pa.record_batch({"a": [6, 1, None, 8, 5], "b": [3, 0, 0, 4, 0]})
    results = evaluate("a / b", records)
    assert results.values.to_pylist() == [2.0, None, None, 2.0, None]
    assert results.faulty.to_pylist() == [1, 4]
    assert results.reasons.to_pylist() == [
        "a / b: division by zero (a = 1, b = 0)",
        "a / b: division by zero (a = 5, b = 0)",
    ]
    assert results.operands.to_pylist() == ["a = 1, b = 0", "a = 5, b = 0"]


def test_a_row_with_several_faults_is_told_once_by_the_first():
    records = pa.record_batch({"a": [1, 2**62], "b": [0, 0]})
    results = evaluate("a * 4 + a / b", records)
    assert results.faulty.to_pylist() == [0, 1]
    assert [reason.partition(" (")[0] for reason in results.reasons.to_pylist()] == [
        "a / b: division by zero",
        "a * 4: the result has more than 64 bits",
    ]


def test_not_a_number_that_came_in_may_go_out():
    assert evaluate("nan + 1").faulty.to_pylist() == []


def test_values_of_hidden_columns_are_not_shown():
    results = Expression.parse("n / z").evaluate(RECORDS, "x", ORIGIN, frozenset(["n"]))
    assert results.reasons.to_pylist() == ["n / z: division by zero (n = ***, z = 0)"]
    with pytest.raises(ConfigError, match=r"\(word = \*\*\*, n = 7 at orders.csv:2\)"):
        Expression.parse("word > n").evaluate(RECORDS, "x", ORIGIN, frozenset(["word"]))


@pytest.mark.parametrize(("text", "sentence"), [
    ("word > 1", r"transformer\.filters\[0\]: 'word > 1' puts string \(word\) beside int \(1\).*\(word = 'abc' at orders.csv:2\)"),
    ("n = 'x'", "puts long .* beside string"),
    ("n = yes", "puts long .* beside boolean"),
    ("n IN (1, 'x')", "beside string"),
    ("CASE WHEN yes THEN 1 ELSE 'x' END", "beside string"),
    ("COALESCE(n, 'x')", "beside string"),
    ("GREATEST(s, n)", "beside long"),
    ("utc > at", "puts timestamptz .* beside timestamp"),
    ("day > 'yesterday'", "'yesterday' stands beside a date and is none"),
    ("utc > '2024-01-01'", "write it as '2024-01-31T12:30:00Z'"),
    ("n + word", "cannot calculate with long and string; .*CAST"),
    ("word + word", "join texts with"),
    ("yes * 2", "cannot calculate with boolean"),
    ("day + 1", "cannot calculate with date"),
    ("day + INTERVAL '5 hours'", "has no time of day"),
    ("n AND yes", "'n' is long, not a condition"),
    ("NOT o.at.lat", "'o.at.lat' is double, not a condition"),
    ("NOT word", "not a condition"),
    ("CASE WHEN n THEN 1 END", "not a condition"),
    ("UPPER(n)", "UPPER takes a text where 'n' is long"),
    ("ABS(word)", "ABS takes a number"),
    ("HOUR(day)", "HOUR takes a time"),
    ("EXTRACT(YEAR FROM word)", "has no year"),
    ("n LIKE '7%'", "looks at texts"),
    ("items = items", "beside list"),
    ("items || 'x'", "has no text"),
    ("o.town", "'o' has no field 'town'; it has: at, city"),
    ("n.x", "has no field 'x'"),
    ("CAST(day AS int)", "date does not become int"),
    ("CAST(items AS string)", "does not become"),
    ("STRFTIME(day, '%H')", "is no format of a date"),
    ("at - at", "an interval, which no table holds"),
    ("prise * 2", "there is no column 'prise'; did you mean 'price'"),
    ("N > 1", "there is no column 'N'; did you mean 'n'"),
    ('word = "a"', "there is no column 'a'; .*; a text stands in single quotes: 'a'"),
    ("9223372036854775808 + n", "has more than 64 bits"),
])  # fmt: skip
def test_types_that_do_not_go_together_are_named(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        evaluate(text)


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "it is empty"),
    ("   ", "it is empty"),
    ("n >", "the end is not expected at character 4"),
    ("(n", r"the end is not expected at character 3; \) is"),
    ("n)", r"'\)' is not expected"),
    ("n m", "'m' is not expected at character 3"),
    ("Unit price > 2", "'price' is not expected at character 6; a name with blanks .* double quotes: \"Unit price\""),
    ("day >= 2024-01-02", "2024-01-02 would be .*; a date stands in quotes: '2024-01-02'"),
    ("word != null", r"\(<>\) is never true; write IS NOT NULL"),
    ("word = NULL", r"\(=\) is never true; write IS NULL"),
    ("NULL <> word", "is never true; write IS NOT NULL"),
    ("n < (NULL)", "is never true"),
    ("n NOT IN (1, NULL)", "NOT IN with NULL is never true; leave NULL out"),
    ("n IN (NULL)", "IN with NULL is never true; .* IS NULL"),
    ("CASE n WHEN NULL THEN 1 END", "WHEN NULL is never true; write CASE WHEN ... IS NULL"),
    ("n > 1 > 0", "'>' is not expected"),
    ("'abc", "a text ends with another '"),
    ('"abc', 'a name ends with another "'),
    ("`n`", "double quotes"),
    ("[n]", "double quotes"),
    ("n & m", "write AND"),
    ("n; m", "one expression only"),
    ("n -- x", "no comments"),
    ("n /* x */", "no comments"),
    ("n\0", "not expected"),
    ("1abc", "not expected"),
    ("0x1F", "not expected"),
    ("n IS 5", "NULL, TRUE, FALSE or DISTINCT FROM is"),
    ("n NOT 5", "IN, BETWEEN or LIKE is"),
    ("n IN ()", "not expected"),
    ("s LIKE word", "a pattern in 'quotes' is"),
    ("s LIKE 'x' ESCAPE '!'", "ESCAPE"),
    ("s ~ '('", "is no regular expression: unclosed group"),
    ("s ~ '(a{1000}){1000}'", "is no regular expression"),
    ("REGEXP_LIKE(s, '[')", "is no regular expression"),
    ("REGEXP_REPLACE(s, '([0-9])', '<$1>')", r"would put in \$1 as it is written; a group is put in by \\1"),
    ("REGEXP_REPLACE(s, '(?<n>[0-9])', '${n}')", r"would put in \$\{n\} as it is written"),
    ("REGEXP_LIKE(s, word)", "takes a text as it is written"),
    ("DATE '2024-02-30'", "is no date"),
    ("TIMESTAMP 'noon'", "is no timestamp"),
    ("INTERVAL '-1 day'", "is no interval"),
    ("INTERVAL '1 mongoose'", "is no interval"),
    ("CASE n END", "WHEN is"),
    ("CASE WHEN yes THEN 1", "END is"),
    ("CAST(n AS money)", "unknown column type 'money'"),
    ("UPER(s)", "unknown function 'UPER'; did you mean 'UPPER'"),
    ("UPPER(s, s)", "UPPER takes 1 arguments, not 2"),
    ("NULLIF(s)", "NULLIF takes 2 arguments, not 1"),
    ("IF(yes, 1)", "IF takes 3 arguments, not 2"),
    ("STRPTIME(s, '%Y')", r"transformer\.date_columns"),
    ("LPAD(s, 99999999999, 'x')", "a whole number from 0 to 1000"),
    ("LPAD(s, 5, '')", "fills with one character"),
    ("LEFT(s, n)", "takes a number as it is written"),
    (f"REPLACE(REPLACE(s, 'a', '{'a' * 100}'), 'a', '{'a' * 100}')", "texts too long"),
    ("(" * 40 + "n" + ")" * 40, "nested more than 30 levels deep"),
    ("NOT " * 40 + "yes", "nested more than 30 levels deep"),
    ("n" + " + n" * 200, "more than 100 operators"),
    ("n" + " AND n" * 2000, "4000 are the most"),
])  # fmt: skip
def test_what_is_no_expression_is_refused_when_it_is_read(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Expression.parse(text)


@pytest.mark.parametrize(("text", "sentence"), [
    ("SUM(n)", "SUM looks at more than one row"),
    ("COUNT(*)", "COUNT looks at more than one row"),
    ("MIN(n)", "over: load"),
    ("FIRST(n)", "more than one row"),
    ("ROW_NUMBER() OVER ()", "more than one row"),
    ("ABS(n) OVER (PARTITION BY m)", "window functions look at more than one row"),
    ("n OVER (ORDER BY m)", "window functions"),
    ("LAG(n)", "more than one row"),
    ("UNNEST(items)", "more than one row"),
    ("RANDOM()", "something else each time"),
    ("NOW()", "something else each time"),
    ("CURRENT_DATE", "something else each time"),
    ("CURRENT_TIMESTAMP > at", "something else each time"),
    ("COLUMNS('n')", "unknown function"),
    ("n = ANY(m)", "'ANY' is not expected"),
    ("*", "not expected"),
])  # fmt: skip
def test_what_looks_beyond_the_row_is_refused(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Expression.parse(text)


def test_a_column_may_have_the_name_of_a_function_or_a_type():
    records = pa.record_batch({"date": [1], "left": [2], "select": [3], "first": [4]})
    assert evaluate('date + left + "select" + first', records).values.to_pylist() == [10]


def test_the_columns_that_are_read_are_known_before_any_row_is():
    assert Expression.parse('a + b * a > "c d" AND o.x').columns == ("a", "b", "c d", "o")


def test_the_type_of_the_result_does_not_depend_on_the_values():
    for text in ("n * 2", "n / m", "price * n", "CASE WHEN n > 5 THEN n ELSE 1 END", "t::int", "COALESCE(none, 1)"):
        assert evaluate(text).values.type == evaluate(text, RECORDS.slice(0, 0)).values.type


def test_an_expression_without_columns_has_a_value_for_every_row():
    records = pa.record_batch({"a": [1, 2, 3]})
    assert evaluate("1 + 1", records).values.to_pylist() == [2, 2, 2]
    assert evaluate("'x'", records.slice(0, 0)).values.to_pylist() == []


def test_a_regular_expression_ends_on_any_text():
    records = pa.record_batch({"s": ["a" * 50_000 + "!"]})
    assert evaluate("s ~ '^(a+)+$'", records).values.to_pylist() == [False]


PAGE = (Path(__file__).parent.parent / "docs" / "transformers.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(
    r"^\| `(.+?)` \| `(.+?)` \|$", PAGE.partition("| expression | gives |")[2].partition("\n\n")[0], re.MULTILINE
)


@pytest.mark.parametrize(("text", "shown"), DOCUMENTED)
def test_the_documentation_says_what_an_expression_gives(text, shown):
    expected = {"null": None, "true": True}.get(shown) if shown in ("null", "true") else ast.literal_eval(shown)
    found = value(text.replace(r"\|", "|"))
    assert (found, type(found)) == (expected, type(expected))


def test_the_documentation_names_every_function():
    assert len(DOCUMENTED) > 20
    assert [name for name in FUNCTIONS if not re.search(rf"\b{name}\b", PAGE)] == []


TUNED = {"STRFTIME": "'%Y'", "LPAD": "'x'", "RPAD": "'x'"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_any_column_or_says_why_not(name):
    """Never is a batch given up, which would be a DataError."""
    takes = FUNCTIONS[name].takes
    taken = 0
    takes += takes[-1:] * (FUNCTIONS[name].least - len(takes))
    for column in ROW:
        tuning = {"N": "2", "S": TUNED.get(name, "'a'")}
        arguments = [tuning.get(letter, f'"{column}"') for letter in takes]
        for records in (RECORDS, RECORDS.slice(0, 0)):
            taken += accepted(f"{name}({', '.join(arguments)})", records)
    assert taken


def accepted(text, records):
    try:
        evaluate(text, records)
    except ConfigError:
        return False
    return True
