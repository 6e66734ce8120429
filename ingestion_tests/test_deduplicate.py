"""Of rows with the same key one stays, the others are counted, and what waits on disk leaves no trace."""

import os
import signal
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.config import load_job
from ingestion.errors import ConfigError, DataError
from ingestion.keyed import seen, winners
from ingestion.pipeline import run
from ingestion.plugins import Batch, Origin
from ingestion.testing import check_transformer
from ingestion.transformers.base import BaseTransformer

SCHEMA = pa.schema([("id", pa.int64()), ("at", pa.int64()), ("v", pa.string())])
BY_TIME = {"deduplicate": {"keys": "id", "order_by": "at"}}
FIRST = {"deduplicate": {"keys": ["id"]}}


@pytest.fixture(params=["memory", "disk"])
def room(request, monkeypatch):
    """Once with all the room there is, once with so little that nothing stays in memory."""
    if request.param == "disk":
        monkeypatch.setattr(seen, "LIMIT", 512)
        monkeypatch.setattr(winners, "LIMIT", 256)


def batch(rows, first=1, **news):
    columns = [[row[place] for row in rows] for place in range(3)]
    records = pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )
    return Batch(records, Origin("f.csv", first), **news)


def change(config, *batches):
    return list(BaseTransformer.model_validate(config).apply(iter(batches)))


def rows_of(batches):
    return [tuple(row.values()) for item in batches for row in item.records.to_pylist()]


def removed_of(batches):
    return sum(item.removed.get("deduplicate", 0) for item in batches)


def positions_of(batches):
    found = []
    for item in batches:
        rows = pa.array(range(item.records.num_rows), pa.int64())
        found += item.origin.at(rows).to_pylist()
    return found


def test_the_first_row_of_a_key_stays(room):
    done = change(FIRST, batch([(1, 5, "a"), (2, 5, "b"), (1, 9, "c")]), batch([(2, 6, "d"), (3, 1, "e")], 4))
    assert rows_of(done) == [(1, 5, "a"), (2, 5, "b"), (3, 1, "e")]
    assert positions_of(done) == [1, 2, 5]
    assert removed_of(done) == 2


def test_the_greatest_row_of_a_key_stays_and_the_later_of_equals(room):
    first = batch([(1, 5, "a"), (2, 5, "b"), (1, 9, "c"), (4, None, "d")])
    second = batch([(2, 5, "e"), (1, 8, "f"), (4, None, "g"), (5, None, "h"), (5, -9, "i")], 5)
    done = change(BY_TIME, first, second)
    assert rows_of(done) == [(1, 9, "c"), (2, 5, "e"), (4, None, "g"), (5, -9, "i")]
    assert positions_of(done) == [3, 5, 7, 9]
    assert removed_of(done) == 5


def test_null_keys_are_equal_to_each_other(room):
    rows = [(None, 1, "a"), (None, 2, "b"), (0, 1, "c")]
    assert rows_of(change(FIRST, batch(rows))) == [(None, 1, "a"), (0, 1, "c")]
    assert rows_of(change(BY_TIME, batch(rows))) == [(None, 2, "b"), (0, 1, "c")]


def test_news_go_ahead_and_the_last_cursor_comes_behind_all_rows():
    given = [
        batch([(1, 1, "a")], cursor="one", bytes_read=3, removed={"x": 2}),
        batch([(1, 2, "b")], 2, cursor="two", bytes_read=4, emptied={"c: r": 1}),
        batch([], 3),
    ]
    done = change(BY_TIME, *given)
    assert [item.cursor for item in done] == [None] * (len(done) - 1) + ["two"]
    assert sum(item.bytes_read for item in done) == 7
    assert sum(item.removed.get("x", 0) for item in done) == 2
    assert sum(item.emptied.get("c: r", 0) for item in done) == 1


@pytest.mark.parametrize("config", [FIRST, BY_TIME, {"deduplicate": {"keys": ["id", "v"], "order_by": ["v", "at"]}}])
def test_deduplication_keeps_the_contract(config, room):
    given = [
        batch([(1, 1, "a"), (2, None, "b"), (1, 3, None)], bytes_read=3, emptied={"c: r": 1}),
        batch([], 4),
        batch([(None, 1, "a"), (2, 7, "b"), (None, 1, "z")], 9, cursor={"at": 4}),
    ]
    assert check_transformer(BaseTransformer.model_validate(config), given)


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 5), st.none() | st.integers(0, 3), st.none() | st.sampled_from(["", "a", "å"])
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    cuts=st.lists(st.integers(0, 60), max_size=4),
    keys=st.sampled_from([["id"], ["v"], ["v", "id"]]),
    order_by=st.sampled_from([[], ["at"], ["at", "v"], ["v"]]),
)
def test_the_rows_that_stay_are_those_of_plain_python(room, rows, cuts, keys, order_by):
    numbered = list(enumerate(rows, 1))
    chosen = {}
    for place, row in numbered:
        named = dict(zip(SCHEMA.names, row, strict=True))
        key = tuple(named[name] for name in keys)
        worth = [(named[name] is not None, named[name] or ("" if name == "v" else 0)) for name in order_by]
        if key not in chosen or (order_by and worth >= chosen[key][1]):
            chosen[key] = (place, worth)
    stays = {place for place, _ in chosen.values()}
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    given = [batch(rows[start:end], start + 1) for start, end in pairwise(edges)]
    done = change({"deduplicate": {"keys": keys, "order_by": order_by}}, *given)
    assert rows_of(done) == [row for place, row in numbered if place in stays]
    assert positions_of(done) == sorted(stays)
    assert removed_of(done) == len(rows) - len(stays)


@pytest.mark.parametrize("values", [
    pa.array([1, 2, None], pa.int8()),
    pa.array([1, 2**63, None], pa.uint64()),
    pa.array([-1.5, 2.5, None]),
    pa.array([False, True, None]),
    pa.array(["a", "b", None]),
    pa.array(["a", "b", None]).dictionary_encode(),
    pa.array([b"a", b"b", None], pa.binary(1)),
    pa.array([1, 2, None], pa.date32()),
    pa.array([1, 2, None], pa.time64("us")),
    pa.array([1, 2, None], pa.timestamp("us", "UTC")),
    pa.array([1, 2, None], pa.duration("s")),
    pa.array([1, 2, None], pa.decimal128(10, 2)),
    pa.array([b"a" * 16, b"b" * 16, None], pa.uuid()),
])  # fmt: skip
def test_rows_are_ranked_by_values_of_every_type(values, room):
    records = pa.record_batch({"id": [1, 1, 1], "at": values})
    done = change(BY_TIME, Batch(records, Origin("f")))
    assert positions_of(done) == [2]


def test_what_is_known_of_rows_comes_back_with_them():
    at = datetime(2024, 5, 1, tzinfo=timezone.utc)
    records = pa.record_batch({"id": ["1", "x", "2"], "at": ["1", "2", "3"], "tags": [["a", "b"], [], ["c"]]})
    origin = Origin("s3://b/f.json", positions=pa.array([10, 20, 30]), modified_at=at)
    config = {
        "numeric_columns": ["at"],
        "types": {"id": "long"},
        "explode": "tags",
        "deduplicate": {"keys": ["id", "tags"], "order_by": "at"},
        "validation": [{"column": "tags", "rule": "in", "values": ["a"]}],
    }
    done = change(config, Batch(records, origin))
    bad = [row for item in done if item.rejected for row in item.rejected.to_pylist()]
    assert [(row["rule"], row["source"], row["position"], row["part"]) for row in bad] == [
        ("types", "s3://b/f.json", 20, None), ("in", "s3://b/f.json", 10, 2), ("in", "s3://b/f.json", 30, 1),
    ]  # fmt: skip
    assert bad[1]["payload"] == '{"id":"1","at":"1","tags":["a","b"]}'
    assert bad[2]["payload"] == '{"id":"2","at":"3","tags":["c"]}'
    assert pa.ipc.read_schema(pa.py_buffer(bad[1]["payload_schema"])) == records.schema
    assert {item.origin.modified_at for item in done} == {at}


@pytest.mark.parametrize(("config", "sentence"), [
    ({"keys": "idd"}, r"transformer\.deduplicate\.keys: .*'idd'; did you mean 'id'"),
    ({"keys": "id", "order_by": "when"}, r"transformer\.deduplicate\.order_by: .*'when'"),
    ({"keys": "tags"}, r"deduplicate\.keys: column 'tags' has values of type list<item: int64>, which cannot be"),
    ({"keys": "id", "order_by": "tags"}, r"deduplicate\.order_by: column 'tags' has values of type list"),
    ({"keys": "id", "order_by": "wide"}, r"deduplicate\.order_by: column 'wide' has values of type decimal256"),
])  # fmt: skip
def test_a_column_that_is_no_key_is_named(config, sentence):
    records = pa.record_batch({"id": [1], "at": [2], "tags": [[3]], "wide": pa.nulls(1, pa.decimal256(50, 2))})
    with pytest.raises(ConfigError, match=sentence):
        change({"deduplicate": config}, Batch(records, Origin("f")))


def test_values_of_two_types_are_not_ranked():
    one, other = pa.record_batch({"id": [1], "at": [2]}), pa.record_batch({"id": [1], "at": ["b"]})
    with pytest.raises(DataError, match=r"deduplicate.*'at' has values of type int64 first and of type string later"):
        change(BY_TIME, Batch(one, Origin("f")), Batch(other, Origin("g")))


def test_a_column_that_is_empty_in_the_first_file_is_ranked_by_the_later_ones(room):
    one = pa.record_batch({"id": [1, 2], "at": pa.nulls(2)})
    other = pa.record_batch({"id": [1], "at": ["b"]})
    done = change(BY_TIME, Batch(one, Origin("f")), Batch(other, Origin("g")))
    assert rows_of(done) == [(2, None), (1, "b")]


@pytest.mark.parametrize(("config", "sentence"), [
    ({}, "keys"),
    ({"keys": []}, "at least 1"),
    ({"keys": [""]}, "at least 1"),
    ({"keys": ["a", "b", "a"]}, r"deduplicate\.keys: column 'a' is named 2 times"),
    ({"keys": "a", "order": "b"}, "did you mean 'order_by'"),
])  # fmt: skip
def test_options_that_say_nothing_sensible_are_refused(config, sentence):
    with pytest.raises(ValidationError, match=sentence):
        BaseTransformer.model_validate({"deduplicate": config})


# what waits on disk


OTHERS = set()


@pytest.fixture(autouse=True)
def no_files_of_others():
    """Pytest has such files of its own."""
    OTHERS.clear()
    OTHERS.update(str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())


def temporary_files():
    """The contents of the nameless files that this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        link = str(entry.readlink()) if entry.is_symlink() else ""
        if link.startswith(f"{tempfile.gettempdir()}/#") and link not in OTHERS:
            found.append(os.pread(int(entry.name), 1 << 22, 0))
    return found


def endless(until=None):
    """Batches of new keys; the one of number *until* raises."""
    number = 0
    while True:
        if number == until:
            raise DataError("the source is broken")
        first = number * 1000
        yield batch([(key, key, "v") for key in range(first, first + 1000)], first + 1)
        number += 1


@pytest.mark.parametrize("config", [FIRST, BY_TIME])
def test_no_file_is_left_when_the_run_ends_early(config, monkeypatch):
    monkeypatch.setattr(seen, "LIMIT", 4096)
    monkeypatch.setattr(winners, "LIMIT", 4096)
    stream = BaseTransformer.model_validate(config).apply(endless())
    for _ in range(8):
        next(stream)
    assert temporary_files()
    stream.close()
    assert not temporary_files()
    with pytest.raises(DataError, match="the source is broken"):
        list(BaseTransformer.model_validate(config).apply(endless(until=8)))
    assert not temporary_files()


def test_rows_as_read_that_may_not_be_told_do_not_go_to_disk():
    secret, plain = os.urandom(16).hex(), os.urandom(16).hex()
    config = {**BY_TIME, "mask": {"v": "redact"}, "transformations": [{"drop_columns": ["w"]}]}
    given = pa.record_batch({"id": [1, 2], "at": [1, 2], "v": [secret, None], "w": [plain, None]})
    stream = BaseTransformer.model_validate(config).apply(iter([Batch(given, Origin("f")), batch([(9, 9, "z")], 5)]))
    next(stream)
    next(stream)
    held = b"".join(temporary_files())
    assert plain.encode() in held
    assert secret.encode() not in held
    assert [row for item in stream for row in item.records["v"].to_pylist()] == ["***", None, "***"]


_PROGRAM = """
import os, resource, signal, sys
import pyarrow as pa
from ingestion.keyed import seen, winners
from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer

seen.LIMIT = winners.LIMIT = 1 << 20
options, moment = eval(sys.argv[1]), sys.argv[2]
if moment == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))

def source():
    for number in range(40):
        if moment == "killed" and number == 30:
            print(len(os.listdir("/proc/self/fd")), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        ids = range(number * 50_000, (number + 1) * 50_000)
        yield Batch(pa.record_batch({"id": ids, "at": ids}), Origin("f", ids[0] + 1))

print(sum(item.records.num_rows for item in BaseTransformer.model_validate(options).apply(source())))
"""


def program(config, moment, folder):
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, repr(config), moment],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},
    )


@pytest.mark.parametrize("config", [FIRST, BY_TIME])
def test_a_full_disk_ends_the_run_in_words(config, tmp_path):
    done = program(config, "full", tmp_path)
    assert done.returncode == 1
    assert (
        "TransientError: transformer.deduplicate: rows wait in the temporary folder, and it takes no more"
        in done.stderr
    )
    assert "TMPDIR" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", [FIRST, BY_TIME])
def test_a_killed_run_leaves_no_file(config, tmp_path):
    done = program(config, "killed", tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert int(done.stdout) > 4  # there were files
    assert not list(tmp_path.iterdir())


def test_a_job_keeps_the_newest_row_of_each_key(project):
    project.file("in/a.csv", "id,at,v\n1,2024-01-02,old\n2,2024-01-01,only\n")
    project.file("in/b.csv", "id,at,v\n1,2024-01-03,new\n1,2024-01-01,oldest\n")
    config = {"source": {"type": "csv", "source_path": "in"}, "transformer": BY_TIME}
    project.job("orders", config)
    report = run(load_job("orders"), "run-1")
    assert sorted(zip(*project.table("default.orders").select(["id", "v"]).to_pydict().values(), strict=True)) == [
        (1, "new"), (2, "only"),
    ]  # fmt: skip
    assert dict(report.removed) == {"deduplicate": 2}
    assert (report.rows_read, report.rows_loaded) == (4, 2)


@pytest.mark.parametrize("config", [BY_TIME, FIRST, {"validation": [{"rule": "unique", "column": "id"}]}])
def test_keys_of_two_kinds_are_not_compared(config):
    files = [pa.record_batch({"id": ids, "at": [1, 2]}) for ids in (pa.array([1, 2]), pa.array([1.0, 3.5]))]
    with pytest.raises(DataError, match="column 'id' has values of type int64 first and of type double later"):
        change(config, *(Batch(rows, Origin("f.csv")) for rows in files))


@pytest.mark.parametrize("config", [BY_TIME, FIRST])
def test_keys_of_one_kind_are_equal_in_any_width(config):
    kinds = [pa.null(), pa.int16(), pa.dictionary(pa.int8(), pa.int64()), pa.uint8(), pa.int64()]
    files = [
        pa.record_batch({"id": pa.array([None if dtype == pa.null() else 7], dtype), "at": [1]}) for dtype in kinds
    ]
    done = change(config, *(Batch(rows, Origin("f.csv")) for rows in files))
    assert sorted(str(row["id"]) for one in done for row in one.records.to_pylist()) == ["7", "None"]
