"""A preview shows what a run would do, and leaves everything as it is."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestion.cli import main
from ingestion.config import load_job, parse_job
from ingestion.pipeline import run
from ingestion.preview import Preview, preview
from ingestion_tests.conftest import Project
from ingestion_tests.postgres_support import Database

ORDERS = "id;day;price\n1;2024-01-31;1,50\n2;soon;2,50\n3;2024-02-01;three\n4;2024-02-02;4,50\n"
JOB: dict[str, Any] = {
    "source": {"type": "csv", "source_path": "data", "delimiter": ";"},
    "transformer": {"date_columns": ["day"], "numeric_columns": ["price"]},
}


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything in the folder, with size and time of change; nothing is younger or gone after what wrote nothing."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


@pytest.fixture
def untouched(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project in which a preview must leave neither a file nor a folder, temporary ones included."""
    scratch = project.path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield project
    assert list(scratch.iterdir()) == []


def previewed(project: Project, job: dict[str, Any], **options: int) -> Preview:
    before = files_of(project.path)
    found = preview(parse_job("orders", job), **options)
    assert files_of(project.path) == before
    return found


def grades(found: Preview) -> dict[str, str]:
    assert found.comparison is not None
    return {item.column: item.grade for item in found.comparison.columns}


def test_rows_types_and_reasons_are_shown(untouched: Project) -> None:
    untouched.file("data/a.csv", ORDERS)
    found = previewed(untouched, JOB)
    shown = found.as_json()
    assert shown["rows"] == [
        {"id": 1, "day": "2024-01-31", "price": 1.5},
        {"id": 4, "day": "2024-02-02", "price": 4.5},
    ]
    assert shown["schema"] == {"id": "int64", "day": "date32[day]", "price": "double"}
    assert (shown["rows_read"], shown["rows_to_load"], shown["whole"], shown["error"]) == (4, 2, True, None)
    assert [(cause.label, cause.rows) for cause in found.causes] == [
        ("day: date_columns", 1),
        ("price: numeric_columns", 1),
    ]
    [example] = found.causes[0].examples
    assert (example["source"], example["position"], example["value"]) == (str(untouched.path / "data/a.csv"), 3, "soon")
    assert "'soon' is not a date" in example["reason"]
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize("loader", [{"type": "iceberg"}, {"type": "delta"}])
def test_nothing_is_made_where_nothing_is_yet(untouched: Project, loader: dict[str, Any]) -> None:
    untouched.file("data/a.csv", ORDERS)
    found = previewed(untouched, {**JOB, "loader": loader})
    assert found.comparison is not None
    assert not found.comparison.exists
    assert set(grades(found).values()) == {"new"}
    assert not (untouched.path / "metadata").exists()


@pytest.mark.parametrize("loader", [{"type": "iceberg"}, {"type": "delta"}])
def test_a_table_that_is_there_stays_as_it_is(untouched: Project, loader: dict[str, Any]) -> None:
    untouched.file("data/a.csv", "id;day;note\n1;2024-01-31;x\n")
    job = {"source": JOB["source"], "loader": loader}
    run(parse_job("orders", job), "r")
    untouched.file("data/b.csv", "id;day;price\n2;2024-02-01;1.5\n")
    found = previewed(untouched, job)
    assert grades(found) == {"id": "same", "day": "same", "price": "new", "note": "absent"}
    assert [Path(source).name for source in found.report.sources] == ["b.csv"]
    run(parse_job("orders", job), "r2")
    assert not found.again
    found = previewed(untouched, job)
    assert found.again
    assert found.report.rows_read == 2


def test_a_server_sees_but_questions(untouched: Project, postgres_url: str) -> None:
    base = Database(postgres_url)
    untouched.file("data/a.csv", ORDERS)
    loader = {name: value for name, value in base.loader().as_written().items() if name != "table"}
    found = previewed(untouched, {**JOB, "loader": {"type": "postgres", **loader}})
    assert set(grades(found).values()) == {"new"}
    left = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)'"
    assert base.ask(left) == []


def test_a_catalog_on_a_server_gets_no_tables(untouched: Project, postgres_url: str) -> None:
    untouched.file("data/a.csv", ORDERS)
    found = previewed(
        untouched, {**JOB, "loader": {"type": "iceberg", "catalog": {"type": "sql", "uri": postgres_url}}}
    )
    assert set(grades(found).values()) == {"new"}
    assert Database(postgres_url).ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_target_that_cannot_be_reached_is_told_and_rows_are_shown(untouched: Project) -> None:
    untouched.file("data/a.csv", ORDERS)
    found = previewed(untouched, {**JOB, "loader": {"type": "postgres", "port": 1, "connect_timeout": 1}})
    assert found.target_error is not None
    assert "run again" in found.target_error
    assert found.comparison is None
    assert found.rows is not None
    assert found.rows.num_rows == 2
    assert found.error is None


def test_only_so_many_rows_are_read_and_shown(untouched: Project) -> None:
    untouched.file("data/a.csv", "id\n" + "".join(f"{number}\n" for number in range(100_000)))
    untouched.file("data/b.csv", "id\n1\n")
    found = previewed(untouched, {"source": JOB["source"]}, rows=500, shown=3)
    assert (found.report.rows_read, found.whole) == (500, False)
    assert found.as_json()["rows"] == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert len(found.report.sources) == 1


def test_rejected_rows_count_among_those_that_are_read(untouched: Project) -> None:
    untouched.file("data/a.csv", "id;n\n" + "".join(f"{number};x;y\n" for number in range(200_000)))
    found = previewed(untouched, {"source": JOB["source"]}, rows=100)
    assert not found.whole
    assert found.report.rows_quarantined == 100
    assert [cause.label for cause in found.causes] == ["ragged"]


def test_what_fails_a_run_is_told_as_the_run_tells_it(untouched: Project) -> None:
    untouched.file("data/a.csv", ORDERS)
    wrong = {**JOB, "transformer": {"column_mapping": {"dya": "day"}}}
    found = previewed(untouched, wrong)
    with pytest.raises(Exception, match="has no column 'dya'; did you mean 'day'") as caught:
        run(parse_job("orders", wrong), "r")
    assert found.error == str(caught.value)
    untouched.file("data/b.csv", "")
    gone = previewed(untouched, {**JOB, "source": {**JOB["source"], "source_path": "nowhere"}})
    assert gone.error is None or "nowhere" in gone.error


def test_a_conflict_with_the_table_is_graded_and_would_fail_the_run(untouched: Project) -> None:
    untouched.file("data/a.csv", "id\n1\n")
    job = {"source": JOB["source"]}
    run(parse_job("orders", job), "r")
    changed = {**job, "source": {**JOB["source"], "file_pattern": "b.csv"}, "transformer": {"types": {"id": "string"}}}
    untouched.file("data/b.csv", "id\nx\n")
    found = previewed(untouched, changed)
    assert grades(found) == {"id": "conflict"}
    with pytest.raises(Exception, match="the data brings string") as caught:
        run(parse_job("orders", changed), "r2")
    assert found.error == str(caught.value)


def test_the_command_prints_tables(untouched: Project, capsys: pytest.CaptureFixture[str]) -> None:
    untouched.file("data/a.csv", ORDERS)
    untouched.file("other/c.csv", "id;day;price\n9;2024-01-31;1,5\n")
    untouched.job("orders", JOB)
    before = files_of(untouched.path)
    assert main(["preview", "orders"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    where = untouched.path / "data/a.csv"
    assert out.splitlines() == [
        f"orders: 4 rows read (all rows) from {where}: 2 to load, 0 filtered, 2 quarantined",
        "",
        "column  data    new table  grade",
        "id      long    long       new: the table gets it",
        "day     date    date       new: the table gets it",
        "price   double  double     new: the table gets it",
        "",
        "id  day         price",
        "1   2024-01-31  1.5",
        "4   2024-02-02  4.5",
        "",
        "would be quarantined: 1 x day: date_columns",
        f"  {where}:3: 'soon' is not a date (YYYY-MM-DD)",
        "",
        "would be quarantined: 1 x price: numeric_columns",
        f"  {where}:4: 'three' is not a number",
    ]
    assert main(["preview", "orders", "--set", "source.source_path=other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [{"id": 9, "day": "2024-01-31", "price": 1.5}]
    assert main(["preview", "orders", "--set", "transformer.column_mapping={x: y}"]) == 1
    assert "orders: a run would fail: " in capsys.readouterr().err
    assert files_of(untouched.path) == before
    assert load_job("orders").transformer.as_written() == {"type": "base", **JOB["transformer"]}


def test_a_number_of_rows_is_a_number(untouched: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["preview", "orders", "--rows", "0"])
    assert "'0' is not a count; give a number from 1" in capsys.readouterr().err


def test_a_sample_is_cut_at_the_last_row_that_it_shows(untouched: Project) -> None:
    untouched.file("data/a.csv", "id;n\n1;a;b\n2;b\n3;c;d\n4;d\n5;e;f\n6;f\n")
    found = previewed(untouched, {"source": JOB["source"]}, rows=2)
    assert [row["id"] for row in found.as_json()["rows"]] == [2]
    assert [example["position"] for cause in found.causes for example in cause.examples] == [2]
    assert (found.report.rows_read, found.whole) == (2, False)
    more = previewed(untouched, {"source": JOB["source"]}, rows=5)
    assert ([row["id"] for row in more.as_json()["rows"]], more.report.rows_quarantined) == ([2, 4], 3)


@pytest.mark.parametrize(
    "job",
    [
        {"max_bad_rows": 1},
        {"transformer": {"filters": ["id > 9"]}, "loader": {"write_mode": "overwrite"}},
        {"transformer": {}, "loader": {"write_mode": "merge", "merge_keys": "id", "delete_missing": "hard"}},
    ],
)
def test_what_a_run_would_refuse_to_commit_is_told_where_all_rows_are_there(
    untouched: Project, capsys: pytest.CaptureFixture[str], job: dict[str, Any]
) -> None:
    empty = "delete_missing" in str(job)
    untouched.file("data/a.csv", "id;day;price\n" if empty else ORDERS)
    config = {**JOB, **job}
    found = previewed(untouched, config)
    with pytest.raises(Exception, match=r"max_bad_rows is 1|would empty the table") as caught:
        run(parse_job("orders", config), "r")
    assert found.error is not None
    assert found.error.partition(": ")[2] == str(caught.value).partition(": ")[2]
    untouched.job("orders", config)
    assert main(["preview", "orders"]) == 1
    assert "a run would fail" in capsys.readouterr().err
    if not empty:
        assert previewed(untouched, config, rows=3).error is None


def test_a_file_with_a_new_time_and_old_content_is_no_news(untouched: Project) -> None:
    file = untouched.file("data/a.csv", ORDERS)
    run(parse_job("orders", JOB), "r")
    assert previewed(untouched, JOB).again
    file.touch()
    found = previewed(untouched, {**JOB, "max_bad_rows": 0})
    assert (found.again, found.report.rows_read, found.error) == (True, 4, None)


def test_masked_values_are_never_shown(untouched: Project) -> None:
    untouched.file(
        "data/a.csv", "id;ssn;day\n1;850101-1234;2024-01-01\n2;850101-9999;soon\n3;850101-7777;2024-01-01;x\n"
    )
    job = {**JOB, "transformer": {"date_columns": ["day"], "mask": {"ssn": "redact"}}}
    found = previewed(untouched, job)
    assert found.as_json()["rows"] == [{"id": 1, "ssn": "***", "day": "2024-01-01"}]
    assert [cause.rows for cause in found.causes] == [1, 1]
    assert "850101" not in json.dumps(found.as_json())
    failing = previewed(untouched, {**job, "source": {**JOB["source"], "on_bad_row": "fail"}})
    assert failing.error is not None
    assert "850101" not in json.dumps(failing.as_json())


def test_rules_over_the_whole_load_leave_no_files_behind(untouched: Project) -> None:
    untouched.file("data/a.csv", "id;n\n" + "".join(f"{number % 700};{number}\n" for number in range(2000)))
    job = {**JOB, "transformer": {"deduplicate": {"keys": ["id"]}}}
    found = previewed(untouched, job, rows=1000)
    assert found.report.rows_loaded == 700
    assert found.report.rows_filtered == 300


def test_rows_that_the_loader_refuses_are_not_shown_as_rows_to_load(untouched: Project) -> None:
    untouched.file("data/a.csv", "id;n\n1;a\n;b\n3;c\n")
    shown = previewed(untouched, {**JOB, "transformer": {}, "loader": {"write_mode": "merge", "merge_keys": "id"}})
    assert shown.as_json()["rows_to_load"] == 2
    assert [row["id"] for row in shown.as_json()["rows"]] == [1, 3]
    assert list(shown.as_json()["schema"]) == ["id", "n"]


def test_a_run_that_would_fail_is_told_first_and_nothing_is_said_to_load(
    untouched: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    untouched.file("data/a.csv", ORDERS)
    run(parse_job("orders", JOB), "r")
    wrong = {**JOB, "transformer": {"column_mapping": {"dya": "day"}}}
    untouched.job("orders", wrong)
    untouched.file("data/b.csv", ORDERS)
    assert main(["preview", "orders"]) == 1
    out, err = capsys.readouterr()
    assert "did you mean 'day'" in err
    assert "to load" not in out
    assert "absent" not in out
    assert previewed(untouched, wrong).as_json()["rows_to_load"] is None


def test_nothing_to_read_is_told_as_the_source_tells_it(untouched: Project, capsys: pytest.CaptureFixture[str]) -> None:
    untouched.file("data/a.csv", ORDERS)
    job = {**JOB, "source": {**JOB["source"], "file_pattern": "*.tsv"}}
    untouched.job("orders", job)
    assert main(["preview", "orders"]) == 0
    reason = run(parse_job("orders", job), "r").waiting
    assert capsys.readouterr().out == f"orders: there are no rows to read ({reason})\n"
    assert reason is not None
    assert "*.tsv" in reason


def test_a_reason_is_told_whole_and_a_row_of_several_has_no_position(
    untouched: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    untouched.file("data/a.csv", f"id;day\n1;{'x' * 150}\n")
    query = {"sql": {"query": "SELECT id, MAX(day) AS day FROM input GROUP BY id", "over": "load"}}
    rule = {"rule": "length", "column": "day", "max": 9}
    job = {**JOB, "transformer": {"transformations": [query], "validation": [{**rule, "on_fail": "quarantine"}]}}
    untouched.job("orders", {**job, "max_bad_ratio": 1})
    assert main(["preview", "orders"]) == 0
    out = capsys.readouterr().out
    assert ":None" not in out
    assert "would be quarantined: 1 x day: length" in out
    report = run(load_job("orders"), "r")
    assert report.examples
    assert ":None" not in str(report.examples)
    untouched.job("others", {**JOB, "transformer": {"date_columns": ["day"]}})
    assert main(["preview", "others"]) == 0
    assert f"{'x' * 150}' is not a date (YYYY-MM-DD)\n" in capsys.readouterr().out
