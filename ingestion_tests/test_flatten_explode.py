"""Fields within columns become columns, items of lists become rows, and every row is accounted for."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.errors import ConfigError
from ingestion.plugins import Batch, Origin
from ingestion.testing import check_transformer
from ingestion.transformers import pieces as cutting
from ingestion.transformers.base import BaseTransformer

ADDRESS = pa.struct([("city", pa.string()), ("geo", pa.struct([("lat", pa.float64()), ("lon", pa.float64())]))])
ORDERS = pa.schema([
    ("id", pa.int64()),
    ("address", ADDRESS),
    ("items", pa.list_(pa.struct([("sku", pa.string()), ("n", pa.int32())]))),
    ("tags", pa.list_(pa.string())),
])  # fmt: skip
ROWS = [
    {"id": 1, "address": {"city": "Lund", "geo": {"lat": 55.7, "lon": 13.2}}, "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}], "tags": ["x", None]},
    {"id": 2, "address": {"city": None, "geo": None}, "items": [], "tags": []},
    {"id": 3, "address": None, "items": None, "tags": None},
    {"id": 4, "address": {"city": "Ystad", "geo": None}, "items": [None], "tags": ["y"]},
]  # fmt: skip


def orders(rows=ROWS, first=1):
    return Batch(pa.RecordBatch.from_pylist(rows, ORDERS), Origin("orders.json", first), bytes_read=9)


def change(config, *batches):
    return list(BaseTransformer.model_validate(config).apply(iter(batches)))


def rows_of(batches):
    return [row for batch in batches for row in batch.records.to_pylist()]


def places_of(batches):
    """Position and part of each row."""
    found = []
    for batch in batches:
        rows = pa.array(range(batch.records.num_rows), pa.int64())
        parts = batch.origin.parts or pa.nulls(len(rows))
        found += zip(batch.origin.at(rows).to_pylist(), parts.to_pylist(), strict=True)
    return found


def rejected_of(batches):
    return [row for batch in batches if batch.rejected for row in batch.rejected.to_pylist()]


# flatten


def test_fields_within_columns_become_columns_in_their_place():
    (batch,) = change({"flatten": {}}, orders())
    assert batch.records.schema.names == ["id", "address_city", "address_geo_lat", "address_geo_lon", "items", "tags"]
    assert batch.records["address_city"].to_pylist() == ["Lund", None, None, "Ystad"]
    assert batch.records["address_geo_lat"].to_pylist() == [55.7, None, None, None]
    assert batch.records["items"].type == ORDERS.field("items").type


def test_levels_beyond_max_depth_stay_as_they_are():
    (batch,) = change({"flatten": {"separator": ".", "max_depth": 1}}, orders())
    assert batch.records.schema.names[1:3] == ["address.city", "address.geo"]
    assert batch.records["address.geo"].to_pylist() == [{"lat": 55.7, "lon": 13.2}, None, None, None]


def test_flattening_copies_no_values():
    city = pa.array(["Lund"] * 1000)
    batch = Batch(pa.record_batch({"a": pa.StructArray.from_arrays([city], ["city"])}), Origin("f"))
    (flat,) = change({"flatten": {}}, batch)
    assert flat.records["a_city"].buffers()[2].address == city.buffers()[2].address


def test_a_field_of_a_column_that_may_be_null_may_be_null():
    inner = pa.struct([pa.field("n", pa.int64(), nullable=False)])
    batch = Batch(pa.RecordBatch.from_pylist([{"a": None}], pa.schema([("a", inner)])), Origin("f"))
    (flat,) = change({"flatten": {}}, batch)
    assert flat.records.schema.field("a_n").nullable


def test_two_columns_that_would_have_one_name_are_both_named():
    records = pa.RecordBatch.from_pylist([{"a": {"b_c": 1, "b": {"c": 2}}}])
    with pytest.raises(ConfigError, match=r"a\.b\.c and a\.b_c would both become column 'a_b_c'.*separator"):
        change({"flatten": {}}, Batch(records, Origin("f")))
    records = pa.RecordBatch.from_pylist([{"a_b": 0, "a": {"b": 2}}])
    with pytest.raises(ConfigError, match=r"a\.b and a_b would both become column 'a_b'"):
        change({"flatten": {}}, Batch(records, Origin("f")))


def test_a_column_without_fields_stays():
    batch = Batch(pa.record_batch({"a": pa.array([{}, None], pa.struct([]))}), Origin("f"))
    assert change({"flatten": {}}, batch)[0].records.schema == batch.records.schema


# explode


def test_each_item_becomes_a_row_beside_the_other_values():
    batches = change({"explode": "tags", "transformations": [{"select": ["id", "tags"]}]}, orders())
    assert rows_of(batches) == [
        {"id": 1, "tags": "x"}, {"id": 1, "tags": None}, {"id": 2, "tags": None}, {"id": 3, "tags": None},
        {"id": 4, "tags": "y"},
    ]  # fmt: skip
    assert places_of(batches) == [(1, 1), (1, 2), (2, 1), (3, 1), (4, 1)]
    assert batches[0].removed == {"explode": -1}


def test_fields_of_items_become_columns_where_flatten_is_set():
    batches = change({"explode": ["items"], "flatten": {"max_depth": 1}}, orders())
    assert batches[0].records.schema.names == ["id", "address_city", "address_geo", "items_sku", "items_n", "tags"]
    assert [row["items_sku"] for row in rows_of(batches)] == ["a", "b", None, None, None]


def test_columns_that_are_exploded_together_need_equally_many_items():
    rows = [
        {"id": 1, "tags": ["a", "b"], "items": [{"sku": "1"}, {"sku": "2"}]},
        {"id": 2, "tags": ["a", "b"], "items": [{"sku": "1"}]},
        {"id": 3, "tags": None, "items": []},
    ]
    batches = change({"explode": ["tags", "items"]}, orders(rows, first=11))
    assert [(row["id"], row["tags"], row["items"] and row["items"]["sku"]) for row in rows_of(batches)] == [
        (1, "a", "1"), (1, "b", "2"), (3, None, None),
    ]  # fmt: skip
    (bad,) = rejected_of(batches)
    assert (bad["stage"], bad["rule"], bad["position"]) == ("transform", "explode", 12)
    assert bad["reason"] == "tags has 2, items has 1 items; what is exploded together needs equally many"
    assert '"tags":["a","b"]' in bad["payload"]


@pytest.mark.parametrize("dtype", [
    pa.list_(pa.int32()), pa.large_list(pa.int32()), pa.list_view(pa.int32()), pa.large_list_view(pa.int32()),
    pa.list_(pa.int32(), 2),
])  # fmt: skip
def test_every_kind_of_list_is_taken_apart(dtype):
    values = [[7, 8], None, [9, 10]]
    batch = Batch(pa.record_batch({"n": pa.array([[0, 0], *values], dtype)}).slice(1), Origin("f"))
    assert [row["n"] for row in rows_of(change({"explode": "n"}, batch))] == [7, 8, None, 9, 10]


def test_a_column_without_a_single_list_yet_has_no_items():
    batch = Batch(pa.record_batch({"n": pa.nulls(2)}), Origin("f"))
    assert rows_of(change({"explode": "n"}, batch)) == [{"n": None}, {"n": None}]


def test_a_column_that_holds_no_lists_is_named():
    batch = Batch(pa.record_batch({"n": [1]}), Origin("f"))
    with pytest.raises(ConfigError, match=r"transformer\.explode: column 'n' has values of type int64 and no lists"):
        change({"explode": "n"}, batch)


def test_a_column_that_no_file_has_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"transformer\.explode: .*'tag'; did you mean 'tags'"):
        change({"explode": "tag"}, orders())


def test_a_file_without_the_column_passes_where_others_have_it():
    plain = Batch(pa.record_batch({"id": [7]}), Origin("f"))
    assert [row["id"] for row in rows_of(change({"explode": "tags"}, plain, orders()))] == [7, 1, 1, 2, 3, 4]


def test_many_items_come_in_batches_of_bounded_size(monkeypatch):
    monkeypatch.setattr(cutting, "_BYTES", 1 << 20)
    records = pa.record_batch({"text": ["x" * 50_000, "y"], "n": [list(range(200)), list(range(5000))]})
    batches = change({"explode": "n"}, Batch(records, Origin("f"), cursor="end", bytes_read=5))
    assert len(batches) > 9
    assert max(batch.records.nbytes for batch in batches) < 1.1 * (1 << 20)
    assert [row["n"] for row in rows_of(batches)] == [*range(200), *range(5000)]
    assert places_of(batches) == [(1, part) for part in range(1, 201)] + [(2, part) for part in range(1, 5001)]
    assert [batch.cursor for batch in batches] == [None] * (len(batches) - 1) + ["end"]
    assert sum(batch.bytes_read for batch in batches) == 5
    assert sum(sum(batch.removed.values()) for batch in batches) == 2 - 5200


def test_a_rejected_item_is_told_by_its_part_and_the_row_as_read():
    config = {"explode": "tags", "validation": [{"column": "tags", "rule": "in", "values": ["x"]}]}
    (bad,) = rejected_of(change(config, orders()))
    assert (bad["position"], bad["part"], bad["value"]) == (4, 1, "y")
    assert '"id":4' in bad["payload"]


def test_an_exploded_column_is_not_asked_for_in_the_type_of_its_items():
    known = pa.schema([("id", pa.int64()), ("tags", pa.string())])
    assert BaseTransformer.model_validate({"explode": "tags"}).wants(known).names == ["id"]


@pytest.mark.parametrize(("config", "sentence"), [
    ({"flatten": "all"}, "none"),
    ({"flatten": {"max_depth": 0}}, "greater than or equal to 1"),
    ({"flatten": {"sep": "_"}}, "did you mean 'separator'"),
    ({"explode": ["a", "a"]}, "column 'a' is named 2 times"),
])  # fmt: skip
def test_options_that_say_nothing_sensible_are_refused(config, sentence):
    with pytest.raises(ValidationError, match=sentence):
        BaseTransformer.model_validate(config)


def test_placeholders_in_the_options_wait():
    written = {"flatten": {"separator": "${SEP}"}, "explode": "${COLUMN}"}
    assert BaseTransformer.model_validate(written).as_written() == written


# all together


@pytest.mark.parametrize("config", [
    {"flatten": {}},
    {"flatten": {"max_depth": 1}, "explode": "items"},
    {"explode": ["tags", "items"]},
    {"explode": ["tags"], "flatten": {"separator": "/"}, "validation": [{"column": "tags", "rule": "not_null"}]},
])  # fmt: skip
def test_flattening_and_exploding_keep_the_contract(config):
    uneven = [{"id": 9, "tags": ["a"], "items": []}]
    assert check_transformer(BaseTransformer.model_validate(config), [orders(), orders(uneven, 5), orders([])])


LISTS = st.none() | st.lists(st.none() | st.integers(0, 9), max_size=4)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.tuples(LISTS, LISTS), max_size=30), slack=st.integers(0, 3))
def test_items_and_their_origins_are_what_plain_python_says(rows, slack):
    schema = pa.schema([("id", pa.int64()), ("a", pa.list_(pa.int64())), ("b", pa.list_(pa.int64()))])
    padded = [{"id": -1, "a": [1], "b": [1]}] * slack
    data = padded + [{"id": place, "a": a, "b": b} for place, (a, b) in enumerate(rows, 1)]
    records = pa.RecordBatch.from_pylist(data, schema).slice(slack)
    expected, bad = [], []
    for place, (first, second) in enumerate(rows, 1):
        a, b = first or [], second or []
        if len(a) != len(b):
            bad.append(place)
            continue
        items = list(zip(a, b, strict=True)) or [(None, None)]
        expected += [(place, part, x, y) for part, (x, y) in enumerate(items, 1)]
    done = check_transformer(BaseTransformer(explode=["a", "b"]), [Batch(records, Origin("f"))])
    found = [(*place, row["a"], row["b"]) for place, row in zip(places_of(done), rows_of(done), strict=True)]
    assert found == expected
    assert [row["position"] for row in rejected_of(done)] == bad


def test_masked_fields_and_items_are_in_no_payload():
    rows = [{"id": 1, "address": {"city": "Secretville"}, "tags": ["Hush"]}]
    config = {
        "flatten": {},
        "explode": "tags",
        "mask": {"address_city": "redact", "tags": "redact"},
        "validation": [{"column": "id", "rule": "between", "max": 0}],
    }
    (bad,) = rejected_of(change(config, orders(rows)))
    assert "Secretville" not in str(bad)
    assert "Hush" not in str(bad)
