"""Rows of files that were read before are found again where they stood, and nothing else is."""

import gzip
import os
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch, Connector, Cursor, Restart
from ingestion.testing import check_connector
from ingestion_tests.csv_loads import load, write
from ingestion_tests.stub_plugins import StubConnector


def connector(path: Path | str, **options: Any) -> Connector:
    return ConnectorFactory.create({"type": "csv", "source_path": str(path), **options})


def reread(
    path: Path | str,
    places: dict[Path | str, list[int]],
    cursor: Cursor = None,
    known: pa.Schema | None = None,
    **options: Any,
) -> tuple[list[Any], list[tuple[int, str]]]:
    """The rows, each with its position, and the positions of rejected rows with their rules."""
    wanted = {str(source): pa.array(positions, pa.int64()) for source, positions in places.items()}
    rows: list[Any] = []
    bad: list[tuple[int, str]] = []
    for item in connector(path, **options).reread(wanted, cursor, known):
        if isinstance(item, Restart):
            rows, bad = [], []
            continue
        positions = item.origin.at(pa.array(range(item.records.num_rows), pa.int64())).to_pylist()
        rows += [(place, *row.values()) for place, row in zip(positions, item.records.to_pylist(), strict=True)]
        bad += [(row["position"], row["rule"]) for row in (item.rejected.to_pylist() if item.rejected else [])]
        assert item.cursor is None
    return rows, bad


def test_rows_are_found_by_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, 'id,name\n1,ann\n2,"bob\nor rob"\n\n3,eve\n4,x,y\n5,zoe\n')
    assert load(path).positions == [2, 3, 6, 8]
    assert reread(path, {path: [3, 8]}) == ([(3, 2, "bob\nor rob"), (8, 5, "zoe")], [])
    assert reread(path, {path: [7, 8]}) == ([(8, 5, "zoe")], [(7, "ragged")])
    assert reread(path, {path: [4, 5, 99]}) == ([], [])


def test_rows_are_typed_as_they_would_be_today(tmp_path: Path) -> None:
    path = write(tmp_path, "id,day\n1,2024-01-02\nx,2024-01-03\n")
    known = pa.schema({"id": pa.int64(), "day": pa.string()})
    assert reread(path, {path: [2, 3]}, known=known) == ([(2, 1, "2024-01-02")], [(3, "type")])
    text = pa.schema({"id": pa.string(), "day": pa.string()})
    assert reread(path, {path: [2, 3]}, known=text) == ([(2, "1", "2024-01-02"), (3, "x", "2024-01-03")], [])


@pytest.mark.parametrize("mode", ["fail", "drop"])
def test_a_bad_row_is_rejected_whatever_runs_do_with_such(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path, "id,name\n1,ann\n2\n")
    assert reread(path, {path: [3]}, on_bad_row=mode) == ([], [(3, "ragged")])


def test_members_of_archives_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "id\n1\n2\n")
        archive.writestr("in!side/b.csv", "id\n3\n4\n")
    assert reread(path, {f"{path}!in!side/b.csv": [3]}) == ([(3, 4)], [])
    assert reread(path, {f"{path}!in!side/b.csv": [2], f"{path}!a.csv": [3]}) == ([(3, 2), (2, 3)], [])


def test_several_files_are_read_in_one_go_in_the_order_of_their_places(tmp_path: Path) -> None:
    one, two = write(tmp_path, "id,a\n1,x\n2,y\n", "1.csv"), write(tmp_path, "id,b\n3,z\n", "2.csv")
    os.utime(one, (1, 1))
    assert reread(tmp_path, {two: [2], one: [3]}) == ([(2, 3, "z", None), (3, 2, "y", None)], [])
    (tmp_path / "3.csv").write_text("id\n9\n")
    assert reread(tmp_path, {two: [2]}) == ([(2, 3, "z")], [])


def test_a_compressed_file_is_no_different(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"id\n1\n2\n"))
    assert reread(path, {path: [3]}) == ([(3, 2)], [])


def test_reading_ends_after_the_last_line_that_is_wanted(tmp_path: Path) -> None:
    path = write(tmp_path, "id,name\n" + "".join(f"{n},{'x' * 50}\n" for n in range(1_000_000)))
    items = connector(path).reread({str(path): pa.array([5])}, None, None)
    assert sum(item.bytes_read for item in items if isinstance(item, Batch)) < path.stat().st_size / 2


def test_only_what_the_source_covers_is_opened(tmp_path: Path) -> None:
    inside, outside = write(tmp_path, "id\n1\n", "data/a.csv"), write(tmp_path, "secret\nx\n", "b.csv")
    source = connector(inside.parent)
    for name in (str(outside), f"{inside.parent}/../b.csv", "/etc/passwd", f"{outside}!{inside}"):
        assert list(source.unreadable([name, str(inside)], None)) == [name]
        with pytest.raises(DataError, match="source_path and its patterns do not cover it"):
            reread(inside.parent, {inside: [2], name: [1]})


def test_a_file_that_changed_or_went_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "id\n1\n2\n")
    cursor = load(path).cursor
    os.utime(path, (1, 1))
    assert reread(path, {path: [2]}, cursor) == ([(2, 1)], [])
    path.write_text("id\n7\n8\n")
    assert connector(path).unreadable([str(path)], cursor) == {
        str(path): f"{path} has other content than when it was loaded"
    }
    with pytest.raises(DataError, match=r"data.csv has other content than when it was loaded; load it again"):
        reread(path, {path: [2]}, cursor)
    path.unlink()
    (reason,) = connector(path).unreadable([str(path)], cursor).values()
    assert "data.csv" in reason


def test_a_source_that_knows_no_places_says_so() -> None:
    source = StubConnector(source_path="x")
    assert source.unreadable(["a"], None) == {"a": "stub sources cannot be read again at a place"}
    with pytest.raises(ConfigError, match="stub sources cannot be read again"):
        source.reread({}, None, None)


def test_the_contract_notices_rows_of_other_places(tmp_path: Path) -> None:
    class Wrong(type(connector("x"))):  # type: ignore[misc]  # the class is found by its name
        def reread(self, places: Any, cursor: Cursor, known: pa.Schema | None) -> Any:
            return super().reread({source: pa.array([2]) for source in places}, cursor, known)

    path = write(tmp_path, "id\n1\n2\n3\n")
    assert check_connector(connector(path)).num_rows == 3
    with pytest.raises(AssertionError, match="reread gave other rows"):
        check_connector(Wrong(source_path=str(path)))
