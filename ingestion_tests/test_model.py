"""Any sequence of loads leaves a table as a dictionary of its rows would be, whatever the target."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from ingestion.errors import ConfigError, DataError
from ingestion.keyed import keyed
from ingestion.loaders import LoaderFactory
from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.options import DELETED_AT
from ingestion.plugins import Batch, Load, LoadResult, Origin

Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[Any, ...]
Make: TypeAlias = Callable[..., TableLoader]

OLDER = "older row of the same key"
TINY = 500  # bytes of rows in memory
TYPES = {
    "id": pa.int64(),
    "part": pa.string(),
    "at": pa.int64(),
    "v": pa.string(),
    "n": pa.int32(),
    "x": pa.float64(),
    "y": pa.struct([("a", pa.int64()), ("b", pa.string())]),
}
FLAGS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "flag": (pa.bool_(), [None, False, True]),
    "number": (pa.int64(), [None, 0, 1]),
    "date": (pa.date32(), [None, None, date(1970, 1, 1)]),
}


class Refused(Exception):
    """The load is to fail, and to leave all as it was."""


@dataclass(frozen=True)
class Step:
    """One load: its options, and the rows that each source brings."""

    mode: str
    keys: tuple[str, ...]  # () = the mode does without
    ranked: bool
    deletes: str | None  # the kind of column: flag, number or date
    missing: str
    strict: bool  # a load without rows may not empty the table
    spilled: bool
    wide: bool  # n is of a wider type
    sources: tuple[tuple[tuple[str, ...], tuple[Row, ...]], ...]  # columns beside those that all have, rows

    @property
    def options(self) -> Row:
        """As a job's loader has them."""
        keyed_by = {
            "merge_keys": list(self.keys),
            "order_by": ["at"] if self.ranked else [],
            "delete_column": "gone" if self.deletes else None,
            "delete_missing": self.missing,
        }
        return {"write_mode": self.mode, "allow_empty": not self.strict, **(keyed_by if self.keys else {})}

    @property
    def replaces_all(self) -> bool:
        """What it does not bring is gone."""
        return self.mode == "overwrite" or self.missing != "none"

    def stored(self, row: Row) -> Row:
        """What the table holds of it; nulls are left out."""
        return {name: value for name, value in row.items() if name != "gone" and value is not None}

    def gone(self, row: Row) -> bool:
        """Whether it deletes."""
        return self.deletes is not None and bool(row.get("gone"))

    def says(self, row: Row) -> tuple[Row, bool]:
        """All that matters of it."""
        return self.stored(row), self.gone(row)

    def batches(self, cursor: int) -> Iterator[Batch]:
        """Each source in two batches; the last carries the cursor."""
        for number, (columns, rows) in enumerate(self.sources):
            for first, part in ((1, rows[: len(rows) // 2]), (2 + len(rows), rows[len(rows) // 2 :])):
                records = pa.RecordBatch.from_pylist(list(part), schema=self._schema(columns))
                yield Batch(records, Origin(f"source {number}", first), cursor=cursor)

    def _schema(self, columns: tuple[str, ...]) -> pa.Schema:
        names = [name for name in TYPES if name in ("id", "part", "at", "v", "n") or name in columns]
        fields = [(name, pa.int64() if name == "n" and self.wide else TYPES[name]) for name in names]
        return pa.schema([*fields, ("gone", FLAGS[self.deletes][0])] if self.deletes else fields)


@dataclass
class Model:
    """The table as it has to be."""

    rows: dict[Key, Row] = field(default_factory=dict)
    older: int = 0  # of the newest load
    brought: int = 0
    changes: Row = field(default_factory=dict)

    def load(self, step: Step, number: int) -> None:
        """Do what *step* is to do; raises Refused, and has done nothing then."""
        given_rows = [
            (source, row)
            for source, (_, rows) in enumerate(step.sources)
            for row in rows
            if all(row[key] is not None for key in step.keys)
        ]
        rejected = sum(len(rows) for _, rows in step.sources) - len(given_rows)
        spares = step.mode == "merge" and rejected  # what was rejected is not gone at the source
        self.older, self.changes, self.brought = 0, {}, len(given_rows)
        chosen = self._chosen(step, given_rows) if step.keys else {}
        staying = [row for row in chosen.values() if not step.gone(row)] if step.keys else given_rows
        if step.replaces_all and step.strict and not staying and not spares:
            raise Refused
        if step.mode == "append" or not step.keys:
            self._put(step, [row for _, row in given_rows])
            return
        if step.mode == "overwrite":
            self._put(step, [row for row in chosen.values() if not step.gone(row)])
        else:
            self._merge(step, chosen, number, "none" if spares else step.missing)

    def _put(self, step: Step, rows: list[Row]) -> None:
        if step.mode == "overwrite":
            self.rows = {}
        self.rows |= {_key(row): step.stored(row) for row in rows}

    def _chosen(self, step: Step, given_rows: list[tuple[int, Row]]) -> dict[Key, Row]:
        chosen: dict[Key, tuple[int, Row]] = {}
        for source, row in given_rows:
            key = tuple(row[name] for name in step.keys)
            there = chosen.get(key)
            if there is not None:
                self.older += 1
                if step.ranked and _rank(row) < _rank(there[1]):
                    continue
                if not step.ranked and source == there[0] and step.says(row) != step.says(there[1]):
                    raise Refused
            chosen[key] = source, row
        return {key: row for key, (_, row) in chosen.items()}

    def _merge(self, step: Step, chosen: dict[Key, Row], number: int, missing: str) -> None:
        found = {tuple(row[name] for name in step.keys): key for key, row in self.rows.items()}
        counts = dict.fromkeys(("inserted", "updated", "unchanged", "deleted", "missing"), 0)
        for key, row in chosen.items():
            there = self.rows.get(found[key]) if key in found else None
            if there is not None and step.ranked and _rank(there) > _rank(row):
                self.older += 1
                if step.missing == "soft" and there.pop(DELETED_AT, None) is not None:  # the key is there again
                    counts["updated"] += 1
            elif step.gone(row):
                counts["deleted"] += there is not None
                self.rows.pop(found.get(key, ()), None)
            else:
                same = there == step.stored(row)
                counts["inserted" if there is None else "unchanged" if same else "updated"] += 1
                if there is not None:
                    del self.rows[found[key]]
                self.rows[_key(row)] = step.stored(row)
        for key, place in found.items():
            if key not in chosen and missing != "none":
                self._lose(place, missing, number, counts)
        self.changes = counts

    def _lose(self, place: Key, how: str, number: int, counts: Row) -> None:
        if how == "hard":
            del self.rows[place]
        elif DELETED_AT in self.rows[place]:
            return
        else:
            self.rows[place][DELETED_AT] = number
        counts["missing"] += 1


def _key(row: Row) -> Key:
    return (row["id"], row["part"])


def _rank(row: Row) -> int:
    at = row.get("at")
    return -1 if at is None else int(at)


def _whole(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


# the loads


@st.composite
def _rows(draw: st.DrawFn, columns: tuple[str, ...], *, flagged: str | None, wide: bool) -> Row:
    row: Row = {
        "id": draw(st.integers(0, 7) | st.none() if draw(st.integers(0, 9)) == 9 else st.integers(0, 7)),
        "part": draw(st.sampled_from("ab")),
        "at": draw(st.none() | st.integers(0, 3)),
        "v": draw(st.none() | st.sampled_from(["", "x", "yy"])),
        "n": draw(st.none() | st.sampled_from([0, 1, 2**40] if wide else [0, 1])),
    }
    if "x" in columns:
        row["x"] = draw(st.none() | st.sampled_from([0.0, 1.5]))
    if "y" in columns:
        row["y"] = draw(st.none() | st.sampled_from([{"a": 1, "b": None}, {"a": None, "b": "z"}]))
    if flagged:
        row["gone"] = draw(st.sampled_from(FLAGS[flagged][1]))
    return row


@st.composite
def _steps(draw: st.DrawFn, keys: tuple[str, ...]) -> Step:
    mode = draw(st.sampled_from(["append", "merge", "merge", "merge", "overwrite"]))
    keyed_by = keys if mode == "merge" or (mode == "overwrite" and draw(st.booleans())) else ()
    missing = draw(st.sampled_from(["none", "none", "soft", "hard"])) if mode == "merge" else "none"
    flagged = draw(st.sampled_from([None, *FLAGS])) if keyed_by else None
    wide = draw(st.integers(0, 4)) == 0
    sources = []
    for _ in range(draw(st.integers(1, 3))):
        columns = tuple(name for name in ("x", "y") if draw(st.integers(0, 3)) == 0)
        rows = draw(st.lists(_rows(columns, flagged=flagged, wide=wide), max_size=6))
        sources.append((columns, tuple(rows)))
    return Step(
        mode=mode,
        keys=keyed_by,
        ranked=bool(keyed_by) and draw(st.booleans()),
        deletes=flagged,
        missing=missing,
        strict=draw(st.booleans()),
        spilled=draw(st.integers(0, 3)) == 0,
        wide=wide,
        sources=tuple(sources),
    )


@st.composite
def _histories(draw: st.DrawFn) -> list[Step]:
    keys = draw(st.sampled_from([("id",), ("id", "part")]))
    return draw(st.lists(_steps(keys), min_size=2, max_size=6))


def _fitting(step: Step, model: Model, keys: tuple[str, ...]) -> Step:
    """The load without rows that would give the table a key twice, which no merge could tell apart later."""
    seen = set() if step.mode == "overwrite" else {tuple(row.get(name) for name in keys) for row in model.rows.values()}
    sources = []
    for columns, rows in step.sources:
        kept = []
        for row in rows:
            key = tuple(row[name] for name in keys)
            if step.keys or (None not in key and key not in seen):
                seen.add(key)
                kept.append(row if len(keys) > 1 else {**row, "part": "a"})
        sources.append((columns, tuple(kept)))
    return Step(**{**step.__dict__, "sources": tuple(sources)})


# the test


def _land(loader: TableLoader, step: Step, number: int, landed: int | None) -> LoadResult:
    state = loader.state("job")
    assert state.cursor == landed
    with pytest.MonkeyPatch.context() as patch:
        if step.spilled:
            patch.setattr(keyed, "LIMIT", TINY)
        admitted = loader.admit(step.batches(number), state.schema)
        return loader.load(Load("job", f"run-{number}", uuid.uuid4().hex, state), admitted)


def _found(loader: TableLoader, marks: dict[datetime, int], number: int) -> list[Row]:
    try:
        table = loader.to_table()  # type: ignore[attr-defined]  # every loader of tables has it
    except ConfigError:  # not there yet
        return []
    assert "gone" not in table.column_names
    rows = [_whole(row) for row in table.to_pylist()]
    for row in rows:
        if DELETED_AT in row:
            row[DELETED_AT] = marks.setdefault(row[DELETED_AT], number)
        if isinstance(row.get("y"), str):  # PostgreSQL has JSON for what is nested
            row["y"] = json.loads(row["y"])
    return rows


def _sorted(rows: list[Row]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


def follow(history: list[Step], make: Make) -> None:
    """Load after load, the table and the result are the model's."""
    model = Model()
    marks: dict[datetime, int] = {}
    landed: int | None = None  # the newest load that was not refused, which is its cursor, too
    keys = next((step.keys for step in history if step.keys), ("id", "part"))
    for number, planned in enumerate(history):
        step = _fitting(planned, model, keys)
        loader = make(add_ingestion_metadata=False, **step.options)
        before = _sorted(list(model.rows.values()))
        try:
            model.load(step, number)
        except Refused:
            event("refused")
            with pytest.raises(DataError):
                _land(loader, step, number, landed)
            assert _sorted(_found(loader, marks, number)) == before
            continue
        result = _land(loader, step, number, landed)
        landed = number
        assert _sorted(_found(loader, marks, number)) == _sorted(list(model.rows.values()))
        assert (result.rows, dict(result.removed)) == (
            model.brought - model.older,
            {OLDER: model.older} if model.older else {},
        )
        _check_changes(dict(result.changes), model.changes)


def _check_changes(said: Row, done: Row) -> None:
    """What changed is counted; a merge that writes deletes need not look at what a row says already."""
    for name in ("inserted", "deleted", "missing"):
        assert said.get(name, 0) == done.get(name, 0), (name, said, done)
    assert sum(said.get(name, 0) for name in ("updated", "unchanged")) == sum(
        done.get(name, 0) for name in ("updated", "unchanged")
    )
    assert said.get("unchanged", 0) <= done.get("unchanged", 0)


def _loader(**config: Any) -> TableLoader:
    loader = LoaderFactory.create(config)
    assert isinstance(loader, TableLoader)
    return loader


def _iceberg(folder: Path, strategy: str) -> Make:
    catalog = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": str(folder)}
    name = f"t{uuid.uuid4().hex}"

    def make(**options: Any) -> TableLoader:
        how = {"merge_strategy": strategy} if options["write_mode"] == "merge" else {}
        return _loader(type="iceberg", table=name, catalog=catalog, **how, **options)

    return make


def _delta(folder: Path) -> Make:
    name = f"t{uuid.uuid4().hex}"
    return lambda **options: _loader(type="delta", table=name, location=str(folder), **options)


def _postgres(url: str) -> Make:
    name, parts = f"t{uuid.uuid4().hex}", urlsplit(url)
    server = {"host": parts.hostname, "port": parts.port, "username": parts.username, "password": parts.password}
    return lambda **options: _loader(type="postgres", table=name, dbname=parts.path[1:], **server, **options)


def _targets(kind: str, request: pytest.FixtureRequest) -> Callable[[], Make]:
    """What makes a table of its own for each history."""
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
        return lambda: _postgres(url)
    folder = request.getfixturevalue("tmp_path_factory").mktemp("model")
    if kind == "delta":
        return lambda: _delta(folder)
    return lambda: _iceberg(folder, kind)


KINDS = {"auto": 8, "copy_on_write": 6, "merge_on_read": 6, "delta": 8, "postgres": 4}  # connecting takes its time


@pytest.mark.parametrize(
    ("kind", "examples"),
    [*KINDS.items(), *(pytest.param(kind, 1000, marks=pytest.mark.soak) for kind in KINDS)],
)
def test_any_sequence_of_loads_does_what_a_dictionary_would(
    kind: str, examples: int, request: pytest.FixtureRequest
) -> None:
    few = examples < 100

    @settings(
        max_examples=examples,
        derandomize=few,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate) if few else tuple(Phase),
        suppress_health_check=list(HealthCheck),
    )
    @given(_histories())
    def check(history: list[Step]) -> None:
        follow(history, make_table())

    make_table = _targets(kind, request)
    check()
