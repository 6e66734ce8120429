"""What a comparison says of a column is what a load then does, in every kind of table."""

import uuid
from datetime import date, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingestion.errors import DataError, IngestionError
from ingestion.loaders import LoaderFactory
from ingestion.loaders.tables import TableLoader
from ingestion.plugins import Batch, Comparison, Difference, Load, Origin
from ingestion_tests.postgres_support import Database

MIDNIGHT = pa.array(["2024-01-01T00:00:00"]).cast(pa.timestamp("us"))
BASE = {
    "id": pa.array([1], pa.int64()),
    "small": pa.array([1], pa.int32()),
    "name": pa.array(["a"]),
    "price": pa.array([Decimal("1.50")], pa.decimal128(9, 2)),
    "ratio": pa.array([0.5], pa.float64()),
    "short": pa.array([0.5], pa.float32()),
    "day": pa.array([date(2024, 1, 1)]),
    "at": MIDNIGHT,
}
CASES: dict[str, tuple[str, pa.Array, str]] = {  # column, its values, the grade that all loaders give
    "the same type": ("id", pa.array([5], pa.int64()), "same"),
    "a narrower number": ("id", pa.array([5], pa.int16()), "same"),
    "a longer whole number": ("small", pa.array([5], pa.int64()), "widening"),
    "text for a number": ("id", pa.array(["5"]), "conflict"),
    "a number for text": ("name", pa.array([5]), "conflict"),
    "a fraction for a whole number": ("id", pa.array([5.5]), "conflict"),
    "a whole number for a double": ("ratio", pa.array([5], pa.int64()), "same"),
    "a whole number that no double holds": ("ratio", pa.array([2**60 + 1], pa.int64()), "conflict"),
    "a double for a float": ("short", pa.array([0.1]), "widening"),
    "more digits": ("price", pa.array([Decimal("1.50")], pa.decimal128(12, 2)), "widening"),
    "fewer digits": ("price", pa.array([Decimal("1.50")], pa.decimal128(5, 2)), "same"),
    "a time for a day": ("day", MIDNIGHT, "conflict"),
    "a zone where there was none": ("at", MIDNIGHT.cast(pa.timestamp("us", "UTC")), "conflict"),
    "nothing but nulls": ("price", pa.nulls(1), "same"),
    "a new number": ("more", pa.array([5], pa.int64()), "new"),
    "a new time of day": ("more", pa.array([time(5, 0)], pa.time64("us")), "new"),
    "a new struct": ("more", pa.array([{"a": 1, "b": ["x"]}]), "new"),
    "a new column of nulls": ("more", pa.nulls(1), "new"),
    "a duration, which no table holds": ("more", pa.array([5], pa.duration("s")), "conflict"),
    "a name that differs in case": ("NAME", pa.array(["a"]), "conflict"),
}  # fmt: skip
HELD: dict[str, tuple[dict[str, str], str, pa.Array, str]] = {
    "a frozen table": ({"columns": "freeze"}, "more", pa.array([5]), "conflict"),
    "values discarded": ({"columns": "discard_value"}, "more", pa.array([5]), "left out"),
    "rows with values quarantined": ({"columns": "quarantine"}, "more", pa.array([5]), "left out"),
    "a frozen type and a value that fits": ({"data_type": "freeze"}, "small", pa.array([5]), "same"),
    "a frozen type and a value that does not": ({"data_type": "freeze"}, "small", pa.array([2**40]), "conflict"),
    "a kept type and a value that fits": ({"data_type": "quarantine"}, "small", pa.array([5]), "same"),
    "a kept type and a value that does not": ({"data_type": "quarantine"}, "small", pa.array([2**40]), "kept"),
    "a kept type and text": ({"data_type": "quarantine"}, "small", pa.array(["x"]), "kept"),
}  # fmt: skip


@pytest.fixture(params=["iceberg", "delta", "postgres"])
def place(request: pytest.FixtureRequest, project: Any) -> tuple[str, dict[str, Any]]:
    if request.param != "postgres":
        return request.param, {}
    loader = Database(request.getfixturevalue("postgres_url")).loader()
    return "postgres", {name: value for name, value in loader.as_written().items() if name != "table"}


def loader_of(place: tuple[str, dict[str, Any]], **options: Any) -> TableLoader:
    found = LoaderFactory.create({"type": place[0], "table": "t", **place[1], **options})
    assert isinstance(found, TableLoader)
    return found


def of(columns: dict[str, Any]) -> Batch:
    return Batch(pa.RecordBatch.from_pydict(columns), Origin("f.csv"))


def compared(loader: TableLoader, batch: Batch) -> Comparison:
    try:
        admitted = [item.records for item in loader.admit(iter([batch]), loader.state("a").schema)]
    except DataError:
        admitted = []
    return loader.compare("a", [batch.records], admitted)


def land(loader: TableLoader, batch: Batch) -> str | None:
    """Why the load failed, None where it landed."""
    state = loader.state("a")
    try:
        load = Load("a", "r", uuid.uuid4().hex, state, "hash")
        loader.load(load, loader.admit(iter([batch]), state.schema))
    except IngestionError as error:
        return str(error)
    return None


def type_of(loader: TableLoader, column: str) -> str | None:
    with loader.trial("a") as trial:
        return trial.before(column)


def grade(found: Comparison, column: str) -> Difference:
    return next(item for item in found.columns if item.column == column)


def assert_kept_its_word(loader: TableLoader, said: Difference, batch: Batch) -> None:
    before = type_of(loader, said.column)
    assert said.before == before
    problem = land(loader, batch)
    assert (said.grade == "conflict") == (problem is not None), f"{said}, and the load: {problem}"
    if said.grade == "conflict":
        assert type_of(loader, said.column) == before
        return
    assert said.after == type_of(loader, said.column)
    changed = {"new": before is None, "widening": before not in (None, said.after)}
    assert changed.get(said.grade, said.after == before), said


@pytest.mark.parametrize("case", CASES)
def test_a_grade_is_what_a_load_then_does(place: Any, case: str) -> None:
    loader = loader_of(place)
    assert land(loader, of(BASE)) is None
    column, values, expected = CASES[case]
    batch = of({column: values})
    said = grade(compared(loader, batch), column)
    assert said.grade == expected
    assert_kept_its_word(loader, said, batch)


@pytest.mark.parametrize("case", HELD)
def test_the_contract_has_its_say(place: Any, case: str) -> None:
    contract, column, values, expected = HELD[case]
    loader = loader_of(place, schema_contract=contract)
    assert land(loader, of(BASE)) is None
    batch = of({"id": pa.array([2]), column: values})
    said = grade(compared(loader, batch), column)
    assert said.grade == expected
    assert not said.reason or "schema_contract" in said.reason
    assert_kept_its_word(loader, said, batch)


def test_scales_of_decimals_are_joined_where_the_table_can(place: Any) -> None:
    loader = loader_of(place)
    assert land(loader, of(BASE)) is None
    batch = of({"price": pa.array([Decimal("1.505")], pa.decimal128(9, 3))})
    said = grade(compared(loader, batch), "price")
    assert said.grade == ("widening" if place[0] == "postgres" else "conflict")
    assert_kept_its_word(loader, said, batch)


@pytest.mark.parametrize("case", [case for case in CASES if case != "a name that differs in case"])
def test_a_table_that_is_not_there_yet_gets_all_columns_that_it_can_hold(place: Any, case: str) -> None:
    loader = loader_of(place)
    column, values, _ = CASES[case]
    batch = of({"id": pa.array([1]), column: values} if column != "id" else {column: values})
    found = compared(loader, batch)
    assert not found.exists
    said = grade(found, column)
    assert said.grade == ("conflict" if case.startswith("a duration") else "new")
    assert_kept_its_word(loader, said, batch)


def test_columns_that_the_data_lacks_are_absent_and_stay(place: Any) -> None:
    loader = loader_of(place)
    assert land(loader, of(BASE)) is None
    found = compared(loader, of({"id": pa.array([2])}))
    assert {item.column for item in found.columns if item.grade == "absent"} == BASE.keys() - {"id"}
    assert_kept_its_word(loader, grade(found, "price"), of({"id": pa.array([2])}))


def test_a_delete_column_is_not_stored(place: Any) -> None:
    loader = loader_of(place, write_mode="merge", merge_keys=["id"], delete_column="gone")
    batch = of({"id": pa.array([1, 2]), "gone": pa.array([True, False])})
    said = grade(compared(loader, batch), "gone")
    assert (said.grade, said.after) == ("left out", None)
    assert_kept_its_word(loader, said, batch)


def test_what_no_column_shows_alone_is_a_problem_of_the_load(place: Any) -> None:
    if place[0] == "postgres":
        loader = loader_of(place, database="nowhere", create_schema_if_not_exists=False)
    else:
        loader = loader_of(place, partition_by=["region"])
    batch = of({"id": pa.array([1])})
    found = compared(loader, batch)
    assert found.problem is not None
    assert land(loader, batch) == found.problem


def test_a_required_column_that_must_stay_so_is_a_problem(postgres_url: str) -> None:
    base = Database(postgres_url)
    base.ask('CREATE SCHEMA "default"')
    base.ask('CREATE TABLE "default".t (id bigint NOT NULL, name text)')
    loader = base.loader(schema_contract={"columns": "freeze"})
    batch = of({"name": pa.array(["a"])})
    problem = compared(loader, batch).problem
    assert problem is not None
    assert "'id' is required" in problem
    assert land(loader, batch) == problem
    assert compared(base.loader(), batch).problem is None
    assert land(base.loader(), batch) is None


def test_a_text_column_of_limited_length_becomes_text_for_longer_ones(postgres_url: str) -> None:
    base = Database(postgres_url)
    base.ask('CREATE SCHEMA "default"')
    base.ask('CREATE TABLE "default".t (code varchar(3), doc jsonb)')
    loader = base.loader()
    for values, expected in ((["abc"], "same"), (["abcd"], "widening")):
        batch = of({"code": pa.array(values)})
        said = grade(compared(loader, batch), "code")
        assert said.grade == expected
        assert_kept_its_word(loader, said, batch)
    batch = of({"doc": pa.array([{"a": 1}])})
    assert_kept_its_word(loader, grade(compared(loader, batch), "doc"), batch)


@pytest.mark.parametrize("place", ["iceberg", "postgres"], indirect=True)  # columns of a Delta table keep their names
def test_a_renamed_column_is_met_under_its_new_name(place: Any) -> None:
    assert land(loader_of(place), of(BASE)) is None
    loader = loader_of(place, rename_from={"title": "name"})
    found = compared(loader, of({"title": pa.array(["b"])}))
    assert grade(found, "title").grade == "same"
    assert "name" not in [item.column for item in found.columns]
