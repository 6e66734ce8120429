"""Which files a load takes, what the ledger remembers of them, and how they are opened."""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from xxhash import xxh3_128

from ingestion.connectors.csv import CsvConnector
from ingestion.connectors.files import LEDGER
from ingestion.errors import ConfigError, DataError, TransientError
from ingestion.plugins import Cursor
from ingestion.testing import check_connector
from ingestion_tests.conftest import Project
from ingestion_tests.csv_loads import load, write

SMALL = "id,name\n1,a\n2,b\n"


def names(loaded: Any) -> list[str]:
    return [Path(source).name for source in loaded.sources]


def aged(path: Path, seconds: int) -> Path:
    """Set the modification time, in seconds since 2023."""
    os.utime(path, (1_672_531_200 + seconds, 1_672_531_200 + seconds))
    return path


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def zipped(**members: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), text)
    return data.getvalue()


def test_a_folder_gives_its_csv_files_and_no_others(tmp_path: Path) -> None:
    for name in ("a.csv", "B.CSV", "c.tsv", "d.csv.gz", "e.txt", "f.csv.tmp", ".g.csv", "h.csv.zst.part"):
        write(
            tmp_path,
            gzip.compress(SMALL.encode())
            if name.endswith("gz")
            else SMALL.replace(",", "\t")
            if "tsv" in name
            else SMALL,
            name,
        )
    write(tmp_path, SMALL, "sub/deep.csv")
    write(tmp_path, SMALL, ".hidden/no.csv")
    assert sorted(names(load(tmp_path, delimiter="auto"))) == ["B.CSV", "a.csv", "c.tsv", "d.csv.gz"]
    assert "deep.csv" in names(load(tmp_path, delimiter="auto", recursive=True))


def test_patterns_choose_among_the_files_of_a_folder_and_a_named_file_needs_none(tmp_path: Path) -> None:
    for name in ("sales_1.csv", "sales_2.csv", "stock.csv", "sales_3.dat"):
        write(tmp_path, SMALL, name)
    assert sorted(names(load(tmp_path, file_pattern="sales_*"))) == ["sales_1.csv", "sales_2.csv", "sales_3.dat"]
    assert names(load(tmp_path, file_pattern="sales_*.csv", exclude_pattern="*_2*")) == ["sales_1.csv"]
    assert names(load(tmp_path / "sales_3.dat")) == ["sales_3.dat"]
    assert names(load(tmp_path / "sales_3.dat", file_pattern="sales*", exclude_pattern="*.csv")) == ["sales_3.dat"]


@pytest.mark.parametrize("options", [{"file_pattern": "*.csv"}, {"exclude_pattern": "*.dat"}])
def test_a_named_file_that_the_patterns_leave_out_is_a_contradiction(tmp_path: Path, options: dict[str, str]) -> None:
    path = write(tmp_path, SMALL, "sales.dat")
    with pytest.raises(ConfigError) as caught:
        load(path, **options)
    ((option, pattern),) = options.items()
    assert f"source.{option}: {pattern} leaves out {path}, which source_path names" in str(caught.value)


def test_a_glob_is_a_source_path_too(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "2023/a.dat")
    write(tmp_path, SMALL, "2024/b.dat")
    assert sorted(names(load(tmp_path / "20*" / "*.dat"))) == ["a.dat", "b.dat"]
    assert sorted(names(load(tmp_path / "**" / "*.dat"))) == ["a.dat", "b.dat"]
    assert load(tmp_path / "2024" / "*.csv").records == []


def test_a_glob_with_two_stars_fits_folders_of_any_depth(tmp_path: Path) -> None:
    for name in ("a/in/1.csv", "a/b/in/2.csv", "in/3.csv", "a/out/4.csv", "a/in/c/5.csv", "a/in/.6.csv"):
        write(tmp_path, SMALL, name)
    assert sorted(names(load(tmp_path / "**" / "in" / "*.csv"))) == ["1.csv", "2.csv", "3.csv"]
    assert sorted(names(load(tmp_path / "a" / "**"))) == ["1.csv", "2.csv", "4.csv", "5.csv"]
    assert sorted(names(load(tmp_path / "[a]" / "**" / "in" / "**" / "*.csv"))) == ["1.csv", "2.csv", "5.csv"]


@pytest.mark.parametrize("glob", [False, True])
def test_linked_folders_are_read_once(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, glob: bool) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(tmp_path, SMALL, "x.csv")
    write(tmp_path, SMALL, "real/y.csv")
    write(outside, SMALL, "z.csv")
    for link, target in (("loop", "."), ("a_link", "real"), ("out", str(outside)), ("out2", str(outside))):
        (tmp_path / link).symlink_to(target)
    (outside / "back").symlink_to(tmp_path)
    (tmp_path / "self.csv").symlink_to("self.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    loaded = load(tmp_path / "**" / "*.csv") if glob else load(tmp_path, recursive=True)
    assert sorted(loaded.sources) == sorted(str(tmp_path / name) for name in ("out/z.csv", "real/y.csv", "x.csv"))


def test_a_folder_that_cannot_be_listed_now_can_be_later(tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to("in")
    with pytest.raises(TransientError, match=r"in cannot be listed \(Too many levels of symbolic links\); run again"):
        load(tmp_path / "in")


def test_files_come_oldest_first_ties_by_name(tmp_path: Path) -> None:
    for name, seconds in (("b.csv", 10), ("a.csv", 20), ("d.csv", 10), ("c.csv", 5)):
        aged(write(tmp_path, SMALL, name), seconds)
    assert names(load(tmp_path)) == ["c.csv", "b.csv", "d.csv", "a.csv"]
    assert names(load(tmp_path, order_by="name")) == ["a.csv", "b.csv", "c.csv", "d.csv"]


def test_max_files_leaves_the_others_for_the_next_run(tmp_path: Path) -> None:
    for number in range(5):
        aged(write(tmp_path, SMALL, f"{number}.csv"), number)
    cursor: Cursor = None
    runs = []
    for _ in range(3):
        loaded = load(tmp_path, since=cursor, max_files=2)
        runs.append(names(loaded))
        cursor = loaded.cursor
    assert runs == [["0.csv", "1.csv"], ["2.csv", "3.csv"], ["4.csv"]]


def test_relative_paths_start_at_the_folder_that_holds_config(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.file("data/in/a.csv", SMALL)
    monkeypatch.chdir("/")
    assert names(load("data/in")) == ["a.csv"]


def test_a_project_that_moves_loads_no_file_of_its_own_twice(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.file("data/in/a.csv", SMALL)
    first = load("data/in")
    assert first.cursor["path"].to_pylist() == ["data/in/a.csv"]
    moved = tmp_path_factory.mktemp("elsewhere") / "project"
    shutil.copytree(project.path, moved)
    monkeypatch.setenv("JOB_CONFIG_PATH", str(moved / "config" / "jobs"))
    assert load("data/in", since=first.cursor).records == []
    write(moved, SMALL, "data/in/b.csv")
    second = load("data/in/*.csv", since=first.cursor)
    assert names(second) == ["b.csv"]
    assert second.cursor["path"].to_pylist() == ["data/in/a.csv", "data/in/b.csv"]


def test_a_path_spelled_otherwise_is_still_the_same_file(project: Project) -> None:
    path = project.file("data/a.csv", SMALL)
    relative, absolute = load("data"), load(path)
    assert absolute.cursor["path"].to_pylist() == [str(path)]
    assert load(path, since=relative.cursor).records == []
    assert load("data", since=absolute.cursor).records == []
    aged(path, 1)
    assert load("data", since=absolute.cursor).cursor["path"].to_pylist() == ["data/a.csv"]


def test_the_ledger_keeps_path_size_time_hash_and_rows(tmp_path: Path) -> None:
    path = aged(write(tmp_path, "id\n1\nx\n\n2\n"), 7)
    ledger = load(tmp_path, schema_hints={"id": "int"}).cursor
    assert isinstance(ledger, pa.Table)
    assert ledger.schema == LEDGER
    assert ledger.drop_columns(["modified_at"]).to_pylist() == [
        {"path": str(path), "size": 10, "hash": xxh3_128(path.read_bytes()).hexdigest(), "rows": 2}
    ]
    assert ledger["modified_at"][0].as_py().isoformat() == "2023-01-01T00:00:07+00:00"


def test_only_unseen_files_load_and_the_ledger_grows(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "a.csv")
    first = load(tmp_path)
    write(tmp_path, SMALL, "b.csv")
    second = load(tmp_path, since=first.cursor)
    assert names(second) == ["b.csv"]
    assert [Path(path).name for path in second.cursor["path"].to_pylist()] == ["a.csv", "b.csv"]
    assert load(tmp_path, since=second.cursor).records == []


def test_a_ledger_that_went_through_parquet_still_counts(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write(tmp_path, SMALL)
    pq.write_table(load(tmp_path).cursor, tmp_path / "ledger.parquet")
    assert load(tmp_path, since=pq.read_table(tmp_path / "ledger.parquet")).records == []


def test_a_new_time_on_old_content_loads_nothing_and_is_remembered(tmp_path: Path) -> None:
    path = aged(write(tmp_path, SMALL), 1)
    first = load(tmp_path)
    aged(path, 99)
    again = load(tmp_path, since=first.cursor)
    assert again.rows == []
    assert again.types == first.types or set(again.types) == set(first.types)
    assert again.cursor["rows"].to_pylist() == [2]
    assert again.cursor["modified_at"][0] != first.cursor["modified_at"][0]
    assert load(tmp_path, since=again.cursor).records == []


@pytest.mark.parametrize("content", ["id,name\n1,a\n2,c\n", "id,name\n1,a\n2,b\n3,c\n"])
def test_changed_content_under_an_old_name_fails_before_anything_is_read(tmp_path: Path, content: str) -> None:
    path = aged(write(tmp_path, SMALL), 1)
    first = load(tmp_path)
    aged(write(tmp_path, content), 2)
    with pytest.raises(DataError) as caught:
        load(tmp_path, since=first.cursor)
    assert str(caught.value) == (
        f"{path} was loaded before with other content; appending it would load its rows twice: "
        f"give it a new name, or run once with source.incremental: false to load all of it again"
    )
    reloaded = load(tmp_path, since=first.cursor, incremental=False)
    assert len(reloaded.rows) == content.count("\n") - 1
    assert reloaded.cursor.num_rows == 1


def test_without_incremental_everything_loads_and_is_remembered(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "a.csv")
    first = load(tmp_path)
    write(tmp_path, SMALL, "b.csv")
    again = load(tmp_path, since=first.cursor, incremental=False)
    assert sorted(names(again)) == ["a.csv", "b.csv"]
    assert load(tmp_path, since=again.cursor).records == []


def test_a_cursor_of_another_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    with pytest.raises(ConfigError, match="is not a ledger of files"):
        load(tmp_path, since={"page": 3})


def test_an_empty_file_is_not_there_yet(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert load(tmp_path).records == []
    write(tmp_path, SMALL, "b.csv")
    loaded = load(tmp_path)
    assert names(loaded) == ["b.csv"]
    path.write_text(SMALL)
    assert names(load(tmp_path, since=loaded.cursor)) == ["data.csv"]


@pytest.mark.parametrize("content", ["\n\n", "\ufeff", "   \n"])
def test_a_file_of_nothing_but_blanks_has_no_rows(tmp_path: Path, content: str) -> None:
    assert load(write(tmp_path, content)).rows == []


def test_an_empty_folder_has_no_rows(tmp_path: Path) -> None:
    assert load(tmp_path).records == []


def test_a_header_alone_gives_the_columns_and_is_remembered(tmp_path: Path) -> None:
    write(tmp_path, "id,name\n")
    loaded = load(tmp_path, known=pa.schema([("id", pa.int64())]))
    assert loaded.types == {"id": "int64", "name": "null"}
    assert loaded.rows == []
    assert loaded.cursor.num_rows == 1


@pytest.mark.parametrize("path", ["missing", "missing/*.csv", "missing.csv"])
def test_a_path_that_is_not_there_says_so(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"source.source_path: .*does not exist"):
        load(tmp_path / path)


@pytest.fixture
def somebody() -> Iterator[None]:
    """This process without the rights of root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_what_may_not_be_read_says_so(somebody: None) -> None:
    with TemporaryDirectory(dir="/tmp") as folder:
        path = write(Path(folder), SMALL)
        path.chmod(0)
        with pytest.raises(ConfigError, match=r"data.csv cannot be read \(permission denied\)"):
            load(path)
        path.chmod(0o600)
        for mode in (0, 0o300):
            Path(folder).chmod(mode)
            with pytest.raises(ConfigError, match=r"cannot be listed \(permission denied\)"):
                load(folder)
        Path(folder).chmod(0)
        with pytest.raises(ConfigError, match=r"cannot be listed \(permission denied\)"):
            load(path)
        Path(folder).chmod(0o700)


def test_a_file_that_changes_while_it_is_read_is_not_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, "id,t\n" + "1,some text here\n" * 3_000_000)
    stream = CsvConnector(source_path=str(path)).read(None, None)
    next(stream)
    with path.open("a") as file:
        file.write("2,late\n")
    with pytest.raises(TransientError, match="changed while it was read"):
        list(stream)


def test_watch_counts_what_read_would_find(tmp_path: Path) -> None:
    source = CsvConnector(source_path=str(tmp_path))
    assert source.watch(None).summary == f"no file in {tmp_path} matches *.csv or the like"
    for number in range(5):
        aged(write(tmp_path, SMALL, f"{number}.csv"), number)
    write(tmp_path, "", "empty.csv")
    waiting = source.watch(None)
    assert (waiting.items, waiting.summary) == (5, "5 of 5 files new: 0.csv, 1.csv, 2.csv and 2 more")
    assert source.watch(None) == waiting
    cursor = load(tmp_path).cursor
    assert source.watch(cursor)[:2] == (0, "5 files, all loaded already")
    aged(write(tmp_path, SMALL, "5.csv"), 9)
    fresh = source.watch(cursor)
    assert (fresh.items, fresh.summary) == (1, "1 of 6 files new: 5.csv")
    aged(tmp_path / "5.csv", 10)
    assert source.watch(cursor).key != fresh.key


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, zstd, lambda data: zipped(a_csv=data.decode())],
    ids=["gzip", "bz2", "xz", "zstd", "zip"],
)
def test_compressed_files_are_read_whatever_their_name_and_fail_when_cut_short(tmp_path: Path, pack: Any) -> None:
    random.seed(5)
    text = "id,v\n" + "".join(f"{number},{random.random()}\n" for number in range(20_000))
    packed = pack(text.encode())
    path = write(tmp_path, packed)
    loaded = load(path)
    assert len(loaded.rows) == 20_000
    assert loaded.bytes_read == len(packed)
    assert loaded.cursor["hash"][0].as_py() == xxh3_128(packed).hexdigest()
    for cut in (1, 9, len(packed) // 2):
        path.write_bytes(packed[:-cut])
        with pytest.raises(DataError) as caught:
            load(path)
        assert str(path) in str(caught.value)
        assert "damaged or cut short" in str(caught.value)


def test_damage_in_the_middle_is_found(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(("id\n" + "1\n" * 100_000).encode()))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(DataError, match="damaged or cut short"):
        load(write(tmp_path, bytes(packed)))


def test_several_gzip_parts_in_one_file_are_one_text(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"id\n1\n") + gzip.compress(b"2\n"))
    assert [row["id"] for row in load(path).rows] == [1, 2]


def test_every_member_of_an_archive_is_a_text_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, zipped(a_csv=SMALL, sub__b_csv="name,id\nc,3\n", readme="no, csv\n\n1"), "all.zip")
    loaded = load(path, archive_member_pattern="*.csv")
    assert [row["id"] for row in loaded.rows] == [1, 2, 3]
    assert loaded.sources == [f"{path}!a.csv", f"{path}!sub/b.csv"]
    assert loaded.cursor["rows"].to_pylist() == [3]
    assert loaded.bytes_read == path.stat().st_size
    with pytest.raises(DataError, match=r"holds no file matching '\*.xml'"):
        load(path, archive_member_pattern="*.xml")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_each_read_once_and_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, number in (("a.csv", 1), ("a.csv#2", 2), ("a.csv", 3), ("a.csv", 4)):
            archive.writestr(name, f"id\n{number}\n")
    loaded = load(path, archive_member_pattern="a.csv*", encoding="auto")
    assert [row["id"] for row in loaded.rows] == [1, 2, 3, 4]
    assert loaded.sources == [f"{path}!{name}" for name in ("a.csv", "a.csv#2", "a.csv#3", "a.csv#4")]


def test_a_compression_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the gzip data is damaged"):
        load(write(tmp_path, SMALL), compression="gzip")


def test_a_bomb_stops_at_its_limit(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"id\n" + b"1\n" * 5_000_000))
    with pytest.raises(DataError, match=r"is larger than source.max_decompressed_bytes"):
        load(path, max_decompressed_bytes=1_000_000)


def test_the_limit_holds_for_all_members_of_an_archive_together_and_for_the_guess_at_encodings(tmp_path: Path) -> None:
    row = "1,some text\n"
    path = write(tmp_path, zipped(a_csv=SMALL + row * 1000, b_csv=SMALL + row * 1000))
    assert len(load(path, max_decompressed_bytes=30_000).rows) == 2004
    with pytest.raises(DataError, match=r"data.csv is larger than source.max_decompressed_bytes \(20,000\)"):
        load(path, max_decompressed_bytes=20_000)
    damaged = write(tmp_path, gzip.compress(b"id\n" + b"1\n" * 5_000_000)[:-9], "damaged.csv")
    with pytest.raises(DataError, match=r"is larger than source.max_decompressed_bytes"):
        load(damaged, max_decompressed_bytes=1_000_000, encoding="auto")


TEXT = "id,näme\n1,Ångström €\n2,plain\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32", "iso-8859-15"]
)
def test_encodings_come_out_as_what_they_mean(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, TEXT.encode(encoding))
    assert load(path, encoding=encoding).rows == [{"id": 1, "näme": "Ångström €"}, {"id": 2, "näme": "plain"}]
    if encoding != "iso-8859-15":
        assert load(path, encoding="auto").rows[0] == {"id": 1, "näme": "Ångström €"}


def test_encodings_hold_across_blocks(tmp_path: Path) -> None:
    text = "id,t\n" + "".join(f"{number},Å€ and some more text\n" for number in range(400_000))
    loaded = load(write(tmp_path, text.encode("utf-16-le")), encoding="utf-16-le")
    assert len(loaded.records) >= 2
    assert loaded.table["t"].unique().to_pylist() == ["Å€ and some more text"]
    assert loaded.positions == list(range(2, 400_002))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "cp037", "shift_jis", "cp1252"])
def test_a_sample_from_the_middle_is_never_misread(tmp_path: Path, encoding: str) -> None:
    text = "id\n" + "".join(f"{number}\n" for number in range(300_000))
    loaded = load(write(tmp_path, text.encode(encoding)), encoding=encoding, sample_rows=100)
    assert loaded.restarts == []
    assert loaded.types == {"id": "int64"}


@pytest.mark.parametrize("late", [False, True])
def test_a_wrong_encoding_names_line_byte_and_remedy(tmp_path: Path, late: bool) -> None:
    rows = 300_000 if late else 2
    data = b"id,name\n" + b"1,plain old text to fill the line\n" * rows + "2,Åsa\n".encode("cp1252")
    path = write(tmp_path, data)
    with pytest.raises(DataError) as caught:
        load(path)
    expected = f"{path}: line {rows + 2}: byte 0xC5 at position 3 is not utf-8; set source.encoding, for example cp1252"
    assert str(caught.value).startswith(expected)
    assert load(path, encoding_errors="replace").rows[-1]["name"] == "\ufffdsa"


def test_bytes_that_another_encoding_lacks_name_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"id,name\n1,a\n2,\x81\n")
    with pytest.raises(DataError, match=r"line 3: byte 0x81 at position 3 is not cp1252"):
        load(path, encoding="cp1252")


def test_utf_16_that_is_taken_for_utf_8_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"utf-16"):
        load(write(tmp_path, TEXT.encode("utf-16")))
    with pytest.raises(DataError, match=r"utf-16-le"):
        load(write(tmp_path, "id,a\n1,b\n".encode("utf-16-le")))


def test_files_need_a_path() -> None:
    with pytest.raises(ValidationError):
        CsvConnector(source_path="")


def test_two_thousand_small_files_are_one_quick_load(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number:04}.csv").write_text("id,name\n" + f"{number},x\n" * 5)
    loaded = load(tmp_path, order_by="name")
    assert [batch["id"][0].as_py() for batch in loaded.records] == list(range(2000))
    assert loaded.cursor.num_rows == 2000
    assert load(tmp_path, since=loaded.cursor).records == []


def test_csv_files_keep_the_contract_of_connectors(tmp_path: Path) -> None:
    write(tmp_path, 'id,name,"day"\n1,a,2024-01-01\nx\n3,"b\nc",\n', "a.csv")
    write(tmp_path, gzip.compress(b"id,more\n4,1.5\n"), "b.csv.gz")
    assert check_connector(CsvConnector(source_path=str(tmp_path), include_metadata=True)).num_rows == 3


def test_a_name_that_is_no_text_is_refused_and_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "good.csv")
    Path(os.fsdecode(bytes(tmp_path) + b"/bad\xff.csv")).write_text(SMALL)
    with pytest.raises(ConfigError, match="the file name is not UTF-8"):
        load(tmp_path)
    assert names(load(tmp_path, exclude_pattern="bad*")) == ["good.csv"]
