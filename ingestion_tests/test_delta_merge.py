"""Merges into Delta tables: equal to a plain model, one version each, and no file written that has no change."""

import functools
import multiprocessing
import tempfile
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import ConfigError, DataError, Superseded
from ingestion.keyed.keyed import KeyedRows
from ingestion.loaders.delta import DeltaLoader
from ingestion_tests.targets import batch, land


def merging(folder, **options):
    given = {"write_mode": "merge", "merge_keys": ["k"], **options}
    return DeltaLoader(location=str(folder), database="d", table="t", **given)


def opened(folder):
    return DeltaTable(f"{folder}/d/t")


def by_key(folder):
    found = merging(folder).to_table().to_pylist()
    assert len({row["k"] for row in found}) == len(found)
    return {row.pop("k"): row for row in found}


def files(folder):
    return {Path(uri).name for uri in opened(folder).file_uris()}


CHANGE = st.tuples(st.integers(0, 8), st.none() | st.integers(0, 3), st.integers(0, 2), st.sampled_from([None, True]))
LOAD = st.tuples(
    st.sampled_from(["append", "overwrite", "merge", "merge", "merge", "full"]),
    st.lists(CHANGE, max_size=10, unique_by=lambda change: change[0]),
)


def after(table, mode, changes):
    """What a load makes of {key: (time, value)}."""
    if mode == "append":
        return {**table, **{k: (at, v) for k, at, v, _ in changes if k not in table}}
    if mode == "overwrite":
        return {k: (at, v) for k, at, v, gone in changes if not gone}
    result = dict(table)
    for k, at, v, gone in changes:
        older = k in table and table[k][0] is not None and (at is None or table[k][0] > at)
        if older:
            continue
        if gone:
            result.pop(k, None)
        else:
            result[k] = (at, v)
    keys = {change[0] for change in changes}
    return {k: row for k, row in result.items() if k in keys} if mode == "full" else result


@settings(max_examples=20, deadline=None)
@given(st.lists(LOAD, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_any_sequence_of_loads_equals_a_plain_model(loads, partitioned, small):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if small:  # several passes, so that a file may be written anew more than once
            patch.setattr("ingestion.loaders.delta.rows.KeyedRows", functools.partial(KeyedRows, limit=100))
        expected = {}
        for mode, changes in loads:
            given = changes if mode != "append" else [(k, at, v, None) for k, at, v, _ in changes if k not in expected]
            load_one(folder, mode, given, partitioned)
            expected = after(expected, mode, given)
            if opened_or_none(folder) is not None:
                found = {k: (row["at"], row["v"]) for k, row in by_key(folder).items()}
                assert found == expected


def opened_or_none(folder):
    return opened(folder) if (Path(folder) / "d/t/_delta_log").exists() else None


def load_one(folder, mode, changes, partitioned):
    names, kinds = ("k", "at", "v", "gone"), (pa.int64(), pa.int64(), pa.int64(), pa.bool_())
    columns = list(zip(*changes, strict=True)) or [()] * 4
    arrays = {n: pa.array(list(c), kind) for n, c, kind in zip(names, columns, kinds, strict=True)}
    options = {"allow_empty": True, "partition_by": ["v"] if partitioned else []}
    if mode == "append":
        del arrays["gone"]
        loader = DeltaLoader(location=folder, database="d", table="t", **options)
    else:
        options |= {"order_by": ["at"], "delete_column": "gone"}
        options |= {"write_mode": "overwrite"} if mode == "overwrite" else {}
        loader = merging(folder, delete_missing="hard" if mode == "full" else "none", **options)
    land(loader, [batch(arrays)])


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(["a", "b", "ü", "", "x" * 500]),
        pa.array([date(2024, 1, day) for day in range(1, 6)]),
        pa.array([datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=n) for n in range(5)]),
        pa.array([Decimal(f"{n}.05") for n in range(5)], pa.decimal128(10, 2)),
        pa.array([0.5, 1.5, float("inf"), -0.0, 3.0]),
        pa.array([b"\x00", b"\xff", b"", b"a", b"b"]),
        pa.array([True, False, True, False, True]),
        pa.array([-(2**63), 2**63 - 1, 0, 1, 2]),
    ],
    ids=lambda keys: str(keys.type),
)
def test_keys_of_any_type_find_their_rows(tmp_path, keys):
    land(merging(tmp_path, merge_keys=["k", "n"]), [batch({"k": keys, "n": range(5), "v": ["old"] * 5})])
    result = land(merging(tmp_path, merge_keys=["k", "n"]), [batch({"k": keys, "n": range(5), "v": ["new"] * 5})])
    assert result.changes == {"inserted": 0, "updated": 5, "unchanged": 0, "deleted": 0}
    assert merging(tmp_path).to_table()["v"].to_pylist() == ["new"] * 5


@pytest.mark.parametrize("says", [True, False], ids=["given", "of_the_table"])
def test_an_empty_text_is_no_key_in_a_column_that_makes_partitions(tmp_path, says):
    loader = merging(tmp_path, merge_keys=["r", "k"], partition_by=["r"])
    for _ in range(2):
        state = loader.state("a")
        given = [batch({"r": pa.array(["", "x"]).dictionary_encode(), "k": [1, 1], "v": [7, 7]})]
        result = land(loader, loader.admit(iter(given), state.schema), since=state)
        loader = merging(tmp_path, merge_keys=["r", "k"], partition_by=["r"] if says else [])
        assert (result.rows, result.quarantined) == (1, 1)
    assert merging(tmp_path).to_table().num_rows == 1


def test_a_row_without_a_key_never_lands_even_where_nobody_rejected_it(tmp_path):
    loader = DeltaLoader(location=str(tmp_path), write_mode="merge", merge_keys=["r"], partition_by=["r"])
    land(loader, [batch({"r": ["x"]})])
    with pytest.raises(DataError, match=r"loader\.merge_keys names it"):
        land(loader, [batch({"r": [""]})])
    admitted = loader.admit(iter([batch({"r": ["", "x"]})]), loader.state("a").schema)
    assert next(admitted).rejected.num_rows == 1


def test_an_empty_text_is_null_in_a_partition_and_no_change(tmp_path):
    loader = merging(tmp_path, partition_by=["p"])
    land(loader, [batch({"k": [1, 2], "p": ["", "a"]})])
    result = land(loader, [batch({"k": [1, 2], "p": ["", "a"]})])
    assert (result.snapshot, result.changes["unchanged"]) == (None, 2)


def test_only_files_with_changed_rows_are_written_anew(tmp_path):
    for part in range(4):
        land(merging(tmp_path), [batch({"k": list(range(part * 100, part * 100 + 100)), "v": [0] * 100})])
    before = files(tmp_path)
    result = land(merging(tmp_path), [batch({"k": [5, 250, 251, 399], "v": [1, 0, 0, 0]})])
    assert result.changes == {"inserted": 0, "updated": 1, "unchanged": 3, "deleted": 0}
    assert (result.files, len(before & files(tmp_path))) == (1, 3)


def test_a_merge_that_changes_nothing_and_has_no_cursor_makes_no_version(tmp_path):
    land(merging(tmp_path), [batch({"k": [1, 2], "v": [[1], [2]]})])
    result = land(merging(tmp_path), [batch({"k": [2, 1], "v": [[2], [1]]})])
    assert (result.snapshot, result.changes["unchanged"], result.rows) == (None, 2, 2)
    assert opened(tmp_path).version() == 0
    assert len(list((tmp_path / "d/t/_ingestion/a").iterdir())) == 1


@pytest.mark.parametrize("apart", [True, False], ids=["in_two_files", "in_one_file"])
@pytest.mark.parametrize("partition_by", [[], ["v"]], ids=["", "partitioned"])
def test_rows_that_the_table_has_more_than_once_become_one(tmp_path, apart, partition_by):
    old = DeltaLoader(location=str(tmp_path), database="d", table="t", partition_by=partition_by)
    for keys in [[1, 2], [1, 3]] if apart else [[1, 2, 1, 3]]:
        land(old, [batch({"k": keys, "v": [0] * len(keys), "at": [5] * len(keys)})])
    older = land(merging(tmp_path, order_by=["at"]), [batch({"k": [1], "v": [9], "at": [4]})])
    assert (older.removed, older.snapshot) == ({"older row of the same key": 1}, None)
    result = land(merging(tmp_path), [batch({"k": [1, 2], "v": [0, 0], "at": [5, 5]})])
    assert result.changes == {"inserted": 0, "updated": 1, "unchanged": 1, "deleted": 0}
    assert by_key(tmp_path) == {k: {"v": 0, "at": 5} for k in (1, 2, 3)}


def test_a_delete_takes_all_rows_of_its_key(tmp_path):
    old = DeltaLoader(location=str(tmp_path), database="d", table="t")
    land(old, [batch({"k": [1, 1, 2]})])
    result = land(merging(tmp_path, delete_column="gone"), [batch({"k": [1], "gone": [True]})])
    assert (result.changes["deleted"], by_key(tmp_path)) == (2, {2: {}})


@pytest.mark.parametrize("gone", [None, True])
def test_a_row_that_comes_back_with_older_values_is_there_again(tmp_path, gone):
    loader = merging(tmp_path, delete_missing="soft", order_by=["at"], delete_column="gone")
    for keys, at, gone_now in (([1, 2], [5, 5], None), ([1], [5], None), ([1, 2], [5, 4], gone)):
        result = land(
            loader, [batch({"k": keys, "at": at, "gone": pa.array([None] * (len(keys) - 1) + [gone_now], pa.bool_())})]
        )
    assert by_key(tmp_path) == {k: {"at": 5, "_deleted_at": None} for k in (1, 2)}
    assert (result.changes["updated"], result.removed) == (1, {"older row of the same key": 1})


def test_the_columns_of_the_run_alone_are_no_change(tmp_path):
    for run in ("r1", "r2"):
        result = land(merging(tmp_path), [batch({"k": [1], "v": [1], "_ingestion_run_id": [run]})])
    assert (result.snapshot, result.changes["unchanged"]) == (None, 1)


def test_new_columns_and_wider_ones_come_with_a_merge(tmp_path):
    land(merging(tmp_path), [batch({"k": [1, 2], "v": pa.array([1, 2], pa.int32())})])
    land(merging(tmp_path), [batch({"k": [2, 3], "v": pa.array([5, 6], pa.int32()), "new": ["b", "c"]})])
    assert by_key(tmp_path) == {1: {"v": 1, "new": None}, 2: {"v": 5, "new": "b"}, 3: {"v": 6, "new": "c"}}
    land(merging(tmp_path), [batch({"k": [3], "v": [1 << 40], "new": ["d"]})])
    assert by_key(tmp_path) == {1: {"v": 1, "new": None}, 2: {"v": 5, "new": "b"}, 3: {"v": 1 << 40, "new": "d"}}


def test_a_column_that_the_data_lacks_becomes_null_in_replaced_rows(tmp_path):
    land(merging(tmp_path), [batch({"k": [1, 2], "v": [1, 2]})])
    land(merging(tmp_path), [batch({"k": [2]})])
    assert by_key(tmp_path) == {1: {"v": 1}, 2: {"v": None}}


def test_a_rollback_takes_the_columns_of_a_merge_back_too(tmp_path):
    land(merging(tmp_path), [batch({"k": [1]}, cursor=1)], run_id="r1")
    land(merging(tmp_path), [batch({"k": [1, 2], "new": ["a", "b"]}, cursor=2)], run_id="r2")
    merging(tmp_path).rollback("a", "r2")
    state = merging(tmp_path).state("a")
    assert (by_key(tmp_path), state.cursor, state.schema.names) == ({1: {}}, 1, ["k"])


def test_the_same_key_twice_in_one_source_is_refused_and_nothing_is_left(tmp_path):
    land(merging(tmp_path), [batch({"k": [1], "v": [0]})])
    with pytest.raises(DataError, match="k=1 comes twice"):
        land(merging(tmp_path), [batch({"k": [1, 1], "v": [1, 2]})])
    land(merging(tmp_path), [batch({"k": [1], "v": [1]}, source="f"), batch({"k": [1], "v": [2]}, source="g")])
    assert by_key(tmp_path) == {1: {"v": 2}}


def test_a_full_load_without_rows_is_refused_unless_allowed(tmp_path):
    land(merging(tmp_path), [batch({"k": [1]})])
    with pytest.raises(DataError, match="allow_empty"):
        land(merging(tmp_path, delete_missing="hard"), [batch({"k": pa.array([], pa.int64())})])
    land(merging(tmp_path, delete_missing="hard", allow_empty=True), [batch({"k": pa.array([], pa.int64())})])
    assert by_key(tmp_path) == {}


def test_missing_rows_are_marked_once(tmp_path):
    loader = merging(tmp_path, delete_missing="soft")
    land(loader, [batch({"k": [1, 2]})])
    assert land(loader, [batch({"k": [1]})]).changes["missing"] == 1
    marked = by_key(tmp_path)[2]["_deleted_at"]
    again = land(loader, [batch({"k": [1]})])
    assert (again.changes["missing"], again.snapshot) == (0, None)
    assert by_key(tmp_path)[2]["_deleted_at"] == marked


def test_missing_rows_are_marked_with_the_time_at_which_the_load_began(tmp_path):
    loader = merging(tmp_path, delete_missing="soft")
    first = land(loader, [batch({"k": [1, 2]})])
    times = []

    def stream():
        times.append(datetime.now(timezone.utc))
        yield batch({"k": [1]})

    result = land(loader, stream())
    assert by_key(tmp_path)[2]["_deleted_at"] <= times[0]
    assert (first.absent, result.absent) == ((), ())
    assert land(merging(tmp_path), [batch({"k": [1]})]).absent == ()


def test_an_overwrite_marks_nothing(tmp_path):
    loader = merging(tmp_path, write_mode="overwrite", delete_missing="soft")
    for keys in ([1, 2], [1]):
        land(loader, [batch({"k": keys})])
    assert by_key(tmp_path) == {1: {}}


def test_a_row_that_moves_to_another_partition_leaves_the_old_one(tmp_path):
    loader = merging(tmp_path, partition_by=["p"])
    land(loader, [batch({"k": [1, 2], "p": ["a", "b"]})])
    land(loader, [batch({"k": [1], "p": ["b"]})])
    assert by_key(tmp_path) == {1: {"p": "b"}, 2: {"p": "b"}}
    found = opened(tmp_path).to_pyarrow_table(filters=[("p", "=", "b")])
    assert sorted(found["k"].to_pylist()) == [1, 2]


def test_files_with_deletion_vectors_are_not_merged_into(tmp_path):
    write_deltalake(f"{tmp_path}/d/t", pa.table({"k": [1]}))
    from deltalake import TableFeatures

    opened(tmp_path).alter.add_feature(TableFeatures.DeletionVectors, allow_protocol_versions_increase=True)
    with pytest.raises(ConfigError, match="deletion vectors"):
        land(merging(tmp_path), [batch({"k": [1]})])


def _merge_in_process(folder, job, first, queue):
    try:
        land(merging(folder), [batch({"k": list(range(first, 300, 3)), "of": [job] * 100}, cursor=first, bad=1)], job)
        queue.put((job, "ok"))
    except Exception as error:  # noqa: BLE001 - how it ended is the answer
        queue.put((job, type(error).__name__))


def test_processes_that_merge_at_once_all_land_and_those_of_one_job_land_once(tmp_path):
    land(merging(tmp_path), [batch({"k": list(range(300)), "of": ["z"] * 300})], job="z")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    jobs = [("a", 0), ("b", 1), ("c", 2)]
    processes = [context.Process(target=_merge_in_process, args=(tmp_path, *job, queue)) for job in jobs]
    for process in processes:
        process.start()
    ends = sorted(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert ends == [("a", "ok"), ("b", "ok"), ("c", "ok")]
    assert by_key(tmp_path) == {k: {"of": "abc"[k % 3]} for k in range(300)}
    assert len(list((tmp_path / "d/t").glob("*.parquet"))) <= 8


@pytest.fixture
def overtaken(monkeypatch):
    """Give a load that another one lands between the plan of the next commit and its sending."""
    from ingestion.loaders.delta import commit

    send, waiting = commit._commit, []

    def overtake(load):
        waiting.append(load)

    def interrupted(*arguments):
        if waiting:
            waiting.pop()()
        send(*arguments)

    monkeypatch.setattr(commit, "_commit", interrupted)
    return overtake


def test_a_merge_plans_again_where_another_job_landed_meanwhile(tmp_path, overtaken):
    land(merging(tmp_path), [batch({"k": [1], "of": ["z"]})])
    overtaken(lambda: land(merging(tmp_path), [batch({"k": [2], "of": ["b"]})], job="b"))
    result = land(merging(tmp_path), [batch({"k": [2], "of": ["a"]}, cursor=1)])
    assert result.changes["updated"] == 1
    assert by_key(tmp_path) == {1: {"of": "z"}, 2: {"of": "a"}}


def test_a_run_gives_way_where_another_of_its_job_landed_before_the_commit(tmp_path, overtaken):
    appending = DeltaLoader(location=str(tmp_path), database="d", table="t")
    land(appending, [batch({"k": [1]}, cursor=1)])
    overtaken(lambda: land(appending, [batch({"k": [2]}, cursor=2)]))
    with pytest.raises(Superseded):
        land(appending, [batch({"k": [2]}, cursor=2)])
    assert by_key(tmp_path) == {1: {}, 2: {}}
    assert len(list((tmp_path / "d/t").glob("*.parquet"))) == 2
