"""The rules of a job as asset checks: declared by its asset, and answered by every run of it."""

from typing import Any

import dagster as dg
import pytest

from ingestion.config import load_job
from ingestion.orchestration.build import build_definitions
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.launch import run_job
from ingestion.orchestration.names import INGEST_JOB, run_config
from ingestion.orchestration.replaying import replay_job
from ingestion_tests.conftest import Project

RULES: list[dict[str, Any]] = [
    {"column": "age", "rule": "between", "min": 0, "max": 120},
    {"column": "name", "rule": "not_null", "on_fail": "drop"},
    {"column": "name", "rule": "length", "max": 3, "on_fail": "warn"},
    {"column": "id", "rule": "unique", "on_fail": "fail"},
]
ROWS = "id,name,age\n1,Ada,36\n2,,40\n3,Charles,79\n4,Bo,150\n5,Eva,-2\n"


def people(project: Project, rules: list[dict[str, Any]] = RULES, rows: str = ROWS, **options: Any) -> None:
    project.file("data/a.csv", rows)
    source = {"type": "csv", "source_path": "data"}
    project.job(
        "people", {"source": source, "transformer": {"validation": rules}, "loader": {"type": "iceberg"}, **options}
    )


def materialize(**arguments: Any) -> dg.ExecuteInProcessResult:
    job = build_definitions().resolve_job_def(INGEST_JOB)
    arguments = {"raise_on_error": False, **arguments}
    return job.execute_in_process(asset_selection=[dg.AssetKey("people")], **arguments)


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def told(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def test_every_rule_is_a_check_of_the_asset(project):
    people(project)
    (asset,) = build_definitions().resolve_asset_graph().assets_defs
    specs = {spec.name: spec for spec in asset.check_specs}
    assert list(specs) == ["age_between", "name_not_null", "name_length", "id_unique"]
    assert specs["age_between"].description == (
        "age is at least 0 and at most 120. Rows that break it are quarantined."
    )
    assert specs["name_length"].metadata["on_fail"] == "warn"


def test_a_run_answers_its_checks_and_stays_green(project):
    people(project)
    result = materialize()
    assert result.success
    found = evaluations(result)
    assert {name: (one.passed, one.severity) for name, one in found.items()} == {
        "age_between": (False, dg.AssetCheckSeverity.ERROR),
        "name_not_null": (False, dg.AssetCheckSeverity.ERROR),
        "name_length": (False, dg.AssetCheckSeverity.WARN),
        "id_unique": (True, dg.AssetCheckSeverity.ERROR),
    }
    age = told(found["age_between"])
    assert (age["rows_failed"], age["rows_looked_at"], age["on_fail"]) == (2, 5, "quarantine")
    assert age["example"] == f"{project.path / 'data' / 'a.csv'}:5: is 150, more than 120"
    assert found["age_between"].description.startswith("2 of 5 rows break it; the first: ")
    assert told(found["name_not_null"])["rows_failed"] == 1
    assert told(found["name_length"])["example"].endswith("a.csv:4: has 7 characters, more than 3")
    assert "example" not in told(found["id_unique"])
    assert sorted(project.table("default.people")["id"].to_pylist()) == [1, 3]


def test_the_answers_are_about_what_the_run_has_loaded(project):
    people(project)
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(instance=instance)
        (materialization,) = [
            event for event in result.all_events if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
        ]
        assert materialization is not None
        newest = instance.get_latest_materialization_event(dg.AssetKey("people"))
        for one in evaluations(result).values():
            assert one.target_materialization_data.run_id == result.run_id
            assert one.target_materialization_data.timestamp == newest.timestamp


@pytest.mark.parametrize(
    ("rows", "options", "failed"),
    [
        ("id,name,age\n1,Ada,36\n2,Bo,40\n1,Eva,50\n1,Ia,50\n", {}, "id_unique"),
        ("id,name,age\n1,Ada,150\n2,Bo,40\n", {"max_bad_rows": 0}, "age_between"),
    ],
    ids=["a rule that fails the run", "a budget that is spent"],
)
def test_a_run_that_fails_for_its_rows_leaves_the_check_red(project, rows, options, failed):
    people(project, rows=rows, **options)
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(instance=instance)
        assert not result.success
        assert instance.get_latest_materialization_event(dg.AssetKey("people")) is None
        keys = [dg.AssetCheckKey(dg.AssetKey("people"), name) for name in ("age_between", "name_not_null", "id_unique")]
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        status = {key.name: record.status.value for key, record in records.items()}
        assert status.pop(failed) == "FAILED"
        assert set(status.values()) == {"PLANNED"}  # shown as not having run
        key = dg.AssetCheckKey(dg.AssetKey("people"), failed)
        evaluation = records[key].event.dagster_event.asset_check_evaluation_data
        shown = told(evaluation)
        assert (shown["rows_failed"], shown["rows_looked_at"]) == ((2, 4) if failed == "id_unique" else (1, 2))
        assert evaluation.description.endswith(shown["example"])
        assert evaluation.description.startswith("transformer.validation[3]: " if failed == "id_unique" else "1 of 2 ")


def test_a_rule_that_the_overrides_took_out_is_not_said_to_hold(project):
    people(project)
    only = run_config("people", {"transformer": {"validation": RULES[1:]}})
    found = evaluations(materialize(run_config=only))
    assert (found["age_between"].passed, found["age_between"].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "not looked at" in found["age_between"].description
    assert not found["name_not_null"].passed
    assert found["id_unique"].passed


def test_rules_with_placeholders_are_checks_of_their_own_names(project, monkeypatch):
    people(project, [{"column": "${COLUMN}", "rule": "between", "max": "${MOST}"}])
    monkeypatch.setenv("COLUMN", "age")
    monkeypatch.setenv("MOST", "120")
    (evaluation,) = evaluations(materialize()).values()
    assert (evaluation.check_name, evaluation.passed) == ("COLUMN_between", False)
    assert told(evaluation)["rows_failed"] == 1


def test_a_command_line_run_records_its_checks(project):
    people(project)
    report = run_job("people")
    assert report.noted == {"name: length": 1}
    with open_instance() as instance:
        key = dg.AssetCheckKey(dg.AssetKey("people"), "age_between")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.status.value == "FAILED"


def newest_outcomes(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    keys = [dg.AssetCheckKey(dg.AssetKey("people"), name) for name in ("age_between", "name_not_null", "id_unique")]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {key.name: records[key].evaluation for key in keys}


def test_a_run_with_nothing_new_leaves_each_check_as_it_was(project):
    people(project)
    with dg.DagsterInstance.ephemeral() as instance:
        first = materialize(instance=instance)
        said = evaluations(first)["age_between"].description
        for _ in range(2):
            again = evaluations(materialize(instance=instance))
            assert {name: one.passed for name, one in again.items()} == {
                "age_between": False,
                "name_not_null": False,
                "name_length": False,
                "id_unique": True,
            }
            age = told(again["age_between"])
            assert (age["rows_failed"], age["rows_looked_at"], age["last_outcome"]) == (0, 0, said)
            assert again["age_between"].description == f"no rows were looked at this time; before that: {said}"
        project.file("data/b.csv", "id,name,age\n9,Ia,9\n")
        assert all(one.passed for one in evaluations(materialize(instance=instance)).values())


def test_a_first_run_without_rows_is_green(project):
    people(project, rows="id,name,age\n")
    assert all(one.passed for one in evaluations(materialize()).values())


@pytest.mark.parametrize(("most", "passed"), [(120, False), (200, False), (300, True)])
def test_a_replay_answers_each_check_with_what_it_found(project, most, passed):
    people(project, rows="id,name,age\n1,Ada,36\n4,Bo,150\n5,Eva,250\n")
    run_job("people")
    people(project, [{**RULES[0], "max": most}, *RULES[1:]], rows="id,name,age\n1,Ada,36\n4,Bo,150\n5,Eva,250\n")
    report = replay_job(load_job("people"))
    assert report.snapshot is not None
    with open_instance() as instance:
        newest = instance.get_latest_materialization_event(dg.AssetKey("people"))
        outcomes = newest_outcomes(instance)
        assert {name: one.passed for name, one in outcomes.items()} == {
            "age_between": passed,
            "name_not_null": True,
            "id_unique": True,
        }
        assert told(outcomes["age_between"])["rows_failed"] == (max(0, 2 - (most > 150) - (most > 250)))
        key = dg.AssetCheckKey(dg.AssetKey("people"), "age_between")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert (record.run_id, record.event.timestamp >= newest.timestamp) == (newest.run_id, True)


def test_a_replay_that_leaves_rows_where_they_are_turns_no_check_green(project):
    rows = "id,name,age\n1,Ada,36\n4,Bo,150\n5,x,y,z\n"
    people(project, rows=rows, max_bad_ratio=1)
    run_job("people")
    (project.path / "data" / "a.csv").unlink()  # the ragged line is nowhere else
    people(project, [{**RULES[0], "max": 200}, *RULES[1:]], rows=rows, max_bad_ratio=1)
    (project.path / "data" / "a.csv").unlink()
    project.file("data/b.csv", "id,name,age\n")
    report = replay_job(load_job("people"))
    assert (report.rows_loaded, sum(report.left.values())) == (1, 1)
    with open_instance() as instance:
        age = newest_outcomes(instance)["age_between"]
    assert not age.passed
    assert age.description.startswith("0 of 1 rows break it this time; before that: 1 of 2 rows break it")
