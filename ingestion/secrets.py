"""``${NAME}`` and ``${NAME:-default}``: kept as written everywhere, resolved only at use, redacted in every text.

The syntax is that of POSIX shells (Shell Command Language, 2.6.2) with ``:-`` as the only operator;
``$${NAME}`` stands for the literal text ``${NAME}``.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from traceback import format_exception
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from ingestion.errors import ConfigError
from ingestion.settings import environment

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MASK",
    "clear_secrets",
    "has_placeholder",
    "is_clear_secret",
    "is_secret_key",
    "mask",
    "placeholders",
    "redact",
    "redact_all",
    "redact_column",
    "redact_error",
    "resolve",
]

MASK = "********"
_PLACEHOLDER = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SECRET_KEY = re.compile(
    r"password|passwd|passphrase|secret|token|(api|private|access|account|mask)[-_.]?key|connection[-_.]?string"
    r"|credential|authorization|signature|webhook|(?<![a-z])(pwd|sas)(?![a-z])|pass$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r"(?<!webhook)[-_.](path|url|param|in|name|margin[-_.]seconds)$", re.IGNORECASE)
# The user and the password of a URL, up to the last @; not a port with a path, nor a password that is a placeholder.
_URL_PASSWORD = re.compile(r"(\w+://(?:\$\{[^}]*\}|(?!\$\{)[^\s:/?#])*):(?!\d{1,5}[/?#]|(?:\$\{\w+(?::-)?\})+@)(\S+)@")
_URL_DELIMITERS = re.compile(r"[/?#@:\[\]]")
_SHORTEST_SECRET = 4  # shorter values would blot out ordinary words
_seen: set[str] = set()


def is_secret_key(key: str) -> bool:
    """Whether a value under *key* is to be kept from readers."""
    return bool(_SECRET_KEY.search(key)) and not _NOT_SECRET.search(key)


def is_clear_secret(key: str, value: Any) -> bool:
    """Whether *value* under *key* is a secret written out: text or a number where a placeholder belongs.

    A placeholder with a default is one, too: the default stands there in clear.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "" or not is_secret_key(key):
        return False
    if isinstance(value, str):
        given = [match[2] for match in _PLACEHOLDER.finditer(value)]
        return not given or any(given)
    return not key.endswith("s")  # a number of tokens is none


def clear_secrets(value: Any, path: tuple[str | int, ...] = (), key: str = "") -> Iterator[tuple[str | int, ...]]:
    """The paths at which *value* holds a secret in clear: under a secret key, or as the password in a URL."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from clear_secrets(item, (*path, name), str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from clear_secrets(item, (*path, index), key)
    elif is_clear_secret(key, value) or (isinstance(value, str) and _URL_PASSWORD.search(value)):
        yield path


def placeholders(value: Any) -> list[str]:
    """The names that *value* (text, mapping or list, to any depth) refers to, in order."""
    if isinstance(value, str):
        return [match[1] for match in _PLACEHOLDER.finditer(value)]
    items: Iterable[Any] = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    )
    return [name for item in items for name in placeholders(item)]


def has_placeholder(value: Any) -> bool:
    """Whether *value* refers to the environment anywhere within."""
    return bool(placeholders(value))


def resolve(value: Any, where: str = "") -> Any:
    """*value* with every placeholder replaced; raises ConfigError that names the variable and its YAML path.

    Values taken from secret keys or secret-sounding variables are remembered for `redact`.
    """
    if isinstance(value, str):
        return _resolve_text(value, where)
    if isinstance(value, Mapping):
        return {key: resolve(item, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, f"{where}[{index}]") for index, item in enumerate(value)]
    return value


def _resolve_text(text: str, where: str) -> str:
    def look_up(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        found = environment().get(name) or default
        if found is None:
            state = "is empty" if name in environment() else "is not set"
            raise ConfigError(
                f"{where or 'value'}: the environment variable {name} {state}; set it, or write ${{{name}:-default}}"
            )
        if is_secret_key(name) or is_secret_key(where.rpartition(".")[2]):
            _remember(found)
        return found

    resolved = _PLACEHOLDER.sub(look_up, text).replace("$${", "${")
    for match in _URL_PASSWORD.finditer(resolved):
        for part in (match[2], *_URL_DELIMITERS.split(match[2])):  # an error may quote what a parser made of it
            _remember(part)
    return resolved


def _remember(value: str) -> None:
    """Know *value* again as itself, and as URLs and JSON spell it; from now on log records come without it."""
    if not isinstance(logging.getLogRecordFactory(), _Redacting):
        logging.setLogRecordFactory(_Redacting(logging.getLogRecordFactory()))
    quoted = {quote(value, safe, errors="surrogateescape") for safe in ("", "/")}
    spaced = quote_plus(value, errors="surrogateescape")
    spellings = {value, unquote(value), spaced, json.dumps(value)[1:-1], *quoted}
    _seen.update(spelling for spelling in spellings if len(spelling) >= _SHORTEST_SECRET)


class _Redacting:
    """Makes log records as *make* does, without secrets: drivers and plugins may log what they were given."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the logging module tells of a text that does not fit its values
            return record
        if (shown := redact(text)) != text:
            record.msg, record.args = shown, ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redact("".join(format_exception(record.exc_info[1])).rstrip())
        return record


def redact(text: str) -> str:
    """*text* without any secret that this process has resolved, and without passwords in clear inside URLs."""
    for secret in sorted(_seen, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _without_url_passwords(text)


def redact_all(value: Any) -> Any:
    """*value* (text, mapping or list, to any depth) with each text in it as `redact` leaves it."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact_all(key): redact_all(item) for key, item in value.items()}
    return [redact_all(item) for item in value] if isinstance(value, list | tuple) else value


def redact_column(texts: "pa.Array") -> "pa.Array":
    """A column of text with each value as `redact` leaves it; costs little where no secret stands in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    marks = "|".join(map(re.escape, (*filter(_is_utf8, _seen), "://")))
    suspect = pc.fill_null(pc.match_substring_regex(texts, marks), fill_value=False)
    if not pc.any(suspect).as_py():
        return texts
    shown = [redact(text) for text in texts.filter(suspect).to_pylist()]
    return pc.replace_with_mask(texts, suspect, pa.array(shown, texts.type))


def _is_utf8(text: str) -> bool:
    return text.encode(errors="ignore").decode() == text


def _without_url_passwords(text: str) -> str:
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def mask(value: Any, key: str = "") -> Any:
    """*value* as it may be shown: placeholders as written, secrets in clear masked, those inside URLs too.

    What comes out does not depend on the secrets that this process has resolved.
    """
    if isinstance(value, Mapping):
        return {name: mask(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item, key) for item in value]
    if is_clear_secret(key, value):
        return MASK
    return _without_url_passwords(value) if isinstance(value, str) else value


def redact_error(error: BaseException) -> None:
    """Take the secrets out of *error* and of everything it was raised from, in place, before anybody prints it."""
    chain: list[BaseException | None] = [error]
    done: set[int] = set()
    while chain:
        link = chain.pop()
        if link is None or id(link) in done:
            continue
        done.add(id(link))
        link.args = tuple(redact(item) if isinstance(item, str) else item for item in link.args)
        chain += [link.__cause__, link.__context__]
