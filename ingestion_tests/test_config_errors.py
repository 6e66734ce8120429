"""Every mistake in a file: its line, its column, its path, and what to do."""

import pytest

from ingestion_tests.config_project import SOURCE, refusal, stubs
from ingestion_tests.conftest import Project

__all__ = ["stubs"]

KNOWN = "csv, database, db, mariadb, mssql, mysql, oracle, postgres, postgresql, sqlite, sqlserver, stub"

MISTAKES = {
    "an unknown key": (
        "enabled: true\nsource:\n  type: stub\n  source_path: data\n  file_patern: x\n",
        "config/jobs/orders.yaml:5:3: source.file_patern: unknown key 'file_patern'; did you mean 'file_pattern'?",
    ),
    "an unknown key that resembles nothing": (
        SOURCE + "retry_policy:\n  zzz: 1\n",
        "config/jobs/orders.yaml:3:3: retry_policy.zzz: unknown key 'zzz'; known keys: backoff, delay_seconds, max_retries",
    ),
    "an id inside": (
        f"id: orders\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: id: unknown key 'id'; the name of the file is the job's id",
    ),
    "an option that later versions know": (
        SOURCE + "engine: spark\n",
        "config/jobs/orders.yaml:2:1: engine: unknown key 'engine'; known keys: cron_expression, description",
    ),
    "a wrong boolean": (
        f"enabled: maybe\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: enabled: should be true or false, not 'maybe'",
    ),
    "a wrong number": (
        "source:\n  type: stub\n  source_path: data\n  port: high\n",
        "config/jobs/orders.yaml:4:3: source.port: should be a whole number, not 'high'",
    ),
    "a number where text is due": (
        "source:\n  type: stub\n  source_path: 2024\n",
        "config/jobs/orders.yaml:3:3: source.source_path: should be text, not 2024; put it in quotes if it is text",
    ),
    "a word that is not on the list": (
        "source:\n  type: stub\n  source_path: data\n  on_bad_row: quarantin\n",
        (
            "config/jobs/orders.yaml:4:3: source.on_bad_row: should be 'quarantine', 'fail' or 'drop', not 'quarantin'; "
            "did you mean 'quarantine'?"
        ),
    ),
    "none of several types": (
        "source:\n  type: stub\n  source_path: data\n  header: 5\n",
        "config/jobs/orders.yaml:4:3: source.header: should be true or false or a list, not 5",
    ),
    "a missing option": (
        "source:\n  type: stub\n",
        "config/jobs/orders.yaml:1:1: source.source_path: is missing; add it",
    ),
    "no source": ("enabled: true\n", "config/jobs/orders.yaml:1:1: source: is missing; add it"),
    "no type": (
        "source:\n  source_path: data\n",
        f"config/jobs/orders.yaml:1:1: source.type: is missing; known types: {KNOWN}",
    ),
    "a misspelt type": (
        "source:\n  typ: stub\n",
        f"config/jobs/orders.yaml:1:1: source.type: is missing; known types: {KNOWN}; did you mean 'type' where it says 'typ'?",
    ),
    "the start of a key": (
        f"cron: 0 5 * * *\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: cron: unknown key 'cron'; did you mean 'cron_expression'?",
    ),
    "an unknown type": (
        "source:\n  type: stup\n",
        f"config/jobs/orders.yaml:2:3: source.type: unknown source type 'stup'; did you mean 'stub'? known types: {KNOWN}",
    ),
    "a type from the environment": (
        "source:\n  type: ${KIND}\n",
        "config/jobs/orders.yaml:2:3: source.type: cannot be a placeholder; write the type itself",
    ),
    "a switch from the environment": (
        f"enabled: ${{ON}}\n{SOURCE}",
        (
            "config/jobs/orders.yaml:1:1: enabled: cannot be a placeholder, as it is read when the job is loaded; "
            "write the value itself"
        ),
    ),
    "a cron expression from the environment": (
        f"cron_expression: ${{CRON:-@daily}}\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: cron_expression: cannot be a placeholder",
    ),
    "an overlap from the environment": (
        f"on_overlap: ${{OV:-skip}}\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: on_overlap: cannot be a placeholder",
    ),
    "retries from the environment": (
        SOURCE + "retry_policy:\n  max_retries: ${N}\n",
        "config/jobs/orders.yaml:3:3: retry_policy.max_retries: cannot be a placeholder",
    ),
    "tags from the environment": (
        SOURCE + "metadata:\n  tags: ${TAGS}\n",
        "config/jobs/orders.yaml:3:3: metadata.tags: cannot be a placeholder",
    ),
    "a tag from the environment": (
        SOURCE + "metadata:\n  tags: [a, '${TAG}']\n",
        "config/jobs/orders.yaml:3:3: metadata.tags: cannot be a placeholder",
    ),
    "all channels from the environment": (
        SOURCE + "monitoring:\n  notification_channels: ${CHANNELS}\n",
        (
            "config/jobs/orders.yaml:3:3: monitoring.notification_channels: should be a list; "
            "a placeholder can stand for one of its members, not '${CHANNELS}'"
        ),
    ),
    "an unknown loader": (
        SOURCE + "loader: {type: iceburg}\n",
        "config/jobs/orders.yaml:2:10: loader.type: unknown loader type 'iceburg'; did you mean 'iceberg'?",
    ),
    "a section left empty": (
        SOURCE + "metadata:\n",
        "config/jobs/orders.yaml:2:1: metadata: is empty; give it options, or delete the key",
    ),
    "a list where options are due": (
        SOURCE + "loader: [1]\n",
        "config/jobs/orders.yaml:2:1: loader: should be a mapping of options",
    ),
    "a bad cron hour": (
        f"cron_expression: 0 25 * * *\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: cron_expression: the hour '25' is out of range; it goes from 0 to 23",
    ),
    "a bad time zone": (
        f"timezone: Europe/Stokholm\n{SOURCE}",
        "config/jobs/orders.yaml:1:1: timezone: 'Europe/Stokholm' is not a time zone; write a name such as UTC",
    ),
    "an unknown channel": (
        SOURCE + "monitoring:\n  notification_channels:\n    - slack\n    - emial\n",
        "config/jobs/orders.yaml:5:7: monitoring.notification_channels[1]: unknown channel 'emial'; did you mean 'email'?",
    ),
    "an unknown key of a channel": (
        SOURCE + "monitoring:\n  notification_channels: [{type: email, too: [a@b.se]}]\n",
        "config/jobs/orders.yaml:3:41: monitoring.notification_channels[0].too: unknown key 'too'; did you mean 'to'?",
    ),
    "an option under two names": (
        SOURCE + "transformer:\n  type: stub\n  column_mapping: {a: b}\n  rename_columns: {c: d}\n",
        (
            "config/jobs/orders.yaml:5:3: transformer.rename_columns: 'rename_columns' is another name of 'column_mapping', "
            "which is given too; keep one of them"
        ),
    ),
    "a key given twice": (
        f"enabled: true\n{SOURCE}enabled: false\n",
        "config/jobs/orders.yaml:3:1: the key 'enabled' is given twice; keep one of them",
    ),
    "an empty file": ("", "config/jobs/orders.yaml: is empty; write its options, or delete it"),
    "only comments": ("# nothing yet\n", "config/jobs/orders.yaml: is empty; write its options, or delete it"),
    "a list": ("- source\n", "config/jobs/orders.yaml:1:1: should be a mapping, such as 'source: ...'"),
    "a tab": (
        "source:\n\ttype: stub\n",
        (
            "config/jobs/orders.yaml:2:1: this is not YAML: while scanning for the next token, found character that cannot "
            "start any token; put the value in quotes, and indent with spaces"
        ),
    ),
    "a cron expression without quotes": (
        f"cron_expression: * * * * *\n{SOURCE}",
        "config/jobs/orders.yaml:1:19: this is not YAML: while scanning an alias",
    ),
    "wrong indentation": (
        "source:\n  type: stub\n   source_path: data\n",
        (
            "config/jobs/orders.yaml:3:15: this is not YAML: mapping values are not allowed in this context; "
            "check the indentation"
        ),
    ),
    "an open bracket": ("source: {type: stub\n", "config/jobs/orders.yaml:2:1: this is not YAML"),
    "two documents": (
        f"{SOURCE}---\n{SOURCE}",
        "config/jobs/orders.yaml:2:1: this is not YAML: expected a single document in the stream, but found another",
    ),
    "a custom tag": (
        "source: !python/object:os.system {}\n",
        "config/jobs/orders.yaml:1:9: the tag !python/object:os.system is unknown; remove it",
    ),
    "an alias of what holds it": (
        "source: &a\n  type: *a\n",
        "config/jobs/orders.yaml:1:9: an alias refers to what holds it; write the value out",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_remedy(stubs: Project, mistake: str) -> None:
    text, message = MISTAKES[mistake]
    stubs.job("orders", text)
    assert refusal().startswith(message)
    assert "\n" not in refusal()


def test_all_mistakes_of_a_file_are_told_in_the_order_of_their_lines(stubs: Project) -> None:
    stubs.job("orders", "enabledd: true\nsource:\n  type: stub\n  port: x\n  file_patern: y\ntimezone: Mars\n")
    places = [line.split(": ")[0].removeprefix("config/jobs/orders.yaml:") for line in refusal().splitlines()]
    assert places == ["1:1", "2:1", "4:3", "5:3", "6:1"]


def test_text_that_is_not_utf8_is_told(stubs: Project) -> None:
    (stubs.jobs / "orders.yaml").write_bytes("description: Åsa\n".encode("latin-1"))
    assert refusal() == "config/jobs/orders.yaml: is not UTF-8 text (byte 13); save it as UTF-8"


def test_a_secret_is_not_repeated_by_an_error(stubs: Project) -> None:
    stubs.job("orders", "source:\n  type: stub\n  source_path: x\n  password: 12345678\n")
    assert refusal() == "config/jobs/orders.yaml:4:3: source.password: should be text; put it in quotes if it is text"


@pytest.mark.parametrize("name", ["Orders", "2024", "my-job", "a" * 64, "å"])
def test_a_file_whose_name_cannot_be_an_id_is_told(stubs: Project, name: str) -> None:
    from ingestion.config import load_all

    stubs.job(name, SOURCE)
    (loaded,) = load_all()
    assert loaded.job is None
    assert f"{name}.yaml: the name of the file is the job's id, and {name!r} is not a valid id; use 1 to 63" in str(
        loaded.error
    )


def test_a_secret_in_clear_is_warned_about_with_its_place(stubs: Project, caplog: pytest.LogCaptureFixture) -> None:
    from ingestion.config import load_job

    stubs.job("orders", "source:\n  type: stub\n  source_path: x\n  password: hunter2222\n")
    assert load_job("orders").source.password == "hunter2222"
    (record,) = caplog.records
    assert record.getMessage().startswith("config/jobs/orders.yaml:4:3: source.password: a secret stands here in clear")
    assert "hunter" not in record.getMessage()


def test_columns_that_are_called_like_secrets_are_none(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    from ingestion.config import load_job

    transformer = {
        "mask": {"password": "hmac"},
        "types": {"api_token": "string"},
        "mask_key": "sixteen letters, or more",
    }
    project.job("orders", {"source": {"type": "csv", "source_path": "data"}, "transformer": transformer})
    assert load_job("orders").transformer.model_dump(include=transformer.keys()) == transformer
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["transformer.mask_key"]
