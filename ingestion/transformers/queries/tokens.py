"""The words of a query, told apart so that polars cannot take them for others."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Token", "tokens", "with_depth"]

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")+")
    |(?P<word>[^\W\d]\w*)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<comment>--|/\*)
    |(?P<sign>[(),.*+\-/%<>=!|&^~:\[\]])""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """One word or sign of a query, as it is written."""

    kind: str  # text, name (in double quotes), word, number or sign
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the next character stands."""
        return self.start + len(self.text)

    @property
    def key(self) -> str:
        """What tells words apart; nothing for what is none."""
        # Not lower(): polars knows a keyword by its upper case, which other letters share: the long s, say.
        return self.text.upper() if self.kind == "word" else ""


def tokens(text: str) -> Iterator[Token]:
    """The words and signs of *text*; raises ValueError at whatever else it holds."""
    start = 0
    while start < len(text):
        found = _TOKEN.match(text, start)
        if found is None or found.lastgroup is None:
            raise ValueError(f"{text[start]!r} at character {start + 1} has no place in a query")
        if found.lastgroup == "comment":
            raise ValueError(f"comments have no place in a query: {found[0]!r} at character {start + 1}")
        if found.lastgroup != "blank":
            yield Token(found.lastgroup, found[0], start)
        start = found.end()


def with_depth(found: Iterable[Token]) -> Iterator[tuple[Token, int]]:
    """Each token, and in how many parentheses it stands; those themselves stand outside."""
    depth = 0
    for token in found:
        depth -= token.text == ")"
        yield token, depth
        depth += token.text == "("
