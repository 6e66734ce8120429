"""The JSON Schemas accept what loads, and refuse what does not."""

from typing import Any

import jsonschema
import pytest
import yaml

from ingestion.config import list_sources, load_all
from ingestion.config.schema import job_schema, source_schema
from ingestion_tests.config_project import stubs
from ingestion_tests.conftest import Project

__all__ = ["stubs"]

STUB = {"type": "stub", "source_path": "x"}
JOBS: list[tuple[dict[str, Any], bool]] = [
    ({"source": STUB}, True),
    (
        {
            "source": STUB | {"port": "${PORT:-1}", "on_bad_row": "${WHAT}"},
            "monitoring": {"alert_on_failure": "${ON:-true}"},
            "max_bad_rows": "${X}",
        },
        True,
    ),
    ({"source": STUB, "transformer": {"type": "stub", "rename_columns": {"a": "b"}}, "loader": {"type": "stub"}}, True),
    ({"source": STUB, "monitoring": {"notification_channels": ["slack", {"type": "email", "from": "a@b.se"}]}}, True),
    ({"source": STUB, "loader": {"type": "iceberg", "database": "d", "table": "t", "write_mode": "append"}}, True),
    ({"source": STUB, "loader": {"write_mode": "replace", "target_file_size": "64 MiB"}}, True),
    ({"source": STUB, "loader": {"partition_by": ["day", {"column": "id", "transform": "bucket[4]"}]}}, True),
    ({"source": STUB, "loader": {"table_properties": {"a": 1, "b": True}, "catalog": {"s3.region": "eu"}}}, True),
    ({"source": STUB, "transformer": {"date_columns": {"a": "%d/%m/%Y"}, "types": {"b": "decimal(9,2)"}}}, True),
    ({"source": {"type": "csv", "source_path": "x", "header": ["a"], "delimiter": "auto"}}, True),
    ({"source": {"ref": "shop"}}, True),
    ({"source": {"ref": "shop", "file_pattern": "x*"}}, True),
    ({"inherits": "half"}, True),
    ({"template": "half", "source": {"port": 1}}, True),
    ({"source": {"type": "stub"}}, False),
    ({"source": STUB | {"file_patern": "x"}}, False),
    ({"source": {"type": "stup", "source_path": "x"}}, False),
    ({"source": STUB, "cron_expresion": "@daily"}, False),
    ({"source": STUB | {"port": "high"}}, False),
    ({"source": STUB, "loader": {"type": "stub", "write_mode": "overwritten"}}, False),
    ({"source": STUB, "monitoring": {"notification_channels": ["pager"]}}, False),
    ({"source": STUB, "loader": {"partition_by": [{"columm": "day"}]}}, False),
    ({"source": STUB, "id": "x"}, False),
    ({"source": STUB, "enabled": "${ON:-true}"}, False),
    ({"source": STUB, "on_overlap": "${WHAT}"}, False),
    ({"source": STUB, "retry_policy": {"max_retries": "${TIMES}"}}, False),
    ({"source": STUB, "engine": "spark"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("config", "valid"), JOBS)
def test_the_schema_of_a_job_says_what_loading_says(stubs: Project, config: dict[str, Any], *, valid: bool) -> None:
    stubs.source("shop", {"source": STUB})
    stubs.template("half", {"source": STUB})
    stubs.job("orders", config)
    (loaded,) = load_all()
    assert (loaded.job is not None) == valid
    assert jsonschema.Draft202012Validator(job_schema()).is_valid(config) == valid


def test_the_schema_of_a_job_is_one(stubs: Project) -> None:
    del stubs
    jsonschema.Draft202012Validator.check_schema(job_schema())


@pytest.mark.parametrize(("config", "valid"), [
    ({"source": STUB}, True),
    ({"source_id": "shop", "name": "Shop", "version": 1.0, "scraper": STUB, "metadata": {"owner": "x"}}, True),
    ({"inherits": "half", "source": {"port": 5}}, True),
    ({"transformer": {"type": "stub", "date_columns": ["a"]}}, True),
    ({"source": STUB, "sorce": 1}, False),
    ({"source": STUB, "metadata": {"ownr": 1}}, False),
])  # fmt: skip
def test_the_schema_of_a_source_says_what_loading_says(stubs: Project, config: dict[str, Any], *, valid: bool) -> None:
    stubs.template("half", {"source": STUB})
    stubs.source("shop", config)
    (loaded,) = list_sources()
    assert (loaded.source is not None) == valid
    schema = source_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(config) == valid


def test_every_option_of_a_shipped_plugin_is_described(project: Project) -> None:
    schema = job_schema()
    sections = [schema, *schema["$defs"].values()]
    for name in ("source", "transformer", "loader"):
        sections += [branch for branch in schema["properties"][name]["anyOf"] if "properties" in branch]
    bare = [
        key
        for section in sections
        for key, value in section.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []


def test_the_shipped_schemas_are_up_to_date() -> None:
    import json
    from pathlib import Path

    folder = Path(__file__).parent.parent / "config" / "schema"
    for name, schema in (("job", job_schema()), ("source", source_schema())):
        assert json.loads((folder / f"{name}.json").read_text()) == schema, (
            f"run: ingestion schema {name} > config/schema/{name}.json"
        )


def test_shipped_files_pass_the_schemas() -> None:
    from pathlib import Path

    folder = Path(__file__).parent.parent / "config"
    for name, schema in (("jobs", job_schema()), ("sources", source_schema())):
        files = sorted((folder / name).rglob("*.yaml"))
        assert files
        for path in files:
            jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()))
            assert path.read_text().startswith("# yaml-language-server: $schema=../"), path
