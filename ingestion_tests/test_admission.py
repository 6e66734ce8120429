"""What a table takes: rows with a key, in the columns and types that its contract allows."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.config import load_job
from ingestion.errors import ConfigError, DataError
from ingestion.loaders import LoaderFactory
from ingestion.loaders.tables import TableLoader
from ingestion.loaders.tables.admission import deletes
from ingestion.loaders.tables.elsewhere import OPTIONS
from ingestion.loaders.tables.fitting import fitted
from ingestion.plugins import Batch, Load, LoadResult, Origin, State
from ingestion.testing.contract import check_batch, rows_of
from ingestion_tests.conftest import Project

KNOWN = pa.schema([("id", pa.int32()), ("n", pa.int32()), ("price", pa.decimal128(5, 2)), ("name", pa.string())])


class SomeLoader(TableLoader):
    type: Literal["some"] = "some"

    def state(self, job: str) -> State:
        raise AssertionError(job)

    def load(self, load: Load, batches: Iterator[Batch]) -> LoadResult:
        raise AssertionError(f"{load} {batches}")


def merging(**options: Any) -> SomeLoader:
    return SomeLoader.model_validate({"table": "orders", "write_mode": "merge", "merge_keys": ["id"], **options})


def held_to(**contract: str) -> SomeLoader:
    return SomeLoader.model_validate({"table": "orders", "schema_contract": contract})


def of(columns: dict[str, Any], first: int = 2) -> Batch:
    return Batch(pa.RecordBatch.from_pydict(columns), Origin("orders.csv", first), bytes_read=7, cursor="c")


def admitted(loader: SomeLoader, *batches: Batch, known: pa.Schema | None = KNOWN) -> list[Batch]:
    taken = list(loader.admit(iter(batches), known))
    assert rows_of(taken) == rows_of(batches)
    for before, after in zip(batches, taken, strict=True):
        check_batch(after)
        assert (after.cursor, after.bytes_read) == (before.cursor, before.bytes_read)
    return taken


def rejected(batch: Batch) -> list[dict[str, Any]]:
    return [] if batch.rejected is None else batch.rejected.to_pylist()


# keys


def test_a_row_without_a_key_is_rejected_with_its_line_and_the_others_keep_theirs() -> None:
    loader = merging(merge_keys=["id", "line"])
    (batch,) = admitted(loader, of({"id": [1, None, 3, None], "line": ["a", "b", None, None]}), known=None)
    assert batch.records.to_pylist() == [{"id": 1, "line": "a"}]
    assert batch.origin.at(pa.array([0])).to_pylist() == [2]
    assert [(row["position"], row["column"], row["rule"], row["stage"]) for row in rejected(batch)] == [
        (3, "id", "merge_keys", "load"),
        (5, "id", "merge_keys", "load"),
        (4, "line", "merge_keys", "load"),
    ]
    assert rejected(batch)[0]["payload"] == '{"id":null,"line":"b"}'


def test_rows_that_a_stage_before_rejected_stay_rejected() -> None:
    (first,) = admitted(merging(), of({"id": [None, 1]}))
    (again,) = admitted(
        merging(merge_keys=["n"]), first._replace(records=first.records.append_column("n", pa.nulls(1)))
    )
    assert [row["column"] for row in rejected(again)] == ["id", "n"]


@pytest.mark.parametrize("option", ["merge_keys", "order_by", "delete_column"])
def test_an_option_that_names_a_column_which_the_data_lacks_is_an_error_that_lists_those_there_are(option: str) -> None:
    with pytest.raises(
        DataError, match=rf"orders\.csv: loader\.{option} names the column 'nope', .*has: id, name; .*_mapping"
    ):
        admitted(merging(**{option: "nope"}), of({"id": [1], "name": ["x"]}))


@pytest.mark.parametrize("option", ["merge_keys", "order_by", "delete_column"])
def test_a_column_that_differs_in_case_alone_is_offered(option: str) -> None:
    said = rf"loader\.{option} names .* 'at', .*did you mean 'AT'\? .*transformer\.column_mapping: \{{AT: at\}}"
    with pytest.raises(DataError, match=said):
        admitted(merging(**{option: "at"}), of({"id": [1], "AT": [1]}))


def test_a_batch_without_rows_or_without_columns_needs_no_key() -> None:
    empty = of({"x": pa.array([], pa.null())})
    nothing = Batch(pa.RecordBatch.from_pylist([], schema=pa.schema([])), Origin("x"), cursor=1)
    assert admitted(merging(), empty, nothing) == [empty, nothing]


@pytest.mark.parametrize("option", ["merge_keys", "order_by"])
@pytest.mark.parametrize("columns", ["discard_value", "quarantine"])
def test_a_column_that_rows_are_told_apart_by_is_not_left_out_in_silence(columns: str, option: str) -> None:
    loader = merging(**{option: "new"}, schema_contract={"columns": columns})
    with pytest.raises(
        DataError, match=rf"{option} names the column 'new', which table default.orders lacks, .* evolve"
    ):
        admitted(loader, of({"id": [1], "new": [1]}))


@pytest.mark.parametrize("option", ["merge_keys", "order_by"])
@pytest.mark.parametrize("mode", ["merge", "overwrite"])
def test_rows_cannot_be_told_apart_by_the_column_that_deletes(mode: str, option: str) -> None:
    with pytest.raises(ValidationError, match=f"delete_column and {option} both name 'gone'"):
        merging(write_mode=mode, delete_column="gone", **{option: "gone"})


@pytest.mark.parametrize("option", ["merge_keys", "order_by"])
def test_rows_cannot_be_told_apart_by_a_list(option: str) -> None:
    with pytest.raises(DataError, match=rf"{option} names the column 'n', which holds list<item: int64>; only plain"):
        admitted(merging(**{option: "n"}), of({"id": [1], "n": [[1]]}))


# options


def test_each_loader_knows_the_options_of_the_others() -> None:
    own = {name: set(LoaderFactory.get(name).model_fields) - set(TableLoader.model_fields) for name in OPTIONS}
    assert own == OPTIONS
    assert {LoaderFactory.get(name) for name in LoaderFactory.names()} == set(map(LoaderFactory.get, OPTIONS))


@pytest.mark.parametrize(
    ("kind", "option", "said"),
    [
        ("postgres", "overwrite_scope", "'overwrite_scope' is an option of iceberg and delta, not of postgres"),
        ("delta", "sort_by", "'sort_by' is an option of iceberg, not of delta"),
        ("iceberg", "on_conflict", "'on_conflict' is an option of postgres, not of iceberg"),
        ("iceberg", "overwrite_scop", "unknown key 'overwrite_scop'; did you mean 'overwrite_scope'?"),
    ],
)
def test_an_option_of_another_loader_is_said_to_be_one(kind: str, option: str, said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        LoaderFactory.create({"type": kind, option: "table"})


# names


@pytest.mark.parametrize(
    ("name", "options", "free"),
    [
        ("_ingestion_run_id", {}, {"add_ingestion_metadata": False}),
        ("_ingested_at", {}, {"add_ingestion_metadata": False}),
        ("_deleted_at", {"delete_missing": "soft"}, {"delete_missing": "hard"}),
    ],
)
def test_names_that_the_service_writes_are_refused_where_it_writes_them(
    name: str, options: dict[str, Any], free: dict[str, Any]
) -> None:
    batch = of({"id": [1], name: ["x"]})
    with pytest.raises(DataError, match=f"column {name} of its own, .* rename it with transformer.column_mapping"):
        admitted(merging(**options), batch)
    assert admitted(merging(**free), batch, known=None) == [batch]


# columns


def test_new_columns_pass_unless_the_contract_says_otherwise() -> None:
    batch = of({"id": [1], "new": [2]})
    assert admitted(held_to(), batch) == [batch]
    assert admitted(held_to(columns="freeze", data_type="freeze"), batch, known=None) == [batch]


def test_under_freeze_a_new_column_fails_the_run() -> None:
    with pytest.raises(DataError, match=r"table default.orders lacks the columns new, more and .*columns is freeze"):
        admitted(held_to(columns="freeze"), of({"id": [1], "new": [2], "more": [3]}))


def test_discarded_columns_are_counted_by_their_values() -> None:
    batches = of({"id": [1, 2, 3], "new": [None, "x", "y"]}), of({"id": [4], "new": [None]})
    taken = admitted(held_to(columns="discard_value"), *batches)
    assert [batch.records.schema.names for batch in taken] == [["id"], ["id"]]
    assert [dict(batch.emptied) for batch in taken] == [{"new: schema_contract": 2}, {}]


def test_under_quarantine_rows_with_a_value_in_a_new_column_are_rejected_and_the_column_is_gone() -> None:
    batch = of({"id": [1, 2, 3], "new": [None, "x", None], "more": [None, None, {"a": 1}]})
    (taken,) = admitted(held_to(columns="quarantine"), batch)
    assert taken.records.to_pylist() == [{"id": 1}]
    assert [(row["column"], row["value"], row["rule"]) for row in rejected(taken)] == [
        ("new", "x", "schema_contract"),
        ("more", None, "schema_contract"),
    ]
    assert '"new":"x"' in rejected(taken)[0]["payload"]


@pytest.mark.parametrize("columns", ["freeze", "discard_value", "quarantine"])
def test_the_delete_column_and_names_in_another_case_are_not_new(columns: str) -> None:
    loader = merging(delete_column="gone", schema_contract={"columns": columns})
    batch = of({"id": [1], "NAME": ["x"], "gone": [True]})
    assert admitted(loader, batch) == [batch]


# types


def test_under_widen_values_pass_as_they_are() -> None:
    batch = of({"id": [2**40], "name": [5]})
    assert admitted(held_to(), batch) == [batch]


def test_under_quarantine_values_that_do_not_fit_leave_and_the_others_get_the_type_of_the_column() -> None:
    batch = of({
        "id": [1, 2**40, 3, 4, None],
        "n": [1.0, 2.0, 2.5, None, 5.0],
        "price": [Decimal("1.500"), Decimal("1.000"), Decimal("1.000"), Decimal("1.555"), None],
        "name": pa.array(["a", "b", "a", "b", None]).dictionary_encode(),
    })  # fmt: skip
    (taken,) = admitted(held_to(data_type="quarantine"), batch)
    assert [taken.records.schema.field(name).type for name in ("id", "n", "price")] == KNOWN.types[:3]
    assert taken.records.to_pylist() == [
        {"id": 1, "n": 1, "price": Decimal("1.50"), "name": "a"},
        {"id": None, "n": 5, "price": None, "name": None},
    ]
    assert [(row["position"], row["column"], row["value"]) for row in rejected(taken)] == [
        (3, "id", str(2**40)),
        (4, "n", "2.5"),
        (5, "price", "1.555"),
    ]
    assert rejected(taken)[1]["reason"] == "the value is double and does not fit the column's type, int"


def test_text_never_becomes_a_number_in_silence() -> None:
    (taken,) = admitted(held_to(data_type="quarantine"), of({"id": [1, 2], "n": ["7", None]}))
    assert taken.records.to_pylist() == [{"id": 2, "n": None}]
    assert taken.records.schema.field("n").type == pa.int32()


def test_under_freeze_a_value_that_does_not_fit_fails_the_run_and_one_that_fits_does_not() -> None:
    loader = held_to(data_type="freeze")
    (taken,) = admitted(loader, of({"id": pa.array([1, 2], pa.int64())}))
    assert taken.records.schema.field("id").type == pa.int32()
    with pytest.raises(
        DataError, match=r"orders\.csv:3: column 'id' of table default.orders: 1099511627776: .* is freeze;"
    ):
        admitted(loader, of({"id": [1, 2**40]}))


def test_a_row_that_deletes_is_judged_by_its_key_alone() -> None:
    contract = {"columns": "quarantine", "data_type": "quarantine"}
    loader = merging(delete_column="gone", schema_contract=contract)
    batch = of({"id": [1, 2, None], "n": ["x", "x", "x"], "new": [1, None, 1], "gone": [True, False, True]})
    (taken,) = admitted(loader, batch)
    assert taken.records.to_pylist() == [{"id": 1, "n": None, "gone": True}]
    assert [row["column"] for row in rejected(taken)] == ["id", "n"]
    dated = of({"id": [1, 2], "n": ["x", "x"], "gone": [date(2024, 1, 1), None]})
    assert [row["id"] for row in admitted(loader, dated)[0].records.to_pylist()] == [1]


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        (pa.array([True, False, None]), [True, False, False]),
        (pa.array([1, 0, -2, None]), [True, False, True, False]),
        (pa.array([1, 0, None], pa.uint8()), [True, False, False]),
        (pa.array([Decimal(1), Decimal(0), None], pa.decimal128(1, 0)), [True, False, False]),
        (pa.array([0, None]).dictionary_encode(), [False, False]),
        (pa.array([0, None], pa.date32()), [True, False]),
        (pa.array([0, None], pa.timestamp("us")), [True, False]),
        (pa.array([0, None], pa.time64("us")), [True, False]),
        (pa.nulls(2), [False, False]),
        (pa.nulls(2, pa.string()), [False, False]),
        (pa.nulls(2, pa.float64()), [False, False]),
    ],
)
def test_what_deletes_is_true_or_a_number_but_0_or_any_time(values: pa.Array, gone: list[bool]) -> None:
    assert deletes(values).to_pylist() == gone
    admitted(merging(delete_column="gone"), of({"id": list(range(len(gone))), "gone": values}))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (pa.array(["N", None]), "string"),
        (pa.array(["N"]).dictionary_encode(), "string"),
        (pa.array([0.0]), "double"),
        (pa.array([Decimal("0.0")]), r"decimal\(1,1\)"),
        (pa.array([[1]]), "list<item: int64>"),
    ],
)
def test_a_delete_column_of_which_nobody_knows_what_it_says_fails_the_run(values: pa.Array, name: str) -> None:
    said = rf"orders\.csv: .*'gone', which holds {name}, .*boolean_columns: \[gone\], or by date_columns"
    with pytest.raises(DataError, match=said):
        admitted(merging(delete_column="gone"), of({"id": list(range(len(values))), "gone": values}))
    with pytest.raises(DataError, match=f"a column of {name}"):
        deletes(values)


UTC = timezone.utc
FITS: Sequence[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([1, -(2**31), 2**31, None]), pa.int32(), [True, True, False, True]),
    (pa.array([1, 2**64 - 1], pa.uint64()), pa.int64(), [True, False]),
    (pa.array([1, 2**64 - 1], pa.uint64()), pa.decimal128(20, 0), [True, True]),
    (
        pa.array([1.0, 1.5, float("nan"), float("inf"), 1e30, -0.0]),
        pa.int64(),
        [True, False, False, False, False, True],
    ),
    (pa.array([2**53, 2**53 + 1]), pa.float64(), [True, False]),
    (pa.array([0.5, 0.1, 1e300, float("nan"), float("inf")]), pa.float32(), [True, False, False, True, True]),
    (pa.array([1, 999, 1000]), pa.decimal128(5, 2), [True, True, False]),
    (pa.array([0.5]), pa.decimal128(5, 2), [False]),
    (pa.array([Decimal("0.5")]), pa.float64(), [False]),
    (pa.array([Decimal("1.00"), Decimal("1.50"), Decimal("99999999999.00")]), pa.int32(), [True, False, False]),
    (pa.array([Decimal("1.50"), Decimal("1.55"), Decimal("999.00")]), pa.decimal128(3, 1), [True, False, False]),
    (pa.array([Decimal("1.50"), Decimal("1.55")], pa.decimal256(5, 2)), pa.decimal128(3, 1), [True, False]),
    (pa.array([Decimal(10) ** 44, Decimal("1.25")], pa.decimal256(50, 5)), pa.decimal128(38, 2), [False, True]),
    (pa.array([Decimal(10) ** 44, Decimal("1.25"), Decimal(2)], pa.decimal256(50, 5)), pa.int8(), [False, False, True]),
    (pa.array([Decimal(10) ** 44, Decimal(2)], pa.decimal256(50, 5)), pa.decimal256(41, 3), [False, True]),
    (pa.array([123, 1]), pa.decimal256(40, 39), [False, True]),
    (pa.array([1000, 1001], pa.timestamp("ns")), pa.timestamp("us"), [True, False]),
    (pa.array([1, 2**62], pa.timestamp("s", "UTC")), pa.timestamp("us", "UTC"), [True, False]),
    (pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), pa.timestamp("us"), [False]),
    (pa.array([date(2024, 1, 1)]), pa.timestamp("us"), [False]),
    (pa.array([1000, 1001], pa.time64("ns")), pa.time64("us"), [True, False]),
    (pa.array(["1", None]), pa.int32(), [False, True]),
    (pa.array([1]), pa.string(), [False]),
    (pa.array([True]), pa.int32(), [False]),
    (pa.array(["x"], pa.large_string()), pa.string(), [True]),
    (pa.array([[1], [2**40], None]), pa.list_(pa.int32()), [False, False, True]),
    (pa.array([[1], []], pa.large_list(pa.int64())), pa.list_(pa.int32()), [True, True]),
    (
        pa.array([{"a": 1}, {"a": 2**40}, {"a": None, "b": "x"}, {"a": None, "b": None}, None]),
        pa.struct([("a", pa.int32()), ("c", pa.string())]),
        [True, False, False, True, True],
    ),
]


@pytest.mark.parametrize(("values", "dtype", "fit"), FITS, ids=lambda value: str(getattr(value, "type", value))[:40])
def test_a_value_fits_where_nothing_of_it_is_lost(values: pa.Array, dtype: pa.DataType, fit: list[bool]) -> None:
    found = fitted(values, dtype)
    found.values.validate(full=True)
    assert found.values.type == dtype
    misfits = [False] * len(values) if found.misfits is None else found.misfits.to_pylist()
    assert [not misfit for misfit in misfits] == fit
    assert [value for value, misfit in zip(found.values, misfits, strict=True) if misfit and value.is_valid] == []


def _same(first: Any, second: Any) -> bool:
    return bool(first == second or (first != first and second != second))  # noqa: PLR0124 - NaN


NUMBERS = [pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(7, 2), pa.decimal128(38, 0)]


@given(st.data())
def test_numbers_in_another_type_are_the_same_numbers_or_misfits(data: st.DataObject) -> None:
    given_type, dtype = data.draw(st.sampled_from(NUMBERS)), data.draw(st.sampled_from(NUMBERS))
    whole = st.integers(-(2**31), 2**31 - 1) if given_type == pa.int32() else st.integers(-(2**63), 2**63 - 1)
    made = {
        pa.float32(): st.floats(width=32),
        pa.float64(): st.floats(),
        pa.decimal128(7, 2): st.decimals("-99999.99", "99999.99", places=2),
        pa.decimal128(38, 0): st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    }
    values = data.draw(st.lists(st.none() | made.get(given_type, whole) | st.sampled_from([0, 1, -7]), max_size=6))
    column = pa.array(
        [Decimal(v) if pa.types.is_decimal(given_type) and isinstance(v, int) else v for v in values], given_type
    )
    found = fitted(column, dtype)
    misfits = [False] * len(values) if found.misfits is None else found.misfits.to_pylist()
    for fine, value, misfit in zip(found.values.to_pylist(), column.to_pylist(), misfits, strict=True):
        assert fine is None if misfit else (fine is None and value is None) or _same(fine, value)


# deletions of what a load does not bring


def test_an_incremental_source_may_not_delete_what_it_did_not_read_again(project: Project) -> None:
    job = """
source: {{type: csv, source_path: data{}}}
loader: {{write_mode: merge, merge_keys: id, delete_missing: hard}}
"""
    project.job("good", job.format(""))
    assert load_job("good").source.incremental is False  # type: ignore[attr-defined]  # that of a file connector
    project.job("bad", job.format(", incremental: true"))
    with pytest.raises(ConfigError, match=r"incremental: true leaves out .* loader\.delete_missing would delete"):
        load_job("bad")


def test_options_of_tables_load_neither_polars_nor_a_driver() -> None:
    drivers = {"polars", "pyiceberg", "deltalake", "psycopg", "adbc_driver_postgresql"}
    code = f"import sys, ingestion.loaders.tables.options; print(sorted({drivers} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
