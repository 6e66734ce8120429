"""Partitions of a Delta table as others read them: from the names of folders, or from the log."""

import os
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.delta import DeltaLoader, rewrite, writer
from ingestion_tests.targets import batch, land

STAMP = datetime(2024, 5, 1, 12, 30, 0, 123456)  # noqa: DTZ001 - without a zone
TEXTS = ["a b", "a/b", "ü%", "日本", "50%", "a%20b", "a%2Fb", "x=y", "a+b&c?d#e", "..", "'\"\n\\", None]
MERGE = {"write_mode": "merge", "merge_keys": ["k"]}
LONG = "長" * 30


@pytest.fixture(params=["local", "s3", "s3 by the driver"])
def lake(request, tmp_path):
    if request.param == "local":
        return {"location": str(tmp_path)}
    server, bucket = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")
    more = {"aws_unsigned_payload": "true"} if "driver" in request.param else {}
    return {"location": f"s3://{bucket}/lake", "storage_options": {**server.storage_options, **more}}


def loader_of(lake, **options):
    return DeltaLoader(**lake, database="d", table="t", partition_by=options.pop("partition_by", ["p"]), **options)


def opened(loader):
    place = loader.place("a")
    return DeltaTable(place.uri, storage_options=dict(place.storage_options))


def frame(loader):
    return pl.scan_delta(loader.place("a").uri, storage_options=dict(loader.storage_options))


def seen(loader):
    """{k: (p, v)}, which all readers agree upon."""
    ours = {row["k"]: (row["p"], row["v"]) for row in loader.to_table().to_pylist()}
    theirs = {row["k"]: (row["p"], row["v"]) for row in opened(loader).to_pyarrow_table().to_pylist()}
    assert ours == theirs
    return ours


def numbered(values, v=0):
    return batch({"k": list(range(len(values))), "p": values, "v": [v] * len(values)})


def flat(monkeypatch):
    """Have files written as they once were, all in the table's own folder."""
    for module in (writer, rewrite):
        monkeypatch.setattr(module, "folder_of", lambda _: "")


def test_texts_of_all_kinds_are_the_same_to_every_reader(lake):
    loader = loader_of(lake)
    land(loader, [numbered(TEXTS)])
    found = frame(loader).collect()
    assert dict(found.select("k", "p").rows()) == dict(enumerate(TEXTS)) == {k: p for k, (p, _) in seen(loader).items()}
    for number, text in enumerate(TEXTS):
        hit = pl.col("p").is_null() if text is None else pl.col("p") == text
        assert frame(loader).filter(hit).collect()["k"].to_list() == [number]
        if text is not None:
            assert opened(loader).to_pyarrow_table(filters=[("p", "=", text)])["k"].to_pylist() == [number]


def test_texts_of_all_kinds_are_merged_replaced_and_removed(lake):
    land(loader_of(lake), [numbered(TEXTS)])
    last = len(TEXTS) - 1
    keeping = loader_of(lake, **MERGE)
    result = land(keeping, [numbered(TEXTS[:-1], v=1)])
    assert result.changes["updated"] == last
    assert seen(keeping) == {k: (p, int(k < last)) for k, p in enumerate(TEXTS)}
    assert opened(keeping).count() == len(TEXTS)
    scoped = loader_of(lake, write_mode="overwrite", overwrite_scope="partitions")
    land(scoped, [numbered(TEXTS[:4], v=2)])
    assert {k: v for k, (_, v) in seen(scoped).items()} == {k: 2 if k < 4 else int(k < last) for k in range(last + 1)}
    deleting = loader_of(lake, **MERGE, delete_missing="hard")
    land(deleting, [numbered(TEXTS[:1], v=3)])
    assert seen(deleting) == {0: (TEXTS[0], 3)}
    assert frame(deleting).collect().height == 1


@pytest.mark.parametrize(
    "values",
    [
        pa.array([date(1, 1, 1), date(2024, 1, 2), None], pa.date32()),
        pa.array([STAMP, datetime(1, 1, 1), None], pa.timestamp("us")),  # noqa: DTZ001 - without a zone
        pa.array([STAMP, datetime(1, 1, 1), None], pa.timestamp("us", "UTC")),  # noqa: DTZ001 - Arrow adds it
        pa.array([2**62, -(2**63), None]),
        pa.array([0.1, 1e300, None]),
        pa.array([0.1, float("-inf"), None], pa.float32()),
        pa.array([True, False, None]),
        pa.array([Decimal("1e-7"), Decimal(1), None], pa.decimal128(20, 10)),
    ],
    ids=lambda values: str(values.type),
)
def test_other_values_are_the_same_to_polars(tmp_path, values):
    loader = loader_of({"location": str(tmp_path)})
    land(loader, [numbered(values)])
    assert frame(loader).sort("k").collect()["p"].to_list() == values.to_pylist()
    assert frame(loader).filter(pl.col("p") == pl.lit(values[0].as_py())).collect()["k"].to_list() == [0]
    assert opened(loader).to_pyarrow_table().sort_by("k")["p"].to_pylist() == values.to_pylist()
    loader = loader_of({"location": str(tmp_path)}, **MERGE)
    land(loader, [numbered(values, v=1)])
    assert frame(loader).sort("k").collect()["p"].to_list() == values.to_pylist()


def test_folders_are_named_as_the_driver_names_them(tmp_path):
    """All characters but the surrogates' and NUL, which no file has in its name and no log in its texts."""
    every = [f"z{chr(code)}z" for code in [*range(1, 0x17F), 0x20AC, 0x1F600]]
    loader = loader_of({"location": str(tmp_path / "ours")}, partition_by=["p", "ä b"])
    land(loader, [batch({"k": list(range(len(every))), "p": every, "ä b": [None, "x"] * (len(every) // 2)})])
    write_deltalake(tmp_path / "theirs", loader.to_table(), partition_by=["p", "ä b"])

    def paths(table):
        return {path.rpartition("/")[0] for path in pa.table(table.get_add_actions())["path"].to_pylist()}

    assert paths(opened(loader)) == paths(DeltaTable(tmp_path / "theirs"))


def test_a_column_whose_name_is_no_folder_makes_one_folder(tmp_path):
    loader = loader_of({"location": str(tmp_path)}, partition_by=["a/b=c%"])
    land(loader, [batch({"k": [1], "a/b=c%": ["x"]})])
    assert [path.parent.name for path in Path(tmp_path).rglob("*.zstd.parquet")] == ["a%2Fb%3Dc%25=x"]
    assert opened(loader).to_pyarrow_table().to_pylist() == [{"k": 1, "a/b=c%": "x"}]


def test_a_table_whose_files_lie_flat_goes_on_with_folders(tmp_path, monkeypatch):
    lake = {"location": str(tmp_path)}
    with monkeypatch.context() as before:
        flat(before)
        land(loader_of(lake), [numbered(TEXTS)])
    merging = loader_of(lake, **MERGE)
    land(merging, [batch({"k": [0, 1, 99], "p": ["a b", "ü%", "a b"], "v": [1, 1, 1]})])
    expected = {k: (p, 0) for k, p in enumerate(TEXTS)} | {0: ("a b", 1), 1: ("ü%", 1), 99: ("a b", 1)}
    assert seen(merging) == expected
    land(loader_of(lake, write_mode="overwrite", overwrite_scope="partitions"), [numbered(["a b"], v=2)])
    assert seen(merging) == {k: pv for k, pv in expected.items() if k != 99} | {0: ("a b", 2)}
    land(merging, [numbered(TEXTS, v=3)])
    assert seen(merging) == {k: (p, 3) for k, p in enumerate(TEXTS)}
    assert dict(frame(merging).select("k", "p").collect().rows()) == dict(enumerate(TEXTS))


def test_upkeep_leaves_what_is_in_use_and_removes_what_killed_runs_left(tmp_path):
    lake = {"location": str(tmp_path)}
    for number in range(9):
        land(loader_of(lake, write_mode="append"), [numbered(TEXTS, v=number)])
    loader = loader_of(lake)
    folder = tmp_path / "d/t"
    live = {Path(uri).name for uri in opened(loader).file_uris()}
    strays = [folder / name / f"{'0' * 32}-00-00000.zstd.parquet" for name in ("p=a%20b", "p=new")]
    for stray in strays:
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"x")
    old = datetime.now(timezone.utc).timestamp() - 40 * 86400
    for path in folder.rglob("*.parquet"):
        os.utime(path, (old, old))
    done = loader.upkeep("a")
    assert (done["files_joined"], done["files_removed"]) == (9 * len(TEXTS), len(strays))
    assert not any(stray.exists() for stray in strays)
    assert live <= {path.name for path in folder.rglob("*.parquet")}
    assert frame(loader).collect().height == opened(loader).to_pyarrow_table().num_rows == 9 * len(TEXTS)
    land(loader_of(lake, write_mode="overwrite"), [numbered(TEXTS)])
    assert seen(loader) == {k: (p, 0) for k, p in enumerate(TEXTS)}


def test_leftovers_of_a_killed_first_run_keep_no_table_from_being_made(tmp_path):
    for folder in ("", "p=a/"):
        left = tmp_path / f"d/t/{folder}{'0' * 32}-00-00000.zstd.parquet"
        left.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"k": [1]}), left)
    loader = loader_of({"location": str(tmp_path)})
    land(loader, [numbered(["a"])])
    assert seen(loader) == {0: ("a", 0)}


def test_folders_of_partitions_that_are_no_table_are_left_to_who_made_them(tmp_path):
    stranger = tmp_path / "d/t/p=a/q=b/part-0.parquet"
    stranger.parent.mkdir(parents=True)
    pq.write_table(pa.table({"k": [1]}), stranger)
    with pytest.raises(ConfigError, match=r"holds files such as part-0\.parquet and is no Delta table"):
        land(loader_of({"location": str(tmp_path)}), [numbered(["a"])])


@pytest.mark.parametrize("options", [{}, MERGE], ids=["append", "merge"])
def test_a_failed_load_leaves_no_file_in_any_folder(lake, options):
    loader = loader_of(lake, **options)
    land(loader, [numbered(TEXTS)])
    before = sorted(opened(loader).file_uris())

    def failing():
        yield numbered(TEXTS, v=1)
        raise DataError("enough")

    with pytest.raises(DataError, match="enough"):
        land(loader, failing())
    infos = loader.place("a").files.get_file_info(pafs.FileSelector("", recursive=True))
    assert len([info for info in infos if info.extension == "parquet"]) == len(before)


def test_a_value_that_is_too_long_for_a_folder_is_refused(tmp_path, monkeypatch):
    lake = {"location": str(tmp_path)}
    with pytest.raises(DataError, match="too long to name a folder"):
        land(loader_of(lake), [numbered([LONG])])
    assert not list(tmp_path.rglob("*.parquet"))
    with monkeypatch.context() as before:
        flat(before)
        land(loader_of(lake), [numbered([LONG])])
    merging = loader_of(lake, **MERGE)
    land(merging, [numbered([LONG], v=1)])
    assert seen(merging) == {0: (LONG, 1)}
