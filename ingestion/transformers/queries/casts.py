"""Casts in queries that would guess.

Polars makes a date of a text by the format that the first of its neighbours has: what a row becomes would depend on
the others, and TRY_CAST makes null of what is written otherwise.
"""

from collections.abc import Iterator, Sequence

from ingestion.transformers.queries import words
from ingestion.transformers.queries.tokens import Token, with_depth

__all__ = ["cast_problems"]


def cast_problems(tokens: Sequence[Token]) -> Iterator[str]:
    """Why casts are refused, if they are."""
    openers: list[tuple[str, int]] = []  # what stands before a parenthesis, and where the inside begins
    for index, token in enumerate(tokens):
        if token.text == "(":
            openers.append((tokens[index - 1].key if index else "", index + 1))
        elif token.text == ")":
            del openers[-1:]
        elif token.key == "AS" and openers and openers[-1][0] in words.CASTS:
            yield from _problem(tokens[index + 1 : index + 2], tokens[openers[-1][1] : index])
        elif token.text == ":":
            yield from _problem([found for found in tokens[index + 1 : index + 3] if found.text != ":"][:1], ())


def _problem(dtype: Sequence[Token], operand: Sequence[Token]) -> Iterator[str]:
    for token in dtype:
        if token.key not in words.TYPES and not _is_time(operand):
            yield (
                f"a cast to {token.text} would guess how a text is written, by its neighbours; write "
                f"strptime(text, '%Y-%m-%d'), and CAST(date_trunc('day', time) AS DATE) for the date of a time"
            )


def _is_time(operand: Sequence[Token]) -> bool:
    """Whether it is one call of a function that gives a time."""
    if len(operand) < 2 or operand[0].key not in words.TIMES or operand[-1].text != ")":
        return False
    return sum(not depth for _, depth in with_depth(operand)) == 3  # the name and its two parentheses
