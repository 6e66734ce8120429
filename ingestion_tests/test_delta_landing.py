"""How a Delta load becomes a version: lost requests, late ones, errors behind the commit, and what is tried again."""

import uuid

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from ingestion.errors import ConfigError, OutcomeUnknown, TransientError
from ingestion.loaders.delta import DeltaLoader, commit, loading, quarantine
from ingestion.loaders.delta.rows import Rows
from ingestion.plugins import Load
from ingestion_tests.targets import batch, land

MERGE = {"write_mode": "merge", "merge_keys": ["k"]}


def loader_of(folder, **options):
    return DeltaLoader(location=str(folder), database="d", table="t", **options)


def by_key(folder):
    return {row["k"]: row["v"] for row in loader_of(folder).to_table().to_pylist()}


def referred(folder):
    return {name.rpartition("/")[2] for name in DeltaTable(f"{folder}/d/t").file_uris()}


def data_files(folder):
    return {path.name for path in (folder / "d/t").glob("*.parquet")}


@pytest.fixture
def sending(monkeypatch):
    """Give a function that takes the place of the request, with the real one as its first argument."""

    def put(own):
        send = commit._commit
        monkeypatch.setattr(commit, "_commit", lambda *arguments: own(send, *arguments))

    monkeypatch.setattr(commit, "_LONGEST_WAIT_SECONDS", 0.001)
    return put


# behind the commit


def test_an_error_behind_the_commit_fails_no_load(tmp_path, monkeypatch):
    loader = loader_of(tmp_path)
    land(loader, [batch({"k": [1], "v": [1]}, cursor=1)])
    stray = quarantine.Quarantine(loader, Load("a", "killed", uuid.uuid4().hex, loader.state("a"), "hash"))
    stray.write(batch({"k": [1]}, bad=1).rejected)
    stray.land()

    def failing(place, *versions):
        if not place.uri.endswith("__quarantine"):
            raise OSError("503 slow down")
        return list(commits(place, *versions))

    commits = quarantine.commits
    monkeypatch.setattr(quarantine, "commits", failing)
    result = land(loader, [batch({"k": [2], "v": [2]}, cursor=2)])
    assert (result.rows, result.snapshot, result.table_rows) == (1, "1", 2)
    assert (by_key(tmp_path), loader.state("a").cursor) == ({1: 1, 2: 2}, 2)


def test_an_interruption_behind_the_commit_takes_nothing_back(tmp_path, monkeypatch):
    loader = loader_of(tmp_path)
    land(loader, [batch({"k": [1], "v": [1]}, cursor=1)])

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Rows, "tidy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        land(loader, [batch({"k": [2], "v": [2]}, cursor=2)])
    assert (by_key(tmp_path), loader.state("a").cursor) == ({1: 1, 2: 2}, 2)


def test_an_interruption_behind_the_commit_of_rejected_rows_leaves_them_readable(tmp_path, sending):
    loader = loader_of(tmp_path)
    land(loader, [batch({"k": [1], "v": [1]}, cursor=1, bad=1)])

    def interrupted(send, place, *arguments):
        send(place, *arguments)
        if place.uri.endswith("__quarantine"):
            raise KeyboardInterrupt

    sending(interrupted)
    with pytest.raises(KeyboardInterrupt):
        land(loader, [batch({"k": [2], "v": [2]}, cursor=2, bad=1)])
    rejected = DeltaTable(f"{tmp_path}/d/t__quarantine")
    assert pa.RecordBatchReader.from_stream(rejected.scan()).read_all().num_rows == 2
    assert (by_key(tmp_path), loader.state("a").cursor) == ({1: 1}, 1)


# requests that are lost


@pytest.mark.parametrize("options", [{}, {"write_mode": "overwrite"}, MERGE], ids=["append", "overwrite", "merge"])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_request_that_arrives_during_a_later_one_is_the_load(tmp_path, sending, options, lost):
    land(loader_of(tmp_path), [batch({"k": [1, 2], "v": [1, 1]}, cursor=1)])
    held = []

    def late(send, *arguments):
        if len(held) < lost:
            held.append(arguments)
            raise OSError("timed out")
        if len(held) == lost:
            held.append(None)
            send(*held[0])
        send(*arguments)

    sending(late)
    loader = loader_of(tmp_path, **options)
    result = land(loader, [batch({"k": [3, 4], "v": [2, 2]}, cursor=2)])
    assert (result.rows, result.snapshot, loader.state("a").cursor) == (2, "1", 2)
    assert by_key(tmp_path) == {3: 2, 4: 2} | ({} if options.get("write_mode") == "overwrite" else {1: 1, 2: 1})
    newest = DeltaTable(f"{tmp_path}/d/t").get_add_actions()
    assert result.bytes_written == max(pa.table(newest)["size_bytes"].to_pylist())
    before = referred(tmp_path) if options.get("write_mode") != "overwrite" else data_files(tmp_path)
    assert referred(tmp_path) <= data_files(tmp_path) == before
    assert len(list((tmp_path / "d/t/_ingestion/a").iterdir())) == 2


def test_after_a_request_was_lost_for_good_its_files_stay(tmp_path, sending):
    land(loader_of(tmp_path), [batch({"k": [1], "v": [1]}, cursor=1)])
    held = []

    def lost(send, *arguments):
        held.append((send, arguments))
        raise OSError("timed out")

    sending(lost)
    with pytest.raises(OutcomeUnknown, match="the next run finds out"):
        land(loader_of(tmp_path, **MERGE), [batch({"k": [1, 2], "v": [2, 2]}, cursor=2)])
    send, arguments = held[0]
    send(*arguments)
    assert (by_key(tmp_path), loader_of(tmp_path).state("a").cursor) == ({1: 2, 2: 2}, 2)


def test_a_refusal_after_a_lost_request_leaves_what_that_one_needs(tmp_path, sending):
    land(loader_of(tmp_path), [batch({"k": [1], "v": [1]}, cursor=1)])
    held = []

    def lost_then_refused(send, *arguments):
        held.append((send, arguments))
        raise OSError("timed out" if len(held) == 1 else "AccessDenied")

    sending(lost_then_refused)
    with pytest.raises(ConfigError, match="no permission"):
        land(loader_of(tmp_path), [batch({"k": [2], "v": [2]}, cursor=2)])
    send, arguments = held[0]
    send(*arguments)
    assert (by_key(tmp_path), loader_of(tmp_path).state("a").cursor) == ({1: 1, 2: 2}, 2)


# what is tried again


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), FileNotFoundError("part-0.parquet")])
def test_an_error_while_a_merge_is_planned_is_not_met_by_planning_again(tmp_path, monkeypatch, error):
    land(loader_of(tmp_path), [batch({"k": [1], "v": [1]}, cursor=1)])
    plans = []

    def failing(_self, table):
        plans.append(table)
        raise error

    monkeypatch.setattr(Rows, "change", failing)
    with pytest.raises(TransientError):
        land(loader_of(tmp_path, **MERGE), [batch({"k": [2], "v": [2]}, cursor=2)])
    assert len(plans) == 1
    assert len(data_files(tmp_path)) == 1


def test_a_merge_that_is_overtaken_again_and_again_gives_up_and_leaves_nothing(tmp_path, sending, monkeypatch):
    land(loader_of(tmp_path), [batch({"k": [1], "v": [1]}, cursor=1)])
    monkeypatch.setattr(loading, "_EDITS", 3)
    sent = []

    def overtaken(_, place, *__):
        sent.append(place)
        DeltaTable(place.uri).alter.set_table_properties({"delta.logRetentionDuration": f"interval {len(sent)} days"})
        raise CommitFailedError("conflict")

    sending(overtaken)
    with pytest.raises(TransientError, match="the commit failed"):
        land(loader_of(tmp_path, **MERGE), [batch({"k": [1, 2], "v": [2, 2]}, cursor=2)])
    assert len(sent) == 3
    assert len(data_files(tmp_path)) == len(list((tmp_path / "d/t/_ingestion/a").iterdir())) == 1
