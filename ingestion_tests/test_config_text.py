"""YAML in and out: what a scalar means, and that writing loses nothing."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.config.cron import check_cron
from ingestion.config.splice import dumped, edited, jobs_of
from ingestion.config.yaml_text import parse_yaml, yaml_scalar

SCALARS = {
    "no": "no", "on": "on", "Yes": "Yes", "true": True, "FALSE": False, "null": None, "~": None, "": None,
    "12:30:00": "12:30:00", "2024-01-31": "2024-01-31", "007": "007", "0": 0, "-12": -12, "+3": 3, "1_000": "1_000",
    "1.5": 1.5, "1e3": 1000.0, ".5": 0.5, "1.": 1.0, "-.inf": -math.inf, "1.2.3": "1.2.3", "0x1F": "0x1F", "'5'": "5",
    "-": "-", "--": "--", "+": "+", ".": ".", "NO": "NO", "[1, a]": [1, "a"], "{a: no}": {"a": "no"}, "!!str 5": "5",
}  # fmt: skip


@pytest.mark.parametrize("text", [text for text in SCALARS if text != "-"])
def test_a_scalar_means_what_it_looks_like(text: str) -> None:
    value = yaml_scalar(text)
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


def test_keys_are_text_and_merge_keys_merge() -> None:
    text = "2024: a\ntrue: b\nbase: &base {x: 1, y: 2}\nmore:\n  <<: *base\n  y: 3\n"
    value = parse_yaml(text, "file").value
    assert value == {"2024": "a", "true": "b", "base": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}}


TEXTS = st.text() | st.sampled_from(
    ["1e5", "0o17", "no", "12:30", "007", "<<", "=", "", "~", "null", "a: b", "- x", "|", "a\nb\n", "\n", " x", "x ", "@d",
     "* * *", "#x", "a #b", "!x", "&x", "\t", "'", '"', ".inf", "${A:-b}", "\x85", "\u2028", "\ufeff", "a\r\nb", "%x", "---"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
CONFIGS = st.dictionaries(TEXTS, VALUES, max_size=5)


@settings(max_examples=100, deadline=None)
@given(CONFIGS)
def test_what_is_written_reads_back_the_same(config) -> None:
    assert parse_yaml(dumped(config), "file").value == config


FILE = b"# top\njobs:\n  # about a\n  a: {source: x}  # end of a\n\n  # about b\n  b:\n    - 1\n    - |\n      # text\n# tail\nlast: 1\n"


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=5), st.sampled_from(["a", "b", "c"]))
def test_a_job_put_into_a_file_leaves_all_else_as_it_is(config, job_id: str) -> None:
    path = Path("jobs.yaml")
    before = dict(jobs_of(FILE, path))
    after = edited(FILE, path, job_id, config)
    assert jobs_of(after, path) == {**before, job_id: config}
    if job_id == "c":
        assert edited(after, path, job_id, None) == FILE
    for comment in (b"# top\n", b"# about a\n", b"# about b\n", b"# tail\n", b"last: 1\n"):
        assert comment in after


@pytest.mark.parametrize(
    "content",
    [
        b"jobs: {}\n",
        b"jobs:\n",
        b"jobs: {}  # none yet\n",
        b"# none\n",
        b"jobs:",
        b"jobs: {}\nlast: 1\n",
        b"last: 1",
        b"{}\n",
        b"{}  # none yet\n",
    ],
)
def test_the_first_job_finds_its_place(content: bytes) -> None:
    after = edited(content, Path("jobs.yaml"), "a", {"x": [1]})
    assert parse_yaml(after.decode(), "file").value["jobs"] == {"a": {"x": [1]}}
    assert (b"last: 1" in content) == (b"last: 1" in after)
    assert (b"# none" in content) == (b"# none" in after)


CRON = {
    "0 5 * * *": None, "*/15 0-6,18-23 * * mon-fri": None, "@daily": None, "@Hourly": None, "0 0 29 2 *": None,
    "0 0 31 1-3 *": None, "5/10 * * * *": None, "0 0 31 2 mon": None, "0 0 * * 7": None, " 0  5 * * * ": None,
    "0 25 * * *": "the hour '25' is out of range; it goes from 0 to 23",
    "60 * * * *": "the minute '60' is out of range",
    "0 0 0 * *": "the day of month '0' is out of range; it goes from 1 to 31",
    "0 0 * foo *": "the month 'foo' cannot be read; use *, numbers or names (jan, feb",
    "0 0 * * 8": "the day of week '8' is out of range",
    "*/0 * * * *": "a step that is not a number above 0",
    "*/x * * * *": "a step that is not a number above 0",
    "*/90 * * * *": "the minute '*/90' steps over its whole range; it would run at 0 alone",
    "* * * * 0-0": "it would run at 0 alone, so write that",
    "5-1 * * * *": "runs backwards",
    "* * * *": "has 4 fields; write five (minute, hour, day of month, month, day of week)",
    "0 0 5 * * *": "has 6 fields",
    "": "has 0 fields",
    "@dayly": "'@dayly' is not known; did you mean '@daily'?",
    "@reboot": "'@reboot' is not known",
    "0 0 31 2 *": "never happens: none of its months has a day 31",
    "0 0 31 4,6,9,11 *": "never happens",
    "1,,2 * * * *": "cannot be read",
    "- * * * *": "cannot be read",
    "１ * * * *": "cannot be read",
}  # fmt: skip


@pytest.mark.parametrize("text", CRON)
def test_a_cron_expression_is_read_strictly(text: str) -> None:
    expected = CRON[text]
    if expected is None:
        assert check_cron(text).lower() == " ".join(text.split()).lower()
        return
    with pytest.raises(ValueError) as caught:
        check_cron(text)
    assert expected in str(caught.value)


PART = st.from_regex(r"(\*|[0-9]{1,2}(-[0-9]{1,2})?|mon|jan)(/[0-9]{1,2})?(,[0-9]{1,2})?", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(st.lists(PART, min_size=5, max_size=5))
def test_dagster_takes_every_cron_expression_that_passes(parts: list[str]) -> None:
    from dagster import DagsterInvalidDefinitionError, ScheduleDefinition

    text = " ".join(parts)
    try:
        check_cron(text)
    except ValueError:
        return
    try:
        ScheduleDefinition(name="s", job_name="j", cron_schedule=text)
    except DagsterInvalidDefinitionError:
        pytest.fail(f"Dagster refuses {text!r}")
