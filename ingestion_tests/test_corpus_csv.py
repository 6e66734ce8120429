"""Every CSV file of the corpus gives the rows that its truth states, or is refused in clear words.

The table was written from the corpus' index and from looking at the files.
"""

import os
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import DataError
from ingestion_tests.csv_loads import load

_FOLDERS = ("csv", "compressed", "csv_incremental")
_NOT_CSV = {"compressed/feed-sample1.xml.gz", "compressed/feed-sample1.zip"}
UTC = timezone.utc


@dataclass
class Case:
    """One file, read one way."""

    name: str
    rows: int = 0
    columns: list[str] | int = 0
    options: dict[str, Any] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    bad_lines: list[int] = field(default_factory=list)
    blank: int = 0
    error: str = ""

    def __str__(self) -> str:
        options = ",".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.name}[{options}]"


PERSON = ["id", "name", "age"]
TABLE = {
    "rows": 2,
    "columns": ["id", "name"],
    "types": {"id": "int64", "name": "string"},
    "last": {"id": 2, "name": "中国人"},
}
AGGREGATE = {
    "rows": 100,
    "columns": [f"c{number}" for number in range(1, 14)],
    "types": {"c1": "string", "c2": "int64", "c6": "int64", "c10": "decimal128(38, 0)", "c12": "double"},
    "first": {"c6": -6513304855495910254, "c10": Decimal(5863949479783605708), "c11": 0.110830784},
    "last": {"c10": Decimal(13526465947516666293), "c13": "cq4WSAIFwx3wwTUS5bp1wCe71R6U5I"},
}
BUDGET = {
    "rows": 5,
    "columns": 17,
    "types": {"AÑO": "int64", "pbi": "double", "INCISO": "string"},
    "first": {"INCISO": "A.N.E.P.", "AÑO": 2019},
    "last": {"pbi": 0.001586},
}
WEATHER = {
    "rows": 24,
    "columns": ["code", "date", "temperature"],
    "types": {"date": "timestamp[us]", "temperature": "double"},
}
FRENCH = ["Classement", "Quartier", "Date", "Année", "Occupancy rate", "Average Price", "RevPAR", "Source"]

CASES = [
    Case(
        "csv/accent.csv",
        2,
        17,
        {"delimiter": ";"},
        {
            "code_insee": "string",
            "puiss_max": "double",
            "Xlongitude": "double",
            "date_maj": "string",
            "accessibilité": "string",
        },
        {"code_insee": "06090", "date_maj": "2018/03/31", "Xlongitude": 6.92641},
    ),
    Case("csv/accent.csv", 2, 17, {"delimiter": "auto"}, {"code_insee": "string"}),
    Case("csv/aggregate_test_100.csv", **AGGREGATE),
    Case("csv/ascii-notvalid.csv", 1, ["A", "B", "C"], first={"A": 1, "B": "ssµ", "C": "ab€"}),
    Case("csv/blank-cells.csv", 5, ["id", "name"], last={"id": 5, "name": None}),
    Case("csv/blank-cells.csv", 5, ["id", "name"], {"null_values": ["NA"]}, last={"id": 5, "name": ""}),
    Case("csv/blank-headers.csv", 2, ["id", "column_2", "age"], last={"id": 1102, "column_2": "Julie", "age": 26}),
    # 14 records: the header, 2 rows, 11 blank ones.
    Case("csv/blank-rows-multiple.csv", 2, PERSON, types={"id": "int64"}, blank=11),
    Case(
        "csv/blank-rows-multiple.csv",
        13,
        PERSON,
        {"skip_blank_rows": False},
        {"id": "int64"},
        last=dict.fromkeys(PERSON),
    ),
    Case("csv/blank-rows.csv", 2, PERSON, blank=1),
    Case("csv/blank-rows.csv", 3, PERSON, {"skip_blank_rows": False}, last=dict.fromkeys(PERSON)),
    Case("csv/bom.csv", 2, ["id", "name"], first={"id": 1, "name": "english"}),
    Case(
        "csv/capital-invalid.csv",
        8,
        ["id", "name", "name_2"],
        first={"id": 1, "name": "London", "name_2": "Britain"},
        bad_lines=[10, 12],
        blank=1,
    ),
    Case("csv/csv__freshman_kgs.csv", 67, 5, types={"Sex": "string", "Weight(Sep)": "int64", "BMI(Sep)": "double"}),
    # Unquoted commas inside the header's names: 7 cells over rows of 5.
    Case("csv/csv__freshman_lbs.csv", 0, 7, bad_lines=list(range(2, 69)), blank=1),
    Case(
        "csv/csv__freshman_lbs.csv",
        67,
        5,
        {"skip_rows": 1, "header": ["sex", "sep", "apr", "bmi_sep", "bmi_apr"]},
        {"sep": "int64", "bmi_sep": "double"},
        {"sex": "M", "sep": 159, "apr": 130, "bmi_sep": 22.02, "bmi_apr": 18.14},
        blank=1,
    ),
    Case(
        "csv/csv__mlb_players.csv",
        1034,
        6,
        types={"Name": "string", "Height(inches)": "int64", "Weight(lbs)": "int64", "Age": "double"},
        first={"Name": "Adam Donachie", "Age": 22.99},
        last={"Name": "Josh Kinney", "Weight(lbs)": 195},
    ),
    Case("csv/csv__mlb_teams_2012.csv", 30, ["Team", "Payroll(millions)", "Wins"], types={"Wins": "int64"}, blank=1),
    Case("csv/defective-rows.csv", 0, PERSON, bad_lines=[2, 3]),
    Case("csv/defective-rows.csv", options={"on_bad_row": "fail"}, error="line 2 has 2 cells, the header has 3"),
    Case("csv/delimiter.csv", options={"delimiter": ";"}, **TABLE),
    Case("csv/doublequote.csv", **BUDGET),
    Case(
        "csv/duplicate-headers.csv",
        2,
        ["id", "name", "id_2", "age", "id_3"],
        types={"id_3": "string"},
        last={"id_3": "001102"},
    ),
    Case("csv/duplicate-rows.csv", 3, PERSON, last={"id": 1101, "name": "John", "age": 30}),
    Case("csv/empty.csv"),
    Case("csv/encoding-issue-274.csv", 507, 17, types={"id": "string"}, first={"id": "nz/a2f"}),
    # A blank before a quote makes the quote ordinary, so that the backslash of line 4 is ordinary too.
    Case("csv/escaping.csv", 3, ["ID", "Test"], types={"ID": "int64"}, last={"ID": 3, "Test": ' "Test \\" line 3"'}),
    Case("csv/floats.csv", 5, ["number"], types={"number": "double"}, last={"number": 1.5}),
    Case("csv/invalid.csv", 0, ["id", "name", "column_3", "name_2"], bad_lines=[2, 3, 5], blank=1),
    Case("csv/issue-1066-smallcellsize.csv", 12, ["Description", "status"], last={"status": "test"}),
    Case(
        "csv/issue-1105-timezone.csv",
        2,
        ["id", "timestamp"],
        {"delimiter": ";"},
        {"timestamp": "timestamp[us, tz=UTC]"},
        last={"timestamp": datetime(2020, 1, 1, 12, tzinfo=UTC)},
    ),
    Case("csv/issue-277.csv", 75, 71, types={"Source": "string"}),
    Case(
        "csv/issue-305.csv",
        338,
        31,
        types={"data_id": "int64", "event_date": "date32[day]", "latitude": "double", "timestamp": "int64"},
        first={"data_id": 7006950, "event_date": date(2020, 3, 25), "latitude": 53.6884, "assoc_actor_2": None},
    ),
    Case("csv/latin1.csv", error="line 3: byte 0xA9 at position 3 is not utf-8; set source.encoding"),
    Case("csv/latin1.csv", 2, ["id", "name"], {"encoding": "latin-1"}, last={"id": 2, "name": "©"}),
    Case(
        "csv/leading-zeros.csv", 3, ["value"], types={"value": "string"}, first={"value": "01"}, last={"value": "00003"}
    ),
    Case(
        "csv/leading-zeros.csv", 3, ["value"], {"preserve_leading_zeros": False}, {"value": "int64"}, last={"value": 3}
    ),
    Case(
        "csv/leading-zeros.csv", 3, ["value"], {"schema_hints": {"value": "int"}}, {"value": "int32"}, last={"value": 3}
    ),
    Case(
        "csv/matrix-with-comment.csv", 4, ["f1", "f2", "f3", "f4"], {"comment": "#"}, {"f4": "int64"}, last={"f4": 44}
    ),
    Case("csv/matrix-with-comment.csv", 4, ["f1", "f2", "f3", "f4"], {"skip_rows": 1}, {"f4": "int64"}),
    # "95%" and "$4.00 " are no numbers without being asked, so that nothing is lost: all text.
    Case(
        "csv/number__number-test.csv",
        13,
        6,
        types={"number": "string"},
        first={"number": "NaN"},
        last={"number": "4e4"},
    ),
    Case(
        "csv/number__number-test.csv",
        11,
        6,
        {"schema_hints": {"number": "double"}},
        {"number": "double", "required": "string"},
        last={"number": 40000.0},
        bad_lines=[10, 11],
    ),
    Case(
        "csv/numeric-labels.csv", 3, 10, types={"id": "string", "100022": "bool"}, first={"id": "id1", "100047": False}
    ),
    Case("csv/skip-rows-before-headers.csv", options={"skip_rows": 1}, **TABLE),
    Case("csv/skip-rows.csv", options={"comment": "#"}, **TABLE),
    # Only the first of two such lines goes; the second is a ragged row.
    Case("csv/skip-rows.csv", 2, ["id", "name"], {"skip_rows": 1}, bad_lines=[4]),
    Case(
        "csv/sniff_example1.csv", 4, ["id", "species", "name", "age"], last={"name": "Daisy, the tarantula", "age": 6}
    ),
    Case(
        "csv/sniff_example2.csv",
        4,
        ["id", "species", "name", "age"],
        {"delimiter": "auto"},
        last={"name": "Daisy, the tarantula"},
    ),
    Case("csv/structure-errors.csv", 2, PERSON, bad_lines=[5], blank=1),
    Case(
        "csv/table-10x10k.csv",
        9999,
        10,
        types={
            "integer": "int64",
            "decimal": "double",
            "boolean": "bool",
            "datetime": "timestamp[us, tz=UTC]",
            "date": "date32[day]",
            "time": "string",
            "array": "string",
        },
        first={"string": "hp3xij", "datetime": datetime(1947, 2, 1, 7, 17, 6, tzinfo=UTC), "array": "1,7"},
        last={"string": "tvkb2w", "date": date(1989, 10, 4)},
    ),
    Case("csv/table-infer-iso-8859-7.csv", error="line 2: byte 0xCB at position 6 is not utf-8"),
    Case(
        "csv/table-infer-iso-8859-7.csv",
        4,
        ["id", "age", "name"],
        {"encoding": "iso-8859-7"},
        last={"id": 4, "name": "Ευστοργιος"},
    ),
    Case(
        "csv/table-with-accents.csv",
        638,
        FRENCH,
        {"encoding": "cp1252", "delimiter": ";", "decimal_separator": ","},
        {"Date": "string", "Année": "int64", "Occupancy rate": "double", "RevPAR": "double"},
        {"Classement": "3 stars", "Date": "01-01-13", "Occupancy rate": 0.611553068, "Average Price": 81.20416129},
    ),
    Case(
        "csv/table-with-accents.csv",
        638,
        FRENCH,
        {"encoding": "auto", "delimiter": "auto"},
        {"Occupancy rate": "string"},
    ),
    Case("csv/table-with-accents.csv", error="line 1: byte 0xE9 at position 29 is not utf-8"),
    Case("csv/table.csv", **TABLE),
    Case("csv/table.csv2k", **TABLE),
    Case("csv/table.csvformat", 3, ["city", "population"], types={"population": "int64"}, last={"population": 2877215}),
    Case("csv/table.tsv", 3, ["id", "name"], {"delimiter": "\t"}, last={"id": 3, "name": "\\N"}),
    Case(
        "csv/table.tsv",
        3,
        ["id", "name"],
        {"delimiter": "auto", "null_values": ["", "\\N"]},
        last={"id": 3, "name": None},
    ),
    # With and without offset in one column: text keeps both.
    Case(
        "csv/timezone.csv",
        4,
        ["datetime", "time"],
        types={"datetime": "string", "time": "string"},
        last={"datetime": "2020-01-01T15:00:00-03:00"},
    ),
    Case(
        "csv/vix.csv",
        2,
        5,
        {"delimiter": ";"},
        {"Date": "timestamp[us, tz=UTC]", "VIXClose": "double"},
        last={"VIXOpen": 17.66},
    ),
    Case("csv/wide.csv", 3, 9074, types={"id": "string", "100022": "bool"}),
    Case(
        "csv/without-headers.csv",
        3,
        ["column_1", "column_2"],
        {"header": False},
        {"column_1": "int64"},
        last={"column_2": "german"},
    ),
    Case("csv/without-headers.csv", 3, ["id", "name"], {"header": ["id", "name"]}, first={"id": 1, "name": "english"}),
    Case("csv/without-rows.csv", 0, ["id", "name"]),
    Case("compressed/aggregate_test_100.csv.gz", **AGGREGATE),
    Case("compressed/compression__explicit.csv.gz", options={"compression": "gzip"}, **TABLE),
    Case("compressed/compression__implicit-gz.csv", **TABLE),
    Case("compressed/doublequote.csv.zip", **BUDGET),
    Case(
        "compressed/gzip__taxi.csv.gz",
        10,
        17,
        {"header": False},
        {"column_1": "int64", "column_2": "timestamp[us]", "column_4": "double"},
    ),
    Case("compressed/table.csv.bz2", **TABLE),
    Case("compressed/table.csv.gz", **TABLE),
    Case("compressed/table.csv.xz", **TABLE),
    Case("compressed/table.csv.zip", **TABLE),
    Case("compressed/truncated-crc-error.gz", error="the gzip data is damaged or cut short"),
    Case("compressed/without-rows.csv.zip", 0, ["id", "name"]),
    Case(
        "csv_incremental/met_csv__A801__A881_20230920.csv",
        **WEATHER,
        first={"code": "A881", "date": datetime.fromisoformat("2023-09-20"), "temperature": 18.7},
    ),
    Case("csv_incremental/met_csv__A803__A803_20230919.csv", **WEATHER, first={"code": "A803", "temperature": 18.8}),
    Case("csv_incremental/met_csv__A803__A803_20230920.csv", **WEATHER, first={"code": "A803", "temperature": 21.7}),
]


@pytest.fixture(scope="module")
def corpus() -> Path:
    given = os.environ.get("INGESTION_CORPUS")
    if not given:
        pytest.skip("INGESTION_CORPUS names no corpus")
    assert Path(given).is_dir(), f"INGESTION_CORPUS={given} is no folder"
    return Path(given)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_corpus_file_gives_its_rows(corpus: Path, case: Case) -> None:
    if case.error:
        with pytest.raises(DataError) as caught:
            load(corpus / case.name, **case.options)
        assert case.error in str(caught.value)
        return
    loaded = load(corpus / case.name, **case.options)
    assert loaded.restarts == []
    assert loaded.bad_lines == case.bad_lines
    assert loaded.removed["blank_row"] == case.blank
    assert len(loaded.rows) == case.rows
    if case.columns:
        names = loaded.table.schema.names
        assert names == case.columns if isinstance(case.columns, list) else len(names) == case.columns
    for name, expected in case.types.items():
        assert (name, loaded.types[name]) == (name, expected)
    for row, expected_row in ((0, case.first), (-1, case.last)):
        assert {name: loaded.rows[row][name] for name in expected_row} == expected_row
    assert loaded.bytes_read == (corpus / case.name).stat().st_size


def test_the_table_names_every_csv_file_of_the_corpus(corpus: Path) -> None:
    found = {
        f"{folder}/{path.name}"
        for folder in _FOLDERS
        for path in (corpus / folder).iterdir()
        if folder != "compressed" or ".tar" not in path.name
    }
    assert found - _NOT_CSV == {case.name for case in CASES}


def test_quoted_line_ends_keep_rows_and_lines_apart(corpus: Path) -> None:
    loaded = load(corpus / "csv" / "issue-1066-smallcellsize.csv", include_metadata=True)
    lines = [row["_source_row"] for row in loaded.rows]
    assert len(lines) == 12
    assert lines[:11] == list(range(2, 13))
    assert lines == loaded.positions


def test_the_daily_files_load_one_by_one_as_they_come(corpus: Path, tmp_path: Path) -> None:
    cursor = None
    for count, path in enumerate(sorted((corpus / "csv_incremental").iterdir()), 1):
        (tmp_path / path.name).write_bytes(path.read_bytes())
        loaded = load(tmp_path, since=cursor)
        assert loaded.sources == [str(tmp_path / path.name)]
        assert len(loaded.rows) == 24
        cursor = loaded.cursor
        assert cursor.num_rows == count
        assert load(tmp_path, since=cursor).records == []
