"""What people write as dates, numbers and booleans is read exactly, or told apart in words that they understand."""

import csv
import datetime as dt
import math
import os
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from ingestion.config import parse_job
from ingestion.pipeline import run
from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer
from ingestion_tests.conftest import Project

UTC = dt.timezone.utc
BOM, ZERO_WIDTH, NBSP, NNBSP, MINUS, EN_DASH = "\ufeff", "\u200b", "\u00a0", "\u202f", "\u2212", "\u2013"
FULL_WIDTH, ARABIC = "\uff11\uff12\uff13", "\u0661\u0662\u0663"
UNSEEN = "it holds a character that cannot be seen"
DASH = "it holds a dash that is not the - of keyboards"
DIGITS = "its digits are not 0 to 9"
NO_DAY = "there is no such day"
HOURS, SECONDS, DECIMALS = "hours go from 00 to 23", "seconds go from 00 to 59", "seconds have six decimals at most"
OFFSET, NO_OFFSET = "it has an offset, which only type timestamptz keeps", "it has no offset; set transformer.timezone"
SKIPPED = "clocks in Europe/Stockholm skipped that time"
NAMES = "or its month or weekday has another name in English"
TIMED = "it has a time of day; give the column type timestamp in types"
TOO_LONG = "is not a number that a double holds exactly; give the column type long or decimal(p,s)"


class No(NamedTuple):
    """A value that goes to quarantine, and words of its reason."""

    words: str


def stamp(*parts: int) -> dt.datetime:
    return dt.datetime(*parts)  # type: ignore[misc,arg-type]  # noqa: DTZ001 - a timestamp without zone is the subject


def utc(*parts: int) -> dt.datetime:
    return stamp(*parts).replace(tzinfo=UTC)


NUMBER = No("is not a number")
NUMBERS: dict[str, Any] = {
    "1.234,56": 1234.56,
    "1 234.56": 1234.56,
    f"1{NBSP}234{NBSP}567,8": 1234567.8,
    f"1{NNBSP}234,56": 1234.56,
    f"{NBSP}7{NNBSP}": 7.0,
    "(123)": -123.0,
    "12 %": 0.12,
    "1e5": 100000.0,
    "+1": 1.0,
    ".5": 0.5,
    "5.": 5.0,
    "-0": -0.0,
    f"{MINUS}5": -5.0,
    "00012": 12.0,
    "Infinity": math.inf,
    "-INF": -math.inf,
    "9007199254740992": No(TOO_LONG),
    "9007199254740991": 2.0**53 - 1,
    "9007199254740993": No(TOO_LONG),
    "9223372036854775808": No(TOO_LONG),
    "1" * 40: No(TOO_LONG),
    "1e400": No("is not a number that a double can hold: it is too large"),
    "1,234": No("is not clear: its separator may stand for decimals or for thousands; set transformer.decimal_separator"),
    "$4.00": No("is not a number: it has a currency sign; take it out at the source"),
    "4,00 €": No("it has a currency sign"),
    f"{BOM}1": No(UNSEEN),
    f"1{ZERO_WIDTH}": No(UNSEEN),
    FULL_WIDTH: No(DIGITS),
    ARABIC: No(DIGITS),
    f"{EN_DASH}5": No(DASH),
    "": None,
    f" {NBSP}\t": None,
} | dict.fromkeys(
    ["0x10", "1_000", "--1", "+ 1", "5-", "(-5)", "1e", "1.2.3", "12 34", "½", "5 kg", "5 kr", "12:30", "n/a", "NULL"],
    NUMBER,
)  # fmt: skip

LONG = No("is not a whole number of at most 64 bits")
LONGS: dict[str, Any] = {
    "007": 7, "+1": 1, "-0": 0, f"{NBSP}7{NNBSP}": 7, "9007199254740993": 2**53 + 1,
    "9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63),
    MINUS + "5": No(DASH), BOM + "1": No(UNSEEN), FULL_WIDTH: No(DIGITS), ARABIC: No(DIGITS), "": None,
} | dict.fromkeys(
    ["9223372036854775808", "1" * 40, "1.0", "1e5", "1,000", "1 000", "0x10", "1_000", "--1", ".5", "5.", "NaN"], LONG
)  # fmt: skip

FITTING = No("is not a number with at most 8 digits before and 2 after the point")
DECIMALS_10_2: dict[str, Any] = {
    "1.10": Decimal("1.10"), ".5": Decimal("0.5"), "5.": Decimal(5), "1e5": Decimal(100000), "-0": Decimal(0),
    "1.2000": Decimal("1.20"), "12345678.90": Decimal("12345678.90"), "1.5e-1": Decimal("0.15"), "": None,
    MINUS + "5": No(DASH),
} | dict.fromkeys(["1.105", "123456789", "1" * 40, "1e400", "1e-3", "NaN", "Infinity", "(5)", "5 %"], FITTING)  # fmt: skip

DATES: dict[str, Any] = {
    "2024-02-29": dt.date(2024, 2, 29),
    "1582-10-10": dt.date(1582, 10, 10),
    "1970-01-01": dt.date(1970, 1, 1),
    "0001-01-01": dt.date(1, 1, 1),
    "9999-12-31": dt.date(9999, 12, 31),
    f"{NBSP}2024-01-02{NNBSP}": dt.date(2024, 1, 2),
    "2024-01-02 00:00:00": dt.date(2024, 1, 2),
    "2024-02-30": No(NO_DAY),
    "2023-02-29": No(NO_DAY),
    "1900-02-29": No(NO_DAY),
    "0000-00-00": No(NO_DAY),
    "2024-13-01": No(NO_DAY),
    "2024-01-01T24:00:00": No(TIMED),
    "2024-01-02T10:11:12": No(TIMED),
    "10000-01-01": No("is not a date (YYYY-MM-DD)"),
    "-0044-03-15": No("is not a date (YYYY-MM-DD)"),
    "45000": No("is not a date (YYYY-MM-DD)"),
    "today": No("is not a date (YYYY-MM-DD)"),
    "2024-1-2": No("name its format, as in transformer.date_columns: {c: "),
    "02.01.2024": No("name its format"),
    "1/2/24": No("name its format"),
    "1 janv. 2024": No("name its format"),
    "2024\u201001\u201002": No(DASH),
    f"{BOM}2024-01-02": No(UNSEEN),
    "\u0662\u0660\u0662\u0664-01-02": No(DIGITS),
    "": None,
}
STAMPS: dict[str, Any] = {
    "2024-01-02T10:11:12": stamp(2024, 1, 2, 10, 11, 12),
    "2024-01-02 10:11": stamp(2024, 1, 2, 10, 11),
    "2024-01-02 10:11:12.123456000": stamp(2024, 1, 2, 10, 11, 12, 123456),
    "2024-03-31 02:30:00": stamp(2024, 3, 31, 2, 30),
    "2024-01-02 10:11:12.1234567": No(DECIMALS),
    "2024-01-01T24:00:00": No(HOURS),
    "2016-12-31T23:59:60": No(SECONDS),
    "2024-02-30T10:11:12": No(NO_DAY),
    "2024-01-02T10:11:12Z": No(OFFSET),
    "2024-01-02T10:11:12+0530": No(OFFSET),
    "1704153600": No("is not a timestamp without time zone (YYYY-MM-DD HH:MM:SS)"),
}
MOMENTS: dict[str, Any] = {
    "2024-01-02T10:11:12Z": utc(2024, 1, 2, 10, 11, 12),
    "2024-01-02T10:11:12+0530": utc(2024, 1, 2, 4, 41, 12),
    "2024-01-02 10:11:12 -03:30": utc(2024, 1, 2, 13, 41, 12),
    "2024-01-02 10:11:12 UTC": utc(2024, 1, 2, 10, 11, 12),
    "1970-01-01T00:00:00Z": utc(1970, 1, 1),
    "2024-01-02T10:11:12": No(NO_OFFSET),
    "2016-12-31T23:59:60Z": No(SECONDS),
    "2024-01-02T10:11:12 CET": No("is not a timestamp with time zone"),
    "2024-01-02T10:11:12[Europe/Paris]": No("is not a timestamp with time zone"),
    "9999-12-31T23:59:59-05:00": No("is not a timestamp with time zone"),
}
IN_STOCKHOLM: dict[str, Any] = {
    "2024-07-01 12:00:00": utc(2024, 7, 1, 10),
    "2024-07-01T12:00:00Z": utc(2024, 7, 1, 12),
    "2024-10-27 02:30:00": utc(2024, 10, 27, 0, 30),  # the first of the two
    "2024-10-27 02:30:00+01:00": utc(2024, 10, 27, 1, 30),
    "2024-03-31 01:59:59": utc(2024, 3, 31, 0, 59, 59),
    "2024-03-31 03:00:00": utc(2024, 3, 31, 1),
    "2024-03-31 02:30:00": No(SKIPPED),
    "2024-02-30 02:30:00": No(NO_DAY),
}
TIMES: dict[str, Any] = {
    "10:11": dt.time(10, 11),
    "23:59:59.999999": dt.time(23, 59, 59, 999999),
    "24:00:00": No(HOURS),
    "23:59:60": No(SECONDS),
    "10:11:12.1234567": No(DECIMALS),
    "15:00:00Z": No("is not a time of day (HH:MM:SS)"),
}
TWO_DIGITS: dict[str, Any] = {
    "31/12/68": dt.date(2068, 12, 31),
    "31/12/69": dt.date(1969, 12, 31),
    "31/12/99": dt.date(1999, 12, 31),
    "29/02/00": dt.date(2000, 2, 29),
    "29/02/01": No(NO_DAY),
    "31/12/2024": No("is not a date (expected %d/%m/%y)"),
}
IN_TURN: dict[str, Any] = {
    "01/02/2024": dt.date(2024, 2, 1),  # the first format that fits
    "02/13/2024": dt.date(2024, 2, 13),
    "2024-1-2": dt.date(2024, 1, 2),
    "31/02/2024": No(NO_DAY),
    "31.12.2024": No("is not a date (expected %d/%m/%Y or %m/%d/%Y or %Y-%m-%d)"),
}
NAMED: dict[str, Any] = {
    "3 MAR 2024": dt.date(2024, 3, 3),
    "1 january 2024": dt.date(2024, 1, 1),
    "1 janvier 2024": No(NAMES),
    "1 Mai 2024": No(NAMES),
    "31 Feb 2024": No(NO_DAY),
    "1 janv. 2024": No("expected %d %b %Y or %d %B %Y"),
}
OFFSETS: dict[str, Any] = {
    "2.1.2024 10:11 +0530": utc(2024, 1, 2, 4, 41),
    "2.1.2024 10:11 -03:30": utc(2024, 1, 2, 13, 41),
    "2.1.2024 10:11 Z": utc(2024, 1, 2, 10, 11),
    "2.1.2024 10:11 CET": No("is not a timestamp (expected %d.%m.%Y %H:%M %z)"),
    "2.1.2024 24:00 Z": No(HOURS),
}
WORD = No("is not one of yes/no, true/false, y/n, 1/0, ja/nej, on/off")
BOOLEANS: dict[str, Any] = {
    **dict.fromkeys(["ja", "Ja", "JA", "yes", "Y", "TRUE", "1", "On", f"{NBSP}ja{NNBSP}"], True),
    **dict.fromkeys(["nej", "NEJ", "no", "N", "False", "0", "off"], False),
    **dict.fromkeys(["oui", "non", "2", "-1", "1.0", "t", "wahr", "Ja!", "NULL"], WORD),
    f"{BOM}ja": No(UNSEEN),
    "": None,
}
LOCAL = {"date_columns": {"c": "%Y-%m-%d %H:%M:%S"}, "timezone": "Europe/Stockholm"}
LOCAL_ONLY = {text: value for text, value in IN_STOCKHOLM.items() if text[10] == " " and text[19:] == ""}

TABLES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("numbers", {"numeric_columns": ["c"]}, NUMBERS),
    ("longs", {"types": {"c": "long"}}, LONGS),
    ("decimals", {"types": {"c": "decimal(10,2)"}}, DECIMALS_10_2),
    ("dates", {"date_columns": ["c"]}, DATES),
    ("timestamps", {"types": {"c": "timestamp"}}, STAMPS),
    ("moments", {"types": {"c": "timestamptz"}}, MOMENTS),
    ("moments-of-dates", {"types": {"c": "timestamptz"}, "date_columns": ["c"]}, MOMENTS),
    ("zone", {"types": {"c": "timestamptz"}, "timezone": "Europe/Stockholm"}, IN_STOCKHOLM),
    ("zone-by-format", LOCAL, LOCAL_ONLY),
    ("times", {"types": {"c": "time"}}, TIMES),
    ("two-digit-years", {"date_columns": {"c": "%d/%m/%y"}}, TWO_DIGITS),
    ("formats-in-turn", {"date_columns": {"c": ["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d"]}}, IN_TURN),
    ("months-by-name", {"date_columns": {"c": ["%d %b %Y", "%d %B %Y"]}}, NAMED),
    ("offsets-by-format", {"date_columns": {"c": "%d.%m.%Y %H:%M %z"}}, OFFSETS),
    ("booleans", {"boolean_columns": ["c"]}, BOOLEANS),
]


def convert(options: dict[str, Any], texts: list[str]) -> list[Any]:
    """The value of each text, or the reason of its rejection."""
    batch = Batch(pa.record_batch({"c": pa.array(texts, pa.string())}), Origin("f.csv", 0))
    found: list[Any] = [None] * len(texts)
    done = list(BaseTransformer.model_validate(options).apply(iter([batch])))
    for part in done:
        positions = range(len(texts)) if part.origin.positions is None else part.origin.positions.to_pylist()
        for position, value in zip(positions, part.records["c"].to_pylist(), strict=False):
            found[position] = value
        for row in part.rejected.to_pylist() if part.rejected else ():
            found[row["position"]] = No(row["reason"])
    assert sum(part.records.num_rows + (part.rejected.num_rows if part.rejected else 0) for part in done) == len(texts)
    return found


def assert_is(found: Any, text: str, expected: Any) -> None:
    if isinstance(expected, No):
        assert isinstance(found, No), found
        assert found.words.startswith(f"'{text}' is not ")
        assert expected.words in found.words
    else:
        assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        pytest.param(options, text, expected, id=f"{name}-{text!r}")
        for name, options, table in TABLES
        for text, expected in table.items()
    ],
)
def test_a_value_is_exact_or_in_quarantine_with_a_reason(options: dict[str, Any], text: str, expected: Any) -> None:
    assert_is(convert(options, [text])[0], text, expected)


@pytest.mark.parametrize(("options", "table"), [pytest.param(*rest, id=name) for name, *rest in TABLES])
def test_a_value_means_the_same_in_one_column_with_all_others(options: dict[str, Any], table: dict[str, Any]) -> None:
    for text, found in zip(table, convert(options, list(table)), strict=True):
        assert_is(found, text, table[text])


def test_minus_zero_keeps_its_sign_and_not_a_number_stays_what_it_is() -> None:
    zero, nan, negative = convert({"numeric_columns": ["c"]}, ["-0", "NaN", "-nan"])
    assert math.copysign(1, zero) == -1
    assert math.isnan(nan)
    assert math.isnan(negative)


def test_what_types_calls_a_double_is_rounded_as_doubles_are() -> None:
    assert convert({"types": {"c": "double"}}, ["9007199254740993", "1e-400"]) == [2.0**53, 0.0]


# files as people made them, through a run into Iceberg


@pytest.fixture
def corpus() -> Path:
    given = os.environ.get("INGESTION_CORPUS")
    if not given:
        pytest.skip("INGESTION_CORPUS names no corpus")
    return Path(given) / "csv"


class Landed(NamedTuple):
    """What a run left behind."""

    rows: list[dict[str, Any]]
    rejected: list[dict[str, Any]]


def land(project: Project, path: Path, source: dict[str, Any], transformer: dict[str, Any]) -> Landed:
    config = {"source": {"type": "csv", "source_path": str(path), **source}, "transformer": transformer}
    report = run(parse_job("t", config), "run-1")
    landed = Landed(
        project.table("default.t").to_pylist(),
        project.table("default.t__quarantine").to_pylist() if report.rows_quarantined else [],
    )
    assert (report.rows_loaded, report.rows_quarantined) == (len(landed.rows), len(landed.rejected))
    assert report.rows_read == report.rows_loaded + report.rows_quarantined + report.rows_filtered
    return landed


def test_french_decimal_commas_and_short_years_arrive_exactly(project: Project, corpus: Path) -> None:
    path = corpus / "table-with-accents.csv"
    amounts = ["Occupancy rate", "Average Price", "RevPAR"]
    transformer = {
        "date_columns": {"Date": "%d-%m-%y"},
        "numeric_columns": amounts,
        "types": dict.fromkeys(amounts, "decimal(20,10)") | {"Année": "int"},
    }
    landed = land(project, path, {"delimiter": ";", "encoding": "cp1252"}, transformer)
    with path.open(encoding="cp1252", newline="") as file:
        truth = list(csv.DictReader(file, delimiter=";"))
    assert (len(truth), landed.rejected) == (638, [])
    for row, found in zip(truth, landed.rows, strict=True):
        day, month, year = map(int, row["Date"].split("-"))
        assert (found["Date"], found["Année"]) == (dt.date(2000 + year, month, day), int(row["Année"]))
        assert [found[name] for name in amounts] == [Decimal(row[name].replace(",", ".")) for name in amounts]
        assert (found["Classement"], found["Quartier"]) == (row["Classement"], row["Quartier"])


def test_numbers_of_every_kind_are_told_apart(project: Project, corpus: Path) -> None:
    landed = land(project, corpus / "number__number-test.csv", {}, {"numeric_columns": ["number"]})
    assert math.isnan(landed.rows[0]["number"])
    assert [row["number"] for row in landed.rows[1:]] == [
        math.inf, -math.inf, -1.0, 0.0, 1.0, -99.99, -0.0, 0.95, -0.02, 3000.0, 40000.0,
    ]  # fmt: skip
    (price,) = landed.rejected
    assert (price["column"], price["position"], price["value"].strip()) == ("number", 11, "$4.00")
    assert "it has a currency sign" in price["reason"]


def test_offsets_are_kept_and_a_time_without_one_is_asked_about(project: Project, corpus: Path) -> None:
    transformer = {"column_mapping": {"datetime": "at"}, "types": {"at": "timestamptz"}}
    landed = land(project, corpus / "timezone.csv", {}, transformer)
    assert [row["at"] for row in landed.rows] == [utc(2020, 1, 1, hour) for hour in (15, 12, 18)]
    (naive,) = landed.rejected
    assert (naive["position"], naive["value"]) == (2, "2020-01-01T15:00:00")
    assert NO_OFFSET in naive["reason"]


def test_a_zone_answers_for_times_without_offset(project: Project, corpus: Path) -> None:
    transformer = {
        "column_mapping": {"datetime": "at"},
        "types": {"at": "timestamptz"},
        "timezone": "Europe/Stockholm",
    }
    landed = land(project, corpus / "timezone.csv", {}, transformer)
    assert [row["at"] for row in landed.rows] == [utc(2020, 1, 1, hour) for hour in (14, 15, 12, 18)]
    assert landed.rejected == []


def test_a_byte_order_mark_is_no_part_of_the_first_name_or_value(project: Project, corpus: Path) -> None:
    landed = land(project, corpus / "bom.csv", {}, {"numeric_columns": ["id"], "types": {"id": "long"}})
    assert [row["id"] for row in landed.rows] == [1, 2]
    assert landed.rejected == []
