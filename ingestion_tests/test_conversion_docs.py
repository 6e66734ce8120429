"""What the documentation says of conversions is what happens."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from ingestion.plugins import Batch, Origin
from ingestion.transformers.base import BaseTransformer

PAGE = (Path(__file__).parent.parent / "docs" / "transformers.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Conversions\n")[2].partition("\n## ")[0]
EXAMPLES = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (quarantine|`[^`]+`) \|$", SECTION, re.MULTILINE)


def test_every_row_of_the_table_is_tried():
    rows = [line for line in SECTION.splitlines() if line.startswith("| `")]
    assert len(rows) == len(EXAMPLES) > 30


@pytest.mark.parametrize(("text", "options", "becomes"), EXAMPLES)
def test_a_documented_conversion_gives_what_is_documented(text, options, becomes):
    made = BaseTransformer.model_validate(yaml.safe_load(options))
    rows = pa.record_batch({"v": pa.array([text])})
    (done, *_) = made.apply(iter([Batch(rows, Origin("f.csv", 1))]))
    values = [str(value) for value in done.records["v"].to_pylist()]
    assert values == ([] if becomes == "quarantine" else [becomes.strip("`")])
    assert (done.rejected is not None) == (becomes == "quarantine")
