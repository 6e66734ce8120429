"""Rows, cells and lines of CSV files: what is kept, what is left out, and where it stood."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ingestion.connectors.csv import CsvConnector
from ingestion.errors import DataError
from ingestion_tests.csv_loads import load, write


def test_a_quoted_empty_cell_is_empty_text_and_an_unquoted_one_is_null(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, 'n,s\n1,""\n"",\n3,x\n'))
    assert loaded.rows == [{"n": 1, "s": ""}, {"n": None, "s": None}, {"n": 3, "s": "x"}]


def test_null_values_are_null_in_every_column(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, 'n,s\n1,NA\nNA,"NA"\n3,\n'), null_values=["", "NA"])
    assert loaded.rows == [{"n": 1, "s": None}, {"n": None, "s": "NA"}, {"n": 3, "s": None}]


def test_trim_cuts_blanks_and_finds_nulls(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "n,s\n 1 , a b \n2,  \n"), trim=True)
    assert loaded.rows == [{"n": 1, "s": "a b"}, {"n": 2, "s": None}]


def test_blank_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a,b\n\n1,x\n,\n   \n2,y\n\n\n"))
    assert [row["a"] for row in loaded.rows] == [1, 2]
    assert loaded.positions == [3, 6]
    assert loaded.removed == {"blank_row": 5}


def test_a_quoted_empty_cell_makes_a_row(tmp_path: Path) -> None:
    assert load(write(tmp_path, 'a,b\n"",\n')).removed == {}


def test_blank_rows_can_be_kept(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a,b\n\n1,x\n,\n"), skip_blank_rows=False)
    assert [row["a"] for row in loaded.rows] == [None, 1, None]
    assert loaded.removed == {}


def test_a_single_column_has_blank_rows_too(tmp_path: Path) -> None:
    path = write(tmp_path, 'a\n1\n\n"2"\n')
    loaded = load(path)
    assert [row["a"] for row in loaded.rows] == [1, 2]
    assert loaded.positions == [2, 4]
    kept = load(path, skip_blank_rows=False)
    assert [row["a"] for row in kept.rows] == [1, None, 2]
    assert kept.positions == [2, 3, 4]


def test_ragged_rows_are_rejected_with_their_line_and_text(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b,c\n1,2,3\n4,5\n6,7,8,9\n"multi\nline",x,y\n1\n7,8,9\n')
    loaded = load(path)
    assert [row["b"] for row in loaded.rows] == ["2", "x", "8"]
    assert loaded.positions == [2, 5, 8]
    assert [(row["rule"], row["position"], row["reason"], row["payload"]) for row in loaded.rejects] == [
        ("ragged", 3, "line 3 has 2 cells, the header has 3", "4,5"),
        ("ragged", 4, "line 4 has 4 cells, the header has 3", "6,7,8,9"),
        ("ragged", 7, "line 7 has 1 cell, the header has 3", "1"),
    ]
    assert {row["source"] for row in loaded.rejects} == {str(path)}
    assert {row["stage"] for row in loaded.rejects} == {"read"}


def test_bad_rows_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,2\n3\nx,4\n5,6\n")
    loaded = load(path, on_bad_row="drop", schema_hints={"a": "int"})
    assert [row["a"] for row in loaded.rows] == [1, 5]
    assert loaded.rejects == []
    assert loaded.removed == {"bad_row": 2}


def test_the_first_bad_row_fails_the_run_where_it_should(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\nx,1\n3\n")
    with pytest.raises(DataError, match=r"line 2: a: 'x' is not a whole number"):
        load(path, on_bad_row="fail", schema_hints={"a": "int"})
    with pytest.raises(DataError, match=r"line 3: line 3 has 1 cell, the header has 2"):
        load(path, on_bad_row="fail")


def test_lines_are_physical_ones_whatever_the_cells_hold(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"x\n\ny",1\nz,2\n"""q""\n",3\nlast,oops\n')
    loaded = load(path, schema_hints={"b": "int"})
    assert [row["a"] for row in loaded.rows] == ["x\n\ny", "z", '"q"\n']
    assert loaded.positions == [2, 5, 6]
    assert loaded.bad_lines == [8]


def test_crlf_and_a_missing_last_line_end_change_nothing(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, b'a,b\r\n1,"x\r\ny"\r\n2,z'))
    assert loaded.rows == [{"a": 1, "b": "x\r\ny"}, {"a": 2, "b": "z"}]
    assert loaded.positions == [2, 4]


def test_old_macintosh_line_ends_are_line_ends(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, b"a,b\r1,x\r2,y\r"))
    assert loaded.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_comments_are_no_rows_and_count_as_lines(tmp_path: Path) -> None:
    path = write(tmp_path, '# one, "two\na,b\n#x\n1,# no comment\n# y\n2,"\n# cell"\nbad\n')
    loaded = load(path, comment="#")
    assert [row["b"] for row in loaded.rows] == ["# no comment", "\n# cell"]
    assert loaded.positions == [4, 6]
    assert loaded.bad_lines == [8]


def test_an_escape_character_makes_the_next_one_ordinary(tmp_path: Path) -> None:
    content = 'a,b\n1\\,5,"say \\"hi\\"\nto\\\\"\n2,y\n'
    loaded = load(write(tmp_path, content), escape_char="\\")
    assert loaded.rows == [{"a": "1,5", "b": 'say "hi"\nto\\'}, {"a": "2", "b": "y"}]


def test_quotes_can_be_ordinary_characters(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, 'a,b\n"1,x"\n'), quote_char="")
    assert loaded.rows == [{"a": '"1', "b": 'x"'}]


def test_another_quote_and_delimiter(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a|b\n'1|5'|'it''s'\n"), quote_char="'", delimiter="|")
    assert loaded.rows == [{"a": "1|5", "b": "it's"}]


def test_skipped_lines_at_both_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "report of today\n\na,b\n1,x\n2,y\ntotal,2\nsigned\n")
    loaded = load(path, skip_rows=2, skip_footer=2)
    assert loaded.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert loaded.positions == [4, 5]


def test_a_footer_as_long_as_the_file_leaves_nothing(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a,b\n1,x\n"), skip_footer=9)
    assert loaded.rows == []
    assert loaded.table.schema.names == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a,b,a", ["a", "b", "a_2"]),
        ("a,a_2,a", ["a", "a_2", "a_3"]),
        (",,", ["column_1", "column_2", "column_3"]),
        (",column_1,", ["column_1_2", "column_1", "column_3"]),
        (' a ,"b "," ""c"" "', ["a", "b", "c"]),
        ('a, "b",c', ["a", "b", "c"]),
        ('"x\ny",b,c', ["x\ny", "b", "c"]),
        ("a\x0bb,c\x85d,e\u2028f", ["a\x0bb", "c\x85d", "e\u2028f"]),
        ("x\x0c,y,z", ["x", "y", "z"]),
        ("\n\na,b,c", ["a", "b", "c"]),
    ],
)
def test_column_names_are_trimmed_distinct_and_never_empty(tmp_path: Path, header: str, names: list[str]) -> None:
    assert load(write(tmp_path, f"{header}\n1,2,3\n")).table.schema.names == names


def test_files_without_header(tmp_path: Path) -> None:
    path = write(tmp_path, "1,x\n2,y\n")
    assert load(path, header=False).rows == [{"column_1": 1, "column_2": "x"}, {"column_1": 2, "column_2": "y"}]
    assert load(path, header=["n", "s"]).rows[0] == {"n": 1, "s": "x"}
    assert load(path, header=["n", "s"]).positions == [1, 2]


def test_names_that_are_too_few_make_every_row_ragged(tmp_path: Path) -> None:
    assert load(write(tmp_path, "1,x\n2,y\n"), header=["n"]).bad_lines == [1, 2]


@pytest.mark.parametrize(
    ("sign", "name"), [(";", "auto"), ("\t", "auto"), ("|", "auto"), (",", "auto"), ("\t", "\\t"), ("\t", "tab")]
)
def test_the_delimiter_can_be_found_or_spelled(tmp_path: Path, sign: str, name: str) -> None:
    content = f'id{sign}text\n1{sign}"a, b; c"\n2{sign}"d|e"\n'
    assert load(write(tmp_path, content), delimiter=name).rows[0] == {"id": 1, "text": "a, b; c"}


def test_only_line_ends_end_the_lines_that_the_delimiter_is_found_in(tmp_path: Path) -> None:
    content = "id;a;b\n" + "1;x\x0b,y\u2028,z;\x85,\n" * 3
    assert load(write(tmp_path, content), delimiter="auto").rows[0] == {"id": 1, "a": "x\x0b,y\u2028,z", "b": "\x85,"}


@pytest.mark.parametrize("clean", [True, False])
def test_without_multiline_a_bare_carriage_return_in_quotes_belongs_to_its_cell(tmp_path: Path, clean: bool) -> None:
    path = write(tmp_path, 'a,b\n"x\ry",1\nz,2\n' + ("" if clean else '"open,3\n'))
    loaded = load(path, multiline=False)
    assert loaded.rows == [{"a": "x\ry", "b": 1}, {"a": "z", "b": 2}]
    assert loaded.positions == [2, 3]
    assert loaded.bad_lines == ([] if clean else [4])


def test_without_multiline_carriage_returns_do_not_make_up_for_line_ends_in_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"x\ny",1\nz,2\rw,3\n')
    loaded = load(path, multiline=False)
    assert [row["a"] for row in loaded.rows] == ['y"', "z", "w"]
    assert loaded.bad_lines == [2]


def test_metadata_columns_say_where_each_row_came_from(tmp_path: Path) -> None:
    path = write(tmp_path, 'a\n"1\n"\n\n2\n')
    loaded = load(path, add_file_metadata=True, schema_hints={"a": "string"})
    stamp = datetime.fromtimestamp(path.stat().st_mtime_ns // 1000 / 1e6, timezone.utc)
    assert [row["_source_row"] for row in loaded.rows] == [2, 5]
    assert {row["_source_file"] for row in loaded.rows} == {str(path)}
    assert abs(loaded.rows[0]["_source_modified_at"] - stamp).total_seconds() < 0.001


def test_a_column_named_like_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has a column _source_row of its own"):
        load(write(tmp_path, "_source_row\n1\n"), include_metadata=True)


def test_an_open_quote_at_the_end_fails_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,x\n2,"never closed\n3,y\n4,z\n')
    with pytest.raises(DataError) as caught:
        load(path)
    assert f"{path}: line 3: a quoted cell of this row is never closed" in str(caught.value)


def test_without_multiline_an_open_quote_spoils_its_line_alone(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,x\n2,"never closed\n3,"y"\n4,z\n')
    loaded = load(path, multiline=False)
    assert [row["a"] for row in loaded.rows] == [1, 3, 4]
    assert loaded.positions == [2, 4, 5]
    assert [(row["position"], row["rule"], row["payload"]) for row in loaded.rejects] == [
        (3, "quote", '2,"never closed')
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",,"}, "is not one plain character"),
        ({"delimiter": "\n"}, "is not one plain character"),
        ({"delimiter": "§"}, "is not one plain character"),
        ({"quote_char": ","}, "must differ"),
        ({"decimal_separator": ",", "thousands_separator": ","}, "must differ"),
        ({"encoding": "utf-9"}, "unknown encoding 'utf-9'"),
        ({"schema_hints": {"a": "itn"}}, "unknown column type 'itn'"),
        ({"header": ["a", "a"]}, "must be distinct"),
        ({"skip_rows": -1}, "greater than or equal to 0"),
        ({"on_bad_row": "ignore"}, "'quarantine', 'fail' or 'drop'"),
        ({"after_load": "move"}, "after_load"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CsvConnector(source_path="x.csv", **options)
    assert message in str(caught.value)


def test_a_bad_byte_in_a_ragged_row_is_a_matter_of_encoding_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, b"a,b\n1,\xc3\xa5\n2,x\n3,\xe5,z\n")
    with pytest.raises(DataError, match=r"line 4: byte 0xE5 at position 3 is not utf-8"):
        load(path)
    assert capfd.readouterr().err == ""


def test_ragged_rows_beyond_ascii_are_rejected_as_written(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "a,b\n1,å\n2,ö,z\n\n3,x\n"))
    assert [row["a"] for row in loaded.rows] == [1, 3]
    assert [(row["position"], row["payload"]) for row in loaded.rejects] == [(3, "2,ö,z")]
    assert loaded.removed == {"blank_row": 1}


def test_small_files_are_told_apart_whatever_one_of_them_holds(tmp_path: Path) -> None:
    odd = {3: "id,t\n\n3,a\n", 7: "id,t\n7,a\n7\n", 11: 'id,t\n"11","x\ny"\n12,z\n', 15: "t,id\nq,15\n", 19: "id,t\n"}
    odd |= {23: 'id,t\n23,"x,\n24,y"\n', 27: "id,t\n27,x", 31: "id,t\r\n31,x\r\n"}
    for number in range(40):
        write(tmp_path, odd.get(number, f"id,t\n{number},x\n{number},y\n"), f"{number:02}.csv")
    loaded = load(tmp_path, order_by="name", include_metadata=True, known=pa.schema([("id", pa.int64())]))
    got = {(Path(row["_source_file"]).name, row["_source_row"], row["id"], row["t"]) for row in loaded.rows}
    plain = {
        (f"{number:02}.csv", line, number, text)
        for number in range(40)
        if number not in odd
        for line, text in ((2, "x"), (3, "y"))
    }
    special = {
        ("03.csv", 3, 3, "a"),
        ("07.csv", 2, 7, "a"),
        ("11.csv", 2, 11, "x\ny"),
        ("11.csv", 4, 12, "z"),
        ("15.csv", 2, 15, "q"),
    }
    special |= {("23.csv", 2, 23, "x,\n24,y"), ("27.csv", 2, 27, "x"), ("31.csv", 2, 31, "x")}
    assert got == plain | special
    assert [(Path(row["source"]).name, row["position"]) for row in loaded.rejects] == [("07.csv", 3)]
    assert loaded.removed == {"blank_row": 1}
    assert loaded.bytes_read == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert loaded.cursor.num_rows == 40


def test_an_open_quote_in_one_of_many_small_files_names_that_file(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, f"id,t\n{number},x\n", f"{number:02}.csv")
    path = write(tmp_path, 'id,t\n1,x\n2,"y\n', "07.csv")
    write(tmp_path, 'id,t\n1,"x"\n2,"y"\n', "08.csv")
    with pytest.raises(DataError, match=r"07.csv: line 3: a quoted cell of this row is never closed"):
        load(path.parent, order_by="name")


@pytest.mark.parametrize("content", ["id;name\n1;a\n2;b\n", "id;name\n1;a\n2;b,c\n"])
def test_a_file_with_another_delimiter_is_refused_with_that_delimiter(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"by the delimiter ',', and ';' splits every line evenly"):
        load(write(tmp_path, content))


def test_a_single_column_may_hold_other_delimiters(tmp_path: Path) -> None:
    assert load(write(tmp_path, "note\na;b\nc\n")).rows == [{"note": "a;b"}, {"note": "c"}]
    path = write(tmp_path, "a;b\n1;2\n")
    assert load(path, header=["note"], skip_rows=1).rows == [{"note": "1;2"}]
