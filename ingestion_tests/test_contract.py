"""The contract checks pass what keeps the contract, and name what breaks it."""

import threading
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ingestion.connectors import ConnectorFactory
from ingestion.plugins import Batch, Connector, Origin, Restart, Transformer, Watched
from ingestion.testing import check_connector, check_transformer
from ingestion.transformers.base import BaseTransformer


def batch(texts, first=1):
    return Batch(pa.record_batch({"n": pa.array(texts, pa.string())}), Origin("f.csv", first), bytes_read=5)


BATCHES = [batch(["1", "x", "3"]), batch([]), batch(["2", None], first=9)]


# transformers


@pytest.mark.parametrize("config", [
    {},
    {"column_mapping": {"n": "m"}, "numeric_columns": ["m"]},
    {"types": {"n": "long"}, "on_conversion_error": "null"},
    {"date_columns": {"n": "%Y"}, "on_conversion_error": "quarantine"},
    {"boolean_columns": ["n"]},
    {"clean_column_names": True, "trim": True, "handle_missing_values": "drop"},
    {"trim": ["n"], "handle_missing_values": {"fill_null": {"n": "0"}}},
    {"types": {"n": "long"}, "filters": ["6 / (n - 1) > 1"]},
    {"types": {"n": "long"}, "filters": ["6 / (n - 1) > 1"], "on_conversion_error": "null"},
    {"transformations": [{"add_column": {"name": "m", "formula": "CAST(n AS long) * 2"}}, {"filter": "m > 2"}]},
    {"transformations": [{"rename_columns": {"n": "m"}}, {"add_column": {"name": "x", "formula": "1"}}, {"select": ["x"]}]},
    {"mask": {"n": "hash"}, "types": {"n": "long"}},
    {"mask": {"m": "partial"}, "transformations": [{"rename_columns": {"n": "m"}}]},
    {"validation": [{"column": "n", "rule": "not_null"}, {"column": "n", "rule": "regex", "pattern": "[0-9]"}]},
    {"validation": [{"column": "n", "rule": "length", "max": 0, "on_fail": "drop"}]},
    {"validation": [{"column": "n", "rule": "unique"}, {"column": "n", "rule": "in", "values": [1], "on_fail": "warn"}]},
    {"validation": [{"rule": "expression", "expression": "n = '1' OR n IS NULL"}], "validate_schema": {"n": "string"}},
    {"transformations": [{"sql": "SELECT upper(n) AS n, 1 AS one FROM input WHERE n <> 'x'"}]},
    {"transformations": [{"sql": {"query": "SELECT n FROM input UNION ALL SELECT n FROM input", "over": "load"}}]},
    {"flatten": {}, "deduplicate": {"keys": "n"}},
    {"deduplicate": {"keys": ["n"], "order_by": "n"}, "mask": {"n": "hash"}},
])  # fmt: skip
def test_the_base_transformer_keeps_the_contract(config):
    assert check_transformer(BaseTransformer.model_validate(config), BATCHES)


class _Silent(Transformer):
    type: Literal["test"] = "test"

    def apply(self, batches):
        for item in batches:
            yield item._replace(records=item.records.filter(pc.is_valid(item.records["n"])))


class _Positions(Transformer):
    type: Literal["test"] = "test"

    def apply(self, batches):
        for item in batches:
            kept = item.records.filter(pc.is_valid(item.records["n"]))
            lost = item.records.num_rows - kept.num_rows
            origin = Origin("f.csv", positions=pa.array(range(item.records.num_rows), pa.int64()))
            yield item._replace(records=kept, origin=origin, removed={**item.removed, "null": lost})


class _Forgetful(Transformer):
    type: Literal["test"] = "test"

    def apply(self, batches):
        for item in batches:
            if item.records.num_rows:
                yield item


class _Cutting(Transformer):
    type: Literal["test"] = "test"

    def apply(self, batches):
        for item in batches:
            kept = item.records.slice(0, 2)
            origin = item.origin.take(pa.array(range(kept.num_rows), pa.int64()))
            removed = {**item.removed, "limit": item.records.num_rows - kept.num_rows}
            yield item._replace(records=kept, origin=origin, removed=removed)


class _Guessing(Transformer):
    type: Literal["test"] = "test"

    def apply(self, batches):
        for item in batches:
            numbers = all(text is None or text.isdigit() for text in item.records["n"].to_pylist())
            values = item.records["n"].cast(pa.int64()) if numbers else item.records["n"]
            yield item._replace(records=pa.record_batch({"n": values}))


class _Undocumented(Transformer):
    type: Literal["test"] = "test"
    column: str = "n"

    def apply(self, batches):
        yield from batches


@pytest.mark.parametrize(("cls", "sentence"), [
    (_Silent, "5 rows came and 4 are accounted for"),
    (_Positions, "positions for"),
    (_Forgetful, "came and .* accounted for"),
    (_Cutting, "cuts do not matter"),
    (_Undocumented, "column: an option needs a docstring"),
])  # fmt: skip
def test_a_transformer_that_breaks_the_contract_is_named(cls, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_transformer(cls(), BATCHES)


def test_a_transformer_whose_types_follow_the_values_is_named():
    with pytest.raises(AssertionError, match=r"a column has another type in another batch: .*int64"):
        check_transformer(_Guessing(), BATCHES)


# connectors


class _List(Connector):
    """Yields numbers from its options; what breaks the contract is switched on by name."""

    type: Literal["test"] = "test"
    rows: int = 3
    """How many rows there are."""
    fault: str = ""
    """Which part of the contract to break."""

    @property
    def watchable(self):
        return True

    def read(self, cursor, known):
        start = 0 if cursor is None or self.fault == "again" else cursor
        if self.fault == "thread":
            threading.Thread(target=threading.Event().wait, args=(8,), name="left-behind", daemon=True).start()
        dtype = known.field("n").type if known is not None and self.fault != "known" else pa.int64()
        if self.fault == "known" and known is not None:
            dtype = pa.int32()
        yield Batch(pa.record_batch({"n": pa.array([99], dtype)}), Origin("list"))
        yield Restart("shows that what came before is void")
        positions = pa.array([1]) if self.fault == "positions" else None
        values = pa.array(range(start, self.rows), dtype)
        end = None if self.fault == "cursor" else self.rows
        yield Batch(pa.record_batch({"n": values}), Origin("list", start + 1, positions), cursor=end)

    def watch(self, cursor):
        items = self.rows - (cursor or 0)
        return Watched(items if self.fault != "watch" else 1, f"{items} numbers", str(items))


def test_a_connector_that_keeps_the_contract_gives_its_rows():
    assert check_connector(_List()).to_pydict() == {"n": [0, 1, 2]}


@pytest.mark.parametrize(("fault", "sentence"), [
    ("again", "3 rows were read again"),
    ("cursor", "the last batch carries no cursor"),
    ("known", "known types are kept"),
    ("positions", "1 positions for 3 rows"),
    ("watch", "watch still finds 1 items"),
])  # fmt: skip
def test_a_connector_that_breaks_the_contract_is_named(fault, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_connector(_List(fault=fault))


def test_a_reader_that_leaves_threads_behind_is_named():
    with pytest.raises(AssertionError, match="left threads behind: left-behind"):
        check_connector(_List(fault="thread"), patience=0.1)


def test_the_csv_connector_keeps_the_contract(project):
    for day in range(3):
        project.file(f"in/{day}.csv", f"id,name\n{day},a\n{day + 10},\n")
    connector = ConnectorFactory.create({"type": "csv", "source_path": "in"})
    assert sorted(check_connector(connector)["id"].to_pylist()) == [0, 1, 2, 10, 11, 12]
