"""The words of an expression."""

import re
from typing import Literal, NamedTuple

from ingestion.errors import ConfigError

__all__ = ["LONGEST", "Token", "tokens", "words"]

LONGEST = 4000
"""Characters that an expression may have."""

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<comment>--|/\*)
  | (?P<text>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<word>[^\W\d]\w*)
  | (?P<sign>::|<=|>=|<>|!=|==|\|\||//|!~\*|!~|~\*|[-+*/%=<>~(),.])
    """,
    re.VERBOSE,
)


_BARE_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?![\w.])")


class Token(NamedTuple):
    """One word, where it begins and where it ends; of texts and quoted names what is between the quotes."""

    kind: Literal["text", "quoted", "number", "word", "sign", "end"]
    value: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """A word or sign as it is compared; nothing for what stands in quotes."""
        return self.value.upper() if self.kind in ("word", "sign") else ""


def words(text: str) -> frozenset[str]:
    """The words between the blanks of *text*."""
    return frozenset(text.split())


def tokens(text: str) -> list[Token]:
    """The words of *text*, and the end; raises ConfigError at what is none."""
    if len(text) > LONGEST:
        raise ConfigError(f"the expression has {len(text)} characters; {LONGEST} are the most, divide it")
    read = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        date = _BARE_DATE.match(text, place)
        if date is not None:
            raise ConfigError(f"{date[0]} would be a difference of numbers; a date stands in quotes: '{date[0]}'")
        if match is None or match.lastgroup == "comment" or "\0" in match[0]:
            raise ConfigError(
                f"{text[place : place + 20]!r} is not expected at character {place + 1}{_hint(text, place)}"
            )
        if match.lastgroup != "blank":
            kind, value = match.lastgroup, match[0]
            if kind in ("text", "quoted"):
                value = value[1:-1].replace(value[0] * 2, value[0])
            read.append(Token(kind, value, place, match.end()))  # type: ignore[arg-type]  # the names of the groups
        place = match.end()
    return [*read, Token("end", "", len(text), len(text))]


def _hint(text: str, place: int) -> str:
    hints = {
        "'": "; a text ends with another '",
        '"': '; a name ends with another "',
        "-": "; an expression has no comments",
        "/": "; an expression has no comments",
        ";": "; there is one expression only",
        "&": "; write AND",
        "|": "; write OR",
        "!": "; write NOT",
        "`": '; a name with blanks stands in "double quotes"',
        "[": '; a name with blanks stands in "double quotes"',
    }
    return hints.get(text[place], "")
