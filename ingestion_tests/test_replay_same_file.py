"""A replay reads again what was quarantined, all of it, and nothing else that has its name."""

import os
import time
from typing import Any

from ingestion.config import load_job
from ingestion.pipeline import run
from ingestion_tests.conftest import Project
from ingestion_tests.test_replay import bring, job, load, rows, waiting

LONG = {"schema_hints": {"n": "long"}}
CHANGED = "its source was written since"


def test_lines_of_an_older_file_that_took_the_place_of_the_one_quarantined_are_not_taken(project: Project) -> None:
    path = project.file("data/a.csv", "id,n\n1,1\n2,2,oops\n3,3\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    job(project, source=LONG)
    load()
    other = project.file("inbox/a.csv", "id,n\n7,7\n8,8\n9,9\n")
    os.utime(other, (1_600_000_000, 1_600_000_000))
    other.replace(path)
    run(load_job("orders").merged({"source": {"incremental": False}}), "again")
    landed = rows(project, "id")
    report = bring()
    assert (report.rows_read, report.left) == (0, {CHANGED: 1})
    assert rows(project, "id") == landed
    assert waiting() == [(3, "ragged")]


def test_a_file_from_the_future_is_what_it_was(project: Project) -> None:
    path = project.file("data/a.csv", "id,n\n1,1\n2,2,3\n")
    then = time.time() + 3600
    os.utime(path, (then, then))
    job(project)
    load()
    report = bring()
    assert (report.rows_quarantined, report.left) == (1, {})


def test_a_file_of_which_only_the_time_has_changed_is_what_it_was(project: Project) -> None:
    path = project.file("data/a.csv", "id,name,day\n1,ann,2024-01-02\n2,robert,soon\n")
    masked = {"mask": {"name": "partial"}, "date_columns": ["day"]}
    job(project, masked)
    load()
    path.touch()
    job(project, {**masked, "on_conversion_error": "null"})
    report = bring()
    assert (report.rows_loaded, report.left, waiting()) == (1, {}, [])


QUOTED = 'id,name\n1,ann\n2,"bob\n3,carl\n4,dan",x\n5,eve\n'


def test_a_row_that_took_up_several_lines_is_brought_with_all_of_them(project: Project) -> None:
    project.file("data/a.csv", QUOTED)
    job(project)
    load()
    assert waiting() == [(3, "ragged")]
    job(project, source={"quote_char": ""})
    report = bring()
    assert (report.rows_loaded, report.rows_quarantined) == (2, 1)
    assert rows(project, "id") == [(1,), (2,), (3,), (5,)]
    assert waiting() == [(5, "ragged")]


def test_so_it_is_where_the_job_masks_columns_and_the_lines_are_not_kept(project: Project) -> None:
    project.file("data/a.csv", QUOTED)
    masked: dict[str, Any] = {"mask": {"name": "redact"}}
    job(project, masked)
    load()
    job(project, masked, {"quote_char": ""})
    assert bring().rows_loaded == 2
    assert (rows(project, "id"), waiting()) == ([(1,), (2,), (3,), (5,)], [(5, "ragged")])
    found = load_job("orders").resolved().loader.quarantined("orders")
    assert [row["payload"] for batch in found for row in batch.to_pylist()] == ["***"]


def test_what_is_told_of_a_file_is_in_rows_whose_file_is_gone(project: Project) -> None:
    source = {**LONG, "include_metadata": True}
    path = project.file("data/a.csv", "id,n\n1,1\n2,x\n")
    job(project, source=source)
    load()
    path.unlink()
    project.file("data/b.csv", "id,n\n3,3\n")
    job(project, {"column_mapping": {"n": "text"}}, {"include_metadata": True})
    assert bring().rows_loaded == 1
    (row,) = [row for row in rows(project, "id", "_source_file", "_source_row") if row[0] == 2]
    assert row[1:] == (str(path), 3)


def test_a_number_that_is_text_today_is_read_again_as_it_is_spelt(project: Project) -> None:
    project.file("data/a.csv", "id,version,ok\n1,1.50,yes\n2,2.10,maybe\n")
    job(project, {"boolean_columns": ["ok"]})
    load()
    mended: dict[str, Any] = {"boolean_columns": ["ok"], "on_conversion_error": "null"}
    job(project, {**mended, "column_mapping": {"version": "text"}, "types": {"text": "string"}})
    assert bring().rows_loaded == 1
    assert rows(project, "id", "text") == [(1, None), (2, "2.10")]


def test_numbers_of_several_loads_are_numbers_of_a_type_that_holds_all(project: Project) -> None:
    positive = {"date_columns": ["day"], "filters": ["amount > 0"], "transformations": [{"drop_columns": ["amount"]}]}
    job(project, positive)
    project.file("data/a.csv", "id,amount,day\n1,1,soon\n2,3,2024-01-01\n")
    load()
    project.file("data/b.csv", "id,amount,day\n3,1.5,soon\n4,3.5,2024-01-01\n")
    load()
    job(project, {**positive, "on_conversion_error": "null"})
    assert bring().rows_loaded == 2
    assert waiting() == []
