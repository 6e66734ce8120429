"""Jobs as files: found, merged with templates and sources, completed with defaults."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ingestion.config import (
    InvalidConfig,
    JobConfig,
    list_sources,
    load_all,
    load_job,
    load_source,
    parse_job,
)
from ingestion.errors import ConfigError
from ingestion_tests.config_project import SOURCE, refusal, stubs
from ingestion_tests.conftest import Project

__all__ = ["stubs"]


def stub(**options):
    return {"type": "stub", "source_path": "data", **options}


def test_a_job_is_named_by_its_file_and_grouped_by_its_folder(stubs: Project) -> None:
    stubs.job("orders", SOURCE)
    stubs.job("sales/north-eu/returns", SOURCE)
    (stubs.jobs / "prices.yml").write_text(SOURCE)
    stubs.job(".hidden", "broken")
    stubs.job("..data/copy", "broken")
    assert [(item.id, item.group) for item in load_all()] == [
        ("orders", "ingestion"),
        ("prices", "ingestion"),
        ("returns", "sales_north_eu"),
    ]


def test_one_broken_file_hides_no_other(stubs: Project) -> None:
    stubs.job("a", "{")
    stubs.job("b", SOURCE)
    (stubs.jobs / "c.yaml").write_bytes(b"\xff\xfe")
    assert [(item.id, item.job is not None) for item in load_all()] == [("a", False), ("b", True), ("c", False)]


def test_two_files_with_one_id_are_one_job_that_names_both(stubs: Project) -> None:
    stubs.job("orders", SOURCE)
    stubs.job("old/orders", SOURCE)
    assert (
        refusal()
        == "config/jobs/old/orders.yaml and config/jobs/orders.yaml are both the job 'orders'; rename one of them"
    )


def test_broken_names_become_ids_that_are_unique(stubs: Project) -> None:
    for name in ("my_job", "My Job", "my-job", "9"):
        stubs.job(name, SOURCE)
    loaded = {item.id: item.job is not None for item in load_all()}
    assert loaded == {"my_job": True, "my_job_2": False, "my_job_3": False, "job_9": False}


def test_an_unknown_job_is_told_with_the_nearest(stubs: Project) -> None:
    stubs.job("orders", SOURCE)
    with pytest.raises(ConfigError, match=r"no job 'order' in .*/config/jobs; did you mean 'orders'\?"):
        load_job("order")
    with pytest.raises(ConfigError, match="known jobs: orders"):
        load_job("xyz")


def test_a_folder_that_is_not_there_holds_no_jobs(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_CONFIG_PATH", str(stubs.path / "elsewhere"))
    assert load_all() == []
    with pytest.raises(ConfigError, match=r"elsewhere does not exist; create it, or set JOB_CONFIG_PATH"):
        load_job("orders")


def test_defaults_come_from_the_neighbours_and_do_not_count_as_written(stubs: Project) -> None:
    stubs.job("orders", SOURCE + "loader: {type: stub}\n")
    job = load_job("orders")
    assert (job.loader.table, job.source.incremental) == ("orders", True)
    assert job.as_written() == {"source": stub(), "loader": {"type": "stub"}}
    again = job.merged({"loader": {"write_mode": "overwrite"}})
    assert (again.loader.table, again.source.incremental) == ("orders", False)
    assert job.merged({"source": {"incremental": False}}).source.incremental is False


def test_templates_stand_below_the_source_and_the_source_below_the_job(stubs: Project) -> None:
    stubs.template(
        "root",
        {"source": stub(port=1, file_pattern="root"), "transformer": {"type": "stub", "date_columns": ["a", "b"]}},
    )
    stubs.template("leaf", {"inherits": "root", "source": {"port": 2}, "max_bad_rows": 7})
    stubs.source(
        "shop/orders_api", {"version": 1.5, "source": {"port": 3, "password": "${PW}"}, "metadata": {"owner": "shop"}}
    )
    stubs.job("orders", {
        "inherits": "leaf",
        "source": {"ref": "orders_api", "header": False},
        "transformer": {"date_columns": ["c"]},
        "metadata": {"tags": ["x"]},
    })  # fmt: skip
    assert load_job("orders").as_written() == {
        "source": stub(port=3, file_pattern="root", header=False, password="${PW}"),
        "transformer": {"type": "stub", "date_columns": ["c"]},
        "metadata": {"owner": "shop", "tags": ["x"]},
        "max_bad_rows": 7,
    }


def test_an_option_is_the_same_under_each_of_its_names(stubs: Project) -> None:
    stubs.template("names", {"transformer": {"type": "stub", "rename_columns": {"a": "b"}}})
    stubs.job("orders", {"inherits": "names", "source": stub(), "transformer": {"column_mapping": {"c": "d"}}})
    job = load_job("orders")
    assert job.transformer.column_mapping == {"a": "b", "c": "d"}
    assert job.merged({"transformer": {"rename_columns": {"e": "f"}}}).transformer.column_mapping == {
        "a": "b", "c": "d", "e": "f",
    }  # fmt: skip


def test_a_mistake_under_another_name_keeps_its_place(stubs: Project) -> None:
    stubs.template("names", {"transformer": {"type": "stub", "date_columns": ["a"]}})
    stubs.job("orders", "inherits: names\ntransformer:\n  rename_columns: 5\n" + SOURCE)
    assert refusal() == "config/jobs/orders.yaml:3:3: transformer.rename_columns: should be a mapping of options, not 5"


def test_a_source_file_speaks_the_older_word_too(stubs: Project) -> None:
    stubs.source("shop", {"scraper": stub()})
    stubs.job("orders", {"source": {"ref": "shop"}})
    assert load_job("orders").source.source_path == "data"


def test_a_mistake_is_placed_in_the_file_that_makes_it(stubs: Project) -> None:
    stubs.template("half", "source:\n  portt: 1\n")
    stubs.source("shop", "# shop\nsource:\n  type: stub\n  port: x\n")
    stubs.job("a", {"template": "half", "source": stub()})
    stubs.job("b", {"source": {"ref": "shop"}})
    stubs.job("c", {"template": "half", "source": {"ref": "shp"}})
    assert refusal("a") == "config/templates/half.yaml:2:3: source.portt: unknown key 'portt'; did you mean 'port'?"
    assert refusal("b") == "config/sources/shop.yaml:4:3: source.port: should be a whole number, not 'x'"
    assert refusal("c") == "config/jobs/c.yaml:3:3: source.ref: no source 'shp' in config/sources; did you mean 'shop'?"


def test_templates_that_miss_or_go_round_name_the_chain(stubs: Project) -> None:
    stubs.template("a", "inherits: b\n")
    stubs.template("b", "template: c\n")
    stubs.template("c", "inherits: a\n")
    stubs.template("d", "inherits: nowhere\n")
    stubs.job("orders", f"inherits: a\n{SOURCE}")
    stubs.job("returns", f"inherits: d\n{SOURCE}")
    assert "config/templates/c.yaml:1:1: inherits: templates go round in a circle: a -> b -> c -> a" in refusal()
    assert (
        "config/templates/d.yaml:1:1: inherits: no template 'nowhere' in config/templates; known templates: a, b, c, d"
        in refusal("returns")
    )
    assert "(asked for by config/templates/d.yaml, inherited by config/jobs/returns.yaml)" in refusal("returns")
    stubs.job("sales", f"inherits: nigthly\n{SOURCE}")
    assert refusal("sales").endswith("(asked for by config/jobs/sales.yaml)")


def test_a_file_in_place_of_a_job_is_told_the_id(stubs: Project) -> None:
    stubs.job("orders", SOURCE)
    with pytest.raises(ConfigError, match=r"give the job's id: orders$"):
        load_job("config/jobs/orders.yaml")


def test_two_sources_with_one_id_are_refused_where_they_are_used(stubs: Project) -> None:
    stubs.source("a/shop", {"source": stub()})
    stubs.source("b", {"source_id": "shop", "source": stub()})
    stubs.job("orders", {"source": {"ref": "shop"}})
    assert "config/sources/a/shop.yaml and config/sources/b.yaml are both called 'shop'" in refusal()


def test_sources_are_listed_with_their_category_and_their_errors(stubs: Project) -> None:
    stubs.source("web/shop", {"name": "Shop", "source": {"type": "stub"}})
    stubs.source("bad", {"source": {"type": "stub", "portt": 1}})
    stubs.source("half", {"source": {"port": 1}})
    found = {item.id: (item.category, item.error and str(item.error)) for item in list_sources()}
    assert found == {
        "bad": ("", "config/sources/bad.yaml:3:3: source.portt: unknown key 'portt'; did you mean 'port'?"),
        "half": ("", None),
        "shop": ("web", None),
    }
    assert load_source("shop").name == "Shop"
    with pytest.raises(ConfigError, match="no source 'shopp'; did you mean 'shop'"):
        load_source("shopp")


def test_all_jobs_may_stand_in_one_file(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stubs.path / "config" / "jobs.yaml"
    path.write_text(
        "jobs:\n  orders:\n    source: {type: stub, source_path: x}\n  Bad:\n    source: 1\n  wrong:\n    enabld: no\n"
    )
    stubs.template("late", {"enabled": False})
    monkeypatch.setenv("JOB_CONFIG_PATH", str(path))
    loaded = {item.id: item.error and str(item.error) for item in load_all()}
    assert loaded["orders"] is None
    assert loaded["bad"].startswith("config/jobs.yaml:4:3: 'Bad' is not a valid id")
    assert "config/jobs.yaml:7:5: enabld: unknown key 'enabld'; did you mean 'enabled'?" in loaded["wrong"]
    assert load_job("orders").source.source_path == "x"
    with pytest.raises(ConfigError, match="did you mean 'orders'"):
        load_job("ordrs")


@pytest.mark.parametrize(("text", "message"), [
    ("job:\n  a: {}\n", "jobs.yaml:1:1: unknown key 'job'; this file holds one map called 'jobs'"),
    ("jobs: [a]\n", "jobs.yaml:1:1: jobs: should be a mapping of ids to jobs"),
    ("jobs:\n  a:\n", "jobs.yaml:2:3: jobs.a: should be a mapping of options"),
    ("jobs:\n  a: {}\n  a: {}\n", "jobs.yaml:3:3: the key 'a' is given twice"),
])  # fmt: skip
def test_a_wrong_file_of_jobs_is_told(stubs: Project, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    path = stubs.path / "config" / "jobs.yaml"
    path.write_text(text)
    monkeypatch.setenv("JOB_CONFIG_PATH", str(path))
    (loaded,) = load_all()
    assert message in str(loaded.error)


def test_a_file_of_many_that_holds_nothing_yet_has_no_jobs(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stubs.path / "config" / "jobs.yaml"
    path.write_text("{}\n")
    monkeypatch.setenv("JOB_CONFIG_PATH", str(path))
    assert load_all() == []
    with pytest.raises(ConfigError, match="it holds no jobs yet"):
        load_job("orders")


def test_placeholders_wait_and_are_validated_at_use(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    stubs.job(
        "orders",
        {
            "monitoring": {"notify_owners": "${ON:-no}"},
            "source": stub(port="${PORT}", header="${HEADER:-true}"),
            "max_bad_rows": "${MAX}",
        },
    )
    job = load_job("orders")
    assert job.source.port == "${PORT}"
    with pytest.raises(ConfigError, match=r"source\.port: the environment variable PORT is not set"):
        job.resolved()
    monkeypatch.setenv("MAX", "5")
    monkeypatch.setenv("PORT", "77")
    resolved = job.resolved()
    assert (resolved.monitoring.notify_owners, resolved.source.port, resolved.source.header, resolved.max_bad_rows) == (
        False,
        77,
        True,
        5,
    )
    assert resolved.loader.table == "orders"
    monkeypatch.setenv("PORT", "high")
    with pytest.raises(InvalidConfig, match=r"orders: source\.port: should be a whole number, not 'high'"):
        job.resolved()


def test_a_wrong_value_from_a_secret_variable_is_not_repeated(stubs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2222")
    stubs.job("orders", {"source": stub(port="${DB_PASSWORD}")})
    with pytest.raises(InvalidConfig) as caught:
        load_job("orders").resolved()
    assert "hunter" not in str(caught.value)


def test_overrides_merge_deeply_and_leave_the_job_alone(stubs: Project) -> None:
    stubs.job("orders", {"source": stub(header=["a", "b"]), "max_bad_rows": 3})
    job = load_job("orders")
    merged = job.merged({"source": {"file_pattern": "x*", "header": ["c"]}})
    assert merged.as_written() == {"source": stub(header=["c"], file_pattern="x*"), "max_bad_rows": 3}
    assert job.source.file_pattern is None
    assert merged.config_hash != job.config_hash
    with pytest.raises(InvalidConfig) as caught:
        job.merged({"source": {"file_patern": "x"}, "max_bad_rows": -1})
    assert {problem.path for problem in caught.value.problems} == {("max_bad_rows",), ("source", "file_patern")}
    assert "orders: source.file_patern: unknown key 'file_patern'; did you mean 'file_pattern'?" in str(caught.value)


def test_a_configuration_from_elsewhere_is_parsed_like_a_file(stubs: Project) -> None:
    stubs.source("shop", {"source": stub(port=9)})
    assert parse_job("orders", {"source": {"ref": "shop"}}).source.port == 9
    with pytest.raises(ConfigError, match=r"'\.\./x' is not a valid id"):
        parse_job("../x", {"source": stub()})
    with pytest.raises(ConfigError, match=r"source\.ref: no source 'shp' in config/sources; did you mean 'shop'"):
        parse_job("orders", {"source": {"ref": "shp"}})


def test_the_hash_changes_with_the_options_alone(stubs: Project) -> None:
    stubs.job("orders", SOURCE)
    stubs.job("same", "# a comment\nsource:\n  source_path: data\n  type: stub\n")
    stubs.job("other", "source: {type: stub, source_path: other}\n")
    first, same, other = (load_job(name).config_hash for name in ("orders", "same", "other"))
    assert first == same != other


def test_channels_may_be_names_or_objects(stubs: Project) -> None:
    text = "monitoring:\n  notification_channels:\n    - slack\n    - {type: email, to: [a@b.se], from: c@d.se, smtp_port: '${P}'}\n"
    stubs.job("orders", SOURCE + text)
    job = load_job("orders")
    slack, email = job.monitoring.notification_channels
    assert (slack.type, email.sender, email.smtp_port) == ("slack", "c@d.se", "${P}")
    assert JobConfig.model_validate({**job.as_written(), "id": "orders"}) == job


def test_a_thousand_files_load_in_a_moment_of_cpu(stubs: Project) -> None:
    config = yaml.safe_dump({
        "enabled": True, "cron_expression": "0 5 * * *", "type": "generic",
        "source": stub(file_pattern="*.csv", incremental=True, port=5433, header=True),
        "transformer": {"type": "stub", "date_columns": ["date"], "column_mapping": {"a": "b"}},
        "loader": {"type": "stub", "database": "sales", "table": "x", "write_mode": "append"},
        "monitoring": {"alert_on_failure": True, "notification_channels": ["slack", "email"]},
        "metadata": {"owner": "Data", "tags": ["a", "b"]},
    })  # fmt: skip
    for number in range(1000):
        (stubs.jobs / f"job_{number}.yaml").write_text(config)
    load_job("job_1")
    started = time.process_time()
    assert len(load_all()) == 1000
    assert time.process_time() - started < 3  # about 0.6 s on a quiet machine


def test_configuration_loads_no_driver_and_no_server(project: Project) -> None:
    heavy = "('dagster', 'fastapi', 'pyiceberg', 'pyspark', 'polars', 'sqlalchemy', 'rich')"
    code = f"""import sys, ingestion, ingestion.config, ingestion.cli, ingestion.connectors.csv
from ingestion.transformers.base import BaseTransformer
BaseTransformer.model_validate({{"filters": ["a > 1"], "deduplicate": {{"keys": "a", "order_by": "b"}},
    "transformations": [{{"add_column": {{"name": "c", "formula": "a + 1"}}}}],
    "validation": [{{"column": "a", "rule": "unique"}}]}})
print([m for m in {heavy} if m in sys.modules])"""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.strip() == "[]"
