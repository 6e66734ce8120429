"""Which type a column gets, what late values do to it, and that nothing is bent on the way."""

from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.connectors.csv.inference import Rules, infer, join
from ingestion.errors import ConfigError, DataError
from ingestion_tests.csv_loads import load, write

NAIVE = pa.timestamp("us")
UTC = pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", "0"], pa.int64()),
        (["9223372036854775807", "-9223372036854775808"], pa.int64()),
        (["9223372036854775808"], pa.decimal128(38, 0)),
        (["1" * 38, "1"], pa.decimal128(38, 0)),
        (["1" * 39], pa.string()),
        (["007"], pa.string()),
        (["1", "-007"], pa.string()),
        (["-0"], pa.float64()),
        (["+46701234567"], pa.string()),
        (["0x1F"], pa.string()),
        (["1_000"], pa.string()),
        (["1.10", "2"], pa.float64()),
        ([".5", "5."], pa.float64()),
        (["1e5", "-2.5E-3"], pa.float64()),
        (["00.5"], pa.string()),
        (["1.23456789012345678"], pa.string()),
        (["0.00000000000000000012"], pa.float64()),
        (["9007199254740993", "0.5"], pa.string()),
        (["9007199254740991", "0.5"], pa.float64()),
        (["1e999", "0.5"], pa.float64()),
        (["9007199254740993.0"], pa.string()),
        (["9223372036854775808", "0.5"], pa.string()),
        (["1.5", "NaN", "-INF"], pa.float64()),
        (["nan"], pa.string()),
        (["95%"], pa.string()),
        (["$4.00"], pa.string()),
        (["1,5"], pa.string()),
        (["true", "FALSE"], pa.bool_()),
        (["yes"], pa.string()),
        (["1", "true"], pa.string()),
        (["2024-02-29"], pa.date32()),
        (["2023-02-29"], pa.string()),
        (["2024-2-9"], pa.string()),
        (["20240209"], pa.int64()),
        (["2024-02-29 10:00:00", "2024-02-29T10:00", "2024-02-29T10:00:00.123456"], NAIVE),
        (["2024-02-29", "2024-02-29 10:00:00"], NAIVE),
        (["2024-02-29T10:00:00.123456789"], pa.string()),
        (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00+02:00"], UTC),
        (["2024-02-29T10:00:00Z", "2024-02-29T10:00:00"], pa.string()),
        (["2024-02-29T10:00:00Z", "2024-02-29"], pa.string()),
        (["2024-02-29T25:00:00"], pa.string()),
        (["10:00:00"], pa.string()),
        ([" 5 ", "6"], pa.int64()),
        (["", "  "], None),
        ([None, "5", None], pa.int64()),
        ([], None),
    ],
)
def test_a_column_has_the_narrowest_type_that_keeps_every_value(values: list[str | None], expected: Any) -> None:
    assert infer(pa.array(values, pa.string()), Rules()) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.234,56", "-7,5"], pa.float64()),
        (["1.234"], pa.int64()),
        (["1.23"], pa.string()),
        (["1.234.567"], pa.int64()),
        (["1,23456789012345678"], pa.string()),
        (["9.007.199.254.740.993,0"], pa.string()),
        (["12.3456,7"], pa.string()),
        (["1,5,6"], pa.string()),
    ],
)
def test_separators_are_understood_where_they_are_given(values: list[str], expected: Any) -> None:
    rules = Rules(decimal_separator=",", thousands_separator=".")
    assert infer(pa.array(values, pa.string()), rules) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.int64(), pa.decimal128(38, 0), pa.decimal128(38, 0)),
        (pa.decimal128(38, 0), pa.float64(), pa.string()),
        (pa.date32(), NAIVE, NAIVE),
        (pa.date32(), UTC, pa.string()),
        (NAIVE, UTC, pa.string()),
        (pa.bool_(), pa.int64(), pa.string()),
        (None, pa.int64(), pa.int64()),
        (pa.int64(), None, pa.int64()),
        (None, None, None),
    ],
)
def test_two_types_have_one_that_holds_both(one: Any, other: Any, expected: Any) -> None:
    assert join(one, other) == expected
    assert join(other, one) == expected


def many(late: str, rows: int = 40_000, column: str = "n") -> str:
    """A file whose sample shows whole numbers, and whose value at 60 % is *late*."""
    lines = [f"{number},text {number}" for number in range(1, rows + 1)]
    lines[rows * 6 // 10] = f"{late},late"
    return "\n".join([f"{column},t", *lines]) + "\n"


@pytest.mark.parametrize(
    ("late", "expected", "value"),
    [
        ("1.5", "double", 1.5),
        ("1e3", "double", 1000.0),
        ("abc", "string", "abc"),
        ("007", "string", "007"),
        ("-007", "string", "-007"),
        (" 007", "string", " 007"),
        ("+5", "string", "+5"),
        ("0x1F", "string", "0x1F"),
        ("-0", "double", -0.0),
        ("9223372036854775808", "decimal128(38, 0)", Decimal(9223372036854775808)),
        ('"1,5"', "string", "1,5"),
    ],
)
def test_a_late_wider_value_starts_the_read_over_with_its_type(
    tmp_path: Path, late: str, expected: str, value: Any
) -> None:
    loaded = load(write(tmp_path, many(late)), sample_rows=100)
    assert len(loaded.restarts) == 1
    assert "later values need a wider type" in loaded.restarts[0]
    assert loaded.types["n"] == expected
    assert len(loaded.rows) == 40_000
    assert str(loaded.rows[24_000]["n"]) == str(value)
    assert loaded.rejects == []


@pytest.mark.parametrize(
    ("column", "late", "expected"),
    [
        ("1.5", "007", "string"),
        ("0.5", "00.5", "string"),
        ("1.5", "9007199254740993", "string"),
        ("1.5", "1e999", "string"),
        ("true", "1", "string"),
        ("2024-01-01", "2024-01-01 10:00:00", "timestamp[us]"),
        ("2024-01-01", "2024-13-01", "string"),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00Z", "string"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00", "string"),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00.1234567", "string"),
        ("12345678901234567890", "1.5", "string"),
        ("1.5", "0.12345678901234567890123", "string"),
        ("1.5", "-1.23456789012345678", "string"),
        ("1.5", "123456789012345678e-5", "string"),
        ("1.5", "9007199254740993.0", "string"),
    ],
)
def test_no_late_value_is_bent_to_fit(tmp_path: Path, column: str, late: str, expected: str) -> None:
    rows = [column] * 20_000
    rows[12_000] = late
    loaded = load(write(tmp_path, "v\n" + "\n".join(rows)), sample_rows=100)
    assert loaded.types == {"v": expected}
    if expected == "string":
        assert loaded.rows[12_000]["v"] == late
        assert loaded.rows[0]["v"] == column


def test_many_columns_that_widen_take_few_restarts(tmp_path: Path) -> None:
    rows = [",".join(["1"] * 12) for _ in range(30_000)]
    for number in range(12):
        cells = ["1"] * 12
        cells[number] = "x"
        rows[12_000 + number * 300] = ",".join(cells)
    header = ",".join(f"c{number}" for number in range(12))
    loaded = load(write(tmp_path, header + "\n" + "\n".join(rows)), sample_rows=50)
    assert len(loaded.restarts) <= 2
    assert set(loaded.types.values()) == {"string"}


def test_infer_full_looks_at_every_value_first(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, many("1.5")), sample_rows=100, infer="full")
    assert loaded.restarts == []
    assert loaded.types == {"n": "double", "t": "string"}


def test_infer_none_leaves_everything_text(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a,b\n1,2024-01-01\n,x\n"), infer="none")
    assert loaded.rows == [{"a": "1", "b": "2024-01-01"}, {"a": None, "b": "x"}]


def test_the_tail_of_a_file_is_in_the_sample(tmp_path: Path) -> None:
    content = "n,t\n" + "".join(f"{number},{'x' * 50}\n" for number in range(100_000)) + "1.5,end\n"
    loaded = load(write(tmp_path, content), sample_rows=100)
    assert loaded.restarts == []
    assert loaded.types["n"] == "double"


def test_a_known_type_rejects_what_does_not_fit_and_never_starts_over(tmp_path: Path) -> None:
    known = pa.schema([("n", pa.int64()), ("d", pa.date32())])
    path = write(tmp_path, "n,d,s\n1,2024-01-01,a\nx,2024-01-01,b\n1.5,oops,c\n007,2024-01-01,d\n5,2024-01-02,e\n")
    loaded = load(path, known=known)
    assert loaded.restarts == []
    assert [row["s"] for row in loaded.rows] == ["a", "e"]
    assert loaded.types == {"n": "int64", "d": "date32[day]", "s": "string"}
    assert [(row["position"], row["column"], row["value"]) for row in loaded.rejects] == [
        (3, "n", "x"),
        (4, "n", "1.5"),
        (5, "n", "007"),
    ]
    assert loaded.rejects[0]["reason"] == "'x' is not a whole number of at most 64 bits"
    assert loaded.rejects[2]["reason"] == "'007' would lose its leading zeros as a number"
    assert loaded.rejects[1]["payload"] == '{"n":"1.5","d":"oops","s":"c"}'
    assert loaded.positions == [2, 6]


@pytest.mark.parametrize(
    ("dtype", "text", "fits"),
    [
        (pa.float64(), "9007199254740993", False),
        (pa.float64(), "9007199254740993.0", False),
        (pa.float64(), "-9007199254740993", False),
        (pa.float64(), "9007199254740994", True),
        (pa.float64(), "9223372036854775808", True),
        (pa.float64(), "12345678901234567890", False),
        (pa.float64(), "0.12345678901234567890123", False),
        (pa.float64(), "0.1234567890123456", True),
        (pa.float64(), "-0.00012345678901234567", True),
        (pa.float64(), "0.10000000000000000000", True),
        (pa.float64(), "0.999999999999999999", False),
        (pa.float64(), ".123456789012345678", False),
        (pa.float64(), "1.000000000000000001", False),
        (pa.float64(), "1e300", True),
        (pa.float64(), "123456789012345678e5", False),
        (pa.float64(), " 9007199254740993 ", False),
        (pa.float64(), "-inf", True),
        (pa.float64(), "NaN", True),
        (pa.float32(), "16777217", False),
        (pa.float32(), "0.1", True),
        (pa.float32(), "3.14159265358979", False),
    ],
)
def test_a_known_column_rejects_numbers_that_it_would_round(
    tmp_path: Path, dtype: pa.DataType, text: str, fits: bool
) -> None:
    loaded = load(write(tmp_path, f"v,w\n1.5,1\n{text},2\n"), known=pa.schema([("v", dtype)]))
    assert [row["w"] for row in loaded.rows] == ([1, 2] if fits else [1])
    if not fits:
        kind = "double" if dtype == pa.float64() else "float"
        assert [row["reason"] for row in loaded.rejects] == [f"'{text}' has more digits than a {kind} keeps"]


def test_a_hint_takes_numbers_that_it_rounds(tmp_path: Path) -> None:
    path = write(tmp_path, "v\n9007199254740993\n")
    assert load(path, schema_hints={"v": "double"}).rows == [{"v": 9007199254740992.0}]


def test_numbers_with_separators_are_not_rounded_either(tmp_path: Path) -> None:
    path = write(tmp_path, "v;w\n1,5;1\n9.007.199.254.740.993;2\n9.007.199.254.740.992,0;3\n")
    known = pa.schema([("v", pa.float64())])
    loaded = load(path, delimiter=";", decimal_separator=",", thousands_separator=".", known=known)
    assert [row["w"] for row in loaded.rows] == [1, 3]


@pytest.mark.parametrize("content", ["a,b\n", "a,b\n\n,\n"])
def test_columns_without_any_value_in_a_file_without_rows_have_no_type_yet(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    assert load(path).types == {"a": "null", "b": "null"}
    assert load(path, infer="full").types == {"a": "null", "b": "null"}
    assert load(path, infer="none").types == {"a": "string", "b": "string"}
    assert load(path, schema_hints={"a": "date"}).types == {"a": "date32[day]", "b": "null"}
    write(tmp_path, "b,c\n5,\n", "more.csv")
    loaded = load(tmp_path, order_by="name")
    assert loaded.types == {"a": "null", "b": "int64", "c": "string"} or loaded.types["a"] == "string"
    assert loaded.types["b"] == "int64"


def test_a_column_known_as_text_arrives_as_written(tmp_path: Path) -> None:
    path = write(tmp_path, "n,d\n007, 2024-01-01 \n1.50,x\n")
    loaded = load(path, known=pa.schema([("n", pa.string()), ("d", pa.large_string())]))
    assert loaded.rows == [{"n": "007", "d": " 2024-01-01 "}, {"n": "1.50", "d": "x"}]


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [
        (pa.int32(), "2147483647", 2147483647),
        (pa.float32(), "1.5", 1.5),
        (pa.decimal128(10, 2), "1.50", Decimal("1.50")),
        (pa.bool_(), "1", True),
        (pa.bool_(), "FALSE", False),
        (pa.time64("us"), "10:11:12", datetime(2024, 1, 1, 10, 11, 12, tzinfo=timezone.utc).time()),
        (UTC, "2024-01-01T01:00:00+01:00", datetime(2024, 1, 1, tzinfo=timezone.utc)),
        (pa.date32(), "2024-01-01", date(2024, 1, 1)),
        (pa.float64(), "10000000000000000000", 1e19),
        (pa.float64(), "+5", 5.0),
    ],
)
def test_every_type_of_a_table_can_be_read(tmp_path: Path, dtype: pa.DataType, text: str, value: Any) -> None:
    loaded = load(write(tmp_path, f"v,w\n{text},1\n,2\n"), known=pa.schema([("v", dtype)]))
    assert loaded.table.schema.field("v").type == dtype
    assert [row["v"] for row in loaded.rows] == [value, None]


def test_a_hint_wins_over_sample_and_table_and_takes_leading_zeros(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b,c\n007,1,2\nx,2,3\n")
    hints = {"a": "long", "b": "string", "c": "decimal(5,2)"}
    loaded = load(path, schema_hints=hints, known=pa.schema([("b", pa.int64())]))
    assert loaded.types == {"a": "int64", "b": "string", "c": "decimal128(5, 2)"}
    assert loaded.rows == [{"a": 7, "b": "1", "c": Decimal("2.00")}]
    assert loaded.bad_lines == [3]


def test_a_hint_for_no_column_names_the_header(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, "a,b\n1,2\n"), schema_hints={"z": "int"})
    assert str(caught.value) == "source.schema_hints: no column 'z'; the header has 'a', 'b'"


def test_a_hint_for_a_column_that_only_the_table_has_is_fine(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a\n1\n"), schema_hints={"z": "int"}, known=pa.schema([("z", pa.int32())]))
    assert loaded.rows == [{"a": 1}]


def test_words_for_true_and_false_can_be_given(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "v,w\nja,1\nNEJ,0\n"), true_values=["ja"], false_values=["nej"])
    assert loaded.types == {"v": "bool", "w": "int64"}
    assert [row["v"] for row in loaded.rows] == [True, False]


def test_numbers_with_separators_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, 'a;b\n"1.234,56";1.000\n-0,5;12\n')
    loaded = load(path, delimiter=";", decimal_separator=",", thousands_separator=".")
    assert loaded.rows == [{"a": 1234.56, "b": 1000}, {"a": -0.5, "b": 12}]


def test_dates_beside_numbers_with_separators_are_dates(tmp_path: Path) -> None:
    path = write(tmp_path, 'a;b;c\n"1.234,56";2024-01-01;2024-01-01 10:00:00Z\n')
    known = pa.schema([("b", pa.date32())])
    loaded = load(path, delimiter=";", decimal_separator=",", thousands_separator=".", known=known)
    assert loaded.types == {"a": "double", "b": "date32[day]", "c": "timestamp[us, tz=UTC]"}
    stamp = datetime(2024, 1, 1, 10, tzinfo=timezone.utc)
    assert loaded.rows == [{"a": 1234.56, "b": date(2024, 1, 1), "c": stamp}]


def test_bad_numbers_are_rejected_where_many_files_agree_on_a_type(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, f"n\n{number}\n", f"{number:02}.csv")
    write(tmp_path, "n\nfive\n", "07b.csv")
    loaded = load(tmp_path, order_by="name")
    assert loaded.types == {"n": "string"}
    assert len(loaded.rows) == 21


def test_a_column_that_only_a_later_file_has_is_null_before(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,x\n", "1.csv")
    write(tmp_path, "c,a\n2024-01-01,2\n", "2.csv")
    loaded = load(tmp_path, order_by="name")
    assert loaded.rows == [{"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": date(2024, 1, 1)}]
    assert loaded.types == {"a": "int64", "b": "string", "c": "date32[day]"}


def test_a_column_that_no_sample_showed_joins_in_with_its_own_type(tmp_path: Path) -> None:
    for number in range(40):
        extra = ",surprise" if number == 22 else ""
        write(tmp_path, f"a{extra}\n1{extra and ',2.5'}\n", f"{number:02}.csv")
    loaded = load(tmp_path, order_by="name")
    assert len(loaded.rows) == 40
    assert loaded.rows[22] == {"a": 1, "surprise": 2.5}


def test_a_wrong_row_fails_the_run_where_it_should(tmp_path: Path) -> None:
    path = write(tmp_path, "n,s\n1,a\n2,b\nx,c\n")
    with pytest.raises(DataError) as caught:
        load(path, schema_hints={"n": "int"}, on_bad_row="fail")
    expected = f"{path}: line 4: n: 'x' is not a whole number from -2147483648 to 2147483647; mend the row, or set source.on_bad_row: quarantine"
    assert str(caught.value) == expected
