"""Placeholders wait, secrets stay hidden."""

import logging

import pyarrow as pa
import pytest

from ingestion.errors import ConfigError, DataError
from ingestion.secrets import (
    MASK,
    clear_secrets,
    has_placeholder,
    is_secret_key,
    mask,
    placeholders,
    redact,
    redact_all,
    redact_column,
    redact_error,
    resolve,
)


def test_placeholders_are_found_in_order_and_depth() -> None:
    value = {"a": "${A}/x${B:-c}", "b": [{"c": "${C}"}, 5, None], "d": "$${D} $E ${1F} ${}"}
    assert placeholders(value) == ["A", "B", "C"]
    assert has_placeholder(value)
    assert not has_placeholder({"d": "$${D}"})


def test_placeholders_are_replaced_at_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "db")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    value = {
        "url": "http://${HOST}:${UNSET:-80}/${UNSET:-}",
        "list": ["${HOST}", 1],
        "same": "$${HOST}",
        "e": "${EMPTY:-x}",
    }
    assert resolve(value) == {"url": "http://db:80/", "list": ["db", 1], "same": "${HOST}", "e": "x"}


def test_an_unset_variable_is_told_with_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    with pytest.raises(ConfigError) as caught:
        resolve({"source": {"hosts": ["a", "${UNSET}"]}})
    assert (
        str(caught.value)
        == "source.hosts[1]: the environment variable UNSET is not set; set it, or write ${UNSET:-default}"
    )


def test_an_empty_variable_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(ConfigError, match="the environment variable EMPTY is empty; set it"):
        resolve("${EMPTY}")


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PG_PASSWORD",
        "token",
        "api_key",
        "apikey",
        "client_secret",
        "private_key",
        "secret_access_key",
        "Authorization",
        "adls.account-key",
        "adls.connection-string",
        "connection_string",
        "X-API-Key",
        "api-key",
        "api.key",
        "private-key",
        "pwd",
        "DB_PWD",
        "db_pass",
        "PGPASS",
        "adls.sas",
        "sas",
    ],
)
def test_keys_that_hold_secrets_are_known(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "token_path",
        "token_url",
        "key_name",
        "key_in",
        "primary_key",
        "merge_keys",
        "cursor_param",
        "refresh_margin_seconds",
        "token-url",
        "rest.authorization-url",
        "passenger",
        "passage",
        "compass_heading",
        "tsasize",
        "keyboard",
    ],
)
def test_keys_that_only_sound_like_secrets_are_not(key: str) -> None:
    assert not is_secret_key(key)


def test_secrets_that_were_used_are_taken_out_of_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "tok-abcdef-1")
    monkeypatch.setenv("PLAIN", "plain-value-1")
    resolve({"a": "${SOME_TOKEN}", "password": "${PLAIN}", "host": "${HOSTNAME_X:-visible-1}"})
    text = redact("tok-abcdef-1 plain-value-1 visible-1 postgresql://me:pw123@db/x")
    assert text == f"{MASK} {MASK} visible-1 postgresql://me:{MASK}@db/x"


def test_an_error_and_its_causes_are_redacted_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_TOKEN", "tok-zyxwvu-2")
    resolve("${OTHER_TOKEN}")
    error = DataError("refused: tok-zyxwvu-2")
    error.__cause__ = ValueError("driver says tok-zyxwvu-2")
    redact_error(error)
    assert str(error) == f"refused: {MASK}"
    assert str(error.__cause__) == f"driver says {MASK}"


def test_log_records_come_without_secrets(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("LOG_TOKEN", "tok-logged-3")
    resolve("${LOG_TOKEN}")
    logger = logging.getLogger("a.driver")
    logger.warning("connected with %s", "tok-logged-3")
    logger.warning("connected in %d ms", 3)
    error = ValueError("bad tok-logged-3")
    logger.error("failed", exc_info=error)
    assert f"connected with {MASK}" in caplog.text
    assert "connected in 3 ms" in caplog.text
    assert f"ValueError: bad {MASK}" in caplog.text
    assert "tok-logged-3" not in caplog.text


def test_secrets_in_clear_are_found_with_their_paths() -> None:
    config = {
        "a": [{"password": "x"}, {"password": "${P}"}],
        "tokens": ["t"],
        "url": "pg://me:pw@db",
        "host": "h",
        "pin": 1,
    }
    assert list(clear_secrets(config)) == [("a", 0, "password"), ("tokens", 0), ("url",)]


@pytest.mark.parametrize(
    ("config", "clear"),
    [
        ({"password": "${PW:-hunter2}"}, True),
        ({"password": "Bearer ${PW} ${X:-hunter2}"}, True),
        ({"password": "${PW:-}"}, False),
        ({"host": "${HOST:-localhost}"}, False),
        ({"uri": "pg://u:${X:-hunter22}@h/db"}, True),
        ({"uri": "pg://u:hunter${X}@h/db"}, True),
        ({"uri": "pg://u:${X}hunter@h/db"}, True),
        ({"uri": "pg://u:${X}@h/db"}, False),
        ({"uri": "pg://${U:-me}:${X:-}@h:5432/db"}, False),
        ({"uri": "pg://${U:-me}:hunter22@h/db"}, True),
        ({"uri": "https://u:${X}@h/mail@example.com"}, False),
        ({"uri": "https://h:8080/users/@me"}, False),
        ({7: {"password": "hunter2"}}, True),
        ({"password": 12345678}, True),
    ],
)
def test_a_default_is_in_clear_where_a_secret_belongs(config: dict, clear: bool) -> None:
    assert bool(list(clear_secrets(config))) == clear
    assert (mask(config) != config) == clear
    assert "hunter" not in str(mask(config))


def test_what_masks_a_secret_is_no_secret_and_no_placeholder() -> None:
    config = {"password": MASK, "uri": f"pg://u:{MASK}@h/db"}
    assert list(clear_secrets(config)) == [("password",), ("uri",)]


def test_a_secret_that_is_no_utf8_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_PASSWORD", "caf\udce9-odd")
    resolve("${ODD_PASSWORD}")
    assert redact("no: caf\udce9-odd") == f"no: {MASK}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:pa/ss@host/db",
        "postgresql://u:p@ss@host/db",
        "postgresql://u:p:ss@host/db",
        "postgresql://u:?ss#s@host/db",
        "postgresql+psycopg://u@corp:pass@host/db",
        "redis://:pass@host/db",
    ],
)
def test_a_password_in_a_url_is_taken_out_whatever_it_holds(url: str) -> None:
    text = redact(f"cannot reach {url} or mail a@b.example")
    assert "ss" not in text
    assert text.endswith(f":{MASK}@host/db or mail a@b.example")
    assert mask({"uri": url})["uri"].endswith(f":{MASK}@host/db")


def test_a_password_that_a_url_was_given_is_taken_out_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_LOGIN", "u:canary%2Furl")
    monkeypatch.setenv("DB_URL", "postgresql://u:canary-whole@h/db")
    resolve({"uri": ["postgresql://${DB_LOGIN}@h/db", "${DB_URL}"]})
    assert redact("no: canary%2Furl, canary/url, canary-whole") == f"no: {MASK}, {MASK}, {MASK}"


def test_a_secret_is_known_by_its_spelling_in_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "can@ry/1 2")
    resolve("${DB_PASSWORD}")
    assert redact("no: can@ry/1 2, can%40ry%2F1%202, can%40ry%2F1+2") == f"no: {MASK}, {MASK}, {MASK}"


def test_what_is_shown_keeps_placeholders_and_masks_the_rest() -> None:
    config = {
        "password": "clear",
        "token": "${T}",
        "user": "me",
        "auth": [{"api_key": "k"}],
        "secret": "",
        "headers": {"Authorization": "x"},
    }
    assert mask(config) == {
        "password": MASK, "token": "${T}", "user": "me", "auth": [{"api_key": MASK}], "secret": "", "headers": {"Authorization": MASK},
    }  # fmt: skip


def test_structures_and_columns_come_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a+b (c) #\udce9x")
    monkeypatch.setenv("DB_PASSWORD", "s.cret-2")
    resolve(["${TOKEN}", "${DB_PASSWORD}"])
    assert redact_all({"x s.cret-2": ["s.cret-2", 3, ("p://u:abc@h",)]}) == {
        "x ********": ["********", 3, ["p://u:********@h"]]
    }
    texts = pa.array(["fine", None, "in s.cret-2/a", "sXcret-2", "p://u:abc@h"])
    assert redact_column(texts).to_pylist() == ["fine", None, "in ********/a", "sXcret-2", "p://u:********@h"]
    assert redact_column(texts[:2]).equals(texts[:2])
    assert redact_column(texts[:0]).equals(texts[:0])
