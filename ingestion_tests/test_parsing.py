"""Text becomes typed columns strictly: tables of values that fit and of values that do not."""

import datetime as dt
import math
from decimal import Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import ConfigError
from ingestion.parsing import DateFormat, cast_or_null, cast_text, expectation, parse_type, type_name

UTC = dt.timezone.utc
MISFIT = "misfit"


def cast(texts, dtype, **options):
    """The values, with MISFIT where the mask says so."""
    typed, misfits = cast_text(pa.array(texts, pa.string()), dtype, **options)
    typed.validate(full=True)
    assert typed.type == dtype
    assert len(typed) == len(misfits) == len(texts)
    assert misfits.null_count == 0
    return [MISFIT if misfit else value for value, misfit in zip(typed.to_pylist(), misfits.to_pylist(), strict=True)]


def stamp(*parts):
    return dt.datetime(*parts)  # noqa: DTZ001 - a timestamp without zone is the subject


def utc(*parts):
    return dt.datetime(*parts, tzinfo=UTC)


CASES = {
    "int": {"2147483647": 2147483647, "2147483648": MISFIT, "-2147483648": -2147483648, "-2147483649": MISFIT},
    "long": {
        "7": 7,
        "007": 7,
        "+5": 5,
        "-0": 0,
        " 7 ": 7,
        "\u00a07\u202f": 7,
        "9223372036854775807": 9223372036854775807,
        "9223372036854775808": MISFIT,
        "-9223372036854775808": -9223372036854775808,
        "00000000000000000000000001": 1,
        "12abc": MISFIT,
        "0x1F": MISFIT,
        "1.0": MISFIT,
        "1e3": MISFIT,
        "1_000": MISFIT,
        "1,000": MISFIT,
        "--1": MISFIT,
        "-": MISFIT,
        "\u0661\u0662": MISFIT,
        "": None,
        "   ": None,
    },
    "double": {
        "1.5": 1.5,
        "+1.5": 1.5,
        ".5": 0.5,
        "5.": 5.0,
        "1e3": 1000.0,
        "1E+3": 1000.0,
        "1e400": MISFIT,
        "-1e400": MISFIT,
        "1e-400": 0.0,
        "INF": math.inf,
        "-Infinity": -math.inf,
        "nan(1)": MISFIT,
        "0x1p3": MISFIT,
        "1.5e": MISFIT,
        "1,5": MISFIT,
        "1 000": MISFIT,
        ".": MISFIT,
        "n/a": MISFIT,
        "": None,
    },
    "float": {"1.5": 1.5, "1e39": MISFIT},
    "decimal(10,2)": {
        "1.10": Decimal("1.10"),
        "1.105": MISFIT,
        "1.1000": Decimal("1.10"),
        "+1.5": Decimal("1.50"),
        "1e2": Decimal("100.00"),
        "125e-2": Decimal("1.25"),
        "1e300": MISFIT,
        "1e-300": MISFIT,
        "12345678.90": Decimal("12345678.90"),
        "123456789.1": MISFIT,
        "00000000000000000000000000000000000000000001.50": Decimal("1.50"),
        "1.500000000000000000000000000000000000000000000": Decimal("1.50"),
        "-.5": Decimal("-0.50"),
        "000": Decimal("0.00"),
        "NaN": MISFIT,
        ".": MISFIT,
        "-": MISFIT,
        "": None,
    },
    "decimal(2,2)": {"0.5": Decimal("0.50"), ".25": Decimal("0.25"), "1": MISFIT},
    "decimal(38,37)": {
        "1e3": MISFIT,
        "1e0": Decimal(1),
        "9": Decimal(9),
    },
    "decimal(38,19)": {"59179200803e14": MISFIT},
    "decimal(10,4)": {"79427225275.1e-42": MISFIT, "794272.25275e-1": MISFIT, "794272.252e-1": Decimal("79427.2252")},
    "decimal(38,0)": {"9" * 38: Decimal("9" * 38), "9" * 39: MISFIT},
    "boolean": {
        "true": True,
        "TRUE": True,
        "1": True,
        " false ": False,
        "0": False,
        "yes": MISFIT,
        "2": MISFIT,
        "": None,
    },
    "date": {
        "2024-01-02": dt.date(2024, 1, 2),
        "2024-02-29": dt.date(2024, 2, 29),
        "2023-02-29": MISFIT,
        "2000-02-29": dt.date(2000, 2, 29),
        "1900-02-29": MISFIT,
        "2024-02-30": MISFIT,
        "2024-04-31": MISFIT,
        "2024-13-01": MISFIT,
        "2024-1-2": MISFIT,
        "20240102": MISFIT,
        "0000-01-01": MISFIT,
        "0001-01-01": dt.date(1, 1, 1),
        "9999-12-31": dt.date(9999, 12, 31),
        "10000-01-01": MISFIT,
        "2024-01-02T00:00:00": MISFIT,
        "": None,
    },
    "time": {
        "10:11": dt.time(10, 11),
        "10:11:12": dt.time(10, 11, 12),
        "10:11:12.123456": dt.time(10, 11, 12, 123456),
        "10:11:12.1234567": MISFIT,
        "24:00:00": MISFIT,
        "10:11:60": MISFIT,
        "1:2:3": MISFIT,
    },
    "timestamp": {
        "2024-01-02": stamp(2024, 1, 2),
        "2024-01-02 10:11": stamp(2024, 1, 2, 10, 11),
        "2024-01-02T10:11:12.5": stamp(2024, 1, 2, 10, 11, 12, 500000),
        "2024-01-02T10:11:12.123456000": stamp(2024, 1, 2, 10, 11, 12, 123456),
        "2024-01-02T10:11:12.1234567": MISFIT,
        "2024-01-02T10:11:12Z": MISFIT,
        "2024-01-02 10:11:12+02": MISFIT,
        "2024-01-02 24:00:00": MISFIT,
        "2024-01-02 10:11:60": MISFIT,
        "2024-02-30 10:11:12": MISFIT,
        "9999-12-31T23:59:59.999999": stamp(9999, 12, 31, 23, 59, 59, 999999),
        "0000-12-31T23:59:59": MISFIT,
    },
    "timestamptz": {
        "2024-01-02T10:11:12Z": utc(2024, 1, 2, 10, 11, 12),
        "2024-01-02 10:11:12+02:00": utc(2024, 1, 2, 8, 11, 12),
        "2024-01-02 10:11:12-0330": utc(2024, 1, 2, 13, 41, 12),
        "2024-01-02 10:11:12 +0200": utc(2024, 1, 2, 8, 11, 12),
        "2024-01-02 10:11:12 UTC": utc(2024, 1, 2, 10, 11, 12),
        "2024-01-02T10:11:12": MISFIT,
        "2024-01-02": MISFIT,
        "9999-12-31T23:59:59-05:00": MISFIT,
        "0001-01-01T00:00:00+05:00": MISFIT,
    },
    "string": {"": "", " 007 ": " 007 ", "NaN": "NaN"},
    "binary": {"": b"", " a": b" a"},
}


@pytest.mark.parametrize("name", CASES)
def test_values_fit_or_are_misfits(name):
    texts, expected = list(CASES[name]), list(CASES[name].values())
    assert cast(texts, parse_type(name)) == expected


@pytest.mark.parametrize("dtype", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("option", [{}, {"decimal_separator": ","}, {"thousands_separator": "'"}, {"formats": ["%Y"]}])
def test_text_stays_as_it_is_whatever_numbers_and_dates_look_like(dtype, option):
    assert cast([" 1,5 ", "x", "", None], dtype, **option) == [" 1,5 ", "x", "", None]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in CASES for text in CASES[name]])
def test_a_value_means_the_same_alone_and_among_misfits(name, text):
    dtype = parse_type(name)
    expected = [CASES[name][text]]
    assert cast([text], dtype) == expected
    assert cast([text, "?", None], dtype)[:1] == expected


def test_not_a_number_stays_a_double():
    typed, misfits = cast_text(pa.array(["NaN", "-nan", "1"]), pa.float64())
    assert [math.isnan(value) for value in typed.to_pylist()] == [True, True, False]
    assert not any(misfits.to_pylist())


@pytest.mark.parametrize(("name", "alphabet"), [
    ("long", "0123456789+-xXeE. _"),
    ("double", "0123456789+-xXeEnaif(). "),
    ("decimal(6,2)", "0123456789+-eE. "),
    ("date", "0129-T: "),
    ("timestamp", "0129-T:.Z+ "),
    ("timestamptz", "0129-T:.Z+ "),
])  # fmt: skip
@given(data=st.data())
def test_any_text_means_the_same_alone_and_among_misfits(name, alphabet, data):
    dtype = parse_type(name)
    text = data.draw(st.text(alphabet, max_size=12) | st.text(max_size=6))
    alone, among = cast([text], dtype), cast(["?", text], dtype)[1:]
    assert repr(alone) == repr(among)


@pytest.mark.parametrize(("name", "strategy", "write"), [
    ("long", st.integers(-(2**63), 2**63 - 1), str),
    ("double", st.floats(allow_nan=False), repr),
    ("date", st.dates(), dt.date.isoformat),
    ("timestamp", st.datetimes(), dt.datetime.isoformat),
    ("decimal(20,5)", st.decimals(-(10**14), 10**14, places=5), lambda value: f"{value:f}"),
])  # fmt: skip
@given(data=st.data())
def test_every_value_survives_a_round_trip_through_text(name, strategy, write, data):
    value = data.draw(strategy)
    assert cast([write(value), "?"], parse_type(name)) == [value, MISFIT]
    assert cast([write(value)], parse_type(name)) == [value]


FORMATS = [
    ("date", ["%d/%m/%Y"], {
        "01/02/2024": dt.date(2024, 2, 1),
        "1/2/2024": dt.date(2024, 2, 1),
        "29/02/2024": dt.date(2024, 2, 29),
        "29/02/2023": MISFIT,
        "31/02/2024": MISFIT,
        "01/13/2024": MISFIT,
        "01/02/24": MISFIT,
        "01/02/2024 x": MISFIT,
        " 01/02/2024 ": dt.date(2024, 2, 1),
        "0/2/2024": MISFIT,
        "01/02/0000": MISFIT,
        "": None,
    }),
    ("date", ["%Y%m%d"], {"20240102": dt.date(2024, 1, 2), "2024012": MISFIT, "202401021": MISFIT}),
    ("date", ["%d/%m/%Y", "%d-%m-%y"], {"31-12-24": dt.date(2024, 12, 31), "01/02/2024": dt.date(2024, 2, 1), "2024": MISFIT}),
    ("date", ["%d %b %Y", "%d %B %Y"], {"1 Jan 2024": dt.date(2024, 1, 1), "1 JANUARY 2024": dt.date(2024, 1, 1), "1 janv 2024": MISFIT}),
    ("date", ["%d/%m/%Y %H:%M"], {"01/02/2024 00:00": dt.date(2024, 2, 1), "01/02/2024 10:11": MISFIT}),
    ("timestamp", ["%d/%m/%Y"], {"01/02/2024": stamp(2024, 2, 1)}),
    ("timestamp", ["%d/%m/%Y %H:%M:%S.%f"], {
        "31/12/2024 10:11:12.5": stamp(2024, 12, 31, 10, 11, 12, 500000),
        "31/12/2024 10:11:12": stamp(2024, 12, 31, 10, 11, 12),
        "31/12/2024 10:11:60": MISFIT,
        "31/12/2024 24:00:00": MISFIT,
    }),
    ("timestamp", ["%m/%d/%y %I:%M %p"], {"12/31/24 02:30 pm": stamp(2024, 12, 31, 14, 30), "12/31/24 14:30 PM": MISFIT}),
    ("timestamptz", ["%FT%T%z"], {
        "2024-12-31T10:11:12Z": utc(2024, 12, 31, 10, 11, 12),
        "2024-12-31T10:11:12+02:00": utc(2024, 12, 31, 8, 11, 12),
        "2024-12-31T10:11:12": MISFIT,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("name", "formats", "values"), FORMATS)
def test_formats_are_read_strictly(name, formats, values):
    assert cast(list(values), parse_type(name), formats=formats) == list(values.values())


@pytest.mark.parametrize("digits", range(20, 39))
def test_a_number_that_the_zeros_behind_its_point_make_too_long_is_a_misfit(digits):
    text = "123456789012345678901234567890123456789"[:digits]
    fits = digits <= 20
    typed, wrong = cast_text(pa.array([text]), pa.decimal128(38, 18))
    assert (typed[0].as_py(), wrong[0].as_py()) == ((Decimal(text), False) if fits else (None, True))
    number = pa.array([Decimal(text)], pa.decimal128(38, 0))
    assert cast_or_null(number, pa.decimal128(38, 18)).to_pylist() == ([Decimal(text)] if fits else [None])


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40),
    st.integers(-60, 60),
    st.integers(1, 38).flatmap(lambda precision: st.tuples(st.just(precision), st.integers(0, precision))),
)
def test_decimals_are_exact_or_misfits(mantissa, exponent, shape):
    precision, scale = shape
    text = f"{mantissa:f}e{exponent}"
    exact = Decimal(text)
    wide = Context(prec=300)
    fits = abs(exact) < Decimal(10) ** (precision - scale) and exact == exact.quantize(
        Decimal(1).scaleb(-scale), context=wide
    )
    assert cast([text], pa.decimal128(precision, scale)) == [exact if fits else MISFIT]


@given(st.dates(min_value=dt.date(1000, 1, 1)), st.sampled_from(["%d/%m/%Y", "%Y%m%d", "%d %b %Y", "%Y-%j"]))
def test_every_date_survives_its_format(value, spelled):
    assert cast([value.strftime(spelled)], pa.date32(), formats=[spelled]) == [value]


@pytest.mark.parametrize("spelled", ["dd/mm/yyyy", "%d/%m", "%Y-%Q", "", "%Y %", "%Y%f"])
def test_a_format_that_cannot_be_read_strictly_is_refused(spelled):
    with pytest.raises(ConfigError, match="write a strptime format such as"):
        DateFormat.parse(spelled)


def test_times_without_offset_take_the_given_zone():
    texts = ["2024-07-01 12:00:00", "2024-07-01T12:00:00Z", "2024-03-31 02:30:00", "2024-10-27 02:30:00"]
    assert cast(texts, pa.timestamp("us", "UTC"), timezone="Europe/Stockholm") == [
        utc(2024, 7, 1, 10),
        utc(2024, 7, 1, 12),
        MISFIT,  # the clock skipped it
        utc(2024, 10, 27, 0, 30),  # the first of the two
    ]
    assert cast(
        ["01/07/2024 12:00"], pa.timestamp("us", "UTC"), formats=["%d/%m/%Y %H:%M"], timezone="Europe/Stockholm"
    ) == [utc(2024, 7, 1, 10)]


def test_separators_are_those_that_were_given():
    texts = ["1,5", "1 234,5", "1\u202f234\u00a0567,25", "1.5", "12 34,5", ",5", "-1,5E3", "1 2345"]
    assert cast(texts, pa.float64(), decimal_separator=",", thousands_separator=" ") == [
        1.5, 1234.5, 1234567.25, MISFIT, MISFIT, 0.5, -1500.0, MISFIT,
    ]  # fmt: skip
    assert cast(["1,234", "1,23,456", "12,34", "1234"], pa.int64(), thousands_separator=",") == [
        1234,
        123456,
        MISFIT,
        1234,
    ]
    assert cast(["1.234,50"], pa.decimal128(9, 2), decimal_separator=",", thousands_separator=".") == [
        Decimal("1234.50")
    ]


@pytest.mark.parametrize("option", [{"decimal_separator": ","}, {"thousands_separator": "-"}])
def test_separators_of_numbers_leave_dates_times_and_words_alone(option: dict[str, str]):
    assert cast(["2024-01-01", "soon"], pa.date32(), **option) == [dt.date(2024, 1, 1), MISFIT]
    assert cast(["2024-01-01 10:00:00.5Z"], pa.timestamp("us", "UTC"), **option) == [utc(2024, 1, 1, 10, 0, 0, 500_000)]
    assert cast(["10:00:00.5"], pa.time64("us"), **option) == [dt.time(10, 0, 0, 500_000)]
    assert cast(["TRUE"], pa.bool_(), **option) == [True]


def test_words_for_true_and_false_can_be_given():
    assert cast(["Oui", "NON", "true"], pa.bool_(), true_values=["oui"], false_values=["non"]) == [True, False, MISFIT]


@pytest.mark.parametrize(
    "name",
    [
        "int",
        "long",
        "float",
        "double",
        "decimal(9,2)",
        "string",
        "boolean",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "binary",
    ],
)
def test_type_names_are_those_of_their_types(name):
    assert type_name(parse_type(name)) == name
    assert expectation(parse_type(name))


def test_foreign_type_names_are_understood():
    assert [parse_type(name) for name in ("integer", "BIGINT", "text", "bool", " decimal( 5 , 2 ) ")] == [
        pa.int32(), pa.int64(), pa.string(), pa.bool_(), pa.decimal128(5, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "fragment"), [
    ("lnog", "did you mean 'long'"),
    ("varchar", "known types: int, long"),
    ("decimal", "decimal(p,s)"),
    ("decimal(39,2)", "precision goes from 1 to 38"),
    ("decimal(5,6)", "scale up to the precision"),
])  # fmt: skip
def test_an_unknown_type_is_refused_with_the_known_ones(name, fragment):
    with pytest.raises(ConfigError) as refused:
        parse_type(name)
    assert fragment in str(refused.value)


@pytest.mark.parametrize("name", CASES)
def test_no_rows_have_the_same_type(name):
    assert cast([], parse_type(name)) == []
    assert cast([None, None], parse_type(name)) == [None, None]
