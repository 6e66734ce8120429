"""Large files are cut in the right places, whatever their quotes do, and come out as Python's csv module reads them."""

import csv
import io
import random
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.connectors.csv import CsvConnector
from ingestion.connectors.csv.blocks import Block, Blocks, Care
from ingestion.connectors.csv.dialect import Dialect
from ingestion.connectors.csv.lexer import records
from ingestion.connectors.files import Opening
from ingestion.errors import DataError
from ingestion.plugins import Batch
from ingestion_tests.csv_loads import load, write

MEGABYTE = 1 << 20


def grown(folder: Path, size: int, *rows: str, header: str = "id,a,b") -> tuple[Path, int]:
    """A file of at least *size* bytes in which *rows* repeat, each with a running number in front."""
    count = size // (sum(map(len, rows)) // len(rows) + 8)
    body = "".join(f"{number},{rows[number % len(rows)]}\n" for number in range(count))
    return write(folder, f"{header}\n{body}"), count


def check(path: Path, count: int, restarts: int = 0) -> list[Batch]:
    """All rows arrive once, in order, with exact lines."""
    loaded = load(path)
    assert loaded.rejects == []
    assert len(loaded.restarts) == restarts
    ids = [value for batch in loaded.records for value in batch["id"].to_pylist()]
    assert ids == list(range(count))
    text = path.read_text()
    starts = {}
    for number in (0, count // 2, count - 1):
        at = text.index(f"\n{number},") + 1
        starts[number] = text.count("\n", 0, at) + 1
    assert {number: loaded.positions[number] for number in starts} == starts
    assert loaded.bytes_read == path.stat().st_size
    return loaded.records


def test_a_large_file_is_read_in_several_blocks_and_in_order(tmp_path: Path) -> None:
    path, count = grown(tmp_path, 10 * MEGABYTE, '"plain",x', 'y,"with ""quotes"", and comma"')
    assert len(check(path, count)) >= 2


def test_cells_that_span_lines_do_not_upset_the_cuts(tmp_path: Path) -> None:
    path, count = grown(tmp_path, 10 * MEGABYTE, '"one\ntwo\n\nthree",x', "y,z", '"a\n",""')
    assert len(check(path, count)) >= 2


def test_cells_that_look_like_rows_are_noticed(tmp_path: Path) -> None:
    inner = "\n".join("1,2,3" for _ in range(200))
    path, count = grown(tmp_path, 10 * MEGABYTE, f'"{inner}",x')
    loaded = load(path)
    assert len(loaded.restarts) >= 1
    assert loaded.rejects == []
    assert len(loaded.positions) == count


def test_a_stray_quote_does_not_swallow_what_follows(tmp_path: Path) -> None:
    path, count = grown(tmp_path, 10 * MEGABYTE, '5" pipe,x', '"quoted ""cell""",y', "plain,z", "plain,z")
    check(path, count)


def test_one_stray_quote_before_cells_of_many_lines_is_read_record_by_record(tmp_path: Path) -> None:
    path, count = grown(tmp_path, 10 * MEGABYTE, '"a\nb\nc,d\ne",y', '"4,5,6\n7,8,9",w')
    path.write_bytes(path.read_bytes().replace(b"0,", b'0,5" pipe,x\n0,', 1))
    loaded = load(path)
    assert [reason.rpartition(" ")[2] for reason in loaded.restarts] == ["quotes", "records"]
    assert loaded.rejects == []
    ids = [value for batch in loaded.records for value in batch["id"].to_pylist()]
    assert ids == [0, *range(count)]


@pytest.mark.parametrize("infer", ["sample", "full"])
def test_cells_of_many_lines_across_a_cut_are_read_whatever_looks_first(tmp_path: Path, infer: str) -> None:
    inner = "\n".join("1,2,3" for _ in range(200_000))
    rows = "".join(f"{number},x,{number}.5\n" for number in range(430_000))
    path = write(tmp_path, f'id,a,b\n{rows}430000,"{inner}",0.5\n430001,y,late\n')
    loaded = load(path, infer=infer, sample_rows=10)
    assert len(loaded.positions) == 430_002
    assert loaded.rejects == []
    assert loaded.types == {"id": "int64", "a": "string", "b": "string"}


def test_an_open_quote_early_in_a_large_file_fails_with_its_line(tmp_path: Path) -> None:
    path, _ = grown(tmp_path, 10 * MEGABYTE, "x,y")
    data = path.read_bytes().replace(b"1000,x,y", b'1000,"x,y', 1)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"line 1002: a quoted cell of this row is never closed"):
        load(path)


def test_a_record_beyond_all_bounds_fails_before_memory_does(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with path.open("wb") as file:
        file.write(b'id,a\n1,x\n2,"')
        for _ in range(74):
            file.write((b"never ends, " * 80 + b"\n") * (MEGABYTE // 961))
    with pytest.raises(DataError, match=r"line \d+ is larger than 64 MB; most likely a quote in it is never closed"):
        load(path)


def test_ragged_rows_in_later_blocks_have_their_lines(tmp_path: Path) -> None:
    path, count = grown(tmp_path, 10 * MEGABYTE, "x,y", '"a\nb",c')
    lines = path.read_text().split("\n")
    target = next(number for number in range(len(lines) * 95 // 100, len(lines)) if lines[number].endswith(",x,y"))
    lines[target] += ",extra"
    path.write_text("\n".join(lines))
    loaded = load(path)
    assert loaded.bad_lines == [target + 1]
    assert len(loaded.positions) == count - 1


def test_closing_the_stream_ends_its_threads_and_files_at_once(tmp_path: Path) -> None:
    path, _ = grown(tmp_path, 40 * MEGABYTE, "some text,more text")
    before = threading.active_count()
    stream = CsvConnector(source_path=str(path)).read(None, None)
    next(stream)
    started = time.perf_counter()
    stream.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - started < 5
    assert threading.active_count() <= before  # threads of other tests may have ended meanwhile
    open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in open_files


def test_an_error_ends_threads_too(tmp_path: Path) -> None:
    path, _ = grown(tmp_path, 10 * MEGABYTE, "x,y")
    path.write_bytes(path.read_bytes() + b"1,\xff,2\n")
    before = threading.active_count()
    with pytest.raises(DataError, match="is not utf-8"):
        load(path)
    assert threading.active_count() <= before


CELLS = st.text(alphabet='ab,"\n\r #é', max_size=6)
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_what_python_writes_is_what_is_read(tmp_path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["x", "y", "z"], *rows])
    loaded = load(write(tmp_path, text.getvalue()), infer="none", skip_blank_rows=False)
    assert loaded.rejects == []
    assert [list(row.values()) for row in loaded.rows] == rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='a1,"\n\r', max_size=60))
def test_every_line_of_any_text_is_a_row_a_reject_or_removed(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, f"x,y\n{text}")
    try:
        loaded = load(path, infer="none")
    except DataError as error:
        assert "never closed" in str(error)  # noqa: PT017 - only one error is allowed
        return
    data = path.read_bytes()
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"
    found = list(records(data, Dialect()))[1:]
    assert len(loaded.rows) + len(loaded.rejects) + loaded.removed["blank_row"] == len(found)


@pytest.mark.parametrize("care", ["lines", "quotes", "records"])
def test_blocks_hold_every_byte_and_line_once(tmp_path: Path, care: Care) -> None:
    choose = random.Random(7)
    lines = [choose.choice(['1,"a\nb",2', "3,c,4", '5,"d ""e""",6', "", '7,"",8']) for _ in range(600_000)]
    path = write(tmp_path, "x,y,z\n" + "\n".join(lines) + "\n")
    with Opening().open(str(path)) as (_, texts):
        blocks = Blocks(next(texts), Dialect(), care=care)
        header = blocks.header(take=True)
        blocks.width = 3
        found: list[Block] = [block._replace(data=memoryview(bytes(block.data))) for block in blocks]
    assert header == b"x,y,z\n"
    assert b"".join(block.data for block in found) == path.read_bytes()[6:]
    line = 2
    for block in found:
        assert block.first_line == line
        assert block.lines == bytes(block.data).count(b"\n")
        line += block.lines
    if care != "lines":
        for block in found:
            assert bytes(block.data).count(b'"') % 2 == 0
    assert [block.last for block in found][:-1] == [False] * (len(found) - 1)


def test_batches_of_one_file_have_one_schema(tmp_path: Path) -> None:
    path, _ = grown(tmp_path, 10 * MEGABYTE, "1.5,x", ",")
    schemas = {str(batch.schema) for batch in load(path).records}
    assert len(schemas) == 1
    assert load(path).records[0].schema.types == [pa.int64(), pa.float64(), pa.string()]
