"""Placeholders wait, secrets stay hidden."""

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


def test_secrets_in_clear_are_found_with_their_paths() -> None:
    config = {
        "a": [{"password": "x"}, {"password": "${P}"}],
        "tokens": ["t"],
        "url": "pg://me:pw@db",
        "host": "h",
        "pin": 1,
    }
    assert list(clear_secrets(config)) == [("a", 0, "password"), ("tokens", 0), ("url",)]


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
