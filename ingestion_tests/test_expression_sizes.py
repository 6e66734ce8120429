"""What an expression makes of texts takes a bounded amount of memory, whoever wrote it."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer
from ingestion.transformers.expressions import Expression
from ingestion.transformers.expressions.sizes import MOST, lengths, need

ROOT = Path(__file__).parent.parent
PAD = "LPAD(s, 1000, 'x')"


def evaluated(text, records):
    return Expression.parse(text).evaluate(records, "place", Origin("f.csv"))


TEXTS = [
    "UPPER(s)", "INITCAP(s)", "REVERSE(s)", "LPAD(s, 9, 'é')", "RPAD(s, 9, '€')", "REPLACE(s, 'a', 'bcdé')",
    "REPLACE(s, '', '-')", "REGEXP_REPLACE(s, '', 'xy')", "REGEXP_REPLACE(s, '.*', '\\0\\0\\0')",
    r"REGEXP_REPLACE(s, '(.)', '<\1>')", "CONCAT(s, n, s)", "CONCAT_WS(', ', s, s, n)", "s || n || d", "CAST(n AS string)",
    "CAST(x AS string)", "STRFTIME(d, '%A %Y-%m-%d')", "CASE WHEN n > 3 THEN s ELSE 'otherwise' END", "COALESCE(s, 'none')",
    "UPPER(LOWER(REPLACE(s || s, 'b', 'bbb')))", "SPLIT_PART(s, 'a', 1)", "o.t || o.t", "CONCAT(k, k)",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@settings(deadline=None, max_examples=40)
@given(s=st.lists(st.text("abé€ŉΐß ", max_size=30), min_size=1, max_size=4), x=st.floats(), n=st.integers(-9, 2**62))
def test_no_text_is_longer_than_was_foretold(text, s, x, n):
    moments = pa.array([20_000] * len(s), pa.date32())
    objects = pa.StructArray.from_arrays([pa.array(s)], ["t"])
    columns = {"s": pa.array(s), "k": pa.array(s).dictionary_encode(), "x": [x] * len(s), "n": [n] * len(s)}
    records = pa.record_batch({**columns, "d": moments, "o": objects})
    values = evaluated(text, records).values
    foretold = need(Expression.parse(text).node)
    most = [foretold.fixed] * len(s)
    for name, factor in foretold.per.items():
        most = [size + factor * length for size, length in zip(most, lengths(records[name]), strict=True)]
    made = [len((value or "").encode()) for value in values.to_pylist()]
    assert all(size <= limit for size, limit in zip(made, most, strict=True))


def batch(texts):
    return Batch(pa.record_batch({"s": texts}), Origin("f.csv", first=2), removed={"early": 1}, cursor=7)


def test_a_row_whose_texts_would_be_too_large_is_rejected_alone():
    (step,) = BaseTransformer(transformations=[{"add_column": {"name": "t", "formula": "s || s || s"}}]).steps()
    found = list(step.apply(iter([batch(["a", "b" * (16 << 20), "c"])])))
    assert pa.concat_tables([pa.table(part.records) for part in found])["t"].to_pylist() == ["aaa", "ccc"]
    (rejected,) = [part.rejected for part in found if part.rejected is not None]
    assert rejected["position"].to_pylist() == [3]
    (reason,) = rejected["reason"].to_pylist()
    assert "its texts would take up to 96 MiB, which is more than one row may have" in reason
    assert len(reason) < 1000


def test_a_condition_on_long_texts_is_judged_for_every_row_in_its_place():
    texts = [str(number) for number in range(5000)]
    records = pa.record_batch({"s": texts, "n": [number % 7 for number in range(5000)]})
    text = f"LENGTH(CONCAT({', '.join([PAD] * 40)})) > 1 AND 1 / n < 2"
    assert len(list(Expression.parse(text).places(records))) > 5
    found = evaluated(text, records)
    assert found.faulty.to_pylist() == [number for number in range(5000) if number % 7 == 0]
    assert found.values.null_count == len(found.faulty)


def test_pieces_carry_the_news_of_their_batch_once_and_its_cursor_last():
    formula = f"CONCAT({', '.join([PAD] * 60)})"
    (step,) = BaseTransformer(transformations=[{"add_column": {"name": "t", "formula": formula}}]).steps()
    found = list(step.apply(iter([batch([str(number) for number in range(3000)])])))
    assert len(found) > 3
    assert all(part.records.nbytes <= MOST for part in found)
    assert [part.removed for part in found] == [{"early": 1}] + [{}] * (len(found) - 1)
    assert [part.cursor for part in found] == [None] * (len(found) - 1) + [7]
    lines = [line for part in found for line in part.origin.at(pa.array(range(part.records.num_rows))).to_pylist()]
    assert lines == list(range(2, 3002))


def test_columns_that_double_a_text_again_and_again_reject_the_row_before_memory_is_full():
    columns = [{"add_column": {"name": "s", "formula": "s || s || s || s"}}] * 20
    batches = iter([batch(["x" * 100, ""])])
    for step in BaseTransformer(transformations=columns).steps():
        batches = step.apply(batches)
    found = list(batches)
    assert [value for part in found for value in part.records["s"].to_pylist()] == [""]
    assert sum(part.rejected.num_rows for part in found if part.rejected is not None) == 1


_MANY = """
import resource
import pyarrow as pa
from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

PAD = "LPAD(s, 1000, 'x')"
long = "CONCAT(" + ", ".join([PAD] * 60) + ")"
columns = [{"add_column": {"name": f"t{n}", "formula": PAD}} for n in range(60)]
def run(rows):
    transformer = BaseTransformer(filters=[f"LENGTH({long}) > 5"], transformations=columns)
    batch = Batch(pa.record_batch({"s": [str(n) for n in range(rows)]}), Origin("f.csv"))
    return sum(part.records.num_rows for part in transformer.apply(iter([batch])))

run(10)
before = peak()
print(run(20_000), peak() - before)
"""


def test_a_batch_of_padded_texts_never_stands_in_memory_as_a_whole():
    """The filter alone makes 1.2 GB of texts and as much on the way to them, the columns 1.2 GB."""
    done = subprocess.run([sys.executable, "-c", _MANY], capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stderr
    rows, grown = map(int, done.stdout.split())
    assert rows == 20_000
    assert grown < 450  # MiB; about 200
