"""Any rows, and any options of the base transformer for them, for tests of what must hold whatever comes."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from ingestion_tests.any_expressions import CONDITIONS, EXPRESSIONS

__all__ = ["COLUMNS", "RESHAPING", "options", "records"]

_NBSP, _NNBSP, _BOM = "\u00a0", "\u202f", "\ufeff"
_NASTY = st.sampled_from([
    "", " ", _NBSP, "NaN", "null", "1.234,56", f"1{_NNBSP}234", "(12)", "12 %", "1e400", "-0", "2024-02-30", "ja", "Nej",
    "31.12.2024", "2024-03-31 02:30:00", "24:00", f"{_BOM}1", "'", "\\", "%s", "{x}", "a;b", '"', "\n", "\x00", "ß", "İ",
    "e\u0301", "\U0001f600", "9" * 40, "x" * 300,
])  # fmt: skip
_TEXTS = st.none() | _NASTY | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_NUMBERS = st.sampled_from(["1", "1,5", "1.5", "1.234", "-3", "+0", "1e3", "9007199254740993", None]) | _TEXTS
_DAYS = st.sampled_from(["2024-01-31", "2024-02-29T00:00", "1/2/2024", "2024-12-31 10:11", None]) | _TEXTS
_LONGS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
_POINTS = st.none() | st.fixed_dictionaries({"x": _LONGS, "inner": st.none() | st.fixed_dictionaries({"y": _TEXTS})})
_ITEMS = st.none() | st.lists(st.none() | st.integers(-3, 3), max_size=3)
_MOMENTS = st.none() | st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))  # noqa: DTZ001 - without zone
_DECIMALS = st.none() | st.decimals(Decimal(-(10**9)), Decimal(10**9), places=2)
_POINT = pa.struct([("x", pa.int64()), ("inner", pa.struct([("y", pa.string())]))])

COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), _TEXTS),
    "amount": (pa.string(), _NUMBERS),
    "day": (pa.large_string(), _DAYS),
    "flag": (pa.string(), st.sampled_from(["ja", "NEJ", "1", "off", "2", None]) | _TEXTS),
    "n": (pa.int64(), _LONGS),
    "small": (pa.int32(), st.none() | st.integers(-(2**31), 2**31 - 1)),
    "price": (pa.float64(), st.none() | st.sampled_from([0.0, -0.0, math.nan, math.inf, 1e300]) | st.floats()),
    "money": (pa.decimal128(12, 2), _DECIMALS),
    "at": (pa.timestamp("us"), _MOMENTS),
    "on": (pa.date32(), st.none() | st.dates()),
    "zoned": (pa.timestamp("us", "UTC"), _MOMENTS),
    "clock": (pa.time64("us"), st.none() | st.times()),
    "kind": (pa.dictionary(pa.int32(), pa.string()), st.none() | st.sampled_from(["a", "1", "ja"])),
    "nothing": (pa.null(), st.none()),
    "yes": (pa.bool_(), st.none() | st.booleans()),
    "raw": (pa.binary(), st.none() | st.binary(max_size=4)),
    "items": (pa.list_(pa.int64()), _ITEMS),
    "more": (pa.list_(_POINT), st.none() | st.lists(_POINTS, max_size=2)),
    "point": (_POINT, _POINTS),
    "Odd Näme": (pa.string(), _TEXTS),
}
"""The type of each column, and what may stand in it."""

RESHAPING = ("explode", "transformations")
"""Options after which a row need not be one row any more, or may be without its number."""

_NAMES = st.sampled_from([*COLUMNS, "id"] * 6 + ["ghost", "point_x", "made"])
_TYPES = st.sampled_from(
    ["int", "long", "float", "double", "decimal(10,2)", "string", "boolean", "date", "time", "timestamp", "timestamptz"]
)
_FORMATS = st.sampled_from([None, "%d/%m/%Y", "%Y-%m-%d %H:%M", "%d %b %y", ["%d/%m/%Y", "%Y%m%d"], "%Y-%m-%dT%H:%M%z"])
_SOME_NAMES = st.lists(_NAMES, min_size=1, max_size=2, unique=True)


_TRANSFORMATIONS = st.one_of(
    st.tuples(_NAMES, EXPRESSIONS).map(lambda made: {"add_column": {"name": made[0] or "made", "formula": made[1]}}),
    CONDITIONS.map(lambda condition: {"filter": condition}),
    st.tuples(_NAMES, _NAMES).map(lambda names: {"rename_columns": {names[0]: f"{names[1]}2"}}),
    _SOME_NAMES.map(lambda names: {"drop_columns": names}),
    st.lists(_NAMES, min_size=1, max_size=4, unique=True).map(lambda names: {"select": ["id", *names]}),
    st.tuples(_NAMES, CONDITIONS).map(
        lambda query: {"sql": f'SELECT *, "{query[0]}" AS made FROM input WHERE {query[1]}'}
    ),
    st.tuples(EXPRESSIONS).map(lambda query: {"sql": {"query": f"SELECT id, {query[0]} AS made FROM input", "over": "load"}}),
)  # fmt: skip
_FAILS = st.sampled_from(["quarantine", "drop", "warn", "fail"])
_RULES = st.one_of(
    st.tuples(_NAMES).map(lambda one: {"rule": "not_null", "column": one[0]}),
    _SOME_NAMES.map(lambda names: {"rule": "unique", "columns": names}),
    st.tuples(_NAMES, st.lists(st.sampled_from([1, "a", 2.5, True, "2024-01-31"]), min_size=1)).map(
        lambda one: {"rule": "in", "column": one[0], "values": one[1]}
    ),
    st.tuples(_NAMES, st.sampled_from([0, "a", 1.5, "2024-01-31"])).map(
        lambda one: {"rule": "between", "column": one[0], "min": one[1]}
    ),
    st.tuples(_NAMES, st.sampled_from(["a+", "(a|a)*b", "^.$", "\\d"])).map(
        lambda one: {"rule": "regex", "column": one[0], "pattern": one[1]}
    ),
    st.tuples(_NAMES, st.integers(0, 3)).map(lambda one: {"rule": "length", "column": one[0], "max": one[1]}),
    CONDITIONS.map(lambda one: {"rule": "expression", "expression": one}),
)
_VALIDATION = st.tuples(_RULES, _FAILS).map(lambda both: {**both[0], "on_fail": both[1]})
_MASKS = st.sampled_from(["hash", "hmac", "redact", "partial", {"method": "partial", "keep": 1}])
_MISSING = st.one_of(
    st.sampled_from(["none", "drop", {"fill_null": 0}, {"fill_null": "?"}]),
    _SOME_NAMES.map(lambda names: {"drop": names}),
    st.tuples(_NAMES, st.sampled_from([0, "?", 1.5, True, "2024-01-31"])).map(
        lambda one: {"fill_null": {one[0]: one[1]}}
    ),
)

_EACH: dict[str, st.SearchStrategy[Any]] = {
    "column_mapping": st.dictionaries(_NAMES, _NAMES.map("{}2".format) | st.just("text"), max_size=2),
    "clean_column_names": st.booleans(),
    "types": st.dictionaries(_NAMES, _TYPES, max_size=3),
    "date_columns": st.dictionaries(st.sampled_from(["day", "at", "on", "text"]), _FORMATS, max_size=2),
    "timezone": st.sampled_from(["Europe/Stockholm", "Asia/Kolkata"]),
    "numeric_columns": st.lists(
        st.sampled_from(["amount", "n", "price", "money", "text", "ghost"]), max_size=2, unique=True
    ),
    "decimal_separator": st.sampled_from(["auto", ".", ","]),
    "thousands_separator": st.sampled_from(["auto", "", " ", ".", "'"]),
    "boolean_columns": st.lists(st.sampled_from(["flag", "yes", "n"]), max_size=2, unique=True),
    "trim": st.booleans() | _SOME_NAMES,
    "handle_missing_values": _MISSING,
    "filters": st.lists(CONDITIONS, max_size=2),
    "transformations": st.lists(_TRANSFORMATIONS, max_size=2),
    "flatten": st.sampled_from([{}, {"separator": "."}, {"max_depth": 1}]),
    "explode": st.lists(st.sampled_from(["items", "more", "text", "ghost"]), max_size=2, unique=True),
    "mask": st.dictionaries(_NAMES, _MASKS, max_size=2),
    "deduplicate": st.tuples(_SOME_NAMES, st.lists(_NAMES, max_size=1)).map(
        lambda both: {"keys": both[0], "order_by": both[1]}
    ),
    "validation": st.lists(_VALIDATION, max_size=2),
    "validate_schema": st.dictionaries(_NAMES, _TYPES, max_size=1),
    "on_conversion_error": st.sampled_from(["quarantine", "null", "fail"]),
}


@st.composite
def options(draw: st.DrawFn, without: tuple[str, ...] = (), most: int = 4) -> dict[str, Any]:
    """Options by name, a few at a time; not all that can be drawn are a valid job."""
    names = draw(st.lists(st.sampled_from([name for name in _EACH if name not in without]), max_size=most, unique=True))
    drawn = {name: draw(_EACH[name]) for name in names}
    return drawn | ({"mask_key": "0123456789abcdef"} if "hmac" in drawn.get("mask", {}).values() else {})


@st.composite
def records(draw: st.DrawFn, most: int = 6) -> pa.RecordBatch:
    """Rows of all columns, numbered from 0 by id, and by row, which no option but transformations names."""
    count = draw(st.integers(1, most))
    rows = draw(
        st.fixed_dictionaries(
            {name: st.lists(values, min_size=count, max_size=count) for name, (_, values) in COLUMNS.items()}
        )
    )
    arrays = {name: pa.array(rows[name], dtype) for name, (dtype, _) in COLUMNS.items()}
    numbers = pa.array(range(count), pa.int64())
    return pa.record_batch({"row": numbers, "id": numbers, **arrays})
